/**
 * A worker thread: the entry that the main thread starts. It serves with a proxy of its own, on sockets that it was handed,
 * and does what it is asked, one thing after the other. It handles no signal and writes to no file.
 *
 * A fault that nobody catches ends this thread and no other; before that it hands over what it has logged.
 */
import { BroadcastChannel, parentPort, workerData } from "node:worker_threads";
import type { Config } from "../../config/config.ts";
import { formatProblem } from "../../config/problems.ts";
import { TunnelCounts } from "../../forward/tunnel-counts.ts";
import { UserCounter } from "../../forward/user-counts.ts";
import { FailedAttempts } from "../../identity/failed-attempts.ts";
import { Places } from "../../upstreams/places.ts";
import type { PoolOptions } from "../../upstreams/pool.ts";
import { ServerStates, upstreamKey } from "../../upstreams/server-states.ts";
import { createAppLog } from "../app-log.ts";
import { HandedCaches } from "../caches/supplies.ts";
import { type Prepared, ProxyServer } from "../proxy.ts";
import { SetupError } from "../setup-error.ts";
import { clock } from "../surroundings.ts";
import { AccessBatch } from "./access-batch.ts";
import { BEAT_MS, Counters } from "./counters.ts";
import type {
  Answer,
  ConfigSource,
  FromWorker,
  NotedFiles,
  Questions,
  ToWorker,
  UpstreamBlock,
  WorkerSetup,
} from "./protocol.ts";

/** Of a thread that ends by a fault: the main thread has been told which. */
const STATUS_FAULT = 70;

/** What cannot be done, in lines for the operator. */
class Refusal extends Error {
  readonly lines: readonly string[];

  constructor(lines: readonly string[]) {
    super(lines.join("\n"));
    this.lines = lines;
  }
}

class Worker {
  readonly #setup: WorkerSetup;
  readonly #tell: (message: FromWorker) => void;
  readonly #access: AccessBatch;
  readonly #places = new Map<string, Places>();
  /** Of the upstreams of the configuration; while another one is made ready, of its own as well. */
  readonly #states = new Map<string, ServerStates>();
  readonly #caches = new HandedCaches();
  readonly #channel: BroadcastChannel;
  #proxy: ProxyServer | null = null;
  #prepared: Prepared | null = null;
  /** What is under way. */
  #last: Promise<void> = Promise.resolve();

  constructor(setup: WorkerSetup, tell: (message: FromWorker) => void) {
    this.#setup = setup;
    this.#tell = tell;
    this.#access = new AccessBatch(clock, (text, lines) => tell({ kind: "access", text, lines }));
    this.#channel = new BroadcastChannel(setup.placesChannel);
    // A plugin may end the thread: what was logged before that is not lost.
    process.on("exit", () => this.#access.flushSync());
    this.#channel.onmessage = ({ data }) => this.#places.get(data as string)?.changed();
  }

  receive(message: ToWorker): void {
    if (message.kind === "cut") {
      this.#proxy?.destroy();
      return;
    }
    this.#last = this.#last.then(async () => {
      this.#tell({ kind: "answer", answer: await this.#answer(message) });
      if (message.kind === "drain") process.exit(0);
    });
  }

  /** Says what it dies of, and dies. */
  die(fault: unknown): void {
    const error = fault instanceof Error ? fault : new Error(String(fault));
    this.#tell({ kind: "fault", name: error.name, message: error.message, stack: error.stack ?? "" });
    process.exit(STATUS_FAULT);
  }

  async #answer(message: Exclude<ToWorker, { kind: "cut" }>): Promise<Answer> {
    try {
      return { ok: true, answer: await this.#do(message) };
    } catch (error) {
      if (error instanceof SetupError) return { ok: false, problems: error.problems };
      if (error instanceof Refusal) return { ok: false, lines: error.lines };
      return { ok: false, lines: [error instanceof Error ? error.message : String(error)] };
    }
  }

  async #do(message: Exclude<ToWorker, { kind: "cut" }>): Promise<Questions[typeof message.kind]["answer"]> {
    switch (message.kind) {
      case "start": {
        const { source, upstreams, caches, files } = message.asked;
        this.#addUpstreams(upstreams);
        this.#caches.offer(caches);
        this.#proxy = this.#makeProxy(files);
        await this.#proxy.load(await configOf(source));
        return null;
      }
      case "listen":
        await this.#proxy!.listen(message.asked.sockets);
        return null;
      case "prepare": {
        const { source, sockets, upstreams, caches } = message.asked;
        this.#addUpstreams(upstreams);
        this.#caches.offer(caches);
        const { commit, rollback } = await this.#proxy!.prepare(await configOf(source), sockets);
        this.#prepared = { commit: () => commit().finally(() => this.#keepUpstreams(upstreams)), rollback };
        return null;
      }
      case "commit":
        await this.#prepared?.commit();
        this.#prepared = null;
        return null;
      case "rollback":
        await this.#prepared?.rollback();
        this.#prepared = null;
        return null;
      case "release":
        await this.#proxy?.stopAccepting();
        return null;
      case "drain":
        return { cut: (await this.#proxy?.close(message.asked.ms)) ?? 0 };
    }
  }

  #makeProxy(files: NotedFiles | null): ProxyServer {
    const { id, workers, level, isForPeople, transport, instance, counters, attempts, forward, column, columns } =
      this.#setup;
    const write = (line: string): void => this.#tell({ kind: "log", line });
    const counts = new Counters(counters, column);
    setInterval(() => counts.beat(), BEAT_MS).unref();
    const log = createAppLog({ level, isForPeople, write, ...(workers > 1 && { worker: id }) });
    return new ProxyServer(log, {
      transport,
      ownsThread: true,
      instance,
      ticketSecret: this.#setup.ticketSecret,
      counters: counts,
      attempts: new FailedAttempts(clock, attempts),
      forward: {
        tunnels: new TunnelCounts(forward.tunnels, columns, column),
        users: new UserCounter(forward.users, column),
      },
      openAccessOutput: () => ({ identity: "the main thread", writer: this.#access }),
      places: (options) => sharedOf(options, this.#places),
      states: (options) => sharedOf(options, this.#states),
      caches: this.#caches,
      isQuiet: id > 1,
      files,
      // All of them read the same.
      ...(id === 1 && { noteFiles: (texts: NotedFiles) => this.#tell({ kind: "files", texts }) }),
    });
  }

  #addUpstreams(blocks: readonly UpstreamBlock[]): void {
    const { column, columns } = this.#setup;
    for (const { key, servers, states, places } of blocks) {
      // It may be another memory than the one of this name that was forgotten.
      this.#states.set(key, new ServerStates(states, column));
      if (places === null || this.#places.has(key)) continue;
      const tellOthers = (): void => this.#channel.postMessage(key);
      this.#places.set(key, new Places({ buffer: places, servers, columns, column, tellOthers }));
    }
  }

  #keepUpstreams(blocks: readonly UpstreamBlock[]): void {
    const kept = new Set(blocks.map(({ key }) => key));
    for (const key of this.#states.keys()) if (!kept.has(key)) this.#states.delete(key);
  }
}

function sharedOf<T>(options: PoolOptions, parts: ReadonlyMap<string, T>): T {
  const part = parts.get(upstreamKey(options));
  if (part === undefined) throw new Error(`nobody has made room for what threads share of ${options.name}`);
  return part;
}

async function configOf(source: ConfigSource): Promise<Config> {
  if (source.kind === "data") return source.config;
  // YAML and the schema are needed by nobody else here.
  const { loadProgram } = await import("../../config/load.ts");
  const loaded = await loadProgram(source.file, source.text);
  if (!loaded.ok) throw new Refusal(loaded.problems.map(formatProblem));
  return loaded.config;
}

const port = parentPort;
if (port === null) throw new Error("this is the entry of a worker thread");
const worker = new Worker(workerData as WorkerSetup, (message) => port.postMessage(message));
process.on("uncaughtException", (fault) => worker.die(fault));
process.on("unhandledRejection", (fault) => worker.die(fault));
port.on("message", (message: ToWorker) => worker.receive(message));
