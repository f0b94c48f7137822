// A cache in one process over memory: a keeper, and as many threads as a test wants, on links that deliver at once, or when the test
// says so. For tests of what fills and stores, and of what stands on a cache.

import { CacheCounts } from "../../src/caching/counts.ts";
import { S3Fifo } from "../../src/caching/eviction/s3-fifo.ts";
import { Broker } from "../../src/caching/fills/broker.ts";
import { OPEN_FILE_REST_MS } from "../../src/caching/fills/open-files.ts";
import { ProgressTable, progressBuffer, type Wakes } from "../../src/caching/fills/progress-table.ts";
import type { LinkToKeeper, LinkToThread, ToKeeper, ToThread } from "../../src/caching/fills/protocol.ts";
import { ThreadCache } from "../../src/caching/fills/thread-cache.ts";
import { Keeper } from "../../src/caching/keeping/keeper.ts";
import { StoredReader } from "../../src/caching/keeping/stored-reader.ts";
import { SharedCache } from "../../src/caching/shared.ts";
import { KeeperTier } from "../../src/caching/tier/keeper-tier.ts";
import type { TierTimes } from "../../src/caching/tier/member.ts";
import type { TierStore } from "../../src/caching/tier/ports.ts";
import type { Clock, Random } from "../../src/core/ports.ts";
import { MemoryCacheFolder } from "../../src/testing/cache-folder.ts";
import { SeededRandom } from "../../src/testing/seeded-random.ts";
import { VirtualClock } from "../../src/testing/virtual-clock.ts";
import { localLink } from "./local-link.ts";

const MiB = 1024 * 1024;

export interface CacheStageOptions {
  readonly clock?: VirtualClock;
  readonly folder?: MemoryCacheFolder;
  readonly random?: Random;
  readonly bytesMax?: number;
  readonly hotBytesMax?: number;
  readonly objectBytesMax?: number;
  readonly stallMs?: number;
  readonly fillsMax?: number;
  readonly slots?: number;
  /** How messages get from one side to the other; left out: in the next microtask. */
  readonly links?: () => readonly [LinkToKeeper, LinkToThread];
  readonly wakes?: Wakes;
  /** Where it shares with other machines. */
  readonly tier?: {
    readonly store: TierStore;
    readonly machine: string;
    readonly clock?: Clock;
    readonly times?: TierTimes;
    readonly onChange?: (cutOff: string | null) => void;
  };
}

/** Wakes in the next microtask. */
export function localWakes(later: (callback: () => void) => void = queueMicrotask): Wakes {
  const waiting = new Map<number, (() => void)[]>();
  return {
    wait(cells, index, seen, callback) {
      if (cells[index] !== seen) return later(callback);
      const known = waiting.get(index);
      if (known === undefined) waiting.set(index, [callback]);
      else known.push(callback);
    },
    wake(_cells, index) {
      const woken = waiting.get(index) ?? [];
      waiting.delete(index);
      for (const callback of woken) later(callback);
    },
  };
}

export class CacheStage {
  readonly clock: VirtualClock;
  readonly folder: MemoryCacheFolder;
  readonly shared: SharedCache;
  readonly table: ProgressTable;
  readonly keeper: Keeper;
  readonly broker: Broker;
  readonly tier: KeeperTier | null;
  /** Lines about the disk. */
  readonly troubles: string[];
  readonly #options: CacheStageOptions;

  private constructor(
    options: CacheStageOptions,
    folder: MemoryCacheFolder,
    shared: SharedCache,
    keeper: Keeper,
    troubles: string[],
  ) {
    this.#options = options;
    this.folder = folder;
    this.clock = folder.clock as VirtualClock;
    this.shared = shared;
    this.keeper = keeper;
    this.troubles = troubles;
    const { books } = keeper.keeping.around;
    this.table = new ProgressTable(progressBuffer(options.fillsMax), options.wakes ?? localWakes());
    const { tier } = options;
    this.tier = tier === undefined ? null : new KeeperTier({ keeper, clock: this.clock, ...tier });
    this.tier?.start();
    this.broker = new Broker({
      tier: this.tier,
      keeping: keeper.keeping,
      books,
      shared,
      reader: new StoredReader(books, shared, (id) => void keeper.keeping.dropDamaged(id)),
      clock: this.clock,
      table: this.table,
      invalidateTag: (tag) => keeper.invalidateTag(tag),
      onShortOfFiles: (reason) => troubles.push(`not stored: ${reason}`),
      ...(options.stallMs === undefined ? {} : { stallMs: options.stallMs }),
    });
  }

  static async open(options: CacheStageOptions = {}): Promise<CacheStage> {
    const folder = options.folder ?? new MemoryCacheFolder(options.clock ?? new VirtualClock());
    const shared = SharedCache.ofOneThread(options.slots ?? 4096, options.tier?.clock ?? folder.clock);
    const troubles: string[] = [];
    const { bytesMax = 1024 * MiB, objectBytesMax = bytesMax } = options;
    const keeper = await Keeper.open(
      { bytesMax, inactiveMs: null, freeBytesMin: 0, objectBytesMax },
      {
        books: folder.openBooks(),
        clock: folder.clock,
        random: options.random ?? new SeededRandom(1),
        shared,
        policy: new S3Fifo(shared),
        events: { onTrouble: (reason) => troubles.push(reason), onRecovered: () => troubles.push("recovered") },
      },
    );
    return new CacheStage(options, folder, shared, keeper, troubles);
  }

  /** A thread with its own disk and memory. `end`: it dies. */
  thread(): { readonly cache: ThreadCache; readonly end: () => void } {
    const { hotBytesMax = 64 * MiB, bytesMax = 1024 * MiB, objectBytesMax = bytesMax } = this.#options;
    const [toKeeper, toThread] = (this.#options.links ?? localLink<ToKeeper, ToThread>)();
    const number = this.broker.attach(toThread);
    const cache = new ThreadCache({
      name: "test",
      objectBytesMax,
      hotBytesMax,
      counts: CacheCounts.ofOneThread(),
      disk: this.folder.openDisk(),
      shared: this.shared,
      table: this.table,
      link: toKeeper,
      clock: this.clock,
    });
    return { cache, end: () => this.broker.detach(number) };
  }

  /** So long that what rests after a use is closed, and what else is done in that time is over. */
  async rest(): Promise<void> {
    this.clock.advance(2 * OPEN_FILE_REST_MS);
    for (let turn = 0; turn < 400; turn++) await null;
  }

  async close(): Promise<void> {
    this.broker.close();
    await this.tier?.close();
    await this.keeper.close();
  }
}
