/**
 * How a thread reads what is stored, so that it never takes for good what is not: the numbers that a look-up stands for are taken
 * before it, and a record counts only when it verifies and no newer purge has met it.
 */
import { HEAD_FLAGS } from "../cache.ts";
import type { CacheDisk, EntryId } from "../ports.ts";
import { DISK_STATES, type SharedCache } from "../shared.ts";
import { shardOf } from "./entry-id.ts";
import { PurgeView, type Verdict } from "./purge-log.ts";
import { decodeRecord, type StoredRecord } from "./record.ts";

/** A record, and the numbers at which it was good. */
export interface FoundRecord {
  /** A soft purge that has met it shows in the flags of its head. */
  readonly record: StoredRecord;
  readonly shard: number;
  readonly epoch: number;
  readonly purges: number;
}

export class StoredReader {
  readonly #disk: CacheDisk;
  readonly #shared: SharedCache;
  readonly #purges: PurgeView;
  readonly #onDamaged: (id: EntryId) => void;
  /** Commits that the disk has been renewed for. */
  #commits = 0;

  /** `onDamaged`: what stands under the id does not verify, and should be dropped. */
  constructor(disk: CacheDisk, shared: SharedCache, onDamaged: (id: EntryId) => void) {
    this.#disk = disk;
    this.#shared = shared;
    this.#purges = new PurgeView(disk, shared);
    this.#onDamaged = onDamaged;
  }

  read(id: EntryId): FoundRecord | null {
    if (this.#shared.state === DISK_STATES.servesNothing) return null;
    const purges = this.#purges.refresh();
    const shard = shardOf(id);
    const epoch = this.#shared.epochOf(shard);
    // What was read in this turn already is as old as that: the epoch must not stand for more than is read.
    const { commits } = this.#shared;
    if (commits !== this.#commits) {
      this.#commits = commits;
      this.#disk.renew();
    }
    const bytes = this.#disk.read(id);
    if (bytes === null) return null;
    const record = decodeRecord(bytes);
    if (record === null) {
      this.#onDamaged(id);
      return null;
    }
    if (record.kind === "vary") return { record, shard, epoch, purges };
    const verdict = this.#purges.judge(record.purges, record.key, record.head.tags);
    if (verdict === "gone") return null;
    if (verdict === "good") return { record, shard, epoch, purges };
    const head = { ...record.head, flags: record.head.flags | HEAD_FLAGS.purgedSoftly };
    return { record: { ...record, head }, shard, epoch, purges };
  }

  /** Whether what was found is as good as then, without looking at the disk; else `read` it again, or `judge` it. */
  isUnchanged(shard: number, epoch: number): boolean {
    return this.#shared.epochOf(shard) === epoch && this.#shared.state !== DISK_STATES.servesNothing;
  }

  /** The number of the last purge: what was judged at this one need not be judged again. */
  get purges(): number {
    return this.#shared.purges;
  }

  /** What the purges since then make of something that is held. */
  judge(purges: number, key: string, tags: readonly string[]): Verdict {
    this.#purges.refresh();
    return this.#purges.judge(purges, key, tags);
  }
}
