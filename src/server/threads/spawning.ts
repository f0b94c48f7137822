/**
 * Makes worker threads: what each is born with, and what all of them share. A thread that is gone leaves nothing behind here,
 * however it ended.
 */
import { randomUUID } from "node:crypto";
import type { Config } from "../../config/config.ts";
import { clearTunnelColumn, tunnelMemory } from "../../forward/tunnel-counts.ts";
import { type UserReport, UserTotals, userMemory } from "../../forward/user-counts.ts";
import { FailedAttempts } from "../../identity/failed-attempts.ts";
import { CacheKeepers, type KeeperPlan } from "../caches/keepers.ts";
import { openKeeper } from "../caches/open-keeper.ts";
import type { StandardErrorLog } from "../standard-error.ts";
import { clock } from "../surroundings.ts";
import { makeTicketSecret } from "../ticket-keys.ts";
import type { HandedSockets } from "../wanted-listeners.ts";
import { Counters, countersBuffer, type WorkerCounts } from "./counters.ts";
import type { ConfigSource, Load, NotedFiles, WorkerSetup } from "./protocol.ts";
import { UpstreamMemory } from "./upstream-memory.ts";
import { WorkerThread } from "./worker-thread.ts";

/** Generations of workers that may be there at the same time: one that serves, one that starts, the others drain. */
const GENERATIONS_MAX = 4;

/** A configuration, and how it reaches a worker. */
export interface Sourced {
  readonly config: Config;
  readonly source: ConfigSource;
}

/** The same with the caches that were opened for it. */
export interface Loaded extends Sourced {
  readonly caches: Pick<KeeperPlan, "caches">;
}

export interface SpawnOptions {
  readonly workers: number;
  readonly transport: Config["transport"];
  readonly output: StandardErrorLog;
  /** Takes lines of the access log. */
  readonly writeAccess: (text: string, lines: number) => void;
}

export class WorkerSpawner {
  readonly #options: SpawnOptions;
  readonly #columns: number;
  /** Of threads that have ended. */
  readonly #counted = new WeakMap<WorkerThread, WorkerCounts>();
  readonly #freeColumns: number[];
  readonly #counters: SharedArrayBuffer;
  readonly #attempts = new FailedAttempts(clock);
  readonly #forward: WorkerSetup["forward"];
  readonly #users: UserTotals;
  readonly #placesChannel = `headgate places ${randomUUID()}`;
  /** What all workers share about upstreams. */
  readonly upstreams: UpstreamMemory;
  readonly #instance = randomUUID();
  readonly #ticketSecret = makeTicketSecret();
  readonly #starting = new Set<WorkerThread>();
  /** Those that were lost once. */
  readonly #lost: WorkerThread[] = [];
  readonly caches: CacheKeepers;

  constructor(options: SpawnOptions) {
    this.#options = options;
    this.#columns = GENERATIONS_MAX * options.workers;
    this.#freeColumns = Array.from({ length: this.#columns }, (_, column) => column);
    this.#counters = countersBuffer(this.#columns);
    this.#forward = { tunnels: tunnelMemory(this.#columns), users: userMemory(this.#columns) };
    this.#users = new UserTotals(this.#forward.users, this.#columns);
    this.upstreams = new UpstreamMemory(this.#columns, this.#placesChannel);
    this.caches = new CacheKeepers(openKeeper, this.#columns, options.output.log);
  }

  /** How many more threads there may be. */
  get room(): number {
    return this.#freeColumns.length;
  }

  /** Some thread was ended and still runs. */
  get hasLost(): boolean {
    return this.#lost.some(({ isLost }) => isLost);
  }

  /** For this thread alone: its ways to the keepers of caches are its own. */
  loadOf({ config, source, caches }: Loaded, { setup }: WorkerThread): Load {
    return {
      source,
      upstreams: this.upstreams.blocksOf(config),
      caches: this.caches.handouts(caches, setup.column),
    };
  }

  /** What it counts, or had counted when it ended: another thread may have its column by now. */
  countsOf(thread: WorkerThread): WorkerCounts {
    return this.#counted.get(thread) ?? new Counters(this.#counters, thread.setup.column).read();
  }

  beatsOf({ setup }: WorkerThread): number {
    return new Counters(this.#counters, setup.column).beats;
  }

  /** What users of the forward proxy have had since the start, of all workers. */
  get users(): UserReport {
    return this.#users.read();
  }

  /** A worker that is ready to listen. Rejects with a SetupError or a WorkerRefusal, and then the thread is gone. */
  start(id: number, loaded: Loaded): Promise<WorkerThread> {
    return this.#start(id, loaded, null);
  }

  /** The same in the place of one that is gone, which had read these files: those that cannot be used now do not keep it from serving. */
  startAgain(id: number, loaded: Loaded, files: NotedFiles | null): Promise<WorkerThread> {
    return this.#start(id, loaded, files);
  }

  async #start(id: number, loaded: Loaded, files: NotedFiles | null): Promise<WorkerThread> {
    const thread = this.#spawn(id, loaded.config);
    return this.#whenDone(thread, () => thread.ask("start", { ...this.loadOf(loaded, thread), files }));
  }

  /** The same worker, which then serves. Rejects likewise. */
  listen(thread: WorkerThread, sockets: HandedSockets): Promise<WorkerThread> {
    return this.#whenDone(thread, () => thread.ask("listen", { sockets }));
  }

  async #whenDone(thread: WorkerThread, ask: () => Promise<null>): Promise<WorkerThread> {
    this.#starting.add(thread);
    try {
      await ask();
      return thread;
    } catch (error) {
      await thread.terminate();
      throw error;
    } finally {
      this.#starting.delete(thread);
    }
  }

  /** Nobody waits for those that are being started. */
  terminateStarting(): void {
    for (const thread of this.#starting) void thread.terminate();
  }

  close(): void {
    this.upstreams.close();
  }

  #spawn(id: number, { log }: Config): WorkerThread {
    const { workers, transport, output, writeAccess } = this.#options;
    const column = this.#freeColumns.pop();
    if (column === undefined) throw new Error("there is no room for another worker");
    const setup: WorkerSetup = {
      id,
      workers,
      column,
      columns: this.#columns,
      counters: this.#counters,
      attempts: this.#attempts.memory,
      forward: this.#forward,
      placesChannel: this.#placesChannel,
      transport,
      instance: this.#instance,
      ticketSecret: this.#ticketSecret,
      level: log.level,
      isForPeople: output.isForPeople,
    };
    let thread: WorkerThread;
    try {
      thread = new WorkerThread(setup, { log: output.write, access: writeAccess });
    } catch (error) {
      // There is no thread that would give it back when it ends.
      this.#freeColumns.push(column);
      throw error;
    }
    void thread.ended.then(() => {
      if (thread.isLost) this.#lost.push(thread);
      this.upstreams.closeColumn(column);
      const counters = new Counters(this.#counters, column);
      this.#counted.set(thread, counters.read());
      counters.clear();
      clearTunnelColumn(this.#forward.tunnels, column);
      this.#users.closeColumn(column);
      this.caches.closeColumn(column);
      this.#freeColumns.push(column);
    });
    return thread;
  }
}
