/**
 * Chance that can be replayed: the same seed gives the same numbers on every machine. The generator is sfc32 of Chris
 * Doty-Humphrey's PractRand: 128 bits of state, of which 32 are a counter, so that no seed has a short period. Not for
 * secrets.
 */
import type { Random } from "../core/ports.ts";

/** Numbers that are thrown away so that similar seeds give different beginnings. */
const WARM_UP = 15;

export class SeededRandom implements Random {
  /** What to print when a test fails. */
  readonly seed: number;
  #a: number;
  #b: number;
  #c = 1;
  #counter = 1;

  /** `seed`: an integer; its lower 53 bits count. */
  constructor(seed: number) {
    if (!Number.isSafeInteger(seed)) throw new TypeError(`a seed is an integer, not ${seed}`);
    this.seed = seed;
    this.#a = seed | 0;
    this.#b = Math.floor(seed / 2 ** 32) | 0;
    for (let i = 0; i < WARM_UP; i++) this.#next32();
  }

  /** A number in [0, 1). */
  next(): number {
    return this.#next32() / 2 ** 32;
  }

  /** An integer in [0, bound). */
  below(bound: number): number {
    return Math.floor(this.next() * bound);
  }

  /** An integer in [min, max]. */
  between(min: number, max: number): number {
    return min + this.below(max - min + 1);
  }

  /** True with this probability. */
  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** One of the items. */
  pick<T>(items: readonly [T, ...T[]] | readonly T[]): T {
    if (items.length === 0) throw new RangeError("nothing to pick from");
    return items[this.below(items.length)] as T;
  }

  #next32(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }
}
