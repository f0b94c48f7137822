// Very many requests through a proxy in this process, between clients that leave and an origin that fails, both in a thread of
// their own. Afterwards everything is counted: what clients received, connections, deadlines, field storages, timers; and the
// heap, as often as a tenth of the requests is done.

import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Worker } from "node:worker_threads";
import { acquireStorage, pooledStorages, releaseStorage } from "../../src/core/fields.ts";
import { deadlines } from "../../src/server/surroundings.ts";
import type { UpstreamPool } from "../../src/upstreams/pool.ts";
import { ProxyUnderTest } from "./proxy-under-test.ts";
import { replayHint, seed } from "./seed.ts";
import type { LoadOptions, LoadOrder, LoadReport, LoadTally } from "./soak-load.ts";
import { untilTrue } from "./soak-wait.ts";

export interface EnduranceOptions {
  readonly requests: number;
  /** Done before, and not measured: until then the heap grows by what is compiled and cached. */
  readonly warmUpRequests: number;
  /** Of the heap behind a forced collection, in bytes for each request. */
  readonly slopeMax: number;
}

const CLIENTS = 64;
const ABORT_SHARE = 0.01;
const SAMPLES = 10;
/** More than 64 clients can have in use, and all that the pool of storages keeps: a storage that is lost is missed. */
const STORAGES = 256;
/** Outside of the heap: a read buffer for each upstream connection, and their number is chance; slabs of writes. */
const EXTERNAL_GROWTH_MAX = 4 * 1024 * 1024;
/** Nobody listens there, and nobody but root could. */
const REFUSING = "http://127.0.0.1:1";

function configFor(originPort: number) {
  return {
    upstreams: {
      flaky: {
        servers: [{ url: `http://127.0.0.1:${originPort}`, weight: 9 }, REFUSING],
        balance: "random",
        timeouts: { response: "1s" },
      },
      refusing: { servers: [REFUSING] },
    },
    servers: {
      web: {
        listen: "127.0.0.1:0",
        routes: [
          { match: { path: "/refused/*" }, proxy: "refusing" },
          { match: { path: "/compressed/*" }, use: [{ compress: true }], proxy: "flaky" },
          { proxy: "flaky" },
        ],
      },
    },
  };
}

/** The thread of the clients and the origin. */
class LoadThread {
  readonly #worker: Worker;
  #answer = Promise.withResolvers<LoadReport>();

  constructor(options: LoadOptions) {
    this.#worker = new Worker(new URL("./soak-load.ts", import.meta.url), { workerData: options });
    this.#worker.on("message", (report: LoadReport) => this.#answer.resolve(report));
    this.#worker.on("error", (error) => this.#answer.reject(error));
  }

  async #report(): Promise<LoadReport> {
    const report = await this.#answer.promise;
    this.#answer = Promise.withResolvers();
    return report;
  }

  async originPort(): Promise<number> {
    return ((await this.#report()) as { originPort: number }).originPort;
  }

  async do(order: LoadOrder): Promise<LoadTally> {
    this.#worker.postMessage(order);
    return ((await this.#report()) as { tally: LoadTally }).tally;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker.terminate();
  }
}

/** What reaches nobody: each of these would have ended a process. */
class Uncaught {
  readonly errors: unknown[] = [];
  readonly #note = (error: unknown): void => {
    this.errors.push(error);
  };
  static readonly #EVENTS = ["uncaughtException", "unhandledRejection", "warning"];

  constructor() {
    for (const event of Uncaught.#EVENTS) process.on(event, this.#note);
  }

  [Symbol.dispose](): void {
    for (const event of Uncaught.#EVENTS) process.off(event, this.#note);
  }
}

/** Bytes in use behind a full collection: in the heap, and outside of it, where buffers are. */
interface Memory {
  readonly heap: number;
  readonly external: number;
}

/** Contexts that are made behind the flag have it. */
function collector(): NodeJS.GCFunction {
  setFlagsFromString("--expose-gc");
  return runInNewContext("globalThis.gc") as NodeJS.GCFunction;
}

async function collectedMemory(collect: NodeJS.GCFunction): Promise<Memory> {
  // Finalizers and closed handles let go of the rest a turn later.
  for (let round = 0; round < 3; round++) {
    collect();
    await nextTurn();
  }
  const { used_heap_size: heap, external_memory: external } = getHeapStatistics();
  return { heap, external };
}

/** Of the line through the samples that has the least squares, for one step. */
export function slopeOf(samples: readonly number[]): number {
  const middle = (samples.length - 1) / 2;
  let above = 0;
  let below = 0;
  for (const [index, sample] of samples.entries()) {
    above += (index - middle) * sample;
    below += (index - middle) ** 2;
  }
  return above / below;
}

const kib = (bytes: number) => (bytes / 1024).toFixed(0);
const timersOf = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
const socketsOf = () => process.getActiveResourcesInfo().filter((name) => /TCP/.test(name)).length;

export async function endure(test: TestContext, options: EnduranceOptions): Promise<void> {
  test.diagnostic(replayHint);
  setFlagsFromString("--no-flush-bytecode");
  const collect = collector();
  using uncaught = new Uncaught();
  const storages = Array.from({ length: STORAGES }, () => acquireStorage());
  for (const storage of storages) releaseStorage(storage);
  const timersBefore = timersOf();
  await using load = new LoadThread({ seed, clients: CLIENTS, abortShare: ABORT_SHARE });
  await using proxy = await ProxyUnderTest.start(configFor(await load.originPort()));
  const port = proxy.port("web");

  await load.do({ do: "run", port, requests: options.warmUpRequests });
  const samples: Memory[] = [];
  const share = options.requests / SAMPLES;
  const startedMs = performance.now();
  let tally: LoadTally | null = null;
  for (let sample = 0; sample < SAMPLES; sample++) {
    tally = await load.do({ do: "run", port, requests: share });
    samples.push(await collectedMemory(collect));
  }
  const seconds = (performance.now() - startedMs) / 1000;

  const perRequest = slopeOf(samples.map(({ heap }) => heap)) / share;
  const externalGrowth = samples.at(-1)!.external - samples[0]!.external;
  test.diagnostic(`${Math.round(options.requests / seconds)} requests/s; ${JSON.stringify(tally!.outcomes)}`);
  test.diagnostic(`the origin: ${JSON.stringify(tally!.origin)}; ${tally!.connectionsMade} client connections`);
  const listed = samples.map(({ heap, external }) => `${kib(heap)}+${kib(external)}`).join(", ");
  test.diagnostic(
    `heap: ${perRequest.toFixed(2)} bytes a request; KiB, and outside of it, after each tenth: ${listed}`,
  );
  checkAnswers(tally!, options.requests + options.warmUpRequests);
  await load.do({ do: "end clients" });
  await checkNothingLeft(proxy, timersBefore);
  await load.do({ do: "end origin" });
  assert.deepEqual(uncaught.errors, []);
  // Of these two a server is away all the time, which is told once.
  const told = proxy.logged.map(({ msg }) => msg.replace(/ cannot connect to .*/, ""));
  assert.deepEqual(told.sort(), ["upstream flaky:", "upstream refusing:"]);
  assert.ok(perRequest < options.slopeMax, `the heap grows by ${perRequest} bytes a request: ${listed}`);
  assert.ok(externalGrowth < EXTERNAL_GROWTH_MAX, `buffers grow by ${externalGrowth} bytes: ${listed}`);
}

/** Every answer that looks complete is right, and what clients lost was lost by a fault of the origin. */
function checkAnswers({ outcomes, wrong, origin }: LoadTally, requests: number): void {
  assert.deepEqual(wrong, []);
  const count = (name: string) => outcomes[name] ?? 0;
  const sum = Object.values(outcomes).reduce((total, ended) => total + ended, 0);
  assert.equal(sum, requests);
  const { visible } = origin;
  assert.ok(count("cut") <= visible["a cut answer"], "answers were cut without a fault of the origin");
  const errors = count("an error") + count("cut");
  assert.ok(errors <= visible["an error"] + visible["a cut answer"], "errors without a fault of the origin");
  assert.ok(count("right") > 0.9 * requests, "most answers are right");
  for (const kind of [
    "an error",
    "cut",
    "refused",
    "aborted in the head",
    "aborted in the request",
    "aborted waiting",
  ]) {
    assert.ok(count(kind) > 0, `${kind}: never happened`);
  }
  assert.ok(count("aborted in the answer") > 0, "aborted in the answer: never happened");
}

/** First when every client is gone, then when the proxy is closed. */
async function checkNothingLeft(proxy: ProxyUnderTest, timersBefore: number): Promise<void> {
  const pools = ["flaky", "refusing"].map((name) => proxy.server.upstream(name) as UpstreamPool);
  const total = (count: (pool: UpstreamPool) => number) => pools.reduce((sum, pool) => sum + count(pool), 0);
  const { transport } = proxy.server;
  const connections = () => total((pool) => pool.connections);
  const idle = () => total(({ idleConnections }) => idleConnections);
  const open = () =>
    `${transport.openConnections} connections, ${connections()} to upstreams, ${idle()} of them idle, ${timersOf()} timers`;
  // A client that is gone may be so a moment before what was done for it.
  await untilTrue(() => transport.openConnections === connections() && connections() === idle(), open);
  assert.equal(
    total(({ waiting }) => waiting),
    0,
    "requests wait in a pool",
  );
  assert.equal(deadlines.armedCount, idle(), "a deadline is armed and guards nothing");
  assert.equal(pooledStorages(), STORAGES, "the memory of fields was not given back");

  await proxy.server.close(0);
  await untilTrue(() => transport.openConnections === 0, open);
  assert.equal(connections(), 0);
  assert.equal(deadlines.armedCount, 0);
  assert.equal(deadlines.size, 0, "a deadline is kept in memory");
  // The wheel's own timer ends with its next tick.
  await untilTrue(() => timersOf() <= timersBefore, open);
  assert.equal(socketsOf(), 0, process.getActiveResourcesInfo().join(", "));
}
