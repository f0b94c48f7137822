// The simplest eviction there is, for tests of what is around it: who came first goes first.

import type { EvictionPolicy } from "../../src/caching/keeping/policy.ts";

export class FirstInFirstOut implements EvictionPolicy {
  readonly #slots = new Set<number>();

  add(slot: number): void {
    this.#slots.delete(slot);
    this.#slots.add(slot);
  }

  resize(): void {}

  replace(slot: number, by: number): void {
    this.#slots.delete(slot);
    this.add(by);
  }

  remove(slot: number): void {
    this.#slots.delete(slot);
  }

  evict(): number {
    const [slot = -1] = this.#slots;
    this.#slots.delete(slot);
    return slot;
  }

  get size(): number {
    return this.#slots.size;
  }
}
