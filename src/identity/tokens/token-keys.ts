/**
 * All the keys of one feature: those of the configuration and those that issuers publish. It decides which keys a token
 * may be by.
 */
import type { Clock, Fetch, Kept } from "../../core/ports.ts";
import type { RefusalReason } from "../refusal.ts";
import { keysForToken, keysOfJwkSet, publicKeyOfPem, secretKey, type TokenKey } from "./keys.ts";
import type { RemoteKeysOptions, TokenKeyOptions } from "./options.ts";
import { RemoteKeys } from "./remote-keys.ts";

/** What fetches documents; `ca` is PEM text of the authorities to trust, null: the system's. */
export type FetchFor = (ca: string | null) => Fetch;

/** What issuers are asked with, and what is known of them kept in. */
export interface KeyPorts {
  readonly clock: Clock;
  readonly fetchFor: FetchFor;
  readonly kept: Kept;
}

/** Keys that a token may be by, or why there are none. */
export type KeyChoice = readonly TokenKey[] | RefusalReason;

export class TokenKeys {
  readonly #own: readonly TokenKey[];
  readonly #remote: readonly RemoteKeys[];

  constructor(options: readonly TokenKeyOptions[], { clock, fetchFor, kept }: KeyPorts) {
    this.#own = options.flatMap(ownKeys);
    this.#remote = options
      .filter((one): one is RemoteKeysOptions => one.kind === "jwks")
      .map((one) => kept("issuer keys", one, () => new RemoteKeys(one, fetchFor(one.ca), clock)));
  }

  /** Whether an issuer may have keys that are not here yet. */
  get arePublished(): boolean {
    return this.#remote.length > 0;
  }

  /** Another number: keys have gone or come since, and what was verified before must be verified again. */
  generation(): number {
    let sum = 0;
    for (const remote of this.#remote) {
      // Asking for the keys renews them when it is time.
      void remote.keys;
      sum += remote.generation;
    }
    return sum;
  }

  /** A promise only when an issuer has to be asked first: nobody waits for one whose keys may not be needed. */
  choose(algorithm: string, keyId: string | null): KeyChoice | Promise<KeyChoice> {
    const found = this.#found(algorithm, keyId);
    if (found.length > 0) return found;
    const renewed = renew(this.#issuersFor(algorithm));
    if (renewed === null) return this.#choice(algorithm, found);
    return renewed.then(() => this.#choice(algorithm, this.#found(algorithm, keyId)));
  }

  /**
   * For a token that none of `tried` has signed: the keys that have come meanwhile, or those of issuers that were not asked yet, or
   * that may have other keys by now and no key id says so. Empty: there are no more.
   */
  others(algorithm: string, keyId: string | null, tried: readonly TokenKey[]) {
    const untried = () => this.#found(algorithm, keyId).filter((key) => !tried.includes(key));
    const come = untried();
    if (come.length > 0) return come;
    const issuers = this.#issuersFor(algorithm).filter(
      ({ keys }) => keyId === null || keys.length === 0 || keys.some(({ id }) => id === null),
    );
    return renew(issuers)?.then(untried) ?? come;
  }

  /** What kept an issuer's keys from us, for the log. */
  get failure(): Error | null {
    return this.#remote.find(({ failure }) => failure !== null)?.failure ?? null;
  }

  #issuersFor(algorithm: string): readonly RemoteKeys[] {
    return this.#remote.filter((remote) => remote.isFor(algorithm));
  }

  #found(algorithm: string, keyId: string | null): readonly TokenKey[] {
    const published = this.#issuersFor(algorithm).flatMap(({ keys }) => keys);
    return keysForToken([...this.#own, ...published], algorithm, keyId);
  }

  #choice(algorithm: string, found: readonly TokenKey[]): KeyChoice {
    if (found.length > 0) return found;
    const issuers = this.#issuersFor(algorithm);
    if (issuers.some(({ keys }) => keys.length === 0)) return "keys_unavailable";
    const isKnown = issuers.length > 0 || this.#own.some((key) => key.algorithm === algorithm);
    return isKnown ? "token_key_unknown" : "token_algorithm_refused";
  }
}

/** null: none of them is worth asking again yet. */
function renew(issuers: readonly RemoteKeys[]): Promise<unknown> | null {
  const waits = issuers.map((issuer) => issuer.renew()).filter((wait) => wait !== null);
  return waits.length === 0 ? null : Promise.all(waits);
}

function ownKeys(options: TokenKeyOptions): TokenKey[] {
  switch (options.kind) {
    case "secret":
      return [secretKey(options.id, options.algorithm, Buffer.from(options.secret, "base64"))];
    case "pem": {
      const key = publicKeyOfPem(options.pem, options.algorithm);
      return key === null ? [] : [{ id: options.id, algorithm: options.algorithm, key }];
    }
    case "set": {
      const keys = keysOfJwkSet(JSON.parse(options.set), options.algorithms);
      return keys.map((key) => ({ ...key, id: key.id ?? options.id }));
    }
    case "jwks":
      return [];
  }
}
