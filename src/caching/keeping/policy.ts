/** What decides which stored answer goes when there is no room; src/caching/eviction has those that were compared. */
export interface EvictionPolicy {
  /** An answer was stored, or was found at the start: those that were used last come last. */
  add(slot: number, bytes: number, idHash: number): void;
  /** It is gone, or never was there. */
  remove(slot: number): void;
  /** Which one goes: it is the caller's from here on. -1: there is none. */
  evict(): number;
}
