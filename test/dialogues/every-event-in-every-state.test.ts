// Stories made by chance: a request of some kind, features that hold it somewhere, and events at any moment, also those that
// nobody would plan. Whatever happens, each exchange ends once, and in the end nothing is left: no connection, no deadline, no
// request in a queue, no memory of fields, and none of that memory given back twice.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ProxyError } from "../../src/core/errors.ts";
import { acquireStorage, FieldStorage, pooledStorages, releaseStorage } from "../../src/core/fields.ts";
import { BODY_UNTIL_END } from "../../src/core/message.ts";
import { type BodySink, type BodySource, PassThrough } from "../../src/pipeline/body.ts";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import type { Feature } from "../../src/pipeline/phases.ts";
import { type Peer, SeededRandom } from "../../src/testing/index.ts";
import { replayHint, seed } from "../support/seed.ts";
import { createStage, type Stage } from "../support/stage.ts";

const STORIES = 500;

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const UPGRADE = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

/** What the client sends first. */
const REQUESTS = {
  get: GET,
  old: "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
  head: "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
  unfinished: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234",
  put: "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789",
  long: `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n${"z".repeat(20_000)}`,
  longPut: `PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n${"z".repeat(100_000)}`,
  longUnsent: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n",
  chunked: "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
  trailers:
    "PUT / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n",
  broken: "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n",
  expecting: "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n",
  upgrade: `${UPGRADE}early`,
  pipelined: GET.repeat(6),
  invalid: "GET / HTTP/1.1\r\nHost: a\r\nBad Field: 1\r\n\r\n",
  beginning: "GET / HTTP/1.1\r\nHo",
} as const;

/** What the origin sends, piece by piece, and then from the beginning. */
const ANSWERS: readonly (readonly string[])[] = [
  ["HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab", "cd"],
  ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", "2\r\ncd\r\n0\r\nX-T: 2\r\n\r\n"],
  ["HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n"],
  ["HTTP/1.0 200 OK\r\n\r\nab", "cd"],
  [`HTTP/1.0 200 OK\r\n\r\n${"x".repeat(10_000)}`, "y".repeat(200_000)],
  ["HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nab", "cd"],
  ["HTTP/1.1 200", " OK\r\nContent-Length: 0\r\n\r\n"],
  ["HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"],
  [`HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n${"x".repeat(300_000)}`, "y".repeat(100_000)],
];

const HOOKS_THAT_WAIT = ["request", "selectUpstream", "upstreamRequest", "upstreamResponse", "response"] as const;

/** Passes everything on when the story says so. */
class Late extends PassThrough {
  readonly #later: (act: () => void) => void;

  constructor(next: BodySink, source: BodySource, later: (act: () => void) => void) {
    super(next, source);
    this.#later = later;
  }

  override write(bytes: Buffer, start: number, end: number): void {
    const copy = Buffer.from(bytes.subarray(start, end));
    this.#later(() => this.next.write(copy, 0, copy.length));
  }

  override end(): void {
    this.#later(() => this.next.end());
  }
}

interface Waiting {
  resolve(): void;
  reject(error: Error): void;
}

class Story {
  readonly #random: SeededRandom;
  readonly #stage: Stage;
  readonly #client: Peer;
  readonly #other: Peer | null;
  readonly #servers: Peer[] = [];
  readonly #isLong: boolean;
  readonly #answer: readonly string[];
  #answered = 0;
  #waiting: Waiting[] = [];
  #late: (() => void)[] = [];
  /** How often each exchange was logged. */
  readonly #logged = new Map<Exchange, number>();
  readonly #faults: string[] = [];
  #last: Exchange | null = null;
  /** What happened, for the message of a failure. */
  readonly told: string[] = [];

  get splicedBytes(): number {
    return this.#stage.network.splicedBytes;
  }

  constructor(random: SeededRandom) {
    this.#random = random;
    const kind = random.pick(Object.keys(REQUESTS) as (keyof typeof REQUESTS)[]);
    this.#isLong = kind.startsWith("long");
    const waits = random.chance(0.8) ? random.pick([...HOOKS_THAT_WAIT]) : null;
    const transforms = random.pick(["none", "none", "at once", "late"] as const);
    const byHandler = random.chance(0.1);
    const connectionsMax = random.pick([null, 1]);
    this.#answer = random.pick([...ANSWERS]);
    this.told.push(`${kind}; waits: ${waits}; transforms: ${transforms}; answers: ${this.#answer[0]?.slice(0, 40)}`);
    this.#stage = createStage({
      use: [this.#watching(), this.#transforming(transforms), waits === null ? { name: "idle" } : this.#holding(waits)],
      ...(byHandler ? { handler: (exchange: Exchange) => this.#respond(exchange) } : {}),
      halfClose: random.chance(0.3),
      pool: { connectionsMax },
      upstreamUse: { host: random.pick(["preserve", "upstream"] as const) },
      network: {
        kernelBufferBytes: random.pick([4_096, 65_536, 400_000]),
        latencyMs: random.pick([0, 0, 10]),
        splices: random.chance(0.7),
        ...(random.chance(0.4) ? { random, fragmentation: "random" } : {}),
      },
    });
    this.#other = random.chance(0.3) ? this.#stage.client().sends(GET) : null;
    this.#client = this.#stage.client().sends(REQUESTS[kind]);
  }

  #watching(): Feature {
    return {
      name: "watching",
      request: (exchange) => {
        this.#last = exchange;
        this.#logged.set(exchange, 0);
      },
      log: (exchange) => {
        if (this.#logged.has(exchange)) this.#logged.set(exchange, this.#logged.get(exchange)! + 1);
        if (this.told.includes("hooks fail")) return;
        const fault = exchange.error?.type === "proxy_internal_error" ? exchange.error : null;
        if (fault !== null) this.#faults.push(`a fault of our own: ${fault.stack}`);
      },
    };
  }

  #transforming(how: "none" | "at once" | "late"): Feature {
    if (how === "none") return { name: "none" };
    const make = (_exchange: Exchange, next: BodySink, source: BodySource) =>
      how === "late" ? new Late(next, source, (act) => this.#late.push(act)) : new PassThrough(next, source);
    return {
      name: how,
      request: ({ request }) => {
        if (request.bodyBytes !== 0) request.bodyBytes = BODY_UNTIL_END;
      },
      requestBody: make,
      upstreamResponseBody: make,
      responseBody: make,
    };
  }

  #holding(phase: (typeof HOOKS_THAT_WAIT)[number]): Feature {
    return {
      name: "holding",
      [phase]: () => {
        const { promise, resolve, reject } = Promise.withResolvers<void>();
        this.#waiting.push({ resolve, reject });
        return promise;
      },
    };
  }

  #respond(exchange: Exchange): void {
    const body = (sink: BodySink) => {
      this.#late.push(() => {
        sink.write(Buffer.from("abc"), 0, 3);
        sink.end();
      });
      return { pause() {}, resume() {} };
    };
    exchange.respond({ status: 200, body: this.#random.chance(0.5) ? body : "x".repeat(300_000) });
  }

  /** The usual course of things, so that the late states are reached too. */
  readonly #usual: Readonly<Record<string, () => void>> = {
    "the server answers": () => {
      const server = this.#servers.at(-1);
      if (server === undefined) return;
      server.sends(this.#answer[this.#answered % this.#answer.length]!);
      this.#answered++;
    },
    "hooks go on": () => {
      for (const { resolve } of this.#waiting.splice(0)) resolve();
    },
    "transforms go on": () => {
      for (const act of this.#late.splice(0)) act();
    },
    "the client goes on": () => {
      if (this.#isLong) this.#client.sends("z".repeat(90_000));
    },
    nothing: () => {},
  };

  readonly #unusual: Readonly<Record<string, () => void>> = {
    "the client closes": () => void this.#client.closes(),
    "the client resets": () => void this.#client.resets(),
    "the client ends": () => void this.#client.ends(),
    "the client sends": () => void this.#client.sends("56789\r\n0\r\n\r\n"),
    "the client stops reading": () => void this.#client.stopsReading(),
    "the client reads on": () => void this.#client.readsOn(),
    "the server closes": () => void this.#servers.at(-1)?.closes(),
    "the server resets": () => void this.#servers.at(-1)?.resets(),
    "the server ends": () => void this.#servers.at(-1)?.ends(),
    "the server stops reading": () => void this.#servers.at(-1)?.stopsReading(),
    "the server reads on": () => void this.#servers.at(-1)?.readsOn(),
    "the server speaks unasked": () => void this.#servers.at(-1)?.sends("HTTP/1.1 408 Timeout\r\n\r\n"),
    "hooks fail": () => {
      for (const { reject } of this.#waiting.splice(0)) reject(new Error("a hook that fails"));
    },
    "somebody answers": () => void this.#last?.respond({ status: 202, body: "from nowhere" }),
    "somebody fails": () => void this.#last?.fail(new ProxyError("http_request_denied", "from nowhere")),
    "the proxy drains": () => this.#stage.driver.drain(),
    "the proxy closes its clients": () => this.#stage.driver.destroy(),
    "the pool closes": () => this.#stage.pool.close(),
    "the pool is destroyed": () => this.#stage.pool.destroy(),
    "nobody can connect": () => this.#stage.network.failDials("origin:80"),
    "six seconds pass": () => this.#stage.network.advance(6_000),
    "a minute passes": () => this.#stage.network.advance(61_000),
  };

  async play(): Promise<void> {
    const steps = this.#random.between(3, 12);
    for (let step = 0; step < steps; step++) {
      const events = this.#random.chance(0.6) ? this.#usual : this.#unusual;
      const name = this.#random.pick(Object.keys(events));
      this.told.push(name);
      this.#moveOn();
      events[name]!();
      await this.#settle();
    }
    await this.#letEnd();
    assert.deepEqual(this.#left(), []);
  }

  /** Sometimes what follows from an event has not happened yet when the next one comes. */
  #moveOn(): void {
    if (this.#random.chance(0.8)) this.#stage.network.advance(this.#random.pick([0, 0, 30]));
    while (this.#servers.length < this.#stage.origin.acceptedCount) this.#servers.push(this.#stage.origin.accepts());
  }

  async #settle(): Promise<void> {
    if (this.#random.chance(0.8)) await this.#stage.network.settle();
  }

  /** Nobody begins anything any more, everything that waits goes on, and time passes until all deadlines have come. */
  async #letEnd(): Promise<void> {
    this.#other?.readsOn();
    for (let round = 0; round < 40; round++) {
      this.#client.readsOn();
      this.#moveOn();
      for (const server of this.#servers) server.readsOn();
      this.#usual["hooks go on"]!();
      await this.#stage.network.settle();
      this.#usual["transforms go on"]!();
      this.#stage.network.advance(100_000);
    }
    this.#stage.pool.close();
    this.#stage.network.runUntilIdle();
    await this.#stage.network.settle();
  }

  #left(): string[] {
    const { driver, pool, deadlines } = this.#stage;
    const left: string[] = [...this.#faults];
    if (driver.size > 0) left.push(`${driver.size} client connections`);
    if (pool.connections > 0) left.push(`${pool.connections} upstream connections`);
    if (pool.waiting > 0) left.push(`${pool.waiting} requests that wait for a connection`);
    if (deadlines.size > 0) left.push(`${deadlines.size} deadlines`);
    for (const times of this.#logged.values()) if (times !== 1) left.push(`an exchange that was logged ${times} times`);
    return left;
  }
}

/** What is in the pool of storages, each once. */
function storagesInPool(): Set<FieldStorage> {
  const storages: FieldStorage[] = [];
  while (pooledStorages() > 0) storages.push(acquireStorage());
  const different = new Set(storages);
  for (const storage of different) releaseStorage(storage);
  assert.equal(different.size, storages.length, "the same memory was given back twice");
  return different;
}

describe("every event in every state", () => {
  it("ends each exchange once, and leaves nothing behind", async () => {
    // Enough that no story makes new ones: then every one of them must be back.
    for (let i = 0; i < 30; i++) releaseStorage(new FieldStorage());
    const before = storagesInPool().size;
    let splicedBytes = 0;
    for (let index = 0; index < STORIES; index++) {
      const story = new Story(new SeededRandom(seed + index));
      try {
        await story.play();
        assert.ok(storagesInPool().size >= before, "memory of fields was not given back");
        splicedBytes += story.splicedBytes;
      } catch (error) {
        const told = `story ${index} (${replayHint}): ${story.told.join(", ")}`;
        throw new Error(`${told}: ${error instanceof Error ? error.message : error}`, { cause: error });
      }
    }
    assert.ok(splicedBytes > 0, `no story has spliced anything (${replayHint})`);
  });
});
