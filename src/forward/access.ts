/**
 * The first thing that a forwarded request meets: who uses the proxy, and whether the rules let it go where it wants. It is a
 * feature of the forward route like any other, in front of them all. What it lets through carries its access, without which
 * nothing is connected to.
 */
import { ProxyError } from "../core/errors.ts";
import type { Address, Clock } from "../core/ports.ts";
import { credentialsOf, MALFORMED, parseBasic } from "../identity/authorization.ts";
import type { BasicUsers, PasswordVerdict } from "../identity/basic-users.ts";
import type { RefusalReason } from "../identity/refusal.ts";
import type { Exchange, Identity } from "../pipeline/exchange.ts";
import type { Forwarding, OpenTunnel } from "../pipeline/forwarding.ts";
import type { Feature, Waiting } from "../pipeline/phases.ts";
import { debugRecord } from "./debug/record.ts";
import type { Interception } from "./interception/interception.ts";
import { identityOf } from "./logins.ts";
import { BY, Denial, hostUnresolved, unproved } from "./refusal.ts";
import type { Decision, ForwardRules, RuledAccess, Wish } from "./rules/rules.ts";
import type { CountedTunnel, TunnelCounts } from "./tunnel-counts.ts";
import type { UserCounter } from "./user-counts.ts";

/** To what a client may switch: then its request is a tunnel as one by CONNECT is. */
export const UPGRADES: readonly string[] = ["websocket"];

/** What is counted of those who use the proxy, by all threads together. */
export interface ForwardCounters {
  readonly tunnels: TunnelCounts;
  readonly users: UserCounter;
}

/** Whether a host leads to an address; an error: nobody could say. */
export type Leads = boolean | ProxyError;

/** Where names lead to. */
export interface HostNames {
  /** Whether it is an address of this host. The promise comes only where the answer must be waited for, and does not reject. */
  leadsTo(host: string, address: string): Leads | Promise<Leads>;
}

export interface AccessOptions {
  /** The name of the server in the configuration: tunnels are counted for each by itself. */
  readonly server: string;
  readonly counters: ForwardCounters;
  readonly tunnelsPerClient: number;
  readonly rules: ForwardRules;
  readonly names: HostNames;
  /** null: nobody has to say who it is. */
  readonly auth: { readonly users: BasicUsers; readonly realm: string; readonly isOptional: boolean } | null;
  /** null: all tunnels are left alone. */
  readonly interception: Pick<Interception, "takerFor"> | null;
  readonly clock: Clock;
}

export class ForwardAccess implements Feature {
  readonly name = BY;
  readonly #options: AccessOptions;
  /** Of all tunnels that are open. */
  readonly #ends = new TunnelEnds();

  constructor(options: AccessOptions) {
    this.#options = options;
  }

  request(exchange: Exchange): Waiting {
    const forward = exchange.forward!;
    const { origin, remote } = exchange.connection;
    if (origin != null && origin.kind === "tunnel" && this.#ends.has(endOf(remote, origin.address, origin.port))) {
      return exchange.fail(loop());
    }
    return forward.isHostVerified ? this.#identify(exchange, forward) : this.#verify(exchange, forward);
  }

  /** A claim is believed where it leads to what the client's traffic was headed for; then it goes on in any case. */
  #verify(exchange: Exchange, forward: Forwarding): Waiting {
    const { destination, claimed } = forward;
    const { host, port } = claimed!;
    const leads = port === destination.port && this.#options.names.leadsTo(host, destination.address!);
    if (leads instanceof Promise) {
      return leads.then((known) => {
        judgeClaim(forward, known);
        if (!exchange.ended) return this.#identify(exchange, forward);
      });
    }
    judgeClaim(forward, leads);
    return this.#identify(exchange, forward);
  }

  #identify(exchange: Exchange, forward: Forwarding): Waiting {
    const { auth } = this.#options;
    // Who has proved it in a handshake need not say again who it is; and on a connection that came out of a tunnel, or was redirected
    // here, nobody can say it: what is said there is meant for the origin.
    const isInside = exchange.connection.origin != null;
    if (isInside && !this.#isStillUser(forward.user)) return exchange.fail(new Denial("nothing_allows"));
    if (auth === null || forward.user !== null || isInside) return this.#decide(exchange, forward);
    const { fields } = exchange.request;
    const given = credentialsOf(fields, "basic", "proxy-authorization");
    if (given === null) {
      if (auth.isOptional) return this.#decide(exchange, forward);
      return this.#refuse(exchange, "credentials_missing");
    }
    const login = given === MALFORMED ? null : parseBasic(given);
    if (login === null) return this.#refuse(exchange, "credentials_malformed");
    // It is for us alone; whatever comes after, nobody reads it again.
    fields.delete("proxy-authorization");
    const verdict = auth.users.check(login, exchange.clientAddress);
    if (verdict instanceof Promise) return verdict.then((known) => this.#proved(exchange, forward, known));
    this.#proved(exchange, forward, verdict);
  }

  /** Whether whoever was let into a tunnel would be let in now: users go, and tunnels stay. */
  #isStillUser(user: Identity | null): boolean {
    const { auth } = this.#options;
    if (auth === null) return true;
    return user === null ? auth.isOptional : auth.users.has(user.subject);
  }

  #proved(exchange: Exchange, forward: Forwarding, verdict: PasswordVerdict): void {
    if (typeof verdict === "string") return this.#refuse(exchange, verdict);
    if (verdict instanceof ProxyError) return exchange.fail(verdict);
    forward.user = identityOf(verdict);
    if (!exchange.ended) this.#decide(exchange, forward);
  }

  #decide(exchange: Exchange, forward: Forwarding): void {
    const wish = this.#wishOf(exchange, forward);
    const decision = this.#options.rules.decide(wish);
    const denial = forward.isHostVerified ? null : this.#denialOfClaim(wish, forward, decision);
    if (denial !== null) return exchange.fail(denial);
    if (decision instanceof ProxyError) return exchange.fail(decision);
    const taker = this.#options.interception?.takerFor(forward.destination) ?? null;
    if (taker instanceof ProxyError) return exchange.fail(taker);
    if (isTunnel(exchange, forward) && !this.#openTunnel(exchange, forward)) {
      return exchange.fail(new Denial("too_many_tunnels"));
    }
    forward.access = decision;
    if (decision.debugUntilMs > 0) this.#keepForDebug(decision, forward);
    forward.taker = taker;
  }

  #wishOf({ clientAddress, connection, request }: Exchange, { destination, user }: Forwarding): Wish {
    const { host, isAddress, port, kind } = destination;
    const { rules, clock } = this.#options;
    const origin = connection.origin ?? null;
    return {
      client: clientAddress,
      user: user === null ? null : user.subject,
      mayProveUser: origin === null,
      host,
      isAddress,
      port,
      // What comes out of a tunnel went through its port; plain HTTP that was redirected here went through none.
      isTunnel: kind === "tunnel" || (kind === "https" && origin !== null),
      method: request.method,
      wallMs: rules.askTime ? clock.wallMs() : 0,
    };
  }

  /**
   * A claim that is not true opens nothing, but closes what a true one would: whoever names a host that a rule refuses is refused,
   * since many hosts have more addresses than we are told. null: it changes nothing.
   */
  #denialOfClaim(wish: Wish, forward: Forwarding, decision: Decision): ProxyError | null {
    const { claimed, destination, claimError } = forward;
    const ofClaim = this.#options.rules.decide({ ...wish, host: claimed!.host, isAddress: claimed!.isAddress });
    if (ofClaim instanceof ProxyError) return ofClaim instanceof Denial && ofClaim.rule !== null ? ofClaim : null;
    const isMissed = decision instanceof Denial && decision.rule === null;
    if (!isMissed || ofClaim.refusalOf(destination.address!) !== null) return null;
    return claimError === null ? new Denial("unverified_host") : hostUnresolved(claimError);
  }

  #keepForDebug(access: RuledAccess, forward: Forwarding): void {
    const wallMs = this.#options.clock.wallMs();
    if (wallMs < access.debugUntilMs) forward.debug = debugRecord(access, wallMs);
  }

  /** False: the client has as many as it may. One without an address, on a unix socket, is not limited: all such would be one. */
  #openTunnel({ clientAddress }: Exchange, forward: Forwarding): boolean {
    const { server, counters, tunnelsPerClient } = this.#options;
    const counted = clientAddress === "" ? null : counters.tunnels.take(server, clientAddress, tunnelsPerClient);
    if (counted === null && clientAddress !== "") return false;
    forward.tunnel = new UserTunnel(counters.users, userOf(forward), counted, this.#ends);
    return true;
  }

  log({ forward, requestBodyBytes, responseBodyBytes }: Exchange): void {
    // What a feature in front has answered went nowhere.
    if (forward === null) return;
    forward.tunnel?.close();
    this.#options.counters.users.count(userOf(forward), requestBodyBytes, responseBodyBytes);
  }

  #refuse(exchange: Exchange, reason: RefusalReason): void {
    exchange.fail(unproved(reason, this.#options.auth!.realm));
  }
}

function judgeClaim(forward: Forwarding, leads: Leads): void {
  if (leads === true) forward.believeHost();
  else if (leads !== false) forward.claimError = leads;
}

/** A firewall that redirects what this machine sends has to leave out what the proxy sends. No Via tells of it in a tunnel. */
function loop(): ProxyError {
  const message = "the connection is one of our own: the firewall redirects what this proxy sends, too";
  return new ProxyError("proxy_loop_detected", message);
}

/** A tunnel that we have opened is over for the count, since its requests are seen: a WebSocket within is one of its own. */
function isTunnel({ request }: Exchange, { destination }: Forwarding): boolean {
  return destination.kind === "tunnel" || (request.upgrade !== null && UPGRADES.includes(request.upgrade));
}

/** Connections to destinations, as `endOf` writes them: what comes from there and is headed for there is one of our own. */
class TunnelEnds {
  /** How many there are: one that is over here may be told of later than the next one that has its ends. */
  readonly #counts = new Map<string, number>();

  has(end: string): boolean {
    return this.#counts.has(end);
  }

  add(end: string): void {
    this.#counts.set(end, (this.#counts.get(end) ?? 0) + 1);
  }

  delete(end: string): void {
    const left = this.#counts.get(end)! - 1;
    if (left === 0) this.#counts.delete(end);
    else this.#counts.set(end, left);
  }
}

/**
 * Both ends of a connection. The one it comes from is not enough: the system gives the same address and port to connections to
 * different destinations, also to those of other programs on this machine, whose traffic may be redirected here.
 */
function endOf(from: Address, toAddress: string | null, toPort: number): string {
  return `${from.port} ${from.address} ${toPort} ${toAddress}`;
}

class UserTunnel implements OpenTunnel {
  readonly #users: UserCounter;
  readonly #user: string | null;
  readonly #counted: CountedTunnel | null;
  readonly #ends: TunnelEnds;
  #end: string | null = null;

  constructor(users: UserCounter, user: string | null, counted: CountedTunnel | null, ends: TunnelEnds) {
    this.#users = users;
    this.#user = user;
    this.#counted = counted;
    this.#ends = ends;
    users.openTunnel(user);
  }

  leadsFrom(end: Address, to: Address): void {
    this.#end = endOf(end, to.address, to.port);
    this.#ends.add(this.#end);
  }

  close(): void {
    if (this.#end !== null) this.#ends.delete(this.#end);
    this.#users.closeTunnel(this.#user);
    this.#counted?.giveBack();
  }
}

function userOf({ user }: Forwarding): string | null {
  return user === null ? null : user.subject;
}
