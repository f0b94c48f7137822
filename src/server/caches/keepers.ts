/**
 * The keepers of all caches of a process, through reloads: a cache in the same folder is the same cache, and takes its new limits; one
 * that the configuration no longer has is closed when the last thread has let go of it, or when the process ends.
 *
 * Plan first, then keep or forget the plan. What operators ask is asked here.
 */
import { CacheCountSums, countsMemory } from "../../caching/counts.ts";
import type { CacheOperations } from "../../caching/operating.ts";
import type { CacheConfig } from "../../caching/options.ts";
import type { AppLog } from "../app-log.ts";
import { type CacheAnswer, type CacheControl, type CacheStatus, type PurgeWish, ratiosOf } from "./control.ts";
import { cacheFolder } from "./folder.ts";
import type { CacheHandout } from "./handout.ts";
import { purgePatternsOf } from "./purge-pattern.ts";

/** The keeper of one cache: its books, what is being fetched, and the ways to the threads. */
export interface CacheKeeper extends CacheOperations {
  /** For a thread that counts in this column. */
  handOut(config: CacheConfig, counts: SharedArrayBuffer, column: number): CacheHandout;
  /** Threads that have a way to it. */
  readonly threads: number;
  /** Called when a thread has let go, or has ended. */
  onThreadGone: () => void;
  /** Other limits, which apply from now on. */
  change(config: CacheConfig): void;
  /** What is under way is written. Never rejects. */
  close(): Promise<void>;
}

/** Rejects with a SetupError when this machine cannot give it. */
export type OpenKeeper = (config: CacheConfig, folder: string, log: AppLog) => Promise<CacheKeeper>;

interface Kept {
  readonly config: CacheConfig;
  readonly folder: string;
  readonly keeper: CacheKeeper;
  readonly counts: SharedArrayBuffer;
  readonly sums: CacheCountSums;
}

/** The caches of one configuration, and what was opened for it. */
export interface KeeperPlan {
  readonly caches: readonly Kept[];
  readonly opened: readonly Kept[];
}

export class CacheKeepers implements CacheControl {
  readonly #open: OpenKeeper;
  readonly #columns: number;
  readonly #log: AppLog;
  #current: readonly Kept[] = [];
  /** No configuration has them any more, and threads still do; or they are being closed. By folder. */
  readonly #leaving = new Map<string, { readonly kept: Kept; closing: Promise<void> | null }>();

  constructor(open: OpenKeeper, columns: number, log: AppLog) {
    this.#open = open;
    this.#columns = columns;
    this.#log = log;
  }

  /** Rejects with a SetupError, and then nothing new is open. */
  async plan(configs: readonly CacheConfig[]): Promise<KeeperPlan> {
    const caches: Kept[] = [];
    const opened: Kept[] = [];
    try {
      for (const config of configs) {
        const folder = cacheFolder(config);
        const existing = this.#current.find((kept) => kept.folder === folder) ?? (await this.#returning(folder));
        const kept = existing === undefined ? await this.#openAt(config, folder) : { ...existing, config };
        if (existing === undefined) opened.push(kept);
        caches.push(kept);
      }
    } catch (error) {
      await Promise.all(opened.map(({ keeper }) => keeper.close()));
      throw error;
    }
    return { caches, opened };
  }

  /** From now on these are the caches. */
  keep({ caches }: KeeperPlan): void {
    for (const kept of this.#current) {
      if (!caches.some(({ keeper }) => keeper === kept.keeper)) this.#leave(kept);
    }
    for (const { keeper, config, folder } of caches) {
      this.#leaving.delete(folder);
      keeper.onThreadGone = () => {};
      keeper.change(config);
    }
    this.#current = caches;
  }

  /** A plan that is not to be. */
  async forget({ opened }: KeeperPlan): Promise<void> {
    await Promise.all(opened.map(({ keeper }) => keeper.close()));
  }

  /** What a thread needs of them, with ways of its own to their keepers. */
  handouts({ caches }: Pick<KeeperPlan, "caches">, column: number): readonly CacheHandout[] {
    return caches.map(({ keeper, config, counts }) => keeper.handOut(config, counts, column));
  }

  /** The same of those in use. */
  currentHandouts(column: number): readonly CacheHandout[] {
    return this.handouts({ caches: this.#current }, column);
  }

  /** The thread of this column is gone. */
  closeColumn(column: number): void {
    for (const { sums } of this.#all()) sums.closeColumn(column);
  }

  /** Closes all of them. When it resolves, no file is open. */
  async close(): Promise<void> {
    const leaving = [...this.#leaving.values()].map(({ kept, closing }) => closing ?? kept.keeper.close());
    await Promise.all([...leaving, ...this.#current.map(({ keeper }) => keeper.close())]);
    this.#leaving.clear();
    this.#current = [];
  }

  stats(): readonly CacheStatus[] {
    return this.#current.map(({ config, folder, keeper, sums }) => {
      const served = sums.read();
      const { name, bytesMax } = config;
      return { name, directory: folder, bytesMax, ...keeper.stats(), served, ...ratiosOf(served) };
    });
  }

  list(cache: string | null, query: Parameters<CacheOperations["list"]>[0]): ReturnType<CacheControl["list"]> {
    return this.#each(cache, (keeper) => keeper.list(query));
  }

  async purge(cache: string | null, { kind, text }: PurgeWish, isSoft: boolean): ReturnType<CacheControl["purge"]> {
    const read = purgePatternsOf(kind, text);
    if (!read.ok) return { ok: false, why: "no pattern", reason: read.reason };
    return this.#each(cache, async (keeper) => {
      const purges = read.patterns.map((pattern) => keeper.purge(pattern, { soft: isSoft }));
      const outcomes = await Promise.all(purges);
      return { entries: outcomes.reduce((sum, { entries }) => sum + entries, 0) };
    });
  }

  verify(cache: string | null): ReturnType<CacheControl["verify"]> {
    return this.#each(cache, (keeper) => keeper.verify());
  }

  async #each<T extends object>(
    cache: string | null,
    ask: (keeper: CacheKeeper) => Promise<T>,
  ): Promise<CacheAnswer<T>> {
    const meant = cache === null ? this.#current : this.#current.filter(({ config }) => config.name === cache);
    if (meant.length === 0) {
      const names = this.#current.map(({ config }) => config.name).join(", ");
      const reason =
        names === ""
          ? "the configuration has no cache"
          : `no cache has the name ${JSON.stringify(cache)}; there is ${names}`;
      return { ok: false, why: "no such cache", reason };
    }
    // All at once: a purge is in force in each as soon as it is asked.
    const answers = meant.map(async ({ config, keeper }) => ({ name: config.name, ...(await ask(keeper)) }));
    return { ok: true, caches: await Promise.all(answers) };
  }

  async #openAt(config: CacheConfig, folder: string): Promise<Kept> {
    const keeper = await this.#open(config, folder, this.#log);
    const counts = countsMemory(this.#columns);
    return { config, folder, keeper, counts, sums: new CacheCountSums(counts) };
  }

  /** One that was leaving and is wanted again: as it is, or when it has been closed, not at all. */
  async #returning(folder: string): Promise<Kept | undefined> {
    const leaving = this.#leaving.get(folder);
    if (leaving === undefined) return undefined;
    if (leaving.closing === null) return leaving.kept;
    await leaving.closing;
    return undefined;
  }

  #leave(kept: Kept): void {
    const { folder, keeper } = kept;
    const leaving = { kept, closing: null as Promise<void> | null };
    this.#leaving.set(folder, leaving);
    const closeWhenAlone = (): void => {
      if (keeper.threads > 0 || leaving.closing !== null) return;
      leaving.closing = keeper.close().then(() => {
        if (this.#leaving.get(folder) === leaving) this.#leaving.delete(folder);
      });
    };
    keeper.onThreadGone = closeWhenAlone;
    closeWhenAlone();
  }

  #all(): readonly Kept[] {
    return [...this.#current, ...[...this.#leaving.values()].map(({ kept }) => kept)];
  }
}
