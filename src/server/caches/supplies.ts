/** Where a thread gets its caches from: from keepers in the same thread, or from those of the main thread, which hands them over. */
import type { CacheConfig } from "../../caching/options.ts";
import type { CacheHandout } from "./handout.ts";
import type { CacheKeepers } from "./keepers.ts";
import type { CacheSupplies, CacheSupply } from "./thread-caches.ts";

/** Of a process with one thread: it keeps what it uses. */
export class OwnKeepers implements CacheSupply {
  readonly #keepers: CacheKeepers;

  constructor(keepers: CacheKeepers) {
    this.#keepers = keepers;
  }

  async plan(configs: readonly CacheConfig[]): Promise<CacheSupplies> {
    const keepers = this.#keepers;
    const plan = await keepers.plan(configs);
    return {
      handouts: keepers.handouts(plan, 0),
      keep: () => keepers.keep(plan),
      forget: () => keepers.forget(plan),
    };
  }

  close(): Promise<void> {
    return this.#keepers.close();
  }
}

/** Of a worker: what came with the configuration that it is about to take. */
export class HandedCaches implements CacheSupply {
  #offered: readonly CacheHandout[] = [];

  /** For the next plan, which need not use them. */
  offer(handouts: readonly CacheHandout[]): void {
    this.#takeBack();
    this.#offered = handouts;
  }

  plan(): Promise<CacheSupplies> {
    const handouts = this.#offered;
    this.#offered = [];
    return Promise.resolve({ handouts, keep() {}, forget: () => Promise.resolve() });
  }

  async close(): Promise<void> {
    this.#takeBack();
  }

  #takeBack(): void {
    for (const { port } of this.#offered) port.close();
    this.#offered = [];
  }
}
