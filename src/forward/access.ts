/**
 * The first thing that a forwarded request meets: who uses the proxy, and whether the rules let it go where it wants. It is a
 * feature of the forward route like any other, in front of them all. What it lets through carries its access, without which
 * nothing is connected to.
 */
import { ProxyError } from "../core/errors.ts";
import type { Clock } from "../core/ports.ts";
import { credentialsOf, MALFORMED, parseBasic } from "../identity/authorization.ts";
import type { BasicUsers, PasswordVerdict } from "../identity/basic-users.ts";
import type { RefusalReason } from "../identity/refusal.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import type { Forwarding } from "../pipeline/forwarding.ts";
import type { Feature, Waiting } from "../pipeline/phases.ts";
import type { Interception } from "./interception/interception.ts";
import { BY, identityOf, loginRefusal } from "./logins.ts";
import { Denial } from "./refusal.ts";
import type { Decision, ForwardRules, Wish } from "./rules.ts";

/** Where names lead to. */
export interface HostNames {
  /** Whether it is an address of this host. The promise comes only where the answer must be waited for, and does not reject. */
  leadsTo(host: string, address: string): boolean | Promise<boolean>;
}

export interface AccessOptions {
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
  readonly #challenge: readonly (readonly [name: string, value: string])[];

  constructor(options: AccessOptions) {
    this.#options = options;
    this.#challenge = [["Proxy-Authenticate", `Basic realm="${options.auth?.realm ?? ""}", charset="UTF-8"`]];
  }

  request(exchange: Exchange): Waiting {
    const forward = exchange.forward!;
    return forward.isHostVerified ? this.#identify(exchange, forward) : this.#verify(exchange, forward);
  }

  /** A claim is believed where it leads to what the client's traffic was headed for; then it goes on in any case. */
  #verify(exchange: Exchange, forward: Forwarding): Waiting {
    const { destination, claimed } = forward;
    const { host, port } = claimed!;
    const leads = port === destination.port && this.#options.names.leadsTo(host, destination.address!);
    if (leads instanceof Promise) {
      return leads.then((known) => {
        if (known) forward.believeHost();
        if (!exchange.ended) return this.#identify(exchange, forward);
      });
    }
    if (leads) forward.believeHost();
    return this.#identify(exchange, forward);
  }

  #identify(exchange: Exchange, forward: Forwarding): Waiting {
    const { auth } = this.#options;
    // Who was let into a tunnel, or has proved it in a handshake, need not say again who it is.
    if (auth === null || forward.user !== null) return this.#decide(exchange, forward);
    if (exchange.connection.origin != null) {
      // It speaks with its origin, as far as it knows: it cannot be asked.
      return auth.isOptional ? this.#decide(exchange, forward) : this.#refuse(exchange, "credentials_missing");
    }
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

  #proved(exchange: Exchange, forward: Forwarding, verdict: PasswordVerdict): void {
    if (typeof verdict === "string") return this.#refuse(exchange, verdict);
    if (verdict instanceof ProxyError) return exchange.fail(verdict);
    forward.user = identityOf(verdict);
    if (!exchange.ended) this.#decide(exchange, forward);
  }

  #decide(exchange: Exchange, forward: Forwarding): void {
    const wish = this.#wishOf(exchange, forward);
    const { rules } = this.#options;
    const decision = rules.decide(wish);
    if (decision === "authenticate") return this.#refuse(exchange, "credentials_missing");
    const denial = forward.isHostVerified ? decision : this.#denialOfClaim(wish, forward, decision);
    if (denial instanceof Denial) return exchange.fail(denial);
    if (decision instanceof Denial) return exchange.fail(decision);
    forward.access = decision;
    forward.taker = this.#options.interception?.takerFor(forward.destination) ?? null;
  }

  #wishOf({ clientAddress, connection, request }: Exchange, { destination, user }: Forwarding): Wish {
    const { host, port, kind } = destination;
    const origin = connection.origin ?? null;
    return {
      client: clientAddress,
      user: user === null ? null : user.subject,
      isUnaskable: origin !== null,
      host,
      port,
      // What comes out of a tunnel went through its port; plain HTTP that was redirected here went through none.
      isTunnel: kind === "tunnel" || (origin !== null && origin.kind === "https"),
      method: request.method,
      wallMs: this.#options.clock.wallMs(),
    };
  }

  /**
   * A claim that is not true opens nothing, but closes what a true one would: whoever names a host that a rule refuses is refused,
   * since many hosts have more addresses than we are told. null: it changes nothing.
   */
  #denialOfClaim(wish: Wish, { claimed, destination }: Forwarding, decision: Decision): Denial | null {
    const ofClaim = this.#options.rules.decide({ ...wish, host: claimed!.host });
    if (ofClaim === "authenticate") return null;
    if (ofClaim instanceof Denial) return ofClaim.rule === null ? null : ofClaim;
    const isMissed = decision instanceof Denial && decision.rule === null;
    return isMissed && ofClaim.refusalOf(destination.address!) === null ? new Denial("unverified_host") : null;
  }

  #refuse(exchange: Exchange, reason: RefusalReason): void {
    exchange.fail(loginRefusal(reason, this.#challenge));
  }
}
