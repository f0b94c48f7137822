/**
 * Whether a token is good, and what a feature makes of it. A token is judged once; then it is known by the text that it
 * was presented in until it expires, or until an issuer's keys change. What was refused is remembered for a while too, so that a flood of one
 * forged token costs a look-up. Both memories are bounded, and nobody without a key can put anything into the first
 * one.
 *
 * Never remembered longer than it holds: a known token is asked for its `exp` each time.
 */
import type { Clock } from "../../core/ports.ts";
import type { RefusalReason } from "../refusal.ts";
import { type ClaimRules, expiryMs, refusedClaims } from "./claims.ts";
import { GenerationCache } from "./generation-cache.ts";
import type { JsonObject } from "./json.ts";
import { hasHmacOf, hasSignatureOf, isSecretAlgorithm } from "./keys.ts";
import { type ParsedToken, parseToken } from "./parse.ts";
import type { KeyChoice, TokenKeys } from "./token-keys.ts";

/**
 * Tokens that are known, for each of two generations: more than a thread has users at a time, in at most 8 MiB of text.
 */
const KNOWN_MAX = 20_000;
const KNOWN_CHARACTERS_MAX = 8 * 1024 * 1024;
/** Refused ones: anybody can make them, so there are few. */
const REFUSED_MAX = 2_000;
const REFUSED_CHARACTERS_MAX = 512 * 1024;
/** Tokens of one thread that are being judged; more are told to come again. As many as refused ones are kept. */
const PENDING_MAX = 2_000;
/** How long a refusal is believed: the clock of this machine may be set, and keys may come. */
const REFUSED_MS = 30_000;

/** A token that is good, and what a feature has made of its claims. */
export class GoodToken<T> {
  readonly value: T;
  /** On the wall clock. */
  readonly expiresMs: number;
  readonly generation: number;
  /** It was presented in the wrapping that only cookies have. */
  readonly isWrapped: boolean;

  constructor(value: T, expiresMs: number, generation: number, isWrapped: boolean) {
    this.value = value;
    this.expiresMs = expiresMs;
    this.generation = generation;
    this.isWrapped = isWrapped;
  }
}

interface Refused {
  readonly reason: RefusalReason;
  readonly untilMs: number;
  readonly generation: number;
}

export type Verdict<T> = GoodToken<T> | RefusalReason;

/** Refusals that hold for now only: time passes, and keys come. */
const PASSING: ReadonlySet<RefusalReason> = new Set(["keys_unavailable", "token_key_unknown", "token_not_yet_valid"]);

export class TokenVerifier<T extends object> {
  readonly #keys: TokenKeys;
  readonly #rules: ClaimRules;
  readonly #clock: Clock;
  readonly #derive: (claims: JsonObject) => T | RefusalReason;
  readonly #known = new GenerationCache<GoodToken<T>>(KNOWN_MAX, KNOWN_CHARACTERS_MAX);
  readonly #refused = new GenerationCache<Refused>(REFUSED_MAX, REFUSED_CHARACTERS_MAX);
  /** Those that are being judged: requests that come together with one token wait together. */
  readonly #pending = new Map<string, Promise<Verdict<T>>>();

  /** `derive` makes of the claims what the feature needs on each request, or says why they do not do. */
  constructor(keys: TokenKeys, rules: ClaimRules, clock: Clock, derive: (claims: JsonObject) => T | RefusalReason) {
    this.#keys = keys;
    this.#rules = rules;
    this.#clock = clock;
    this.#derive = derive;
  }

  /** The token that is known by this text, as a cookie or elsewhere, and still good; null: ask `verify`. */
  known(presented: string, isCookie: boolean): GoodToken<T> | null {
    const token = this.#known.get(presented);
    if (token === undefined || (token.isWrapped && !isCookie)) return null;
    if (this.#clock.wallMs() < token.expiresMs && token.generation === this.#keys.generation()) return token;
    this.#known.delete(presented);
    return null;
  }

  /**
   * `text` is the token, `presented` the text that it was found in. What is remembered of a refusal is the token:
   * wrapped as in a cookie it is none elsewhere. A promise only for signatures, and when an issuer is asked.
   */
  verify(text: string, presented: string): Verdict<T> | Promise<Verdict<T>> {
    const refused = this.#refused.get(text);
    if (refused !== undefined) {
      const holds = this.#clock.now() < refused.untilMs && refused.generation === this.#keys.generation();
      if (holds) return refused.reason;
      this.#refused.delete(text);
    }
    const pending = this.#pending.get(text);
    if (pending !== undefined) return pending;
    const token = parseToken(text);
    if (token === null) return this.#refuse(text, "token_malformed");
    const choice = this.#keys.choose(token);
    if (typeof choice === "string") return this.#refuse(text, choice);
    if (!(choice instanceof Promise) && isSecretAlgorithm(token.algorithm)) {
      return this.#judge(token, presented, hasHmacOf(token, choice), this.#keys.generation());
    }
    if (this.#pending.size >= PENDING_MAX) return "verification_busy";
    const judged = this.#verifyLater(token, presented, choice).finally(() => this.#pending.delete(text));
    this.#pending.set(text, judged);
    return judged;
  }

  async #verifyLater(
    token: ParsedToken,
    presented: string,
    choice: KeyChoice | Promise<KeyChoice>,
  ): Promise<Verdict<T>> {
    const keys = await choice;
    if (typeof keys === "string") return this.#refuse(token.text, keys);
    // Of the keys that judge it, whatever comes while they do.
    let generation = this.#keys.generation();
    let isAuthentic = await hasSignatureOf(token, keys);
    for (let tried = keys; !isAuthentic; ) {
      const others = await this.#keys.others(token, tried);
      if (others.length === 0) break;
      tried = [...tried, ...others];
      generation = this.#keys.generation();
      isAuthentic = await hasSignatureOf(token, others);
    }
    return this.#judge(token, presented, isAuthentic, generation);
  }

  #judge({ claims, text }: ParsedToken, presented: string, isAuthentic: boolean, generation: number): Verdict<T> {
    if (!isAuthentic) return this.#refuse(text, "token_signature_invalid");
    const refused = refusedClaims(claims, this.#rules, this.#clock.wallMs());
    if (refused !== null) return this.#refuse(text, refused);
    const value = this.#derive(claims);
    if (typeof value === "string") return this.#refuse(text, value);
    const token = new GoodToken(value, expiryMs(claims, this.#rules.leewayMs), generation, text !== presented);
    this.#known.set(presented, token);
    return token;
  }

  #refuse(text: string, reason: RefusalReason): RefusalReason {
    if (!PASSING.has(reason)) {
      this.#refused.set(text, {
        reason,
        untilMs: this.#clock.now() + REFUSED_MS,
        generation: this.#keys.generation(),
      });
    }
    return reason;
  }
}
