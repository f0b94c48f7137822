/**
 * An upstream: its servers, and the connections to them that are kept. A request takes the connection that was used last
 * (so that the others can age out), or a new one, or waits for its turn when the servers are at their maximum.
 *
 * A server that cannot be reached is chosen last for a while; it is never given up, since with one server left an attempt is
 * better than an error.
 */
import { Deadline, type DeadlineWheel } from "../core/deadlines.ts";
import { ProxyError } from "../core/errors.ts";
import { KEEP_ALIVE_MARGIN_MS, POOL_IDLE_CONNECTIONS_MAX } from "../core/limits.ts";
import type { ServerAddress } from "../core/option-addresses.ts";
import type { Clock, Connection, Dialer, DialHandler, DialTls, PendingDial, Random } from "../core/ports.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import type { Upstream, UpstreamHandler } from "../pipeline/upstream.ts";
import { type Balanced, type Balancer, createBalancer } from "./balance.ts";
import { Http1Stream, type StreamOwner } from "./http1-stream.ts";
import type { Balance, HashKey } from "./options.ts";
import { RetryBudget } from "./retry-budget.ts";

/** A server that could not be reached is avoided for this long. nginx's fail_timeout is 10 s; a restart takes less. */
const AVOID_MS = 2_000;

export interface PoolServer extends ServerAddress {
  readonly weight: number;
  /** null: plain TCP. */
  readonly tls: DialTls | null;
}

export interface PoolOptions {
  readonly name: string;
  readonly servers: readonly PoolServer[];
  readonly balance: Balance;
  readonly hashBy: HashKey;
  readonly connectTimeoutMs: number;
  readonly idleMs: number;
  readonly lifetimeMs: number;
  /** Per server; null: no limit. */
  readonly connectionsMax: number | null;
  readonly queueMax: number;
  readonly queueTimeoutMs: number;
  readonly retryBudgetShare: number;
  readonly retryBudgetMin: number;
}

export interface PoolSurroundings {
  readonly dialer: Dialer;
  readonly clock: Clock;
  readonly deadlines: DeadlineWheel;
  readonly random: Random;
}

/** A request that waits: for a connection to be made, or for a place. */
interface Waiting {
  readonly exchange: Exchange;
  readonly handler: UpstreamHandler;
  /** The server that a connection is being made to; null in the queue. */
  readonly server: Server | null;
  pending: PendingDial | null;
  deadline: Deadline | null;
}

export class UpstreamPool implements Upstream {
  readonly name: string;
  readonly description: string;
  readonly #options: PoolOptions;
  readonly #around: PoolSurroundings;
  readonly #servers: Server[];
  readonly #balancer: Balancer;
  readonly #budget: RetryBudget;
  /** Requests whose connection is being made. */
  readonly #dialing = new Map<UpstreamHandler, Waiting>();
  /** Requests that wait for a place, in the order in which they came. */
  readonly #queue = new Map<UpstreamHandler, Waiting>();
  /** Servers that failed an exchange which is still going on. */
  readonly #failed = new WeakMap<UpstreamHandler, Set<Server>>();
  #closed = false;

  constructor(options: PoolOptions, around: PoolSurroundings) {
    this.name = options.name;
    this.description = options.servers.map((server) => server.url).join(", ");
    this.#options = options;
    this.#around = around;
    this.#servers = options.servers.map((place) => new Server(this, place));
    this.#balancer = createBalancer(options.balance, options.hashBy, around.random);
    const coarse = { now: () => around.deadlines.coarseMs };
    this.#budget = new RetryBudget(coarse, options.retryBudgetShare, options.retryBudgetMin);
  }

  get options(): PoolOptions {
    return this.#options;
  }

  /** Connections that exist: for status and for tests that count. */
  get connections(): number {
    return this.#servers.reduce((sum, server) => sum + server.streams.size, 0);
  }

  get idleConnections(): number {
    return this.#servers.reduce((sum, server) => sum + server.idle.length, 0);
  }

  /** Requests that wait for a connection or a place. */
  get waiting(): number {
    return this.#dialing.size + this.#queue.size;
  }

  lease(exchange: Exchange, handler: UpstreamHandler): void {
    if (exchange.attempts <= 1) this.#budget.countRequest();
    const server = this.#choose(exchange, handler);
    if (server !== null) return this.#grant(server, exchange, handler);
    if (this.#queue.size >= this.#options.queueMax) {
      return handler.onLeaseFailed(new ProxyError("connection_limit_reached", `${this.name}: the queue is full`));
    }
    const waiting: Waiting = { exchange, handler, server: null, pending: null, deadline: null };
    waiting.deadline = new Deadline(this.#around.deadlines, () => {
      this.#queue.delete(handler);
      handler.onLeaseFailed(
        new ProxyError("connection_limit_reached", `${this.name}: no connection became free in time`),
      );
    });
    waiting.deadline.arm(this.#options.queueTimeoutMs);
    this.#queue.set(handler, waiting);
  }

  cancel(handler: UpstreamHandler): void {
    const dialing = this.#dialing.get(handler);
    if (dialing !== undefined) {
      this.#dialing.delete(handler);
      dialing.pending?.cancel();
      dialing.server!.dialing--;
      this.placeFreed();
      return;
    }
    this.#queue.get(handler)?.deadline?.dispose();
    this.#queue.delete(handler);
  }

  allowRetry(): boolean {
    return this.#budget.take();
  }

  /** Takes no more requests into the pool's memory: idle connections close now, the others behind their answers. */
  close(): void {
    this.#closed = true;
    for (const server of this.#servers) for (const stream of [...server.idle]) stream.close();
  }

  /** Closes every connection at once; whoever has one, or waits for one, is told. */
  destroy(): void {
    this.#closed = true;
    const waiting = [...this.#queue.keys(), ...this.#dialing.keys()];
    for (const handler of waiting) {
      this.cancel(handler);
      handler.onLeaseFailed(new ProxyError("destination_unavailable", `${this.name} was closed`, { retryable: false }));
    }
    for (const server of this.#servers) for (const stream of [...server.streams]) stream.close();
  }

  /** The balancer's choice among the best servers that there are; null when all are at their maximum. */
  #choose(exchange: Exchange, handler: UpstreamHandler): Server | null {
    const servers = this.#servers;
    const max = this.#options.connectionsMax;
    if (servers.length === 1) {
      const only = servers[0]!;
      return only.hasPlace(max) ? only : null;
    }
    const withPlace = servers.filter((server) => server.hasPlace(max));
    if (withPlace.length === 0) return null;
    const failed = this.#failed.get(handler);
    const fresh = failed === undefined ? withPlace : withPlace.filter((server) => !failed.has(server));
    const now = this.#around.clock.now();
    const well = fresh.filter((server) => server.avoidUntilMs <= now);
    return this.#balancer(well.length > 0 ? well : fresh.length > 0 ? fresh : withPlace, exchange);
  }

  #grant(server: Server, exchange: Exchange, handler: UpstreamHandler): void {
    const now = this.#around.deadlines.coarseMs;
    for (let stream = server.idle.pop(); stream !== undefined; stream = server.idle.pop()) {
      if (stream.usable && stream.expiresMs > now) {
        stream.lend(handler);
        handler.onStream(stream);
        return;
      }
      stream.close();
    }
    const waiting: Waiting = { exchange, handler, server, pending: null, deadline: null };
    this.#dialing.set(handler, waiting);
    server.dialing++;
    waiting.pending = this.#around.dialer.dial(
      {
        host: server.place.host,
        port: server.place.port,
        tls: server.place.tls,
        timeoutMs: this.#options.connectTimeoutMs,
      },
      new Dial(this, server, waiting),
    );
  }

  /** A new connection is there for the request that waits for it. */
  connected(server: Server, waiting: Waiting, connection: Connection): void {
    server.dialing--;
    server.avoidUntilMs = 0;
    const { clock, deadlines } = this.#around;
    const stream = new Http1Stream(connection, server, deadlines, {
      address: server.address,
      authority: server.place.authority,
      expiresMs: clock.now() + this.#options.lifetimeMs,
    });
    server.streams.add(stream);
    this.#dialing.delete(waiting.handler);
    stream.lend(waiting.handler);
    waiting.handler.onStream(stream);
  }

  dialFailed(server: Server, waiting: Waiting, error: ProxyError): void {
    server.dialing--;
    server.avoidUntilMs = this.#around.clock.now() + AVOID_MS;
    this.#dialing.delete(waiting.handler);
    this.failedFor(waiting.handler, server);
    waiting.handler.onLeaseFailed(error);
    this.placeFreed();
  }

  /** Another attempt for this handler is better made elsewhere. */
  failedFor(handler: UpstreamHandler, server: Server): void {
    const failed = this.#failed.get(handler);
    if (failed === undefined) this.#failed.set(handler, new Set([server]));
    else failed.add(server);
  }

  reusable(server: Server, stream: Http1Stream, keepAliveMs: number | null): void {
    const { idleMs } = this.#options;
    const restMs = keepAliveMs === null ? idleMs : Math.min(idleMs, keepAliveMs - KEEP_ALIVE_MARGIN_MS);
    const expired = stream.expiresMs <= this.#around.clock.now();
    if (this.#closed || restMs <= 0 || expired || server.idle.length >= POOL_IDLE_CONNECTIONS_MAX)
      return stream.close();
    stream.rest(restMs);
    server.idle.push(stream);
    this.placeFreed();
  }

  /** A connection came back, or a place for one became free: the first in the queue has it. */
  placeFreed(): void {
    for (const [handler, waiting] of this.#queue) {
      const server = this.#choose(waiting.exchange, handler);
      if (server === null) return;
      this.#queue.delete(handler);
      waiting.deadline?.dispose();
      this.#grant(server, waiting.exchange, handler);
    }
  }
}

/** One server and its connections. */
class Server implements Balanced, StreamOwner {
  readonly place: PoolServer;
  readonly address: string;
  readonly #pool: UpstreamPool;
  /** Least recently used first. */
  readonly idle: Http1Stream[] = [];
  readonly streams = new Set<Http1Stream>();
  dialing = 0;
  avoidUntilMs = 0;
  turn = 0;

  constructor(pool: UpstreamPool, place: PoolServer) {
    this.#pool = pool;
    this.place = place;
    const host = place.host.includes(":") ? `[${place.host}]` : place.host;
    this.address = place.port === 0 ? place.host : `${host}:${place.port}`;
  }

  get url(): string {
    return this.place.url;
  }

  get weight(): number {
    return this.place.weight;
  }

  get active(): number {
    return this.streams.size - this.idle.length + this.dialing;
  }

  hasPlace(max: number | null): boolean {
    return max === null || this.idle.length > 0 || this.streams.size + this.dialing < max;
  }

  onReusable(stream: Http1Stream, keepAliveMs: number | null): void {
    this.#pool.reusable(this, stream, keepAliveMs);
  }

  onUnanswered(stream: Http1Stream, handler: UpstreamHandler): void {
    if (!stream.reused) return this.#pool.failedFor(handler, this);
    // It had died while it rested, as when a server was started anew. The others have rested longer, and would cost another
    // attempt each.
    for (const idle of [...this.idle]) idle.close();
  }

  onGone(stream: Http1Stream): void {
    if (!this.streams.delete(stream)) return;
    const at = this.idle.indexOf(stream);
    if (at >= 0) this.idle.splice(at, 1);
    this.#pool.placeFreed();
  }
}

/** An attempt to connect, on behalf of one request. */
class Dial implements DialHandler {
  readonly #pool: UpstreamPool;
  readonly #server: Server;
  readonly #waiting: Waiting;

  constructor(pool: UpstreamPool, server: Server, waiting: Waiting) {
    this.#pool = pool;
    this.#server = server;
    this.#waiting = waiting;
  }

  onConnected(connection: Connection): void {
    this.#pool.connected(this.#server, this.#waiting, connection);
  }

  onFailed(error: ProxyError): void {
    this.#pool.dialFailed(this.#server, this.#waiting, error);
  }
}
