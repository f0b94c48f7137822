/**
 * The policies that ours is compared with, each as its source describes it, on maps and plain objects: slow and easy to check. All are
 * told of each request, keep to a limit in bytes, and do not keep what is larger than the whole cache.
 */

export interface Simulated {
  /** Whether it was there; if not, it is from now on, unless it is too large. */
  request(object: number, bytes: number): boolean;
}

export type MakeSimulated = (bytesMax: number) => Simulated;

/** Maps keep the order in which keys were set: the first one goes next. */
class InOrder implements Simulated {
  readonly #entries = new Map<number, number>();
  readonly #bytesMax: number;
  readonly #isRenewed: boolean;
  #bytes = 0;

  constructor(bytesMax: number, isRenewed: boolean) {
    this.#bytesMax = bytesMax;
    this.#isRenewed = isRenewed;
  }

  request(object: number, bytes: number): boolean {
    if (this.#entries.has(object)) {
      if (this.#isRenewed) {
        this.#entries.delete(object);
        this.#entries.set(object, bytes);
      }
      return true;
    }
    if (bytes > this.#bytesMax) return false;
    while (this.#bytes + bytes > this.#bytesMax) {
      const [first, firstBytes] = firstOf(this.#entries)!;
      this.#entries.delete(first);
      this.#bytes -= firstBytes;
    }
    this.#entries.set(object, bytes);
    this.#bytes += bytes;
    return false;
  }
}

/** Least frequently used, counted while it is there; of several, the one that has had its count for longest. */
class Lfu implements Simulated {
  readonly #counts = new Map<number, number>();
  readonly #byCount: Map<number, number>[] = [];
  readonly #bytesMax: number;
  #bytes = 0;
  #lowest = 1;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  request(object: number, bytes: number): boolean {
    const count = this.#counts.get(object);
    if (count !== undefined) {
      this.#byCount[count]!.delete(object);
      this.#set(object, bytes, count + 1);
      return true;
    }
    if (bytes > this.#bytesMax) return false;
    while (this.#bytes + bytes > this.#bytesMax) this.#evict();
    this.#bytes += bytes;
    this.#set(object, bytes, 1);
    this.#lowest = 1;
    return false;
  }

  #set(object: number, bytes: number, count: number): void {
    this.#counts.set(object, count);
    this.#byCount[count] ??= new Map();
    this.#byCount[count].set(object, bytes);
  }

  #evict(): void {
    while ((this.#byCount[this.#lowest]?.size ?? 0) === 0) this.#lowest++;
    const [object, bytes] = firstOf(this.#byCount[this.#lowest]!)!;
    this.#byCount[this.#lowest]!.delete(object);
    this.#counts.delete(object);
    this.#bytes -= bytes;
  }
}

/** "SIEVE is simpler than LRU" (NSDI 2024): a hand goes from the oldest to the newest, and passes those that were used. */
class Sieve implements Simulated {
  readonly #nodes = new Map<number, SieveNode>();
  readonly #bytesMax: number;
  #bytes = 0;
  #oldest: SieveNode | null = null;
  #newest: SieveNode | null = null;
  #hand: SieveNode | null = null;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  request(object: number, bytes: number): boolean {
    const known = this.#nodes.get(object);
    if (known !== undefined) {
      known.isUsed = true;
      return true;
    }
    if (bytes > this.#bytesMax) return false;
    while (this.#bytes + bytes > this.#bytesMax) this.#evict();
    const node: SieveNode = { object, bytes, isUsed: false, older: this.#newest, newer: null };
    if (this.#newest === null) this.#oldest = node;
    else this.#newest.newer = node;
    this.#newest = node;
    this.#nodes.set(object, node);
    this.#bytes += bytes;
    return false;
  }

  #evict(): void {
    let node = this.#hand ?? this.#oldest!;
    while (node.isUsed) {
      node.isUsed = false;
      node = node.newer ?? this.#oldest!;
    }
    this.#hand = node.newer;
    if (node.older === null) this.#oldest = node.newer;
    else node.older.newer = node.newer;
    if (node.newer === null) this.#newest = node.older;
    else node.newer.older = node.older;
    this.#nodes.delete(node.object);
    this.#bytes -= node.bytes;
  }
}

interface SieveNode {
  readonly object: number;
  readonly bytes: number;
  isUsed: boolean;
  older: SieveNode | null;
  newer: SieveNode | null;
}

/**
 * S3-FIFO as in the paper's algorithm 1, in bytes: a small queue of a tenth, a main queue of the rest, a ghost of as many bytes as the
 * main queue. Objects larger than the small queue enter it all the same, when they fit into the cache.
 */
class ReferenceS3Fifo implements Simulated {
  readonly #small = new ByteQueue();
  readonly #main = new ByteQueue();
  readonly #ghosts = new ByteQueue();
  readonly #uses = new Map<number, number>();
  readonly #bytesMax: number;
  readonly #smallMax: number;
  /** Uses in the small queue above which an object goes to the main queue. The paper's text has 1, its code 2. */
  readonly #usesToStay: number;

  constructor(bytesMax: number, usesToStay: number) {
    this.#bytesMax = bytesMax;
    this.#smallMax = bytesMax / 10;
    this.#usesToStay = usesToStay;
  }

  request(object: number, bytes: number): boolean {
    const uses = this.#uses.get(object);
    if (uses !== undefined) {
      this.#uses.set(object, Math.min(uses + 1, 3));
      return true;
    }
    if (bytes > this.#bytesMax) return false;
    const isRemembered = this.#ghosts.delete(object);
    while (this.#small.bytes + this.#main.bytes + bytes > this.#bytesMax) this.#evict();
    this.#uses.set(object, 0);
    (isRemembered ? this.#main : this.#small).push(object, bytes);
    return false;
  }

  #evict(): void {
    if (this.#small.bytes >= this.#smallMax || this.#main.bytes === 0) this.#evictSmall();
    else this.#evictMain();
  }

  #evictSmall(): void {
    for (;;) {
      const taken = this.#small.shift();
      if (taken === null) return;
      const [object, bytes] = taken;
      if (this.#uses.get(object)! >= this.#usesToStay) {
        this.#uses.set(object, 0);
        this.#main.push(object, bytes);
        if (this.#main.bytes > this.#bytesMax - this.#smallMax) return this.#evictMain();
        continue;
      }
      this.#uses.delete(object);
      this.#ghosts.push(object, bytes);
      while (this.#ghosts.bytes > this.#bytesMax - this.#smallMax) this.#ghosts.shift();
      return;
    }
  }

  #evictMain(): void {
    for (;;) {
      const taken = this.#main.shift();
      if (taken === null) return;
      const [object, bytes] = taken;
      const uses = this.#uses.get(object)!;
      if (uses === 0) {
        this.#uses.delete(object);
        return;
      }
      this.#uses.set(object, uses - 1);
      this.#main.push(object, bytes);
    }
  }
}

class ByteQueue {
  bytes = 0;
  readonly #entries = new Map<number, number>();

  push(object: number, bytes: number): void {
    this.delete(object);
    this.#entries.set(object, bytes);
    this.bytes += bytes;
  }

  delete(object: number): boolean {
    this.bytes -= this.#entries.get(object) ?? 0;
    return this.#entries.delete(object);
  }

  shift(): readonly [number, number] | null {
    const first = firstOf(this.#entries);
    if (first !== null) this.delete(first[0]);
    return first;
  }
}

function firstOf(entries: Map<number, number>): readonly [number, number] | null {
  for (const entry of entries) return entry;
  return null;
}

export const POLICIES: Readonly<Record<string, MakeSimulated>> = {
  fifo: (bytesMax) => new InOrder(bytesMax, false),
  lru: (bytesMax) => new InOrder(bytesMax, true),
  lfu: (bytesMax) => new Lfu(bytesMax),
  sieve: (bytesMax) => new Sieve(bytesMax),
  "s3-fifo": (bytesMax) => new ReferenceS3Fifo(bytesMax, 2),
  "s3-fifo-1": (bytesMax) => new ReferenceS3Fifo(bytesMax, 1),
};
