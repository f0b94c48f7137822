/**
 * From a request to the token that it may pass with, or to its refusal: finds the token, asks what is known, asks the
 * limiter before anything is verified, and counts what was forged. What becomes of a request with a good token is
 * decided by the feature.
 *
 * Only a token that nobody with a key has made counts as a failed attempt. One that has expired, or whose session has
 * ended, was good once: counted, a forgotten browser tab would lock out everybody behind its address. Nor does one with
 * an unknown key id where an issuer publishes the keys: it may be by a key that is too new for us.
 */
import type { ProxyError } from "../../core/errors.ts";
import type { RequestMessage } from "../../core/message.ts";
import { AttemptLimit } from "../attempt-limit.ts";
import type { FailedAttempts } from "../failed-attempts.ts";
import { bearerChallenge, bearerRefusal, type RefusalReason } from "../refusal.ts";
import type { JsonObject } from "./json.ts";
import type { TokenOptions } from "./options.ts";
import { unwrapCookie } from "./parse.ts";
import { TokenPlaces } from "./places.ts";
import { type KeyPorts, TokenKeys } from "./token-keys.ts";
import { type GoodToken, TokenVerifier, type Verdict } from "./verifier.ts";

/** What a gate asks of an exchange. */
export interface GatedExchange {
  readonly request: RequestMessage;
  readonly clientAddress: string;
  readonly ended: boolean;
  fail(error: ProxyError): void;
}

export interface GatePorts extends KeyPorts {
  readonly attempts: FailedAttempts;
}

export interface GateOptions {
  /** The feature's name, for the log. */
  readonly by: string;
  readonly realm: string;
  readonly tokens: TokenOptions;
  /** In a minute from one address; null: no limit, undefined: as by default. */
  readonly failedAttempts: number | null | undefined;
}

const FORGED: ReadonlySet<RefusalReason> = new Set([
  "credentials_malformed",
  "token_malformed",
  "token_algorithm_refused",
  "token_key_unknown",
  "token_signature_invalid",
]);

export class TokenGate<T extends object> {
  readonly #options: GateOptions;
  readonly #limit: AttemptLimit;
  readonly #places: TokenPlaces;
  readonly #keys: TokenKeys;
  readonly #verifier: TokenVerifier<T>;

  constructor(options: GateOptions, ports: GatePorts, derive: (claims: JsonObject) => T | RefusalReason) {
    const { tokens } = options;
    this.#options = options;
    this.#limit = new AttemptLimit(options.by, ports.attempts, options.failedAttempts);
    this.#places = new TokenPlaces(tokens.places, tokens.forward);
    this.#keys = new TokenKeys(tokens.keys, ports);
    this.#verifier = new TokenVerifier(this.#keys, tokens, ports.clock, derive);
  }

  /** The request's good token, perhaps later; null: the exchange was refused, or has ended. */
  admit(exchange: GatedExchange): GoodToken<T> | null | Promise<GoodToken<T> | null> {
    const presented = this.#places.take(exchange.request);
    if (presented === null) return this.refuse(exchange, "credentials_missing");
    const known = presented === undefined ? null : this.#verifier.known(presented, this.#places.isCookie);
    return known ?? this.#verify(exchange, presented);
  }

  #verify(exchange: GatedExchange, presented: string | undefined) {
    const blocked = this.#limit.refusalOf(exchange.clientAddress);
    if (blocked !== null) {
      exchange.fail(blocked);
      return null;
    }
    if (presented === undefined) return this.#settle(exchange, "credentials_malformed");
    const token = this.#places.isCookie ? unwrapCookie(presented) : presented;
    const verdict = this.#verifier.verify(token, presented);
    if (!(verdict instanceof Promise)) return this.#settle(exchange, verdict);
    return verdict.then((later) => this.#settle(exchange, later));
  }

  #settle(exchange: GatedExchange, verdict: Verdict<T>): GoodToken<T> | null {
    if (typeof verdict !== "string") return exchange.ended ? null : verdict;
    if (this.#isForged(verdict)) this.#limit.count(exchange.clientAddress);
    return this.refuse(exchange, verdict);
  }

  #isForged(verdict: RefusalReason): boolean {
    return FORGED.has(verdict) && (verdict !== "token_key_unknown" || !this.#keys.arePublished);
  }

  /** Fails the exchange; the client learns no more than that its token is not good, or that it needs one. */
  refuse(exchange: GatedExchange, reason: RefusalReason, cause: unknown = null): null {
    if (exchange.ended) return null;
    const why = cause ?? (reason === "keys_unavailable" ? this.#keys.failure : null);
    const challenge = bearerChallenge(this.#options.realm, reason);
    exchange.fail(bearerRefusal(this.#options.by, reason, { challenge, ...(why !== null && { cause: why }) }));
    return null;
  }
}
