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
  /** What is under way is written. Rejects when the disk fails at that. */
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
      await Promise.all(opened.map((kept) => this.#close(kept)));
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
    await Promise.all(opened.map((kept) => this.#close(kept)));
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
    const leaving = [...this.#leaving.values()].map(({ kept, closing }) => closing ?? this.#close(kept));
    await Promise.all([...leaving, ...this.#current.map((kept) => this.#close(kept))]);
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
    const failures: string[] = [];
    const answer = await this.#each(cache, async (keeper, name) => {
      const purges = read.patterns.map((pattern) => keeper.purge(pattern, { soft: isSoft }));
      let entries = 0;
      for (const outcome of await Promise.allSettled(purges)) {
        if (outcome.status === "fulfilled") entries += outcome.value.entries;
        else failures.push(`cache ${name}: ${outcome.reason instanceof Error ? outcome.reason.message : "it failed"}`);
      }
      return { entries };
    });
    if (failures.length > 0) return { ok: false, why: "failed", reason: [...new Set(failures)].join("; ") };
    return answer;
  }

  verify(cache: string | null): ReturnType<CacheControl["verify"]> {
    return this.#each(cache, (keeper) => keeper.verify());
  }

  async #each<T extends object>(
    cache: string | null,
    ask: (keeper: CacheKeeper, name: string) => Promise<T>,
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
    const answers = meant.map(async ({ config, keeper }) => ({
      name: config.name,
      ...(await ask(keeper, config.name)),
    }));
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
      leaving.closing = this.#close(kept).then(() => {
        if (this.#leaving.get(folder) === leaving) this.#leaving.delete(folder);
      });
    };
    keeper.onThreadGone = closeWhenAlone;
    closeWhenAlone();
  }

  /** Never rejects: what could not be written is known to be missing at the next start. */
  async #close({ keeper, config }: Kept): Promise<void> {
    try {
      await keeper.close();
    } catch (error) {
      this.#log.error(
        `cache ${config.name}: ${error instanceof Error ? error.message : "it could not be closed well"}`,
      );
    }
  }

  #all(): readonly Kept[] {
    return [...this.#current, ...[...this.#leaving.values()].map(({ kept }) => kept)];
  }
}
