/**
 * The pools of a forward proxy's origins, by a text that says which. One whose connections are gone is forgotten, some seconds
 * later: whoever comes back until then finds it. Of origins there may be any number, so beyond ORIGINS_MAX each new one sends away
 * one that rests, found as a clock finds it: whatever was used since the hand passed last stays another round.
 */
import { Deadline, type DeadlineWheel } from "../core/deadlines.ts";
import { FifoMap } from "../core/fifo-map.ts";
import type { UpstreamPool } from "../upstreams/pool.ts";
import { EMPTY_ORIGIN_MS, ORIGINS_MAX } from "./limits.ts";

/**
 * Pools that are looked at for one new one. Where so many in a row serve somebody none is sent away: their number is bounded by
 * that of the clients' connections.
 */
const LOOKS_MAX = 32;

export interface OriginPool {
  readonly key: string;
  readonly pool: UpstreamPool;
  /** Since the hand of the clock passed. */
  isUsed: boolean;
  /** It is not found any more, and is not to be used. */
  isForgotten: boolean;
}

export class OriginPools {
  /** The hand of the clock points at the first one. */
  readonly #origins = new FifoMap<string, OriginPool>();
  /** Lost their last connection, and may have got another one. */
  readonly #emptied = new Set<OriginPool>();
  readonly #deadline: Deadline;
  #isDestroyed = false;

  constructor(deadlines: DeadlineWheel) {
    this.#deadline = new Deadline(deadlines, () => this.#forgetEmpty());
  }

  get size(): number {
    return this.#origins.size;
  }

  find(key: string): OriginPool | undefined {
    return this.#origins.get(key);
  }

  /** `make`: is given what the pool is to call when it has become empty. */
  add(key: string, make: (onEmpty: () => void) => UpstreamPool): OriginPool {
    if (this.#origins.size >= ORIGINS_MAX) this.#makeRoom();
    const origin: OriginPool = { key, pool: make(() => this.#onEmpty(origin)), isUsed: true, isForgotten: false };
    this.#origins.set(key, origin);
    return origin;
  }

  *[Symbol.iterator](): IterableIterator<UpstreamPool> {
    for (const [, { pool }] of this.#origins) yield pool;
  }

  destroy(): void {
    this.#isDestroyed = true;
    for (const [, { pool }] of this.#origins) pool.destroy();
    this.#deadline.dispose();
  }

  #onEmpty(origin: OriginPool): void {
    if (origin.isForgotten || this.#isDestroyed) return;
    this.#emptied.add(origin);
    if (!this.#deadline.armed) this.#deadline.arm(EMPTY_ORIGIN_MS);
  }

  #forgetEmpty(): void {
    for (const origin of this.#emptied) if (origin.pool.isEmpty) this.#forget(origin);
    this.#emptied.clear();
  }

  /** More than one, where earlier ones found none. */
  #makeRoom(): void {
    for (let looks = LOOKS_MAX; looks > 0 && this.#origins.size >= ORIGINS_MAX; looks--) {
      const origin = this.#origins.get(this.#origins.oldest!)!;
      if (!origin.isUsed && !origin.pool.isBusy) this.#forget(origin);
      else {
        origin.isUsed = false;
        this.#origins.set(origin.key, origin);
      }
    }
  }

  #forget(origin: OriginPool): void {
    origin.isForgotten = true;
    this.#origins.delete(origin.key);
    this.#emptied.delete(origin);
    origin.pool.close();
  }
}
