/**
 * The feature `credentials`: from the token of a session to the credentials that the upstream asks for. The token is
 * verified, its session looked up in a store, the credentials decrypted and added to the request; the token itself goes
 * no further.
 *
 * What is known costs a request next to nothing: the token's text leads to its session's key, the store gives the
 * record that it holds now, and as long as that is the record of before, the lines made of it are copied. Every request
 * asks both anew: an expired token and a session that has ended are refused at once. Whatever does not end in a good
 * token and a readable record is refused, and nothing is ever sent to the upstream then.
 */
import { ProxyError } from "../../core/errors.ts";
import type { EncodedLines } from "../../core/fields.ts";
import type { Clock, SessionRecord, SessionStore } from "../../core/ports.ts";
import { KeyRing } from "../../identity/envelope.ts";
import { identify } from "../../identity/identify.ts";
import { identityOf } from "../../identity/tokens/claims.ts";
import { type GatePorts, TokenGate } from "../../identity/tokens/gate.ts";
import type { GoodToken } from "../../identity/tokens/verifier.ts";
import type { Exchange, Identity } from "../../pipeline/exchange.ts";
import type { Feature, Waiting } from "../../pipeline/phases.ts";
import { NameVariants } from "../../semantics/name-variants.ts";
import type { CredentialsOptions, Injection } from "./options.ts";
import { linesOfRecord } from "./record.ts";
import { sessionKeyOf } from "./session-key.ts";

const NAME = "credentials";

export interface CredentialsPorts extends GatePorts {
  readonly store: SessionStore;
}

/** What is kept of a token that is known: its session, and what was made of that session's record last. */
interface Login {
  readonly key: string;
  readonly identity: Identity;
  record: SessionRecord | null;
  /** null: the record cannot be read. */
  lines: EncodedLines | null;
}

export function createCredentialsFeature(options: CredentialsOptions, ports: CredentialsPorts): Feature {
  const credentials = new Credentials(options, ports);
  return { name: NAME, request: (exchange) => credentials.request(exchange) };
}

class Credentials {
  readonly #gate: TokenGate<Login>;
  readonly #store: SessionStore;
  readonly #clock: Clock;
  readonly #ring: KeyRing | null;
  readonly #injection: Injection;
  readonly #asserted: NameVariants;

  constructor(options: CredentialsOptions, ports: CredentialsPorts) {
    const { token: tokens, realm, failedAttempts, inject, decrypt } = options;
    this.#store = ports.store;
    this.#clock = ports.clock;
    this.#ring = decrypt === null ? null : new KeyRing(decrypt);
    this.#injection = inject;
    const injected = inject.kind === "headers" ? inject.headers.map(([field]) => field) : ["authorization"];
    this.#asserted = new NameVariants(injected);
    const gateOptions = { by: NAME, realm, tokens, failedAttempts };
    this.#gate = new TokenGate(gateOptions, ports, (claims) => {
      const found = sessionKeyOf(options.session.key, claims);
      if (typeof found === "string") return found;
      const identity = identityOf(claims, NAME);
      if (identity === null) return "token_claim_refused";
      return { key: found.key, identity, record: null, lines: null };
    });
  }

  request(exchange: Exchange): Waiting {
    const token = this.#gate.admit(exchange);
    if (token instanceof Promise) return this.#admitLater(exchange, token);
    if (token !== null) return this.#lookUp(exchange, token);
  }

  async #admitLater(exchange: Exchange, admitted: Promise<GoodToken<Login> | null>): Promise<void> {
    const token = await admitted;
    if (token !== null) await this.#lookUp(exchange, token);
  }

  #lookUp(exchange: Exchange, token: GoodToken<Login>): Waiting {
    const record = this.#store.peek(token.value.key);
    if (record === undefined) return this.#ask(exchange, token);
    this.#pass(exchange, token.value, record);
  }

  async #ask(exchange: Exchange, token: GoodToken<Login>): Promise<void> {
    let record: SessionRecord | null;
    try {
      record = await this.#store.get(token.value.key);
    } catch (error) {
      // Anything but the store's own refusal is a fault of ours and shows itself as one.
      if (!(error instanceof ProxyError)) throw error;
      this.#gate.refuse(exchange, "store_unavailable", error);
      return;
    }
    if (exchange.ended) return;
    if (this.#clock.wallMs() >= token.expiresMs) this.#gate.refuse(exchange, "token_expired");
    else this.#pass(exchange, token.value, record);
  }

  /** Adds the credentials of the record, or refuses the exchange. */
  #pass(exchange: Exchange, login: Login, record: SessionRecord | null): void {
    if (record === null || record.expiresMs <= this.#clock.now()) {
      login.record = null;
      login.lines = null;
      this.#gate.refuse(exchange, "session_unknown");
      return;
    }
    if (record !== login.record) {
      login.lines = linesOfRecord(record.value, login.key, this.#ring, this.#injection);
      login.record = record;
    }
    if (login.lines === null) {
      this.#gate.refuse(exchange, "session_unreadable");
      return;
    }
    const { fields } = exchange.request;
    this.#asserted.removeFrom(fields);
    fields.appendEncoded(login.lines);
    identify(exchange, login.identity);
  }
}
