/**
 * What all threads of a process share of one cache, as memory: what shows a reader that something it holds is still good (epochs, the
 * number of the last purge), what it leaves behind for the keeper (uses of each slot), whether the disk works, and until when what
 * other machines have purged is known here. A hit costs a few loads and two plain stores here, and no message; where machines share
 * the cache, also a look at the clock: whether its time is over is for each thread to see, as the keeper may stand still.
 *
 * The keeper writes epochs, purges and state; each after what it stands for was committed, so that whoever has seen the number also
 * finds what it is about. Uses are written by all threads without order: one that gets lost is one use less.
 */

import type { Clock } from "../core/ports.ts";

/** Cells of epochs: with fewer, what changes makes readers look up much that has not; each takes four bytes. */
export const SHARDS = 4096;

/** Uses of a slot count up to here, as eviction needs them. */
export const FREQUENCY_MAX = 3;

export const DISK_STATES = {
  works: 0,
  /** Nothing new is stored. */
  storesNothing: 1,
  /** Something that must not be found could not be removed, or nobody knows yet what was purged: nothing is found. */
  servesNothing: 2,
} as const;

export type DiskState = (typeof DISK_STATES)[keyof typeof DISK_STATES];

/** More entries than any disk is likely to have of this cache; 24 bits. */
export const SLOTS_MAX = 2 ** 24;

const SLOTS_CELL = 0;
const STATE_CELL = 1;
const PURGES_CELL = 2;
const COMMITS_CELL = 3;
/** 1: machines share the cache, and nothing is found behind the end of the lease. */
const LEASED_CELL = 4;
/** When it ends, as a Float64 in the same cache line. */
const LEASE_AT = 32;
/** Two lengths, for who asks how full it is; not in the line that every hit reads. */
const TOTALS_AT = 64;
const EPOCHS_AT = 128;
const USED_AT = EPOCHS_AT + SHARDS * 4;

/** Bytes of a slot: when it was used last, how often, and whether its body was verified. */
const SLOT_BYTES = 4 + 1 + 1;

/** For so many stored answers. Memory of slots that were never used is never touched, so it takes none. */
export function sharedCacheMemory(slots: number): SharedArrayBuffer {
  // Four slots end on whole words.
  const rounded = Math.ceil(Math.min(slots, SLOTS_MAX) / 4) * 4;
  const memory = new SharedArrayBuffer(USED_AT + rounded * SLOT_BYTES);
  const cells = new Int32Array(memory, 0, TOTALS_AT / 4);
  cells[SLOTS_CELL] = rounded;
  // Until the keeper has read the list of purges, nobody knows what may be given.
  cells[STATE_CELL] = DISK_STATES.servesNothing;
  return memory;
}

export class SharedCache {
  readonly memory: SharedArrayBuffer;
  /** Slots are below this number. */
  readonly slots: number;
  readonly #cells: Int32Array;
  readonly #lease: Float64Array;
  readonly #clock: Pick<Clock, "now"> | null;
  readonly #totals: Float64Array;
  readonly #epochs: Int32Array;
  readonly #used: Uint32Array;
  readonly #frequency: Uint8Array;
  readonly #verified: Uint8Array;

  /** `clock`: of the lease. Without one, nothing is found where machines share the cache. */
  constructor(memory: SharedArrayBuffer, clock: Pick<Clock, "now"> | null = null) {
    this.memory = memory;
    this.#clock = clock;
    // A cache line of its own: every hit reads it.
    this.#cells = new Int32Array(memory, 0, TOTALS_AT / 4);
    this.#lease = new Float64Array(memory, LEASE_AT, 1);
    this.#totals = new Float64Array(memory, TOTALS_AT, 2);
    this.slots = this.#cells[SLOTS_CELL]!;
    this.#epochs = new Int32Array(memory, EPOCHS_AT, SHARDS);
    this.#used = new Uint32Array(memory, USED_AT, this.slots);
    this.#frequency = new Uint8Array(memory, USED_AT + this.slots * 4, this.slots);
    this.#verified = new Uint8Array(memory, USED_AT + this.slots * 5, this.slots);
  }

  /** For a cache that one thread alone uses. */
  static ofOneThread(slots: number, clock: Pick<Clock, "now"> | null = null): SharedCache {
    return new SharedCache(sharedCacheMemory(slots), clock);
  }

  /** What threads go by: of the disk, and of the machines that the cache is shared with. */
  get state(): DiskState {
    return Atomics.load(this.#cells, LEASED_CELL) === 1 && !this.isLeased ? DISK_STATES.servesNothing : this.diskState;
  }

  get diskState(): DiskState {
    return Atomics.load(this.#cells, STATE_CELL) as DiskState;
  }

  set diskState(state: DiskState) {
    Atomics.store(this.#cells, STATE_CELL, state);
  }

  /**
   * By the keeper of a cache that machines share: until then nothing is purged anywhere that is not known here. Nothing is found
   * afterwards, whatever the disk does. An aligned word, which no processor tears; seen late, it is one that ends earlier.
   */
  set leaseUntilMs(untilMs: number) {
    this.#lease[0] = untilMs;
    Atomics.store(this.#cells, LEASED_CELL, 1);
  }

  get isLeased(): boolean {
    return this.#clock !== null && this.#clock.now() < this.#lease[0]!;
  }

  /** The number of the last purge that is in force. */
  get purges(): number {
    return Atomics.load(this.#cells, PURGES_CELL);
  }

  set purges(number: number) {
    Atomics.add(this.#cells, COMMITS_CELL, 1);
    Atomics.store(this.#cells, PURGES_CELL, number);
  }

  /** Stored answers, and what they take on the disk, as the keeper has told it last. */
  get entries(): number {
    return this.#totals[0]!;
  }

  get bytes(): number {
    return this.#totals[1]!;
  }

  /** For the keeper. */
  tellTotals(entries: number, bytes: number): void {
    this.#totals[0] = entries;
    this.#totals[1] = bytes;
  }

  /** Changes whenever something in this shard was replaced or removed. To be read before what it is to stand for. */
  epochOf(shard: number): number {
    return Atomics.load(this.#epochs, shard);
  }

  /** By the keeper, behind the commit. */
  bumpEpoch(shard: number): void {
    Atomics.add(this.#cells, COMMITS_CELL, 1);
    Atomics.add(this.#epochs, shard, 1);
  }

  /** Changes before any epoch does, and with each purge: what was read before may be older than what epochs and purges stand for. */
  get commits(): number {
    return Atomics.load(this.#cells, COMMITS_CELL);
  }

  /** It was given to somebody. */
  use(slot: number, wallSeconds: number): void {
    this.#used[slot] = wallSeconds;
    const frequency = this.#frequency[slot]!;
    if (frequency < FREQUENCY_MAX) this.#frequency[slot] = frequency + 1;
  }

  frequencyOf(slot: number): number {
    return this.#frequency[slot]!;
  }

  /** For eviction, which lowers it. */
  get frequencies(): Uint8Array {
    return this.#frequency;
  }

  /** On the wall clock. */
  usedSecondsOf(slot: number): number {
    return this.#used[slot]!;
  }

  /** Whether all blocks of its body were found to be right since the start, or written since. */
  isVerified(slot: number): boolean {
    return this.#verified[slot] === 1;
  }

  setVerified(slot: number): void {
    this.#verified[slot] = 1;
  }

  /** What is known from an earlier run; uses of this one count as well. */
  restore(slot: number, usedSeconds: number, frequency: number): void {
    if (usedSeconds > this.#used[slot]!) this.#used[slot] = usedSeconds;
    if (frequency > this.#frequency[slot]!) this.#frequency[slot] = Math.min(frequency, FREQUENCY_MAX);
  }

  /** The keeper gives the slot to something else. */
  reset(slot: number, usedSeconds: number, frequency: number, isVerified: boolean): void {
    this.#used[slot] = usedSeconds;
    this.#frequency[slot] = frequency;
    this.#verified[slot] = isVerified ? 1 : 0;
  }
}
