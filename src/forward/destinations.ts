/**
 * The upstream of forwarded requests: wherever they want to go. Each origin has a pool of its own, made when somebody goes there
 * and forgotten when its connections are gone; a tunnel is a connection of its own. Connections are shared by requests that the
 * same rules let through and that go the same way, and by no others: what one may reach, another may not.
 *
 * Where a way leads through a parent, connections are kept by the parent that they go through. Plain requests to an HTTP proxy
 * share connections to it whatever their origin and their rules: those reach nothing but the proxy.
 */
import { ByteQueue } from "../core/byte-queue.ts";
import type { DeadlineWheel } from "../core/deadlines.ts";
import { ProxyError } from "../core/errors.ts";
import { RETRY_BUDGET_MIN, RETRY_BUDGET_SHARE } from "../core/limits.ts";
import { ResponseMessage } from "../core/message.ts";
import type {
  Clock,
  Connection,
  ConnectionHandler,
  Dialer,
  DialTarget,
  DialTls,
  PendingDial,
  Random,
  TlsLayer,
} from "../core/ports.ts";
import type { Destination, DestinationAccess, Forwarding } from "../pipeline/forwarding.ts";
import type { Sender, Upstream, UpstreamHandler, UpstreamStream } from "../pipeline/upstream.ts";
import { viaValue } from "../semantics/via.ts";
import { type LeaseFailed, type PoolServer, UpstreamPool } from "../upstreams/pool.ts";
import { RetryBudget } from "../upstreams/retry-budget.ts";
import { ORIGINS_MAX } from "./limits.ts";
import type { Parent } from "./parent.ts";
import { ParentConnections, ParentTunnels, parentServer, type TunnelDialHandler } from "./parent-dialer.ts";
import { ParentLease, type ParentLessor } from "./parent-lease.ts";
import type { Way, Ways } from "./ways.ts";

export interface DestinationsOptions {
  readonly name: string;
  readonly connectTimeoutMs: number;
  readonly idleMs: number;
  readonly lifetimeMs: number;
  /** TLS to an origin of this name. */
  tlsFor(serverName: string): DialTls;
  readonly ways: Ways;
  /** Our name in Via, by which loops through parents are found; null: none. */
  readonly viaName: string | null;
}

export interface DestinationsSurroundings {
  readonly dialer: Dialer;
  readonly tlsLayer: TlsLayer;
  readonly clock: Clock;
  readonly deadlines: DeadlineWheel;
  readonly random: Random;
  readonly countConnection?: (change: 1 | -1) => void;
}

export class ForwardDestinations implements Upstream, ParentLessor {
  readonly name: string;
  readonly #options: DestinationsOptions;
  readonly #around: DestinationsSurroundings;
  readonly #budget: RetryBudget;
  /** By access and origin, in the order in which they were made. */
  readonly #pools = new Map<string, UpstreamPool>();
  readonly #tunnels = new Set<TunnelStream>();
  #closed = false;

  constructor(options: DestinationsOptions, around: DestinationsSurroundings) {
    this.name = options.name;
    this.#options = options;
    this.#around = around;
    this.#budget = new RetryBudget({ now: () => around.deadlines.coarseMs }, RETRY_BUDGET_SHARE, RETRY_BUDGET_MIN);
  }

  lease(sender: Sender, handler: UpstreamHandler): void {
    const forward = sender.forward ?? null;
    const access = forward === null ? null : forward.access;
    if (forward === null || access === null) {
      return handler.onLeaseFailed(new ProxyError("proxy_internal_error", "nobody has allowed this destination"));
    }
    if (sender.attempts <= 1) this.#budget.countRequest();
    const { destination } = forward;
    const way = this.#options.ways.of(destination.host, destination.port);
    if (way !== null) return new ParentLease(this, way, sender, handler).begin(forward, access);
    forward.via = null;
    if (destination.kind === "tunnel") {
      const tunnel = new PendingTunnel(this.#tunnels, handler, handler);
      forward.lessor = tunnel;
      tunnel.dial(this.#around.dialer, {
        host: destination.address ?? destination.host,
        port: destination.port,
        tls: null,
        timeoutMs: this.#options.connectTimeoutMs,
        addresses: access,
      });
      return;
    }
    const pool = this.#poolOf(destination, access);
    forward.lessor = pool;
    pool.lease(sender, handler);
  }

  leaseThrough(parent: Parent, way: Way, sender: Sender, handler: UpstreamHandler, failed: LeaseFailed): void {
    const forward = sender.forward!;
    const { kind, host, port } = forward.destination;
    if (kind === "tunnel") {
      const tunnel = new PendingTunnel(this.#tunnels, handler, failed);
      forward.lessor = tunnel;
      const target = { host, port, tls: null, timeoutMs: this.#timeoutOf(way) };
      tunnel.dialThrough(this.#tunnelsOf(parent), target, sender.request.fields.get("via"));
      return;
    }
    const pool = this.#parentPoolOf(parent, way, forward);
    forward.lessor = pool;
    pool.lease(sender, handler, failed);
  }

  cancel(handler: UpstreamHandler, sender: Sender): void {
    sender.forward?.lessor?.cancel(handler);
  }

  get nowMs(): number {
    return this.#around.deadlines.coarseMs;
  }

  allowRetry(): boolean {
    return this.#budget.take();
  }

  /** Connections to origins that exist, tunnels among them. */
  get connections(): number {
    return [...this.#pools.values()].reduce((sum, { connections }) => sum + connections, this.#tunnels.size);
  }

  /** Takes no connection back any more: idle ones close now, the others behind their answers. Tunnels go on. */
  close(): void {
    this.#closed = true;
    for (const pool of this.#pools.values()) pool.close();
  }

  /** Closes every connection at once; whoever has one, or waits for one, is told. */
  destroy(): void {
    this.#closed = true;
    for (const pool of this.#pools.values()) pool.destroy();
    for (const tunnel of this.#tunnels) tunnel.destroy();
  }

  #poolOf(destination: Destination, access: DestinationAccess): UpstreamPool {
    const { kind, host, port, address } = destination;
    const key = `${access.key} ${kind} ${host} ${port} ${address ?? ""}`;
    const known = this.#pools.get(key);
    if (known !== undefined) return known;
    const server = { ...this.#originServer(destination), host: address ?? host, addresses: access };
    return this.#makePool(key, server, this.#around.dialer, this.#options.connectTimeoutMs);
  }

  #parentPoolOf(parent: Parent, way: Way, { destination, access }: Forwarding): UpstreamPool {
    const { kind, host, port } = destination;
    const isPassedOn = kind === "http" && !way.isSocks;
    const through = `${way.key} ${parent.name}`;
    const key = isPassedOn ? through : `${through} ${access!.key} ${kind} ${host} ${port}`;
    const known = this.#pools.get(key);
    if (known !== undefined) return known;
    const timeoutMs = this.#timeoutOf(way);
    if (isPassedOn) {
      return this.#makePool(key, parentServer(parent), new ParentConnections(parent, this.#around), timeoutMs);
    }
    const server = { ...this.#originServer(destination), addresses: access! };
    return this.#makePool(key, server, this.#tunnelsOf(parent), timeoutMs);
  }

  #originServer({ kind, host, port }: Destination): PoolServer {
    const authority = host.includes(":") ? `[${host}]` : host;
    return {
      url: `${kind}://${authority}:${port}`,
      scheme: kind === "https" ? "https" : "http",
      host,
      port,
      authority: port === (kind === "https" ? 443 : 80) ? authority : `${authority}:${port}`,
      weight: 1,
      tls: kind === "https" ? this.#options.tlsFor(host) : null,
    };
  }

  #makePool(key: string, server: PoolServer, dialer: Dialer, connectTimeoutMs: number): UpstreamPool {
    if (this.#pools.size >= ORIGINS_MAX) this.#forgetSome();
    const { idleMs, lifetimeMs } = this.#options;
    const pool = new UpstreamPool(
      {
        name: this.name,
        servers: [server],
        balance: "round-robin",
        hashBy: { kind: "client" },
        connectTimeoutMs,
        idleMs,
        lifetimeMs,
        connectionsMax: null,
        queueMax: 0,
        queueTimeoutMs: 0,
        retryBudgetShare: RETRY_BUDGET_SHARE,
        retryBudgetMin: RETRY_BUDGET_MIN,
      },
      { ...this.#around, dialer },
    );
    if (this.#closed) pool.close();
    this.#pools.set(key, pool);
    return pool;
  }

  #tunnelsOf(parent: Parent): ParentTunnels {
    const { viaName } = this.#options;
    return new ParentTunnels(parent, this.#around, viaName === null ? null : viaValue(11, viaName));
  }

  /** Each parent has its share, so that there is time for the last one. */
  #timeoutOf({ parents }: Way): number {
    return Math.ceil(this.#options.connectTimeoutMs / parents.length);
  }

  /** Of the oldest ones those that serve nobody; connections that rest are closed. A tenth at least, so that it is not done each time. */
  #forgetSome(): void {
    const max = ORIGINS_MAX * 0.9;
    for (const [key, pool] of this.#pools) {
      if (this.#pools.size <= max) return;
      if (pool.connections > pool.idleConnections || pool.waiting > 0) continue;
      this.#pools.delete(key);
      pool.close();
    }
  }
}

/** A tunnel whose connection is being made. */
class PendingTunnel implements TunnelDialHandler {
  readonly #tunnels: Set<TunnelStream>;
  readonly #handler: UpstreamHandler;
  readonly #failed: LeaseFailed;
  #pending: PendingDial | null = null;

  constructor(tunnels: Set<TunnelStream>, handler: UpstreamHandler, failed: LeaseFailed) {
    this.#tunnels = tunnels;
    this.#handler = handler;
    this.#failed = failed;
  }

  dial(dialer: Dialer, target: DialTarget): void {
    this.#pending = dialer.dial(target, this);
  }

  dialThrough(dialer: ParentTunnels, target: DialTarget, passedVia: string | null): void {
    this.#pending = dialer.dialTunnel(target, passedVia, this);
  }

  cancel(): void {
    this.#pending?.cancel();
  }

  onConnected(connection: Connection, early?: Buffer): void {
    const stream = new TunnelStream(connection, this.#tunnels);
    if (early !== undefined) stream.onBytes(early, 0, early.length);
    stream.lend(this.#handler);
  }

  onFailed(error: ProxyError): void {
    this.#failed.onLeaseFailed(error);
  }
}

/** A connection that becomes a tunnel as soon as it is used: no byte on it is ours. */
class TunnelStream implements UpstreamStream, ConnectionHandler {
  readonly address: string;
  readonly authority = "";
  readonly reused = false;
  readonly #connection: Connection;
  readonly #tunnels: Set<TunnelStream>;
  /** What the other side has said before it was asked. */
  readonly #early = new ByteQueue();
  #handler: UpstreamHandler | null = null;

  constructor(connection: Connection, tunnels: Set<TunnelStream>) {
    const { family, address, port } = connection.remote;
    this.address = family === 6 ? `[${address}]:${port}` : `${address}:${port}`;
    this.#connection = connection;
    this.#tunnels = tunnels;
    connection.handler = this;
    connection.pause();
    tunnels.add(this);
  }

  lend(handler: UpstreamHandler): void {
    this.#handler = handler;
    handler.onStream(this);
  }

  /** Nothing is sent: the connection is given away. */
  sendHead(): void {
    const handler = this.#handler;
    if (handler === null) return;
    const connection = this.#connection;
    handler.onUpstreamSwitch(new ResponseMessage(), connection, this.#early.take());
  }

  write(): void {}

  end(): void {}

  pause(): void {}

  resume(): void {}

  get queuedBytes(): number {
    return this.#connection.queuedBytes;
  }

  spliceFrom(): null {
    return null;
  }

  onBodySpliced(): void {}

  /** The tunnel is over, or never began. */
  abort(): void {
    this.#handler = null;
    this.#tunnels.delete(this);
    this.#connection.destroy();
  }

  destroy(): void {
    this.#tunnels.delete(this);
    this.#connection.destroy(new ProxyError("connection_terminated", "the proxy was closed"), true);
  }

  onBytes(buffer: Buffer, start: number, end: number): void {
    this.#early.append(buffer, start, end);
  }

  onDrain(): void {}

  onEnd(): void {
    this.#gone(new ProxyError("connection_terminated", `${this.address} closed the connection`));
    this.#connection.destroy();
  }

  onClose(error: ProxyError | null): void {
    this.#gone(error ?? new ProxyError("connection_terminated", `${this.address} closed the connection`));
  }

  #gone(error: ProxyError): void {
    const handler = this.#handler;
    this.#handler = null;
    this.#tunnels.delete(this);
    handler?.onUpstreamError(error, true);
  }
}
