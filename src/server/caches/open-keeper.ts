/**
 * Opens the keeper of one cache: its books, what is stored, what is being fetched, and the ways to threads. The one place that knows
 * all its parts; they are only loaded where there is a cache.
 */
import { MessageChannel } from "node:worker_threads";
import type { Broker } from "../../caching/fills/broker.ts";
import type { LinkToThread, ToKeeper, ToThread } from "../../caching/fills/protocol.ts";
import type { DiskEvents } from "../../caching/keeping/disk-health.ts";
import type { Keeper } from "../../caching/keeping/keeper.ts";
import type { KeepingLimits } from "../../caching/keeping/keeping.ts";
import type { ListQuery } from "../../caching/operating.ts";
import type { CacheConfig } from "../../caching/options.ts";
import type { CacheBooks } from "../../caching/ports.ts";
import type { KeeperTier } from "../../caching/tier/keeper-tier.ts";
import type { AppLog } from "../app-log.ts";
import { RepeatedFaults } from "../repeated-faults.ts";
import { SetupError } from "../setup-error.ts";
import { clock, random, unheldClock } from "../surroundings.ts";
import { cannotOpen, reasonOf } from "./folder.ts";
import type { CacheHandout } from "./handout.ts";
import type { CacheKeeper } from "./keepers.ts";
import { PortLink } from "./links.ts";

/** Rejects with a SetupError when this machine cannot give it. */
export async function openKeeper(config: CacheConfig, folder: string, log: AppLog): Promise<CacheKeeper> {
  const { openCacheBooks } = await import("../../io/cache/open.ts");
  const { Keeper } = await import("../../caching/keeping/keeper.ts");
  const { Broker } = await import("../../caching/fills/broker.ts");
  const { StoredReader } = await import("../../caching/keeping/stored-reader.ts");
  const { atomicWakes, ProgressTable, progressBuffer } = await import("../../caching/fills/progress-table.ts");
  const { SharedCache, SLOTS_MAX } = await import("../../caching/shared.ts");
  const { S3Fifo } = await import("../../caching/eviction/s3-fifo.ts");
  // Changed in place by a reload.
  const limits = { ...config };
  const shared = SharedCache.ofOneThread(SLOTS_MAX, unheldClock);
  let opened: CacheBooks | Keeper | null = null;
  try {
    const books = openCacheBooks(folder, () => {
      log.info(`cache ${config.name}: what was in ${folder} is of another version of headgate, and is gone`);
    });
    opened = books;
    const policy = new S3Fifo(shared);
    const keeper = await Keeper.open(limits, {
      books,
      clock,
      random,
      shared,
      policy,
      events: tellTrouble(config, log),
    });
    opened = keeper;
    const { keeping } = keeper;
    const { shared: store, name } = config;
    const tier = store === null ? null : await (await import("./open-tier.ts")).openTier(name, store, keeper, log);
    const progress = progressBuffer();
    const broker = new Broker({
      keeping,
      books,
      shared,
      reader: new StoredReader(books, shared, (id) => void keeping.dropDamaged(id)),
      clock,
      table: new ProgressTable(progress, atomicWakes),
      invalidateTag: (tag) => keeper.invalidateTag(tag),
      onShortOfFiles: tellShortOfFiles(config, log),
      tier,
    });
    return new KeeperOfThreads(folder, limits, keeper, tier, broker, { shared: shared.memory, progress });
  } catch (error) {
    // Or this process would go on to hold the folder, and could not open it when the reason is mended.
    await opened?.close().catch(() => {});
    if (error instanceof SetupError) throw error;
    throw cannotOpen(config, reasonOf(error), error);
  }
}

/** One line when it begins, one when it is over. */
function tellTrouble({ name }: CacheConfig, log: AppLog): DiskEvents {
  return {
    onTrouble: (reason) =>
      log.error(`cache ${name}: nothing is stored until that has passed, and proxying goes on: ${reason}`),
    onRecovered: () => log.info(`cache ${name}: answers are stored again`),
  };
}

/** May come with each answer that is fetched. */
function tellShortOfFiles({ name }: CacheConfig, log: AppLog): (reason: string) => void {
  const faults = new RepeatedFaults(clock);
  return (reason) =>
    faults.report("short of files", (details) =>
      log.error(
        details,
        `cache ${name}: an answer was given and not stored, as there may be no more open files: ${reason}`,
      ),
    );
}

class KeeperOfThreads implements CacheKeeper {
  onThreadGone: () => void = () => {};
  readonly #folder: string;
  readonly #limits: { -readonly [Limit in keyof KeepingLimits]: KeepingLimits[Limit] };
  readonly #keeper: Keeper;
  /** null: it is shared with no other machine. */
  readonly #tier: KeeperTier | null;
  readonly #broker: Broker;
  readonly #memory: Pick<CacheHandout, "shared" | "progress">;
  readonly #links = new Set<PortLink<ToThread, ToKeeper>>();

  constructor(
    folder: string,
    limits: KeepingLimits,
    keeper: Keeper,
    tier: KeeperTier | null,
    broker: Broker,
    memory: Pick<CacheHandout, "shared" | "progress">,
  ) {
    this.#folder = folder;
    this.#limits = limits;
    this.#keeper = keeper;
    this.#tier = tier;
    this.#broker = broker;
    this.#memory = memory;
  }

  get threads(): number {
    return this.#links.size;
  }

  handOut(config: CacheConfig, counts: SharedArrayBuffer, column: number): CacheHandout {
    const { port1, port2 } = new MessageChannel();
    const link: PortLink<ToThread, ToKeeper> & LinkToThread = new PortLink(port1, () => {
      this.#links.delete(link);
      this.#broker.detach(thread);
      this.onThreadGone();
    });
    const thread = this.#broker.attach(link);
    this.#links.add(link);
    // What Redis is reached by is the keeper's alone.
    return { config: { ...config, shared: null }, folder: this.#folder, counts, column, ...this.#memory, port: port2 };
  }

  change({ bytesMax, inactiveMs, freeBytesMin, objectBytesMax }: CacheConfig): void {
    Object.assign(this.#limits, { bytesMax, inactiveMs, freeBytesMin, objectBytesMax });
    // A smaller one is not left to grow out of: what is too much goes now.
    void this.#keeper.keeping.makeRoom(0);
  }

  stats(): ReturnType<CacheKeeper["stats"]> {
    return { ...this.#keeper.stats(), shared: this.#tier?.stats() ?? null };
  }

  list(query: ListQuery): ReturnType<CacheKeeper["list"]> {
    return this.#keeper.list(query);
  }

  purge(...asked: Parameters<CacheKeeper["purge"]>): ReturnType<CacheKeeper["purge"]> {
    return (this.#tier ?? this.#keeper).purge(...asked);
  }

  verify(): ReturnType<CacheKeeper["verify"]> {
    return this.#keeper.verify();
  }

  async close(): Promise<void> {
    this.#broker.close();
    for (const link of this.#links) link.close();
    await this.#tier?.close();
    await this.#keeper.close();
  }
}
