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
import { identityOf } from "./logins.ts";
import { BY, unproved } from "./refusal.ts";
import type { ForwardRules } from "./rules.ts";

export interface AccessOptions {
  readonly rules: ForwardRules;
  /** null: nobody has to say who it is. */
  readonly auth: { readonly users: BasicUsers; readonly realm: string; readonly isOptional: boolean } | null;
  /** null: all tunnels are left alone. */
  readonly interception: Pick<Interception, "takerFor"> | null;
  readonly clock: Clock;
}

export class ForwardAccess implements Feature {
  readonly name = BY;
  readonly #options: AccessOptions;

  constructor(options: AccessOptions) {
    this.#options = options;
  }

  request(exchange: Exchange): Waiting {
    const forward = exchange.forward!;
    const { auth } = this.#options;
    // Who has proved it in a handshake need not say again who it is; and on a connection that came out of a tunnel nobody can say
    // it: what is said there is meant for the origin.
    if (auth === null || forward.user !== null || exchange.connection.origin != null) {
      return this.#decide(exchange, forward);
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
    const { host, isAddress, port, kind } = forward.destination;
    const { rules, clock } = this.#options;
    const origin = exchange.connection.origin ?? null;
    const decision = rules.decide({
      client: exchange.clientAddress,
      user: forward.user === null ? null : forward.user.subject,
      mayProveUser: origin === null,
      host,
      isAddress,
      port,
      // What comes out of a tunnel went through its port.
      isTunnel: kind === "tunnel" || (kind === "https" && origin !== null),
      method: exchange.request.method,
      wallMs: rules.askTime ? clock.wallMs() : 0,
    });
    if (decision instanceof ProxyError) return exchange.fail(decision);
    forward.access = decision;
    forward.taker = this.#options.interception?.takerFor(forward.destination) ?? null;
  }

  #refuse(exchange: Exchange, reason: RefusalReason): void {
    exchange.fail(unproved(reason, this.#options.auth!.realm));
  }
}
