/**
 * What a thread keeps in its memory of a cache, ready to be given, bounded in bytes. A hit is one look-up in a map and one count; who
 * goes is decided only when room is needed.
 *
 * Two queues, first in first out (S3-FIFO): what is new waits in the small one, and only what is asked for again there gets into the
 * main one, so that a scan of things that are asked for once passes through a tenth of the memory. What has left the small queue a
 * moment ago, and comes back, goes to the main one at once.
 */

/** Share of the bytes that the small queue has. */
const SMALL_SHARE = 0.1;
/** How often an entry goes round in the main queue without being asked for again, at most. */
const USES_MAX = 3;
/** So many that are used are passed over for one that comes, about a millisecond: when all of a million are, that would take long. */
export const PASSED_MAX = 32_768;
/** Keys that have left the small queue, remembered as 32 bits each: 32 KiB a thread. A power of two. */
const GHOSTS = 8192;

export abstract class HotEntry {
  readonly hotKey: string;
  /** An estimate of all that it holds. Once it is in memory, `grow` changes it. */
  hotBytes: number;
  /** Raised by hits. */
  uses = 0;
  isMain = false;
  previous: HotEntry | null = null;
  next: HotEntry | null = null;

  constructor(hotKey: string, hotBytes: number) {
    this.hotKey = hotKey;
    this.hotBytes = hotBytes;
  }

  /** It is not in the memory any more, or was not taken. */
  left(): void {}
}

/** Linked by the entries themselves; the oldest is the first. */
class Queue {
  first: HotEntry | null = null;
  last: HotEntry | null = null;
  bytes = 0;

  push(entry: HotEntry): void {
    entry.previous = this.last;
    entry.next = null;
    if (this.last === null) this.first = entry;
    else this.last.next = entry;
    this.last = entry;
    this.bytes += entry.hotBytes;
  }

  remove(entry: HotEntry): void {
    if (entry.previous === null) this.first = entry.next;
    else entry.previous.next = entry.next;
    if (entry.next === null) this.last = entry.previous;
    else entry.next.previous = entry.previous;
    entry.previous = entry.next = null;
    this.bytes -= entry.hotBytes;
  }
}

export class HotMemory<Entry extends HotEntry> {
  readonly #bytesMax: number;
  readonly #entries = new Map<string, Entry>();
  readonly #small = new Queue();
  readonly #main = new Queue();
  readonly #ghosts = new Uint32Array(GHOSTS);

  /** 0 keeps nothing. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#small.bytes + this.#main.bytes;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): Entry | undefined {
    const entry = this.#entries.get(key);
    if (entry !== undefined && entry.uses < USES_MAX) entry.uses++;
    return entry;
  }

  /** In the place of what is there under its key. What is larger than the small queue is not kept. */
  put(entry: Entry): void {
    const old = this.#entries.get(entry.hotKey);
    if (old !== undefined) this.delete(old);
    if (entry.hotBytes > this.#bytesMax * SMALL_SHARE) return entry.left();
    entry.isMain = old?.isMain === true || this.#takeGhost(entry.hotKey);
    entry.uses = 0;
    this.#entries.set(entry.hotKey, entry);
    (entry.isMain ? this.#main : this.#small).push(entry);
    this.#makeRoom();
  }

  /** It holds so many bytes more than it did, or less. */
  grow(entry: Entry, bytes: number): void {
    if (this.#entries.get(entry.hotKey) !== entry) return;
    entry.hotBytes += bytes;
    (entry.isMain ? this.#main : this.#small).bytes += bytes;
    this.#makeRoom();
  }

  delete(entry: Entry): void {
    if (this.#entries.get(entry.hotKey) !== entry) return;
    this.#entries.delete(entry.hotKey);
    (entry.isMain ? this.#main : this.#small).remove(entry);
    entry.left();
  }

  #makeRoom(): void {
    for (let passed = 0; this.bytes > this.#bytesMax; ) if (!this.#evict(passed < PASSED_MAX)) passed++;
  }

  /** One step: something goes, or moves on, because it was used: USES_MAX times at most. False: it moved on. */
  #evict(areUsedSpared: boolean): boolean {
    const isSmallFull = this.#small.bytes > this.#bytesMax * SMALL_SHARE || this.#main.first === null;
    const queue = isSmallFull ? this.#small : this.#main;
    const entry = queue.first as Entry;
    queue.remove(entry);
    if (entry.uses > 0 && areUsedSpared) {
      entry.uses = isSmallFull ? 0 : entry.uses - 1;
      entry.isMain = true;
      this.#main.push(entry);
      return false;
    }
    this.#entries.delete(entry.hotKey);
    if (isSmallFull) this.#ghosts[hashOf(entry.hotKey) & (GHOSTS - 1)] = hashOf(entry.hotKey);
    entry.left();
    return true;
  }

  #takeGhost(key: string): boolean {
    const hash = hashOf(key);
    const place = hash & (GHOSTS - 1);
    if (this.#ghosts[place] !== hash) return false;
    this.#ghosts[place] = 0;
    return true;
  }
}

/** FNV-1a: only to remember keys by; two with the same hash cost a place in the wrong queue. */
function hashOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < key.length; index++) hash = Math.imul(hash ^ key.charCodeAt(index), 0x01000193);
  return hash >>> 0;
}
