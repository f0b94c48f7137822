/**
 * The upstream of forwarded requests: wherever they want to go. Each origin has a pool of its own, made when somebody goes there
 * and forgotten when its connections are gone; a tunnel is a connection of its own. Connections are shared by requests that the
 * same rules let through and that go the same way, and by no others: what one may reach, another may not.
 *
 * Where a way leads through a parent, connections are kept by the parent that they go through. Plain requests to an HTTP proxy
 * share connections to it whatever their origin and their rules: those reach nothing but the proxy.
 */
import type { DeadlineWheel } from "../core/deadlines.ts";
import { ProxyError } from "../core/errors.ts";
import { FIELD_HOST } from "../core/field-names.ts";
import { RETRY_BUDGET_MIN, RETRY_BUDGET_SHARE } from "../core/limits.ts";
import type { Clock, Dialer, DialTls, PendingDial, Random, TlsLayer } from "../core/ports.ts";
import type { Destination, DestinationAccess, Forwarding } from "../pipeline/forwarding.ts";
import type { Sender, Upstream, UpstreamHandler } from "../pipeline/upstream.ts";
import { viaValue } from "../semantics/via.ts";
import { type LeaseFailed, type PoolServer, UpstreamPool } from "../upstreams/pool.ts";
import { RetryBudget } from "../upstreams/retry-budget.ts";
import { ORIGINS_MAX } from "./limits.ts";
import type { Parent } from "./parent.ts";
import { LeaseThroughParents, type ThroughParents, TunnelThroughParents } from "./parent-choice.ts";
import { ParentConnections, ParentTunnels, parentServer, type TunnelDialHandler } from "./parent-dialer.ts";
import { PendingTunnel, type TunnelStream } from "./tunnel-stream.ts";
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

export class ForwardDestinations implements Upstream, ThroughParents {
  readonly name: string;
  readonly #options: DestinationsOptions;
  readonly #around: DestinationsSurroundings;
  readonly #budget: RetryBudget;
  /** By access and origin, in the order in which they were made. */
  readonly #pools = new Map<string, UpstreamPool>();
  readonly #tunnels = new Set<TunnelStream>();
  /** Whoever came last often comes again: then no key is made. */
  #last: { readonly destination: Destination; readonly access: DestinationAccess; readonly pool: UpstreamPool } | null =
    null;
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
      return tunnel.begin(this.dialTunnel(sender, tunnel));
    }
    const way = this.#options.ways.of(destination.host, destination.port);
    if (way !== null) return this.#leaseThroughParents(way, access, sender, handler);
    forward.via = null;
    const pool = this.#poolOf(destination, access);
    forward.lessor = pool;
    pool.lease(sender, handler);
  }

  /** The connection of a tunnel to where `sender.forward` says, and its access allows. It is the handler's. */
  dialTunnel(sender: Sender, handler: TunnelDialHandler): PendingDial {
    const forward = sender.forward!;
    const { destination, access } = forward;
    const { host, port, address } = destination;
    const way = this.#options.ways.of(host, port);
    if (way === null || knownRefusal(destination, access!) !== null) {
      forward.via = null;
      const timeoutMs = this.#options.connectTimeoutMs;
      return this.#around.dialer.dial(
        { host: address ?? host, port, tls: null, timeoutMs, addresses: access! },
        handler,
      );
    }
    return new TunnelThroughParents(way, this, sender, handler);
  }

  tunnelThrough(parent: Parent, way: Way, sender: Sender, handler: TunnelDialHandler): PendingDial {
    const forward = sender.forward!;
    forward.via = parent.name;
    const { host, port } = forward.destination;
    const target = { host, port, tls: null, timeoutMs: this.#timeoutOf(way) };
    return this.#tunnelsOf(parent).dialTunnel(target, sender.request.fields.get("via"), handler);
  }

  #leaseThroughParents(way: Way, access: DestinationAccess, sender: Sender, handler: UpstreamHandler): void {
    const { destination } = sender.forward!;
    const refusal = knownRefusal(destination, access);
    if (refusal !== null) return handler.onLeaseFailed(refusal);
    if (isPassedOn(destination, way)) settleHost(sender, destination);
    new LeaseThroughParents(way, this, sender, handler).begin();
  }

  leaseThrough(parent: Parent, way: Way, sender: Sender, handler: UpstreamHandler, failed: LeaseFailed): void {
    const forward = sender.forward!;
    forward.via = parent.name;
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
    const last = this.#last;
    if (last !== null && last.destination === destination && last.access === access) return last.pool;
    const pool = this.#find(destination, access);
    this.#last = { destination, access, pool };
    return pool;
  }

  #find(destination: Destination, access: DestinationAccess): UpstreamPool {
    const { kind, host, port, address } = destination;
    const key = `${access.key} ${kind} ${host} ${port} ${address ?? ""}`;
    const known = this.#pools.get(key);
    if (known !== undefined) return known;
    const server = { ...this.#originServer(destination), host: address ?? host, addresses: access };
    return this.#makePool(key, server, this.#around.dialer, this.#options.connectTimeoutMs);
  }

  #parentPoolOf(parent: Parent, way: Way, { destination, access }: Forwarding): UpstreamPool {
    const { kind, host, port } = destination;
    const isShared = isPassedOn(destination, way);
    const through = `${way.key} ${parent.key}`;
    const key = isShared ? through : `${through} ${access!.key} ${kind} ${host} ${port}`;
    const known = this.#pools.get(key);
    if (known !== undefined) return known;
    const timeoutMs = this.#timeoutOf(way);
    if (isShared) {
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
    this.#last = null;
    for (const [key, pool] of this.#pools) {
      if (this.#pools.size <= max) return;
      if (pool.connections > pool.idleConnections || pool.waiting > 0) continue;
      this.#pools.delete(key);
      pool.close();
    }
  }
}

/** An HTTP proxy is asked for `http://` URLs; through any other, what there is is a connection to the origin. */
function isPassedOn({ kind }: Destination, { isSocks }: Way): boolean {
  return kind === "http" && !isSocks;
}

/** A name is resolved by the parent. What is known here is refused here: an address, the one that was meant included. */
function knownRefusal({ host, isAddress, address }: Destination, access: DestinationAccess): ProxyError | null {
  const known = address ?? (isAddress ? host : null);
  return known === null ? null : access.refusalOf(known);
}

/** An HTTP/1.0 client may name no host, and a connection that was redirected here has one all the same. */
function settleHost({ request }: Sender, { host, port }: Destination): void {
  if (request.fields.rowOfId(FIELD_HOST) >= 0) return;
  const name = host.includes(":") ? `[${host}]` : host;
  request.fields.set("Host", request.authority || (port === 80 ? name : `${name}:${port}`));
}
