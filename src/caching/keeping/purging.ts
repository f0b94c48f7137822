/**
 * Removes in the background what purges have met, and tells how much it was: one pass over all records for all purges that are in
 * force when it begins. What it is through with leaves the list, so that look-ups need not compare with it any more. On the way it
 * removes variants that nobody can find since their vary record was replaced.
 *
 * Who purges is answered, whatever becomes of the disk: with what was removed, or with why that is not known, and whether the purge
 * is in force. It always is at least in this process: while it cannot be written down, nothing at all is found.
 */
import { HEAD_FLAGS, type PurgePattern } from "../cache.ts";
import type { PurgeOutcome } from "../operating.ts";
import type { EntryId } from "../ports.ts";
import { DISK_STATES } from "../shared.ts";
import { entryIdOf } from "./entry-id.ts";
import { PURGE_TEXT_MAX } from "./keeper-purges.ts";
import type { Keeping } from "./keeping.ts";
import type { LoggedPurge } from "./purge-log.ts";
import { isMet, purgeTarget } from "./purge-patterns.ts";
import { decodeRecord, type PurgedParts, purgedParts, summariseRecord } from "./record.ts";

interface Waiting {
  readonly purge: LoggedPurge;
  entries: number;
  readonly resolve: (outcome: PurgeOutcome) => void;
  readonly reject: (error: Error) => void;
}

const CLOSED = "the cache is closed";

export class Purging {
  readonly #keeping: Keeping;
  readonly #signal: AbortSignal;
  #waiting: Waiting[] = [];
  #pass: Promise<void> | null = null;

  constructor(keeping: Keeping, signal: AbortSignal) {
    this.#keeping = keeping;
    this.#signal = signal;
  }

  /**
   * Resolves when it is in force: nothing that it meets is found any more, by any thread. What it gives resolves when all of that is
   * gone, and rejects with an Error that may be shown when nobody can say when that will be. Rejects with RangeError when the
   * pattern is too long, with an Error when the cache is closed.
   */
  async purge(pattern: PurgePattern, isSoft: boolean): Promise<{ readonly outcome: Promise<PurgeOutcome> }> {
    const { purges, health } = this.#keeping;
    if (pattern.text.length > PURGE_TEXT_MAX) throw new RangeError("what is to be purged is longer than any URL");
    while (purges.isFull && this.#pass !== null) await this.#pass;
    if (this.#signal.aborted) throw new Error(`${CLOSED}: nothing was purged`);
    const purge = purges.add(pattern, isSoft);
    const { promise, resolve, reject } = Promise.withResolvers<PurgeOutcome>();
    // Not all who purge wait for it.
    promise.catch(() => {});
    this.#waiting.push({ purge, entries: 0, resolve, reject });
    try {
      await purges.write();
    } catch (error) {
      // Nothing at all is found until it is written.
      health.owe(error, "purges", () => purges.write());
      this.#refuse(
        (waiting) => waiting.purge === purge,
        `the purge could not be written to the disk, and nothing is found in the cache until it can be: ${textOf(error)}`,
      );
    }
    if (this.#signal.aborted) this.#refuseAsClosed();
    else this.start();
    return { outcome: promise };
  }

  /** Begins to remove what is on the list, if that is not under way. */
  start(): void {
    if (this.#pass !== null || this.#signal.aborted || this.#keeping.purges.purges.length === 0) return;
    this.#pass = this.#run()
      .catch((error: unknown) => {
        this.#keeping.health.failed(error);
        const { committed } = this.#keeping.purges;
        this.#refuse(
          ({ purge }) => purge.number <= committed,
          `the purge is in force, but what it meets cannot be removed now and goes later: ${textOf(error)}`,
        );
      })
      .finally(() => {
        this.#pass = null;
      });
  }

  /** When the pass that is under way is over. Who waits still is told that all is closed. */
  async settled(): Promise<void> {
    while (this.#pass !== null) await this.#pass;
    this.#refuseAsClosed();
  }

  /** Those that are not committed are told when that is known. */
  #refuseAsClosed(): void {
    const { committed } = this.#keeping.purges;
    this.#refuse(
      ({ purge }) => purge.number <= committed,
      `${CLOSED}: the purge is in force, and what it meets goes at the next start`,
    );
  }

  #refuse(isMeant: (waiting: Waiting) => boolean, why: string): void {
    const waiting = this.#waiting;
    this.#waiting = waiting.filter((one) => !isMeant(one));
    for (const one of waiting) if (isMeant(one)) one.reject(new Error(why));
  }

  async #run(): Promise<void> {
    const { purges, around } = this.#keeping;
    for (;;) {
      // What is in force: all that was stored before was committed before.
      const until = around.shared.purges;
      if (this.#signal.aborted || !purges.purges.some(({ number }) => number <= until)) return;
      const inForce = this.#waiting.filter(({ purge }) => purge.number <= until);
      await around.books.scan((id, bytes) => this.#visit(id, bytes, until, inForce), this.#signal);
      if (this.#signal.aborted) return;
      this.#waiting = this.#waiting.filter(({ purge }) => purge.number > until);
      for (const { entries, resolve } of inForce) resolve({ entries });
      // All of it is gone, whether the list can be written now or not.
      await purges.trim(until);
    }
  }

  #visit(id: EntryId, bytes: Buffer, until: number, inForce: readonly Waiting[]): void | Promise<void> {
    const summary = summariseRecord(bytes);
    if (summary?.kind === "vary" || (summary !== null && summary.purges >= until)) return;
    if (summary !== null && this.#isSpared(bytes, summary.purges)) return;
    return this.#judge(id, until, inForce);
  }

  /**
   * Most are, of a million that one purge of a tag has us look at: only what purges are about is read of them. One of which that is damaged
   * may be spared too; nobody finds it, as all of it is verified before it is given.
   */
  #isSpared(bytes: Buffer, number: number): boolean {
    const parts = purgedParts(bytes);
    if (parts === null) return false;
    return this.#keeping.purges.judge(number, parts.key, parts.tags) === "good" && !this.#isUnreachable(parts);
  }

  /** Again and again, when it changes meanwhile: what is left is not met, or is not trimmed off the list. */
  async #judge(id: EntryId, until: number, inForce: readonly Waiting[]): Promise<void> {
    const { purges, around } = this.#keeping;
    for (;;) {
      const bytes = around.books.read(id);
      const record = bytes === null ? null : decodeRecord(bytes);
      if (record === null) {
        if (bytes !== null) await this.#keeping.dropDamaged(id);
        return;
      }
      if (record.kind === "vary" || record.purges >= until) return;
      const { key, version, head, purges: number } = record;
      const verdict = purges.judge(number, key, head.tags);
      if (verdict === "good") {
        if (this.#isUnreachable(record)) await this.#keeping.drop(id, version, "replaced");
        return;
      }
      const isDone =
        verdict === "gone"
          ? await this.#keeping.drop(id, version, "purged")
          : (await this.#keeping.markStale(id, version, HEAD_FLAGS.purgedSoftly, until)) !== null;
      if (isDone) {
        count(inForce, number, key, head.tags);
        return;
      }
      if (around.shared.diskState !== DISK_STATES.works) throw new Error("what was purged could not be removed");
    }
  }

  #isUnreachable({ key, variant }: Pick<PurgedParts, "key" | "variant">): boolean {
    if (variant === "") return false;
    const bytes = this.#keeping.around.books.read(entryIdOf(key, ""));
    const primary = bytes === null ? null : decodeRecord(bytes);
    return primary?.kind !== "vary" || !variant.startsWith(primary.generation);
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function count(inForce: readonly Waiting[], number: number, key: string, tags: readonly string[]): void {
  const target = purgeTarget(key, tags);
  for (const waiting of inForce) {
    if (waiting.purge.number > number && isMet(waiting.purge.pattern, target)) waiting.entries++;
  }
}
