/**
 * A map that gives the key which was put in first at the same cost whatever was deleted before it. A Map keeps that order too, but V8
 * walks from its beginning over the places of all that was deleted there: 10 µs in a map of 10,000 of which the oldest goes whenever one
 * comes, 100 µs in one of 100,000. Here the entries are linked.
 */

interface Entry<K, V> {
  readonly key: K;
  value: V;
  /** Put in before, and behind. */
  previous: Entry<K, V> | null;
  next: Entry<K, V> | null;
}

export class FifoMap<K, V> {
  readonly #entries = new Map<K, Entry<K, V>>();
  #first: Entry<K, V> | null = null;
  #last: Entry<K, V> | null = null;

  get size(): number {
    return this.#entries.size;
  }

  /** undefined: there is nothing. */
  get oldest(): K | undefined {
    return this.#first?.key;
  }

  get(key: K): V | undefined {
    return this.#entries.get(key)?.value;
  }

  has(key: K): boolean {
    return this.#entries.has(key);
  }

  /** It is the last one from now on, also when the key was there. */
  set(key: K, value: V): void {
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      entry = { key, value, previous: null, next: null };
      this.#entries.set(key, entry);
    } else {
      this.#unlink(entry);
      entry.value = value;
    }
    entry.previous = this.#last;
    if (this.#last === null) this.#first = entry;
    else this.#last.next = entry;
    this.#last = entry;
  }

  /** As the first one, before all others; the key must not be there. */
  putFirst(key: K, value: V): void {
    const entry = { key, value, previous: null, next: this.#first };
    this.#entries.set(key, entry);
    if (this.#first === null) this.#last = entry;
    else this.#first.previous = entry;
    this.#first = entry;
  }

  /** False: it was not there. */
  delete(key: K): boolean {
    const entry = this.#entries.get(key);
    if (entry === undefined) return false;
    this.#entries.delete(key);
    this.#unlink(entry);
    return true;
  }

  clear(): void {
    this.#entries.clear();
    this.#first = this.#last = null;
  }

  /** Oldest first. What was given last may be deleted meanwhile, nothing else. */
  *[Symbol.iterator](): Generator<[K, V]> {
    for (let entry = this.#first; entry !== null; ) {
      const { next } = entry;
      yield [entry.key, entry.value];
      entry = next;
    }
  }

  #unlink(entry: Entry<K, V>): void {
    if (entry.previous === null) this.#first = entry.next;
    else entry.previous.next = entry.next;
    if (entry.next === null) this.#last = entry.previous;
    else entry.next.previous = entry.previous;
    entry.previous = entry.next = null;
  }
}
