// The pipeline mounted in a server of Node's, in front of one upstream, all on real sockets: built from its parts, so that a
// test can look at each of them, and counted at the end, so that a leak fails the test.

import assert from "node:assert/strict";
import http from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import { DeadlineWheel } from "../../src/core/deadlines.ts";
import type { ProxyError } from "../../src/core/errors.ts";
import { SystemClock } from "../../src/io/clock.ts";
import { openTransport } from "../../src/io/open-transport.ts";
import { systemRandom } from "../../src/io/random.ts";
import type { Transport } from "../../src/io/transport.ts";
import { compileChain } from "../../src/pipeline/chain.ts";
import { NodeHttpDriver } from "../../src/pipeline/drivers/node-http.ts";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import { Forks } from "../../src/pipeline/forked.ts";
import type { Feature } from "../../src/pipeline/phases.ts";
import { ViaLines } from "../../src/pipeline/prepare.ts";
import type { ConnectionLimits, Route, RouteLimits, Site } from "../../src/pipeline/site.ts";
import { CidrSet } from "../../src/semantics/cidr.ts";
import { resolveUpstream, resolveUpstreamUse } from "../../src/upstreams/options.ts";
import { UpstreamPool } from "../../src/upstreams/pool.ts";

export interface MountOptions {
  readonly use?: readonly Feature[];
  readonly limits?: Partial<RouteLimits>;
  readonly connectionLimits?: Partial<ConnectionLimits>;
  readonly upgrade?: readonly string[];
  readonly trustedProxies?: readonly string[];
  readonly via?: string;
  /** Only this path has a route. */
  readonly path?: string;
}

/** What was noted of an exchange at its end. */
export interface Ended {
  readonly method: string;
  readonly path: string;
  readonly status: number | null;
  readonly error: ProxyError | null;
}

export class MountStage {
  readonly driver: NodeHttpDriver;
  readonly pool: UpstreamPool;
  readonly ended: Ended[] = [];
  readonly faults: Error[] = [];
  readonly #transport: Transport;
  readonly #deadlines: DeadlineWheel;
  readonly #closers: (() => unknown)[] = [];
  #changed = Promise.withResolvers<void>();

  constructor(upstreamPort: number, options: MountOptions = {}) {
    const clock = new SystemClock();
    const deadlines = new DeadlineWheel(clock);
    this.#deadlines = deadlines;
    this.#transport = openTransport("auto", clock, { onFault: (fault) => this.faults.push(fault) });
    const authority = `127.0.0.1:${upstreamPort}`;
    const place = {
      scheme: "http",
      host: "127.0.0.1",
      port: upstreamPort,
      authority,
      url: `http://${authority}`,
      weight: 1,
    } as const;
    this.pool = new UpstreamPool(
      { ...resolveUpstream("origin", [place], []), servers: [{ ...place, tls: null }] },
      { dialer: this.#transport.dialer, clock, deadlines, random: systemRandom },
    );
    const route: Route = {
      name: "mounted",
      chain: compileChain(options.use ?? []),
      upstream: this.pool,
      handler: null,
      use: resolveUpstreamUse([]),
      upgrade: options.upgrade ?? ["websocket"],
      limits: {
        bodyBytesMax: null,
        bodyTimeoutMs: 60_000,
        tunnelIdleMs: 60_000,
        tunnelLifetimeMs: null,
        ...options.limits,
      },
    };
    const { path } = options;
    const site: Site = {
      name: "mounted",
      forward: null,
      router: { find: (exchange) => (path === undefined || exchange.request.path === path ? route : null) },
      limits: {
        headBytesMax: 32 * 1024,
        requestLineBytesMax: 16 * 1024,
        fieldsMax: 128,
        headTimeoutMs: 10_000,
        idleTimeoutMs: 75_000,
        ...options.connectionLimits,
      },
      halfClose: false,
      trustedProxies: options.trustedProxies === undefined ? null : CidrSet.parse(options.trustedProxies),
      via: options.via === undefined ? null : new ViaLines(options.via),
      observer: { onExchangeEnd: (exchange) => this.#note(exchange) },
      forks: new Forks(),
      clock,
      deadlines,
    };
    this.driver = new NodeHttpDriver(
      () => site,
      (socket) => this.#transport.adopt(socket as Socket),
    );
  }

  /** Starts a server that is to be gone with the stage; its port. */
  async listen(server: http.Server): Promise<number> {
    const sockets = new Set<Socket>();
    server.on("connection", (socket: Socket) => {
      sockets.add(socket);
      socket.on("close", () => sockets.delete(socket));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    this.#closers.push(() => {
      server.close();
      for (const socket of sockets) socket.destroy();
    });
    return (server.address() as AddressInfo).port;
  }

  /** A bare server of node:http with the driver behind both of its events; its port. */
  serve(): Promise<number> {
    const server = http.createServer((request, response) => this.driver.handle(request, response));
    server.on("upgrade", (request, socket, head) => this.driver.handleUpgrade(request, socket, head));
    return this.listen(server);
  }

  /** Looked at whenever an exchange ends. */
  async until(isDone: () => boolean): Promise<void> {
    while (!isDone()) await this.#changed.promise;
  }

  #note(exchange: Exchange): void {
    const { request, response, error } = exchange;
    this.ended.push({ method: request.method, path: request.path, status: response?.status ?? null, error });
    const { resolve } = this.#changed;
    this.#changed = Promise.withResolvers<void>();
    resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const close of this.#closers.splice(0)) await close();
    this.driver.destroy();
    this.pool.destroy();
    // Sockets say that they are closed in a later turn; whatever does not is what the watchdog tells.
    while (this.#transport.openConnections > 0 || this.driver.size > 0) await nextTurn();
    assert.equal(this.pool.connections + this.pool.waiting, 0);
    assert.equal(this.#deadlines.armedCount, 0);
    assert.deepEqual(this.faults, []);
  }
}
