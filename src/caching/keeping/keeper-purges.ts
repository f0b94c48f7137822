/**
 * The keeper's side of purges: the list of those in force, and what was purged or invalidated lately, so that an answer whose fetch
 * began before is not stored behind it. It decides what is met; who removes it is upkeep's.
 */
import { FifoMap } from "../../core/fifo-map.ts";
import type { PurgePattern } from "../cache.ts";
import type { CacheBooks, EntryId } from "../ports.ts";
import type { SharedCache } from "../shared.ts";
import {
  decodePurges,
  encodePurges,
  everything,
  judge,
  type LoggedPurge,
  PURGES_FACT,
  type Verdict,
} from "./purge-log.ts";
import { isMet, type PurgeTarget, purgeTarget } from "./purge-patterns.ts";

/** A moment in the order of purges and invalidations. */
export type Mark = number;

/** No URL is longer that could be stored. */
export const PURGE_TEXT_MAX = 16 * 1024;
/** Every look-up behind a purge may be compared with all of them. */
export const PURGES_MAX = 1000;
/** What was purged lately; a fetch that began before all of them is not stored. */
const RECENT_MAX = 10_000;
const INVALIDATED_MAX = 50_000;

interface RecentPurge {
  readonly mark: Mark;
  readonly pattern: PurgePattern;
}

export class KeeperPurges {
  readonly #books: CacheBooks;
  readonly #shared: SharedCache;
  #last = 0;
  /** By what they say, in the order of their numbers. */
  readonly #inForce = new FifoMap<string, LoggedPurge>();
  /** The same as a list; null: they have changed since it was made. */
  #list: readonly LoggedPurge[] | null = null;
  #mark: Mark = 0;
  /** The list is being written; and will be written again when that is over. */
  #current: Promise<void> = Promise.resolve();
  #next: Promise<void> | null = null;
  #recent: RecentPurge[] = [];
  /** Ids of keys, in the order of their marks. */
  readonly #invalidated = new FifoMap<EntryId, Mark>();
  /** What happened up to here may have been forgotten. */
  #forgotten: Mark = -1;

  /** Throws an Error when the list is damaged. */
  constructor(books: CacheBooks, shared: SharedCache) {
    this.#books = books;
    this.#shared = shared;
    const fact = books.readFact(PURGES_FACT);
    if (fact === null) return;
    const list = decodePurges(fact);
    if (list === null) throw new Error("the list of purges in the cache's folder is damaged: empty the folder");
    this.#last = list.last;
    for (const purge of list.purges) this.#inForce.set(nameOf(purge), purge);
    shared.purges = list.last;
  }

  /** Of purges and invalidations so far. */
  get mark(): Mark {
    return this.#mark;
  }

  /**
   * The number of the last purge that is committed: what a record may say of itself. One that is not may never be, when the process
   * is killed, and its number would come again.
   */
  get committed(): number {
    return this.#shared.purges;
  }

  get purges(): readonly LoggedPurge[] {
    this.#list ??= [...this.#inForce].map(([, purge]) => purge);
    return this.#list;
  }

  get isFull(): boolean {
    return this.#inForce.size >= PURGES_MAX;
  }

  /** Whether something has purged or invalidated it since then. */
  isMetSince(mark: Mark, primaryId: EntryId, key: string, tags: readonly string[]): boolean {
    if (mark === this.#mark) return false;
    if (mark < this.#forgotten || (this.#invalidated.get(primaryId) ?? -1) > mark) return true;
    let target: PurgeTarget | null = null;
    for (let index = this.#recent.length - 1; index >= 0 && this.#recent[index]!.mark > mark; index--) {
      target ??= purgeTarget(key, tags);
      if (isMet(this.#recent[index]!.pattern, target)) return true;
    }
    return false;
  }

  /** Whether one of the purges behind the mark was about one of these tags; true also when that is not known any more. */
  isTagMetSince(mark: Mark, tags: readonly string[]): boolean {
    if (mark < this.#forgotten) return true;
    const named = new Set(tags);
    return this.#recent.some((one) => one.mark > mark && one.pattern.kind === "tag" && named.has(one.pattern.text));
  }

  judge(number: number, key: string, tags: readonly string[]): Verdict {
    return judge(this.purges, number, key, tags);
  }

  /** In force for what is stored from now on, and for all that is read when `write` has resolved. */
  add(pattern: PurgePattern, isSoft: boolean): LoggedPurge {
    const purge: LoggedPurge = { number: ++this.#last, pattern, isSoft };
    this.#list = null;
    // What says the same and no more than this one is done with it; a soft one does not stand for a hard one.
    if (!isSoft) this.#inForce.delete(nameOf({ pattern, isSoft: true }));
    this.#inForce.set(nameOf(purge), purge);
    if (this.#inForce.size > 2 * PURGES_MAX) this.#purgeAll(purge.number);
    this.#recent.push({ mark: ++this.#mark, pattern });
    if (this.#recent.length > RECENT_MAX) this.#forget(this.#recent.shift()!.mark);
    return purge;
  }

  /**
   * More were added than what removes them is through with in its time; or the disk is one from which nothing can be removed, and the list
   * gets no shorter.
   */
  #purgeAll(number: number): void {
    const all = everything(number);
    this.#inForce.clear();
    this.#inForce.set(nameOf(all), all);
  }

  /**
   * Resolves when the list, with all that was added before this call, is committed and every thread goes by it. Those that come while
   * it is being written are written together.
   */
  write(): Promise<void> {
    this.#next ??= this.#current
      .catch(() => {})
      .then(() => {
        this.#next = null;
        this.#current = this.#writeNow();
        return this.#current;
      });
    return this.#next;
  }

  async #writeNow(): Promise<void> {
    const last = this.#last;
    await this.#books.writeFact(PURGES_FACT, encodePurges(last, this.purges));
    if (last > this.#shared.purges) this.#shared.purges = last;
  }

  /** All that those up to this number meet is gone. */
  async trim(number: number): Promise<void> {
    this.#list = null;
    for (const [name, purge] of this.#inForce) {
      if (purge.number > number) break;
      this.#inForce.delete(name);
    }
    await this.#books.writeFact(PURGES_FACT, encodePurges(this.#last, this.purges));
  }

  /** Nothing is stored under this key whose fetch began before. */
  invalidated(primaryId: EntryId): void {
    const invalidated = this.#invalidated;
    invalidated.set(primaryId, ++this.#mark);
    if (invalidated.size <= INVALIDATED_MAX) return;
    const oldest = invalidated.oldest!;
    this.#forget(invalidated.get(oldest)!);
    invalidated.delete(oldest);
  }

  #forget(mark: Mark): void {
    this.#forgotten = Math.max(this.#forgotten, mark);
  }
}

/** The same for purges of which the later one stands for both. */
function nameOf({ pattern, isSoft }: Pick<LoggedPurge, "pattern" | "isSoft">): string {
  return `${isSoft ? "soft" : "hard"} ${pattern.kind} ${pattern.text}`;
}
