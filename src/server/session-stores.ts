/**
 * The session stores, through reloads: what is configured as before is the same store, with its connections and what it keeps
 * in memory; what is not is opened anew, and the old one is closed a little later.
 *
 * Plan first, then keep or forget the plan. A plan opens what is on this machine, so that a folder that cannot be written to is
 * a mistake of the configuration; connections are made by `start`, since a server that is away must not keep us from starting.
 */
import { canonicalJson } from "../config/canonical.ts";
import type { Clock, SessionStore } from "../core/ports.ts";
import type { StoreConfig } from "../identity/stores/options.ts";
import type { DialFiles, TlsFiles } from "./tls-files.ts";

/** An exchange that began with the old configuration may still ask the old store for so long. */
const RETIREMENT_MS = 30_000;

export interface OpenedStore {
  readonly store: SessionStore;
  /** Connects, where there is something to connect to. May be called again. */
  start(): void;
}

/** Rejects with a SetupError when this machine cannot give it. `files` are those of its TLS options. */
export type OpenStore = (config: StoreConfig, files: DialFiles) => Promise<OpenedStore>;

interface PlannedStore {
  /** Equal texts, equal stores; the contents of files included. */
  readonly identity: string;
  readonly opened: OpenedStore;
}

/** The stores of one configuration, by name. */
export type StorePlan = ReadonlyMap<string, PlannedStore>;

export class SessionStores {
  readonly #open: OpenStore;
  readonly #clock: Clock;
  /** Who is told of a store that cannot be closed. */
  readonly #onFault: (fault: Error) => void;
  readonly #retiring = new Set<SessionStore>();
  #current: StorePlan = new Map();

  constructor(open: OpenStore, clock: Clock, onFault: (fault: Error) => void) {
    this.#open = open;
    this.#clock = clock;
    this.#onFault = onFault;
  }

  /** Stores that are there already, and new ones where there are none like them. Rejects as `open` does. */
  async plan(stores: readonly StoreConfig[], files: TlsFiles): Promise<StorePlan> {
    const plan = new Map<string, PlannedStore>();
    try {
      for (const config of stores) {
        const storeFiles = files.forUpstream(config.kind === "redis" && config.tls !== null ? config.tls : NO_FILES);
        const identity = canonicalJson({ config, files: storeFiles });
        const existing = this.#current.get(config.name);
        const isSame = existing?.identity === identity;
        plan.set(config.name, isSame ? existing : { identity, opened: await this.#open(config, storeFiles) });
      }
    } catch (error) {
      this.forget(plan);
      throw error;
    }
    return plan;
  }

  /** From now on these are the stores. */
  keep(plan: StorePlan): void {
    for (const [name, { opened }] of this.#current) {
      if (plan.get(name)?.opened !== opened) this.#retire(opened.store);
    }
    this.#current = plan;
  }

  /** A plan that is not to be. */
  forget(plan: StorePlan): void {
    for (const [name, { opened }] of plan) {
      if (this.#current.get(name)?.opened !== opened) this.#close(opened.store);
    }
  }

  /** Connects those that are not connected yet. */
  start(): void {
    for (const { opened } of this.#current.values()) opened.start();
  }

  /** Closes all of them at once. */
  async close(): Promise<void> {
    const stores = [...this.#retiring, ...[...this.#current.values()].map(({ opened }) => opened.store)];
    this.#retiring.clear();
    this.#current = new Map();
    await Promise.all(stores.map((store) => this.#close(store)));
  }

  #retire(store: SessionStore): void {
    this.#retiring.add(store);
    this.#clock.after(RETIREMENT_MS, () => {
      if (this.#retiring.delete(store)) this.#close(store);
    });
  }

  #close(store: SessionStore): Promise<void> {
    return store.close().catch((error: unknown) => this.#onFault(error as Error));
  }
}

const NO_FILES = { ca: null, cert: null, key: null };
