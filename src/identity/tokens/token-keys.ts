/**
 * All the keys of one feature: those of the configuration and those that issuers publish. It decides which keys a token
 * may be by: of its algorithm, with its key id, and of the issuer that it names (RFC 8725 section 3.8). What a token
 * says of itself only takes keys away, so that it need not be believed for that.
 */
import type { Clock, Fetch, Kept } from "../../core/ports.ts";
import type { RefusalReason } from "../refusal.ts";
import { memberOf } from "./json.ts";
import { keysForToken, keysOfJwkSet, publicKeyOfPem, secretKey, type TokenKey } from "./keys.ts";
import type { KeySource, RemoteKeysOptions, TokenKeyOptions } from "./options.ts";
import type { ParsedToken } from "./parse.ts";
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

/** Keys and whose tokens they may sign; null: anybody's. */
interface Bound<T> {
  readonly keys: T;
  readonly issuers: readonly string[] | null;
}

export class TokenKeys {
  readonly #own: readonly Bound<readonly TokenKey[]>[];
  readonly #remote: readonly Bound<RemoteKeys>[];

  constructor(options: readonly TokenKeyOptions[], { clock, fetchFor, kept }: KeyPorts) {
    this.#own = options.map(({ source, issuers }) => ({ keys: ownKeys(source), issuers }));
    // What is kept is known by where it comes from: features that bind it otherwise share it.
    this.#remote = options.flatMap(({ source, issuers }) =>
      source.kind === "jwks"
        ? [{ keys: kept("issuer keys", source, () => remoteKeys(source, fetchFor, clock)), issuers }]
        : [],
    );
  }

  /** Whether an issuer may have keys that are not here yet. */
  get arePublished(): boolean {
    return this.#remote.length > 0;
  }

  /** Another number: keys have gone or come since, and what was verified before must be verified again. */
  generation(): number {
    let sum = 0;
    for (const { keys: remote } of this.#remote) {
      // Asking for the keys renews them when it is time.
      void remote.keys;
      sum += remote.generation;
    }
    return sum;
  }

  /** A promise only when an issuer has to be asked first: nobody waits for one whose keys may not be needed. */
  choose(token: ParsedToken): KeyChoice | Promise<KeyChoice> {
    const found = this.#found(token);
    if (found.length > 0) return found;
    const renewed = renew(this.#issuersFor(token));
    if (renewed === null) return this.#choice(token, found);
    return renewed.then(() => this.#choice(token, this.#found(token)));
  }

  /**
   * For a token that none of `tried` has signed: the keys that have come meanwhile, or those of issuers that were not asked yet, or
   * that may have other keys by now and no key id says so. Empty: there are no more.
   */
  others(token: ParsedToken, tried: readonly TokenKey[]) {
    const untried = () => this.#found(token).filter((key) => !tried.includes(key));
    const come = untried();
    if (come.length > 0) return come;
    const issuers = this.#issuersFor(token).filter(
      ({ keys }) => token.keyId === null || keys.length === 0 || keys.some(({ id }) => id === null),
    );
    return renew(issuers)?.then(untried) ?? come;
  }

  /** What kept an issuer's keys from us, for the log. */
  get failure(): Error | null {
    return this.#remote.find(({ keys }) => keys.failure !== null)?.keys.failure ?? null;
  }

  #issuersFor(token: ParsedToken): readonly RemoteKeys[] {
    return boundTo(this.#remote, token).filter((remote) => remote.isFor(token.algorithm));
  }

  #found(token: ParsedToken): readonly TokenKey[] {
    const published = this.#issuersFor(token).flatMap(({ keys }) => keys);
    return keysForToken([...boundTo(this.#own, token).flat(), ...published], token.algorithm, token.keyId);
  }

  #choice(token: ParsedToken, found: readonly TokenKey[]): KeyChoice {
    if (found.length > 0) return found;
    const issuers = this.#issuersFor(token);
    if (issuers.some(({ keys }) => keys.length === 0)) return "keys_unavailable";
    const own = boundTo(this.#own, token);
    if (issuers.length > 0 || own.flat().some((key) => key.algorithm === token.algorithm)) return "token_key_unknown";
    const isAnybodys = [...this.#own, ...this.#remote].some(({ issuers }) => isAmong(issuers, token));
    return isAnybodys ? "token_algorithm_refused" : "token_issuer_refused";
  }
}

/** Of `all`, those that may sign what the token's issuer says. */
function boundTo<T>(all: readonly Bound<T>[], token: ParsedToken): readonly T[] {
  return all.filter(({ issuers }) => isAmong(issuers, token)).map(({ keys }) => keys);
}

function isAmong(issuers: readonly string[] | null, { claims }: ParsedToken): boolean {
  if (issuers === null) return true;
  const issuer = memberOf(claims, "iss");
  return typeof issuer === "string" && issuers.includes(issuer);
}

function remoteKeys(source: RemoteKeysOptions, fetchFor: FetchFor, clock: Clock): RemoteKeys {
  return new RemoteKeys(source, fetchFor(source.ca), clock);
}

/** null: none of them is worth asking again yet. */
function renew(issuers: readonly RemoteKeys[]): Promise<unknown> | null {
  const waits = issuers.map((issuer) => issuer.renew()).filter((wait) => wait !== null);
  return waits.length === 0 ? null : Promise.all(waits);
}

function ownKeys(options: KeySource): TokenKey[] {
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
