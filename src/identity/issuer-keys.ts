/**
 * The signing keys of an OpenID provider, asked for when they are first needed and again when a token names one that is
 * not known: a provider may change its keys at any time. It verifies signatures by the algorithms of public keys alone,
 * so that no token can say that it needs none, or that a public key is a shared secret; what a token says is decided by
 * others.
 */
import {
  type CompactVerifyGetKey,
  type CompactVerifyResult,
  compactVerify,
  createRemoteJWKSet,
  customFetch,
  errors,
} from "jose";
import type { Fetch } from "../core/ports.ts";
import { refusal } from "./refusal.ts";
import { PUBLIC_ALGORITHMS } from "./tokens/keys.ts";

/**
 * Between two requests for keys, however many tokens of unknown origin name unknown ones: they must not become a flood.
 */
export const KEYS_COOLDOWN_MS = 1_000;
/** Keys that were withdrawn are believed no longer than this. */
const KEYS_MAX_AGE_MS = 10 * 60_000;

/** What a signed token holds, its signature verified and nothing else. */
export interface SignedToken {
  readonly header: { readonly alg: string; readonly typ?: string | undefined };
  readonly payload: Readonly<Record<string, unknown>>;
}

export class IssuerKeys {
  readonly #keyOf: CompactVerifyGetKey;
  readonly #algorithms: readonly string[];

  /**
   * `algorithms`: what the provider says that it signs with; null: it does not say. `cooldownMs`: how long no new keys
   * are asked for, whatever a token says; 0 for tokens that came from the provider itself.
   */
  constructor(jwksUri: string, algorithms: readonly string[] | null, fetch: Fetch, cooldownMs: number) {
    this.#algorithms =
      algorithms === null ? PUBLIC_ALGORITHMS : PUBLIC_ALGORITHMS.filter((name) => algorithms.includes(name));
    this.#keyOf = createRemoteJWKSet(new URL(jwksUri), {
      cooldownDuration: cooldownMs,
      cacheMaxAge: KEYS_MAX_AGE_MS,
      [customFetch]: (url, init) => fetch(url, { method: init.method, headers: init.headers, signal: init.signal }),
    });
  }

  /**
   * null: it is no token, or not signed by the provider. Rejects with `keys_unavailable` when the keys cannot be had.
   */
  async verify(token: string, by: string): Promise<SignedToken | null> {
    try {
      const verified = await this.#verifySignature(token);
      const payload: unknown = JSON.parse(new TextDecoder().decode(verified.payload));
      if (typeof payload !== "object" || payload === null || Array.isArray(payload)) return null;
      const { alg, typ } = verified.protectedHeader;
      return { header: { alg, typ }, payload: payload as Record<string, unknown> };
    } catch (error) {
      if (isAboutToken(error)) return null;
      throw refusal(by, "keys_unavailable", { cause: error });
    }
  }

  async #verifySignature(token: string): Promise<CompactVerifyResult> {
    const options = { algorithms: [...this.#algorithms] };
    try {
      return await compactVerify(token, this.#keyOf, options);
    } catch (error) {
      if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
      // The token names no key, and several fit: any of them may have signed it.
      for await (const key of error) {
        const verified = await compactVerify(token, key, options).catch(() => null);
        if (verified !== null) return verified;
      }
      throw new errors.JWSSignatureVerificationFailed();
    }
  }
}

/** Otherwise it is about the keys: they could not be fetched, or are none. */
function isAboutToken(error: unknown): boolean {
  return (
    error instanceof SyntaxError ||
    error instanceof errors.JWSInvalid ||
    error instanceof errors.JWSSignatureVerificationFailed ||
    error instanceof errors.JOSEAlgNotAllowed ||
    error instanceof errors.JOSENotSupported ||
    error instanceof errors.JWKSNoMatchingKey
  );
}
