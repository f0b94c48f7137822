/**
 * The keys that an issuer publishes (a JWK Set behind a URL), kept and renewed:
 *
 * - They are asked for when the first token needs them, and again after `maxAge`; who comes meanwhile is served with
 *   those of before.
 * - A token with an unknown key id makes them asked for at once, since issuers sign with new keys before everybody has
 *   seen them; but never twice within the cool-down, whatever tokens somebody makes up.
 * - While the issuer is away, the keys of before are believed until they are `stale`; then there are none.
 * - All who wait, wait for the same answer.
 *
 * They live on through reloads (server/kept-parts.ts).
 *
 * Off the path of requests: what a request asks here is answered from memory, or is a promise to wait for.
 */
import type { Clock, Fetch } from "../../core/ports.ts";
import { keysOfJwkSet, type TokenKey } from "./keys.ts";
import type { RemoteKeysOptions } from "./options.ts";

/** Between two questions because of unknown key ids. jose: 30 s. */
const UNKNOWN_COOLDOWN_MS = 30_000;
/** Between two questions when the one before had no answer. */
const FAILURE_COOLDOWN_MS = 5_000;

export class RemoteKeys {
  readonly #options: RemoteKeysOptions;
  readonly #fetch: Fetch;
  readonly #clock: Clock;
  #keys: readonly TokenKey[] = [];
  /** What the keys were made of. */
  #text = "";
  #fetchedMs = Number.NEGATIVE_INFINITY;
  #askedMs = Number.NEGATIVE_INFINITY;
  #pending: Promise<void> | null = null;
  /** Another number, other keys: what an earlier key has verified must be verified again. */
  generation = 0;
  /** Why the last question had no answer; null: it had one. */
  failure: Error | null = null;

  constructor(options: RemoteKeysOptions, fetch: Fetch, clock: Clock) {
    this.#options = options;
    this.#fetch = fetch;
    this.#clock = clock;
  }

  isFor(algorithm: string): boolean {
    return this.#options.algorithms.includes(algorithm);
  }

  /** The keys now; none when there never were any or they are stale. Begins to renew them when it is time. */
  get keys(): readonly TokenKey[] {
    const nowMs = this.#clock.now();
    const ageMs = nowMs - this.#fetchedMs;
    if (ageMs >= this.#options.maxAgeMs && this.#keys.length > 0) {
      if (ageMs >= this.#options.staleMs + this.#options.maxAgeMs) this.#replace([], "");
      if (this.#mayAsk(nowMs)) void this.#ask(nowMs);
    }
    return this.#keys;
  }

  /** For a token that no key fits: what to wait for; null when asking again is not worth it yet. */
  renew(): Promise<void> | null {
    const nowMs = this.#clock.now();
    if (this.#pending !== null) return this.#pending;
    const isCool = this.#keys.length === 0 || nowMs - this.#askedMs >= UNKNOWN_COOLDOWN_MS;
    return isCool && this.#mayAsk(nowMs) ? this.#ask(nowMs) : null;
  }

  #mayAsk(nowMs: number): boolean {
    return this.#pending === null && (this.failure === null || nowMs - this.#askedMs >= FAILURE_COOLDOWN_MS);
  }

  #ask(nowMs: number): Promise<void> {
    this.#askedMs = nowMs;
    this.#pending = this.#fetchKeys().then(
      () => {
        this.#pending = null;
        this.failure = null;
      },
      (error: unknown) => {
        this.#pending = null;
        this.failure = error as Error;
      },
    );
    return this.#pending;
  }

  async #fetchKeys(): Promise<void> {
    const { url, algorithms } = this.#options;
    // For the log, as `fetch` names it itself: a user name, a password and the query may be secrets.
    const { origin, pathname } = new URL(url);
    const asked = origin + pathname;
    const response = await this.#fetch(url, { headers: { accept: "application/jwk-set+json, application/json" } });
    if (response.status !== 200) throw new Error(`${asked}: the answer has the status ${response.status}`);
    const set = (await response.json().catch(() => null)) as unknown;
    const keys = keysOfJwkSet(set, algorithms);
    if (keys.length === 0) throw new Error(`${asked}: the answer has no key for ${algorithms.join(" or ")}`);
    this.#fetchedMs = this.#clock.now();
    this.#replace(keys, JSON.stringify(set));
  }

  #replace(keys: readonly TokenKey[], text: string): void {
    if (text === this.#text) return;
    this.#keys = keys;
    this.#text = text;
    this.generation++;
  }
}
