/**
 * The caches that one thread uses, through reloads: what it has already stays open, what is new is opened, what goes is closed a
 * little later, when the exchanges that began with it had their time.
 *
 * Plan first, then keep or forget the plan.
 */
import type { Cache } from "../../caching/cache.ts";
import type { CacheConfig } from "../../caching/options.ts";
import type { Clock } from "../../core/ports.ts";
import { cacheFolder } from "./folder.ts";
import type { CacheHandout } from "./handout.ts";

/** One cache as a thread has it open. */
export interface OpenCache {
  readonly cache: Cache;
  /** Other limits. */
  change(config: CacheConfig): void;
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
  readonly name: string;
  readonly open: OpenCache;
}

/** The caches of one configuration. */
export interface ThreadCachePlan {
  of(name: string): Cache;
  readonly held: readonly Held[];
  readonly configs: readonly CacheConfig[];
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
        const folder = cacheFolder(config);
        const { name } = config;
        const existing = this.#current.find((one) => one.folder === folder && one.name === name);
        if (existing === undefined) opened.push(await this.#openOne(folder, name, handouts));
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
    const of = (name: string): Cache => held.find((one) => one.name === name)!.open.cache;
    return { of, held, configs, opened, supplies };
  }

  /** From now on these are the caches; those that go are closed after `retirementMs`. */
  keep({ held, configs, supplies }: ThreadCachePlan, retirementMs: number): void {
    for (const { open } of this.#current) {
      if (!held.some((one) => one.open === open)) this.#retire(open, retirementMs);
    }
    for (const [index, { open }] of held.entries()) open.change(configs[index]!);
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

  async #openOne(folder: string, name: string, handouts: readonly CacheHandout[]): Promise<Held> {
    const handout = handouts.find((one) => one.folder === folder);
    if (handout === undefined) throw new Error(`nobody keeps the cache ${name}`);
    return { folder, name, open: await this.#open(handout) };
  }

  #retire(open: OpenCache, ms: number): void {
    this.#retiring.add(open);
    this.#clock.after(ms, () => {
      if (this.#retiring.delete(open)) void this.#close(open);
    });
  }

  #close(open: OpenCache): Promise<void> {
    return open.close().catch((error: unknown) => this.#onFault(error as Error));
  }
}
