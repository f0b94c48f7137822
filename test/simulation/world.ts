// One run of the simulation: a proxy on a network without sockets, model clients before it and model origins behind it, and
// chance in everything that a network may do. At the end nothing may be left: no connection, no deadline, no memory.

import assert from "node:assert/strict";
import { DeadlineWheel } from "../../src/core/deadlines.ts";
import { acquireStorage, pooledStorages, releaseStorage } from "../../src/core/fields.ts";
import { QUEUE_HIGH_WATER_BYTES } from "../../src/core/limits.ts";
import type { Connection } from "../../src/core/ports.ts";
import { compileChain } from "../../src/pipeline/chain.ts";
import { Http1Driver } from "../../src/pipeline/drivers/http1.ts";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import { Forks } from "../../src/pipeline/forked.ts";
import type { Feature } from "../../src/pipeline/phases.ts";
import { ViaLines } from "../../src/pipeline/prepare.ts";
import type { Site } from "../../src/pipeline/site.ts";
import { SeededRandom, SimulatedNetwork } from "../../src/testing/index.ts";
import { UpstreamPool } from "../../src/upstreams/pool.ts";
import { answeringFeature, throwingFeature, transformingFeature, waitingFeature } from "./features.ts";
import type { Head } from "./message-reader.ts";
import { ModelClient } from "./model-client.ts";
import { startOrigin } from "./model-origin.ts";
import { type Plan, randomPlan, type Weather } from "./plan.ts";

const CLIENTS_MAX = 6;
const EXCHANGES_PER_CLIENT = 7;
/** The queue of a connection may pass the high-water mark by what is under way when its source is told to pause. */
const QUEUED_BYTES_MAX = QUEUE_HIGH_WATER_BYTES + 3 * 64 * 1024;
/** Storages that are in the pool before a run; as many must be there behind it. */
const STORAGES = 200;
/** Waits and promises of hooks are at most so many steps of the microtask queue. */
const MICROTASKS = 20;

export interface Outcome {
  readonly successes: number;
  readonly failures: number;
  readonly abandoned: number;
  /** Bytes that passed unseen. */
  readonly splicedBytes: number;
}

export class World {
  readonly random: SeededRandom;
  readonly network: SimulatedNetwork;
  readonly host = "site.example";
  readonly weather: Weather;
  /** Requests that their clients have sent whole. */
  readonly sentWhole = new Set<number>();
  /** Answers that the origin, or the proxy itself, has sent whole. */
  readonly answeredWhole = new Set<number>();
  /** Requests that were answered before their body was read. */
  readonly answeredEarly = new Set<number>();
  /** Exchanges whose client has its 101. */
  readonly switched = new Set<number>();

  readonly #plans: Plan[] = [];
  readonly #arrivals = new Map<number, number>();
  readonly #deadlines: DeadlineWheel;
  readonly #servers: readonly string[];
  readonly #pool: UpstreamPool;
  readonly #driver: Http1Driver;
  readonly #accepted: Connection[] = [];
  readonly #hasWaitingHooks: boolean;
  #draining = false;
  #logged = 0;
  #begun = 0;
  #successes = 0;
  #failures = 0;
  #abandoned = 0;

  constructor(seed: number, weather: Weather) {
    const random = new SeededRandom(seed);
    this.random = random;
    this.weather = weather;
    this.network = new SimulatedNetwork({
      random,
      fragmentation: random.pick(["whole", "random", "random"]),
      latencyMs: random.pick([0, 0, 1, 20]),
      kernelBufferBytes: random.pick([1_000, 16_000, 64_000]),
      splices: random.pick([false, true, true, "random"] as const),
    });
    this.#deadlines = new DeadlineWheel(this.network.clock);
    this.#servers = Array.from({ length: random.between(1, 3) }, (_, index) => `origin-${index}:80`);
    for (const server of this.#servers) startOrigin(this, server);
    this.#pool = this.#newPool(this.#servers);
    this.#hasWaitingHooks = weather.featureFaults || random.chance(0.5);
    this.#driver = new Http1Driver(this.#newSite(this.#newFeatures()));
    this.network.listen("proxy", (connection) => {
      this.#accepted.push(connection);
      this.#driver.accept(connection);
    });
  }

  /** True when nobody does anything wrong: then every exchange must succeed. */
  get isCalm(): boolean {
    const { clientFaults, originFaults, featureFaults } = this.weather;
    return !clientFaults && !originFaults && !featureFaults;
  }

  #newPool(servers: readonly string[]): UpstreamPool {
    const { random } = this;
    return new UpstreamPool(
      {
        name: "origins",
        servers: servers.map((authority) => ({
          url: `http://${authority}`,
          scheme: "http" as const,
          host: authority.split(":")[0]!,
          port: 80,
          authority,
          weight: 1,
          tls: null,
        })),
        balance: random.pick(["round-robin", "least-connections", "random", "p2c"]),
        hashBy: { kind: "client" },
        connectTimeoutMs: 3_000,
        idleMs: random.pick([300, 5_000, 60_000]),
        lifetimeMs: random.pick([1_000, 3_600_000]),
        connectionsMax: random.pick([null, null, 1, 3]),
        queueMax: 1000,
        queueTimeoutMs: 600_000,
        retryBudgetShare: 0.2,
        retryBudgetMin: 10,
      },
      { dialer: this.network, clock: this.network.clock, deadlines: this.#deadlines, random },
    );
  }

  #newFeatures(): Feature[] {
    const features: Feature[] = [];
    if (this.#hasWaitingHooks) features.push(waitingFeature(this));
    if (this.random.chance(0.5)) features.push(transformingFeature(this));
    if (this.weather.featureFaults) features.push(throwingFeature(this));
    if (this.random.chance(0.3)) features.push(answeringFeature(this));
    return features;
  }

  #newSite(features: readonly Feature[]): Site {
    const route = {
      name: "web.routes[0]",
      chain: compileChain(features),
      upstream: this.#pool,
      handler: null,
      use: { host: "preserve" as const, responseTimeoutMs: 30_000, bodyTimeoutMs: 60_000, retriesMax: 2 },
      upgrade: ["model"],
      limits: { bodyBytesMax: null, bodyTimeoutMs: 60_000, tunnelIdleMs: 60_000, tunnelLifetimeMs: null },
    };
    return {
      name: "web",
      forward: null,
      router: {
        find: () => {
          this.#begun++;
          return route;
        },
      },
      limits: {
        headBytesMax: 32_768,
        requestLineBytesMax: 16_384,
        fieldsMax: 128,
        headTimeoutMs: 10_000,
        idleTimeoutMs: 75_000,
      },
      halfClose: false,
      trustedProxies: null,
      via: new ViaLines("simulated"),
      observer: { onExchangeEnd: (exchange) => this.#onExchangeEnd(exchange) },
      forks: new Forks(),
      clock: this.network.clock,
      deadlines: this.#deadlines,
    };
  }

  #onExchangeEnd(exchange: Exchange): void {
    this.#logged++;
    assert.ok(exchange.ended && exchange.endedMs >= exchange.startedMs);
    if (!this.weather.featureFaults) assert.notEqual(exchange.error?.type, "proxy_internal_error", "nobody has thrown");
  }

  // --------------------------------------------------------------------------------------- for the two models

  planOf(id: number): Plan {
    const plan = this.#plans[id];
    assert.ok(plan !== undefined, `nobody planned exchange ${id}`);
    return plan;
  }

  countArrival(id: number): number {
    const arrivals = (this.#arrivals.get(id) ?? 0) + 1;
    this.#arrivals.set(id, arrivals);
    return arrivals;
  }

  countSuccess(plan: Plan): void {
    assert.ok(this.answeredWhole.has(plan.id), `answer ${plan.id} ended before it was sent`);
    this.#successes++;
  }

  countFailure(): void {
    this.#failures++;
  }

  countAbandoned(plan: Plan): void {
    assert.ok(!this.isCalm || this.mayStayUnanswered(plan), `request ${plan.id} has no answer`);
    this.#abandoned++;
  }

  /**
   * One of the requests before it, of which three may be under way, has an answer that closes the connection: for a reason
   * that is none of its own.
   */
  mayStayUnanswered(plan: Plan): boolean {
    return [0, 1, 2, 3].some((distance) => {
      const before = this.#plans[plan.id - distance];
      return before !== undefined && this.mayClose(before);
    });
  }

  /** The proxy may close behind the answer although the client did not ask for it. */
  mayClose(plan: Plan): boolean {
    return this.#draining || plan.http10 || this.answeredEarly.has(plan.id);
  }

  asksToSwitch(head: Head): boolean {
    return head.fields.get("upgrade")?.join() === "model" && head.fields.get("connection")?.join() === "Upgrade";
  }

  connect(onConnected: (connection: Connection) => void): void {
    this.network.dial(
      { host: "proxy", port: 80, tls: null, timeoutMs: 10_000 },
      { onConnected, onFailed: (error) => assert.fail(`the proxy does not accept: ${error.message}`) },
    );
  }

  later(ms: number, callback: () => void): void {
    this.network.clock.after(ms, callback);
  }

  thinkMs(): number {
    return this.random.chance(0.7) ? 0 : this.random.below(3_000);
  }

  stallSometimes(connection: Connection): void {
    if (!this.random.chance(0.01)) return;
    connection.pause();
    this.later(this.random.between(1, 1_000), () => connection.resume());
  }

  /** Writes at once, or in some parts with pauses. `done` is not called when the connection closes on the way. */
  sendInParts(
    c: Connection,
    bytes: Buffer,
    inParts: boolean,
    done: () => void,
    beforeLast: () => void = () => {},
  ): void {
    if (c.closed) return;
    if (!inParts || bytes.length < 2 || this.random.chance(0.2)) {
      beforeLast();
      c.write(bytes);
      done();
      return;
    }
    const first = this.random.between(1, bytes.length - 1);
    c.write(bytes.subarray(0, first));
    this.later(this.random.below(60), () => this.sendInParts(c, bytes.subarray(first), inParts, done, beforeLast));
  }

  /** A body in chunks of random sizes, up to and with the last one; trailers or an empty line must follow. */
  chunked(body: Buffer): Buffer {
    const parts: Buffer[] = [];
    for (let at = 0; at < body.length; ) {
      const size = this.random.between(1, Math.min(body.length - at, this.random.pick([10, 1000, 50_000])));
      const hex = size.toString(16);
      const extension = this.random.chance(0.05) ? ";name=value" : "";
      parts.push(Buffer.from(`${this.random.chance(0.5) ? hex : hex.toUpperCase()}${extension}\r\n`));
      parts.push(body.subarray(at, at + size), Buffer.from("\r\n"));
      at += size;
    }
    return Buffer.concat([...parts, Buffer.from("0\r\n")]);
  }

  // --------------------------------------------------------------------------------------------------- the run

  /** Plays until nothing is left to happen, and checks that nothing is left over. */
  async play(): Promise<Outcome> {
    const held = Array.from({ length: STORAGES }, () => acquireStorage());
    for (const storage of held) releaseStorage(storage);
    const storagesBefore = pooledStorages();
    for (let clients = this.random.between(1, CLIENTS_MAX); clients > 0; clients--) this.#startClient();
    if (this.random.chance(0.15)) this.later(this.random.below(2_000), () => this.#drain());
    if (this.weather.originFaults) for (const server of this.#servers) this.#failDialsSometimes(server);
    await this.#runUntilIdle();
    this.#drain();
    await this.#runUntilIdle();

    assert.deepEqual(this.network.leftovers(), [], "open connections");
    assert.equal(this.#driver.size, 0, "client connections in the driver");
    assert.equal(this.#pool.connections, 0, "connections in the pool");
    assert.equal(this.#pool.idleConnections, 0, "idle connections in the pool");
    assert.equal(this.#pool.waiting, 0, "requests that wait for a connection");
    assert.equal(this.#deadlines.size, 0, "deadlines on the wheel");
    assert.equal(this.network.clock.pendingTimers, 0, "timers");
    assert.equal(pooledStorages(), storagesBefore, "storages of fields");
    assert.equal(this.#logged, this.#begun, "exchanges that were logged");
    const planned = this.#plans.length;
    assert.equal(this.#successes + this.#failures + this.#abandoned, planned, "exchanges that came to an end");
    const { splicedBytes } = this.network;
    return { successes: this.#successes, failures: this.#failures, abandoned: this.#abandoned, splicedBytes };
  }

  #drain(): void {
    this.#draining = true;
    this.#driver.drain();
    this.#pool.close();
  }

  /** For a while the server cannot be reached. */
  #failDialsSometimes(server: string): void {
    if (!this.random.chance(0.4)) return;
    const { network, random } = this;
    const type = random.pick([
      "connection_refused",
      "connection_timeout",
      "dns_error",
      "tls_certificate_error",
    ] as const);
    this.later(random.below(1_000), () => {
      network.failDials(server, type);
      this.later(random.between(1, 4_000), () => network.healDials(server));
    });
  }

  #startClient(): void {
    const plans = Array.from({ length: this.random.between(1, EXCHANGES_PER_CLIENT) }, () => {
      const plan = randomPlan(this.random, this.#plans.length, this.weather);
      this.#plans.push(plan);
      return plan;
    });
    this.later(this.random.below(500), () => void new ModelClient(this, plans, this.random.between(1, 3)));
  }

  async #runUntilIdle(): Promise<void> {
    const { network } = this;
    for (;;) {
      for (let steps = 0; network.step(); steps++) {
        if (this.#hasWaitingHooks && this.random.chance(0.1)) await null;
        if (steps % 50 === 0) this.#checkQueues();
      }
      if (this.#hasWaitingHooks) {
        for (let i = 0; i < MICROTASKS; i++) await null;
        if (network.step()) continue;
      }
      const dueMs = network.clock.nextDueMs;
      if (dueMs === null) return;
      network.clock.advanceTo(dueMs);
    }
  }

  #checkQueues(): void {
    for (let index = this.#accepted.length - 1; index >= 0; index--) {
      const connection = this.#accepted[index]!;
      if (connection.closed) this.#accepted.splice(index, 1);
      else assert.ok(connection.queuedBytes <= QUEUED_BYTES_MAX, `${connection.queuedBytes} bytes queued for a client`);
    }
  }
}
