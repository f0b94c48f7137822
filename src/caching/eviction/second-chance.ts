/**
 * Eviction by age with a second chance (CLOCK): what was stored first is looked at first; what was used since it was looked at last
 * goes to the end of the line with one use less, what was not goes. Twelve bytes a slot, and nothing is written on a hit.
 */
import type { EvictionPolicy } from "../keeping/policy.ts";
import type { SharedCache } from "../shared.ts";

const NONE = -1;
const SLOTS_FIRST = 1024;

export class SecondChance implements EvictionPolicy {
  readonly #shared: SharedCache;
  #next = new Int32Array(SLOTS_FIRST).fill(NONE);
  #previous = new Int32Array(SLOTS_FIRST).fill(NONE);
  #isListed = new Uint8Array(SLOTS_FIRST);
  #first = NONE;
  #last = NONE;

  constructor(shared: SharedCache) {
    this.#shared = shared;
  }

  add(slot: number): void {
    this.#grow(slot);
    if (this.#isListed[slot] === 1) return;
    this.#isListed[slot] = 1;
    this.#previous[slot] = this.#last;
    this.#next[slot] = NONE;
    if (this.#last === NONE) this.#first = slot;
    else this.#next[this.#last] = slot;
    this.#last = slot;
  }

  remove(slot: number): void {
    if (slot >= this.#isListed.length || this.#isListed[slot] === 0) return;
    this.#isListed[slot] = 0;
    const next = this.#next[slot]!;
    const previous = this.#previous[slot]!;
    if (previous === NONE) this.#first = next;
    else this.#next[previous] = next;
    if (next === NONE) this.#last = previous;
    else this.#previous[next] = previous;
  }

  evict(): number {
    const { frequencies } = this.#shared;
    for (;;) {
      const slot = this.#first;
      if (slot === NONE) return NONE;
      this.remove(slot);
      if (frequencies[slot] === 0) return slot;
      frequencies[slot]!--;
      this.add(slot);
    }
  }

  #grow(slot: number): void {
    const { length } = this.#isListed;
    if (slot < length) return;
    const longer = Math.max(2 * length, slot + 1);
    this.#next = grown(this.#next, longer);
    this.#previous = grown(this.#previous, longer);
    const isListed = new Uint8Array(longer);
    isListed.set(this.#isListed);
    this.#isListed = isListed;
  }
}

function grown(array: Int32Array<ArrayBuffer>, length: number): Int32Array<ArrayBuffer> {
  const longer = new Int32Array(length).fill(NONE);
  longer.set(array);
  return longer;
}
