/** What decides which stored answer goes when there is no room; src/caching/eviction has the one that was chosen, and why. */
export interface EvictionPolicy {
  /** An answer was stored, or was found at the start: those that were used last come last. */
  add(slot: number, bytes: number, idHash: number): void;
  /** It takes more or less than it did. */
  resize(slot: number, bytes: number): void;
  /** What was fetched anew stands in the place of what it replaces, with its uses. The slot that is replaced is gone with this. */
  replace(slot: number, by: number, bytes: number, idHash: number): void;
  /** It is gone, or never was there. */
  remove(slot: number): void;
  /** Which one goes: it is the caller's from here on. -1: there is none. */
  evict(): number;
}
