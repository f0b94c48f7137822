/**
 * What was evicted lately, by the hashes of ids: who comes back soon was let go too early. A table of buckets without chains: an entry
 * is a hash and how much had been evicted before it, and is dead once so much more was evicted behind it. What is dead is written
 * over, and a full bucket gives up its oldest.
 *
 * It grows without moving anything: a larger table takes what comes from then on, and the smaller one is still looked at until all in
 * it is dead. Hashes may be those of two ids: then something is kept a little longer than it deserves.
 */

/** Two cache lines of them. With a quarter as many, full buckets forget some too early, which costs loops six hits in a hundred. */
const WAYS = 16;
const PLACES_MIN = 1024;
/** Half of what the clock can tell apart: 1 TiB of units. */
const REACH_MAX = 2 ** 31;

export class Ghosts {
  /** Pairs of a hash and the clock at its eviction; 0: it is empty. */
  #table = new Uint32Array(PLACES_MIN * 2);
  #older: Uint32Array<ArrayBuffer> | null = null;
  /** Of the last that is only in the older table. */
  #olderUntil = 0;
  /** Units that were evicted; after 2^32 of them it begins anew, and some of the dead seem alive for a while. */
  #clock = 1;
  #reach = 0;

  /** Bytes of memory. */
  get memoryBytes(): number {
    return this.#table.byteLength + (this.#older?.byteLength ?? 0);
  }

  /**
   * It was evicted. From now on, what was evicted before the last `reach` units is forgotten; `entries` are about as many as are
   * remembered at the same time.
   */
  add(hash: number, units: number, reach: number, entries: number): void {
    this.#reach = Math.min(reach, REACH_MAX);
    if (this.#older !== null && (this.#clock - this.#olderUntil) >>> 0 > this.#reach) this.#older = null;
    // Twice as many places as there are entries: buckets are seldom full.
    if (entries * 2 > this.#table.length / 2 && this.#older === null) this.#grow(entries * 2);
    const table = this.#table;
    const bucket = bucketOf(table, hash);
    let place = bucket;
    let oldest = -1;
    for (let at = bucket; at < bucket + WAYS * 2; at += 2) {
      const time = table[at + 1]!;
      if (time === 0 || table[at] === hash >>> 0) {
        place = at;
        break;
      }
      const age = (this.#clock - time) >>> 0;
      if (age <= oldest) continue;
      oldest = age;
      place = at;
    }
    table[place] = hash;
    table[place + 1] = this.#clock;
    this.#clock = (this.#clock + units) >>> 0 || 1;
  }

  /** Whether it was evicted lately. It is forgotten with this. */
  take(hash: number): boolean {
    const age = takeFrom(this.#table, hash, this.#clock);
    const found = age < 0 && this.#older !== null ? takeFrom(this.#older, hash, this.#clock) : age;
    return found >= 0 && found <= this.#reach;
  }

  #grow(places: number): void {
    let length = this.#table.length;
    while (length < places * 2) length *= 2;
    this.#older = this.#table;
    this.#olderUntil = this.#clock;
    this.#table = new Uint32Array(length);
  }
}

/** Where the hash's bucket begins. Its upper bits decide, after all bits had a say. */
function bucketOf(table: Uint32Array, hash: number): number {
  const buckets = table.length / (WAYS * 2);
  return ((Math.imul(hash, 0x9e37_79b1) >>> 8) & (buckets - 1)) * WAYS * 2;
}

/** How much was evicted since; -1: it is not there. */
function takeFrom(table: Uint32Array, hash: number, now: number): number {
  const bucket = bucketOf(table, hash);
  for (let at = bucket; at < bucket + WAYS * 2; at += 2) {
    const time = table[at + 1]!;
    if (time === 0 || table[at] !== hash >>> 0) continue;
    table[at + 1] = 0;
    return (now - time) >>> 0;
  }
  return -1;
}
