/**
 * What was evicted lately, by the hashes of ids: who comes back soon was let go too early. A table of buckets without chains: an entry
 * is a hash and the number of its eviction, and is dead once so many others were evicted behind it. Nothing is ever taken out: what
 * is dead is written over, and a full bucket gives up its oldest.
 *
 * It grows without moving anything: a larger table takes what comes from then on, and the smaller one is still looked at until all in
 * it is dead. Hashes may be those of two ids: then something is kept a little longer than it deserves.
 */

const WAYS = 4;
const TABLE_MIN = 1024;

export class Ghosts {
  /** Pairs of a hash and the number of its eviction; 0: it is empty. */
  #table = new Uint32Array(TABLE_MIN * 2);
  #older: Uint32Array<ArrayBuffer> | null = null;
  /** Of the last eviction that is only in the older table. */
  #olderUntil = 0;
  /** Of the next eviction. After 2^32 of them it begins anew, and some of the dead seem alive for a while. */
  #number = 1;
  #reach = 0;

  /** Bytes of memory. */
  get memoryBytes(): number {
    return this.#table.byteLength + (this.#older?.byteLength ?? 0);
  }

  /** It was evicted. `reach`: how many evictions are remembered from now on, this one among them. */
  add(hash: number, reach: number): void {
    this.#reach = reach;
    if (this.#older !== null && !this.#isAlive(this.#olderUntil)) this.#older = null;
    // Twice as many places as there are entries: buckets are seldom full.
    if (reach * 2 > this.#table.length / 2 && this.#older === null) this.#grow(reach);
    const table = this.#table;
    const bucket = bucketOf(table, hash);
    let place = bucket;
    let oldest = -1;
    for (let at = bucket; at < bucket + WAYS * 2; at += 2) {
      const number = table[at + 1]!;
      if (number === 0 || table[at] === hash >>> 0) {
        place = at;
        break;
      }
      const age = (this.#number - number) >>> 0;
      if (age <= oldest) continue;
      oldest = age;
      place = at;
    }
    table[place] = hash;
    table[place + 1] = this.#number;
    this.#number = this.#number === 0xffff_ffff ? 1 : this.#number + 1;
  }

  /** Whether it was evicted lately. It is forgotten with this. */
  take(hash: number): boolean {
    return this.#takeFrom(this.#table, hash) || (this.#older !== null && this.#takeFrom(this.#older, hash));
  }

  #takeFrom(table: Uint32Array, hash: number): boolean {
    const bucket = bucketOf(table, hash);
    for (let at = bucket; at < bucket + WAYS * 2; at += 2) {
      const number = table[at + 1]!;
      if (number === 0 || table[at] !== hash >>> 0) continue;
      table[at + 1] = 0;
      return this.#isAlive(number);
    }
    return false;
  }

  #isAlive(number: number): boolean {
    return (this.#number - number) >>> 0 <= this.#reach;
  }

  #grow(reach: number): void {
    let places = this.#table.length / 2;
    while (places < reach * 2) places *= 2;
    this.#older = this.#table;
    this.#olderUntil = (this.#number - 1) >>> 0;
    this.#table = new Uint32Array(places * 2);
  }
}

/** Where the hash's bucket begins. Its upper bits decide, after all bits had a say. */
function bucketOf(table: Uint32Array, hash: number): number {
  const buckets = table.length / (WAYS * 2);
  return ((Math.imul(hash, 0x9e37_79b1) >>> 8) & (buckets - 1)) * WAYS * 2;
}
