/**
 * The caches that one thread uses, through reloads: what it has already stays open, what is new is opened, what goes is closed a
 * little later, when the exchanges that began with it had their time.
 *
 * Plan first, then keep or forget the plan.
 */
import type { Cache } from "../../caching/cache.ts";
import type { CacheConfig } from "../../caching/options.ts";
import { canonicalJson } from "../../config/canonical.ts";
import type { Clock } from "../../core/ports.ts";
import type { StoreFacts } from "../../features/kisscache/status.ts";
import { cacheFolder } from "./folder.ts";
import type { CacheHandout } from "./handout.ts";

/** One cache as a thread has it open. */
export interface OpenCache {
  readonly cache: Cache;
  /** How full it is, and what became of requests: of all threads, as far as they are there still. */
  facts(): Omit<StoreFacts, "bytesMax">;
  /** Nothing is under way. */
  readonly isIdle: boolean;
  /** Ends what is under way, and the way to the keeper. */
  close(): Promise<void>;
}

export type OpenThreadCache = (handout: CacheHandout) => Promise<OpenCache>;

/** Where the thread gets from what it does not have. */
export interface CacheSupply {
  /** Rejects with a SetupError. */
  plan(configs: readonly CacheConfig[]): Promise<CacheSupplies>;
  close(): Promise<void>;
}

export interface CacheSupplies {
  /** Of the caches of the configuration; those that the thread has may be left out. */
  readonly handouts: readonly CacheHandout[];
  keep(): void;
  forget(): Promise<void>;
}

interface Held {
  readonly folder: string;
  /** Equal texts, equal caches for this thread. What else a configuration says of it is the keeper's business. */
  readonly identity: string;
  readonly open: OpenCache;
}

/** The caches of one configuration. */
export interface ThreadCachePlan {
  of(name: string): Cache;
  factsOf(name: string): StoreFacts;
  readonly held: readonly Held[];
  readonly opened: readonly Held[];
  readonly supplies: CacheSupplies;
}

export class ThreadCaches {
  readonly #open: OpenThreadCache;
  readonly #supply: CacheSupply;
  readonly #clock: Clock;
  readonly #onFault: (fault: Error) => void;
  readonly #retiring = new Set<OpenCache>();
  #current: readonly Held[] = [];

  constructor(open: OpenThreadCache, supply: CacheSupply, clock: Clock, onFault: (fault: Error) => void) {
    this.#open = open;
    this.#supply = supply;
    this.#clock = clock;
    this.#onFault = onFault;
  }

  /** Rejects as the supply does, or as `open` does; then nothing new is open. */
  async plan(configs: readonly CacheConfig[]): Promise<ThreadCachePlan> {
    const supplies = await this.#supply.plan(configs);
    const { handouts } = supplies;
    const held: Held[] = [];
    const opened: Held[] = [];
    try {
      for (const config of configs) {
        const identity = identityOf(config);
        const existing = this.#current.find((one) => one.identity === identity);
        if (existing === undefined) opened.push(await this.#openOne(config, handouts));
        held.push(existing ?? opened.at(-1)!);
      }
    } catch (error) {
      await Promise.all(opened.map(({ open }) => this.#close(open)));
      await supplies.forget();
      throw error;
    } finally {
      // Of those that the thread has already.
      for (const handout of handouts) if (!opened.some(({ folder }) => folder === handout.folder)) handout.port.close();
    }
    const indexOf = (name: string): number => configs.findIndex((config) => config.name === name);
    const of = (name: string): Cache => held[indexOf(name)]!.open.cache;
    const factsOf = (name: string): StoreFacts => {
      const index = indexOf(name);
      return { ...held[index]!.open.facts(), bytesMax: configs[index]!.bytesMax };
    };
    return { of, factsOf, held, opened, supplies };
  }

  /** From now on these are the caches; those that go are closed after `retirementMs`, or when nothing is under way there. */
  keep({ held, supplies }: ThreadCachePlan, retirementMs: number): void {
    for (const { open } of this.#current) {
      if (!held.some((one) => one.open === open)) this.#retire(open, retirementMs);
    }
    this.#current = held;
    supplies.keep();
  }

  /** A plan that is not to be. */
  async forget({ opened, supplies }: ThreadCachePlan): Promise<void> {
    await Promise.all(opened.map(({ open }) => this.#close(open)));
    await supplies.forget();
  }

  /** Closes all of them at once, and then the supply. */
  async close(): Promise<void> {
    const all = [...this.#retiring, ...this.#current.map(({ open }) => open)];
    this.#retiring.clear();
    this.#current = [];
    await Promise.all(all.map((open) => this.#close(open)));
    await this.#supply.close();
  }

  async #openOne(config: CacheConfig, handouts: readonly CacheHandout[]): Promise<Held> {
    const folder = cacheFolder(config);
    const handout = handouts.find((one) => one.folder === folder);
    if (handout === undefined) throw new Error(`nobody keeps the cache ${config.name}`);
    return { folder, identity: identityOf(config), open: await this.#open(handout) };
  }

  #retire(open: OpenCache, ms: number): void {
    this.#retiring.add(open);
    this.#clock.after(ms, () => {
      if (!this.#retiring.delete(open)) return;
      // A download that was begun is not cut: it may be long.
      if (open.isIdle) void this.#close(open);
      else this.#retire(open, ms);
    });
  }

  #close(open: OpenCache): Promise<void> {
    return open.close().catch((error: unknown) => this.#onFault(error as Error));
  }
}

function identityOf(config: CacheConfig): string {
  const { name, hotBytesMax, objectBytesMax } = config;
  return canonicalJson([cacheFolder(config), name, hotBytesMax, objectBytesMax]);
}
