/**
 * The purges that are in force: a list, which the keeper writes as one fact, and every thread reads when the number of the last purge
 * in shared memory is a new one. A purge takes the time of one commit, however much it meets: what is stored is compared with the
 * purges that are newer than its record when it is read, and a scan in the background removes it in its own time. What the scan is
 * through with is taken off the list again.
 */
import type { PurgePattern } from "../cache.ts";
import type { CacheDisk } from "../ports.ts";
import type { SharedCache } from "../shared.ts";
import { isMet, type PurgeTarget, purgeTarget } from "./purge-patterns.ts";

export interface LoggedPurge {
  readonly number: number;
  readonly pattern: PurgePattern;
  readonly isSoft: boolean;
}

export type Verdict = "good" | "soft" | "gone";

/** The fact's name in the books. */
export const PURGES_FACT = "purges";

export function encodePurges(last: number, purges: readonly LoggedPurge[]): Buffer {
  return Buffer.from(JSON.stringify({ last, purges }));
}

/** null: it is damaged, and nobody knows what was purged. */
export function decodePurges(fact: Buffer): { readonly last: number; readonly purges: readonly LoggedPurge[] } | null {
  try {
    const { last, purges } = JSON.parse(fact.toString());
    return Number.isSafeInteger(last) && Array.isArray(purges) ? { last, purges } : null;
  } catch {
    return null;
  }
}

/** What the purges that are newer than `number` make of an answer. */
export function judge(purges: readonly LoggedPurge[], number: number, key: string, tags: readonly string[]): Verdict {
  let verdict: Verdict = "good";
  let target: PurgeTarget | null = null;
  // The newest stand last.
  for (let index = purges.length - 1; index >= 0; index--) {
    const purge = purges[index]!;
    if (purge.number <= number) break;
    if (verdict === "soft" && purge.isSoft) continue;
    target ??= purgeTarget(key, tags);
    if (!isMet(purge.pattern, target)) continue;
    if (!purge.isSoft) return "gone";
    verdict = "soft";
  }
  return verdict;
}

/** A thread's copy of the list. */
export class PurgeView {
  readonly #disk: CacheDisk;
  readonly #shared: SharedCache;
  #known = 0;
  #purges: readonly LoggedPurge[] = [];

  constructor(disk: CacheDisk, shared: SharedCache) {
    this.#disk = disk;
    this.#shared = shared;
  }

  /**
   * The number of the last purge, whose list is here now. To be called before a record is read: what the scan took off the list
   * before, it had removed before.
   */
  refresh(): number {
    const last = this.#shared.purges;
    if (last !== this.#known) {
      this.#disk.renew();
      const fact = this.#disk.readFact(PURGES_FACT);
      // A list that cannot be read may hold anything: everything older is purged.
      this.#purges = (fact === null ? null : decodePurges(fact)?.purges) ?? [everything(last)];
      this.#known = last;
    }
    return last;
  }

  judge(number: number, key: string, tags: readonly string[]): Verdict {
    return number >= this.#known ? "good" : judge(this.#purges, number, key, tags);
  }
}

export function everything(number: number): LoggedPurge {
  return { number, pattern: { kind: "prefix", text: "" }, isSoft: false };
}
