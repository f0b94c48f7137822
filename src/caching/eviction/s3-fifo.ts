/**
 * S3-FIFO ("FIFO queues are all you need for cache eviction", SOSP 2023), for answers of all sizes under one limit in bytes. What is
 * new enters a small queue, a tenth of all bytes; what was asked for again by the time that it gets to its end goes to the main queue,
 * the rest goes for good, so that what is asked for once (a scan, a crawler) never displaces what is used. What comes back soon after
 * it has gone enters the main queue at once. At the end of the main queue, what was used goes round once more for each use.
 *
 * A use is one plain store to shared memory, made by the thread that answers; queues move only when something has to go. Answers are
 * known by their slots, and the queues are lists in typed arrays: 17 bytes a slot, and 16 to 32 for what is remembered of the evicted.
 */
import type { EvictionPolicy } from "../keeping/policy.ts";
import { Ghosts } from "./ghosts.ts";

/** The share of all bytes that the small queue may have, and the ghost's in what was evicted: the paper's. */
const SMALL_SHARE = 0.1;
const GHOST_SHARE = 0.9;
/** Sizes are counted in these, so that an array of integers holds up to 2 TiB each. */
const UNIT_BYTES = 512;
const UNITS_MAX = 0xffff_ffff;
const SLOTS_FIRST = 1024;
/** So many that are used are passed over for one that goes: about a millisecond, when all of a million are. */
const PASSED_MAX = 32_768;
/** There is no slot. */
const NONE = 0xffff_ffff;

const NOWHERE = 0;
const SMALL = 1;
const MAIN = 2;

/** How often slots were used since this policy looked last; threads raise it up to a small number, the policy lowers it. */
export interface Uses {
  readonly frequencies: Uint8Array;
}

/** From the one that goes next to the one that came last. */
interface Queue {
  first: number;
  last: number;
  units: number;
  entries: number;
}

export class S3Fifo implements EvictionPolicy {
  readonly #frequencies: Uint8Array;
  readonly #small: Queue = { first: NONE, last: NONE, units: 0, entries: 0 };
  readonly #main: Queue = { first: NONE, last: NONE, units: 0, entries: 0 };
  /** What has left the small queue for good. */
  readonly #ghosts = new Ghosts();
  /** By slot: which queue it is in, its neighbours there, its size, the hash of its id. */
  #places = new Uint8Array(SLOTS_FIRST);
  #next = new Uint32Array(SLOTS_FIRST);
  #previous = new Uint32Array(SLOTS_FIRST);
  #units = new Uint32Array(SLOTS_FIRST);
  #hashes = new Uint32Array(SLOTS_FIRST);

  constructor(uses: Uses) {
    this.#frequencies = uses.frequencies;
  }

  get entries(): number {
    return this.#small.entries + this.#main.entries;
  }

  /** Of all that could go, in whole units each. */
  get bytes(): number {
    return (this.#small.units + this.#main.units) * UNIT_BYTES;
  }

  /** Bytes of memory that it takes itself. */
  get memoryBytes(): number {
    return this.#places.length * 17 + this.#ghosts.memoryBytes;
  }

  add(slot: number, bytes: number, idHash: number): void {
    if (slot >= this.#places.length) this.#grow(slot);
    if (this.#places[slot] !== NOWHERE) this.#leave(slot);
    this.#units[slot] = unitsOf(bytes);
    this.#hashes[slot] = idHash;
    this.#enter(this.#ghosts.take(idHash) ? MAIN : SMALL, slot);
  }

  resize(slot: number, bytes: number): void {
    const queue = this.#queueOf(slot);
    if (queue === null) return;
    const units = unitsOf(bytes);
    queue.units += units - this.#units[slot]!;
    this.#units[slot] = units;
  }

  replace(slot: number, by: number, bytes: number, idHash: number): void {
    const place = slot < this.#places.length ? this.#places[slot]! : NOWHERE;
    this.add(by, bytes, idHash);
    // It may have been evicted while what replaces it was fetched.
    if (place === NOWHERE) return;
    this.#leave(slot);
    this.#leave(by);
    this.#enter(place, by);
    this.#frequencies[by] = Math.max(this.#frequencies[by]!, this.#frequencies[slot]!);
  }

  remove(slot: number): void {
    if (this.#queueOf(slot) !== null) this.#leave(slot);
  }

  evict(): number {
    const small = this.#small;
    const main = this.#main;
    for (let passed = 0; ; passed++) {
      const isFromSmall = small.units >= (small.units + main.units) * SMALL_SHARE || main.first === NONE;
      const slot = isFromSmall ? small.first : main.first;
      if (slot === NONE) return -1;
      const frequency = this.#frequencies[slot]!;
      this.#leave(slot);
      if (frequency === 0 || passed === PASSED_MAX) {
        if (isFromSmall) this.#remember(slot);
        return slot;
      }
      this.#frequencies[slot] = isFromSmall ? 0 : frequency - 1;
      this.#enter(MAIN, slot);
    }
  }

  #remember(slot: number): void {
    const reach = (this.#small.units + this.#main.units) * GHOST_SHARE;
    this.#ghosts.add(this.#hashes[slot]!, this.#units[slot]!, reach, Math.ceil(this.entries * GHOST_SHARE));
  }

  #queueOf(slot: number): Queue | null {
    const place = slot < this.#places.length ? this.#places[slot]! : NOWHERE;
    return place === NOWHERE ? null : place === SMALL ? this.#small : this.#main;
  }

  #enter(place: number, slot: number): void {
    const queue = place === SMALL ? this.#small : this.#main;
    this.#places[slot] = place;
    this.#next[slot] = NONE;
    this.#previous[slot] = queue.last;
    if (queue.last === NONE) queue.first = slot;
    else this.#next[queue.last] = slot;
    queue.last = slot;
    queue.units += this.#units[slot]!;
    queue.entries++;
  }

  #leave(slot: number): void {
    const queue = this.#places[slot] === SMALL ? this.#small : this.#main;
    const next = this.#next[slot]!;
    const previous = this.#previous[slot]!;
    if (previous === NONE) queue.first = next;
    else this.#next[previous] = next;
    if (next === NONE) queue.last = previous;
    else this.#previous[next] = previous;
    this.#places[slot] = NOWHERE;
    queue.units -= this.#units[slot]!;
    queue.entries--;
  }

  /** Copies some MiB at a million slots: about a millisecond. */
  #grow(slot: number): void {
    let slots = this.#places.length;
    while (slots <= slot) slots *= 2;
    const places = new Uint8Array(slots);
    places.set(this.#places);
    this.#places = places;
    this.#next = grown(this.#next, slots);
    this.#previous = grown(this.#previous, slots);
    this.#units = grown(this.#units, slots);
    this.#hashes = grown(this.#hashes, slots);
  }
}

function unitsOf(bytes: number): number {
  return Math.min(Math.max(1, Math.ceil(bytes / UNIT_BYTES)), UNITS_MAX);
}

function grown(array: Uint32Array, length: number): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(length);
  larger.set(array);
  return larger;
}
