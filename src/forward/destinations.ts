/**
 * The upstream of forwarded requests: wherever they want to go. Each origin has a pool of its own, made when somebody goes there
 * and forgotten when its connections are gone; a tunnel is a connection of its own. Connections are shared by requests that the
 * same rules let through and that go the same way, and by no others: what one may reach, another may not.
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
  DialHandler,
  DialTarget,
  DialTls,
  PendingDial,
  Random,
} from "../core/ports.ts";
import type { Destination, DestinationAccess, Forwarding } from "../pipeline/forwarding.ts";
import type { Sender, Upstream, UpstreamHandler, UpstreamStream } from "../pipeline/upstream.ts";
import { UpstreamPool } from "../upstreams/pool.ts";
import { RetryBudget } from "../upstreams/retry-budget.ts";
import { ORIGINS_MAX } from "./limits.ts";

export interface DestinationsOptions {
  readonly name: string;
  readonly connectTimeoutMs: number;
  readonly idleMs: number;
  readonly lifetimeMs: number;
  /** TLS to an origin of this name. */
  tlsFor(serverName: string): DialTls;
}

export interface DestinationsSurroundings {
  readonly dialer: Dialer;
  readonly clock: Clock;
  readonly deadlines: DeadlineWheel;
  readonly random: Random;
  readonly countConnection?: (change: 1 | -1) => void;
}

export class ForwardDestinations implements Upstream {
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
    if (destination.kind === "tunnel") {
      const tunnel = new PendingTunnel(this.#tunnels, handler);
      forward.lessor = tunnel;
      return tunnel.begin(this.#around.dialer, this.#targetOf(destination, access));
    }
    const pool = this.#poolOf(destination, access);
    forward.lessor = pool;
    pool.lease(sender, handler);
  }

  /** The connection of a tunnel that somebody else begins. It is the handler's. */
  dialTunnel(forward: Forwarding, handler: DialHandler): PendingDial {
    return this.#around.dialer.dial(this.#targetOf(forward.destination, forward.access!), handler);
  }

  #targetOf({ host, port, address }: Destination, addresses: DestinationAccess): DialTarget {
    return { host: address ?? host, port, tls: null, timeoutMs: this.#options.connectTimeoutMs, addresses };
  }

  cancel(handler: UpstreamHandler, sender: Sender): void {
    sender.forward?.lessor?.cancel(handler);
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

  #poolOf({ kind, host, port, address }: Destination, access: DestinationAccess): UpstreamPool {
    const key = `${access.key} ${kind} ${host} ${port} ${address ?? ""}`;
    const known = this.#pools.get(key);
    if (known !== undefined) return known;
    if (this.#pools.size >= ORIGINS_MAX) this.#forgetSome();
    const authority = host.includes(":") ? `[${host}]` : host;
    const { idleMs, lifetimeMs, connectTimeoutMs } = this.#options;
    const pool = new UpstreamPool(
      {
        name: this.name,
        servers: [
          {
            url: `${kind}://${authority}:${port}`,
            scheme: kind === "https" ? "https" : "http",
            host: address ?? host,
            port,
            authority: port === (kind === "https" ? 443 : 80) ? authority : `${authority}:${port}`,
            weight: 1,
            tls: kind === "https" ? this.#options.tlsFor(host) : null,
            addresses: access,
          },
        ],
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
      this.#around,
    );
    if (this.#closed) pool.close();
    this.#pools.set(key, pool);
    return pool;
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
class PendingTunnel implements DialHandler {
  readonly #tunnels: Set<TunnelStream>;
  readonly #handler: UpstreamHandler;
  #pending: PendingDial | null = null;

  constructor(tunnels: Set<TunnelStream>, handler: UpstreamHandler) {
    this.#tunnels = tunnels;
    this.#handler = handler;
  }

  begin(dialer: Dialer, target: DialTarget): void {
    this.#pending = dialer.dial(target, this);
  }

  cancel(): void {
    this.#pending?.cancel();
  }

  onConnected(connection: Connection): void {
    // The tunnel may stand for hours, and this as long as it: what has made the connection is not to be kept with it.
    this.#pending = null;
    const stream = new TunnelStream(connection, this.#tunnels);
    stream.lend(this.#handler);
  }

  onFailed(error: ProxyError): void {
    this.#handler.onLeaseFailed(error);
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
