/**
 * The upstream of forwarded requests: wherever they want to go. Each origin has a pool of its own, made when somebody goes there
 * and forgotten when its connections are gone (origin-pools.ts); a tunnel is a connection of its own. Connections are shared by requests that the
 * same rules let through and that go the same way, and by no others: what one may reach, another may not.
 *
 * Where a way leads through a parent, connections are kept by the parent that they go through. Plain requests to an HTTP proxy
 * share connections to it whatever their origin and their rules: those reach nothing but the proxy.
 *
 * An origin that cannot be reached is not tried again for the same request: the name was resolved, every address and every parent
 * tried, within the time that there is. Tried again are requests on connections that broke, by the budget of the origin's pool.
 */
import type { DeadlineWheel } from "../core/deadlines.ts";
import { ProxyError } from "../core/errors.ts";
import { FIELD_HOST } from "../core/field-names.ts";
import { RETRY_BUDGET_MIN, RETRY_BUDGET_SHARE } from "../core/limits.ts";
import type { Clock, Dialer, DialHandler, DialTarget, DialTls, PendingDial, Random, TlsLayer } from "../core/ports.ts";
import type { Destination, DestinationAccess, Forwarding } from "../pipeline/forwarding.ts";
import type { Lessor, Sender, Upstream, UpstreamHandler } from "../pipeline/upstream.ts";
import { viaValue } from "../semantics/via.ts";
import { type LeaseFailed, type PoolServer, UpstreamPool } from "../upstreams/pool.ts";
import { type OriginPool, OriginPools } from "./origin-pools.ts";
import { LeaseThroughParents, type ThroughParents, TunnelThroughParents } from "./parents/choice.ts";
import { ParentConnections, ParentTunnels, parentServer, type TunnelDialHandler } from "./parents/dialer.ts";
import type { Parent } from "./parents/parent.ts";
import type { Way, Ways } from "./parents/ways.ts";
import { type TunnelReceiver, Tunnels } from "./tunnel-stream.ts";

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
  readonly #pools: OriginPools;
  readonly #tunnels: Tunnels;
  /** Whoever came last often comes again: then no key is made. */
  #last: { readonly destination: Destination; readonly access: DestinationAccess; readonly origin: OriginPool } | null =
    null;
  #closed = false;

  constructor(options: DestinationsOptions, around: DestinationsSurroundings) {
    this.name = options.name;
    this.#options = options;
    this.#around = around;
    this.#pools = new OriginPools(around.deadlines);
    this.#tunnels = new Tunnels(around.countConnection);
  }

  lease(sender: Sender, handler: UpstreamHandler): Lessor {
    const forward = sender.forward ?? null;
    const access = forward === null ? null : forward.access;
    if (forward === null || access === null) {
      return refuse(handler, new ProxyError("proxy_internal_error", "nobody has allowed this destination"));
    }
    const { destination } = forward;
    if (destination.kind === "tunnel") {
      return this.openTunnel(sender, {
        onTunnel: (stream) => stream.lend(handler),
        onFailed: (error) => handler.onLeaseFailed(error),
      });
    }
    const way = this.#options.ways.of(destination.host, destination.port);
    if (way !== null) return this.#leaseThroughParents(way, access, sender, handler);
    forward.via = null;
    return this.#poolOf(destination, access).lease(sender, handler);
  }

  /** A tunnel to where `sender.forward` says, and its access allows. It is the receiver's. */
  openTunnel(sender: Sender, receiver: TunnelReceiver): PendingDial & Lessor {
    return this.#tunnels.open(receiver, (handler) => this.#dialTunnel(sender, handler));
  }

  #dialTunnel(sender: Sender, handler: TunnelDialHandler): PendingDial {
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

  #leaseThroughParents(way: Way, access: DestinationAccess, sender: Sender, handler: UpstreamHandler): Lessor {
    const forward = sender.forward!;
    const { destination } = forward;
    const refusal = knownRefusal(destination, access);
    if (refusal !== null) return refuse(handler, refusal);
    if (isPassedOn(forward, way)) settleHost(sender, destination);
    const lease = new LeaseThroughParents(way, this, sender, handler);
    lease.begin();
    return lease;
  }

  leaseThrough(parent: Parent, way: Way, sender: Sender, handler: UpstreamHandler, failed: LeaseFailed): Lessor {
    const forward = sender.forward!;
    forward.via = parent.name;
    return this.#parentPoolOf(parent, way, forward).lease(sender, handler, failed);
  }

  get nowMs(): number {
    return this.#around.deadlines.coarseMs;
  }

  /** Connections to origins that exist, tunnels among them. */
  get connections(): number {
    return [...this.#pools].reduce((sum, { connections }) => sum + connections, this.#tunnels.size);
  }

  /** Nothing is there, on its way or waited for. */
  get isEmpty(): boolean {
    return this.#tunnels.size + this.#tunnels.waiting === 0 && [...this.#pools].every(({ isEmpty }) => isEmpty);
  }

  /** Takes no connection back any more: idle ones close now, the others behind their answers. Tunnels go on. */
  close(): void {
    this.#closed = true;
    for (const pool of this.#pools) pool.close();
  }

  /** Closes every connection at once; whoever has one, or waits for one, is told. */
  destroy(): void {
    this.#closed = true;
    this.#pools.destroy();
    this.#tunnels.destroy();
  }

  #poolOf(destination: Destination, access: DestinationAccess): UpstreamPool {
    let last = this.#last;
    if (last === null || last.destination !== destination || last.access !== access || last.origin.isForgotten) {
      last = { destination, access, origin: this.#find(destination, access) };
      this.#last = last;
    }
    last.origin.isUsed = true;
    return last.origin.pool;
  }

  #find(destination: Destination, access: DestinationAccess): OriginPool {
    const { kind, host, port, address } = destination;
    const key = `${access.key} ${kind} ${host} ${port} ${address ?? ""}`;
    const known = this.#pools.find(key);
    if (known !== undefined) return known;
    const server = { ...this.#originServer(destination), host: address ?? host, addresses: access };
    return this.#makePool(key, server, this.#around.dialer, this.#options.connectTimeoutMs);
  }

  #parentPoolOf(parent: Parent, way: Way, forward: Forwarding): UpstreamPool {
    const { kind, host, port } = forward.destination;
    const isShared = isPassedOn(forward, way);
    const through = `${way.key} ${parent.key}`;
    const key = isShared ? through : `${through} ${forward.access!.key} ${kind} ${host} ${port}`;
    const origin = this.#pools.find(key) ?? this.#makeParentPool(key, isShared, parent, way, forward);
    origin.isUsed = true;
    return origin.pool;
  }

  #makeParentPool(key: string, isShared: boolean, parent: Parent, way: Way, forward: Forwarding): OriginPool {
    const timeoutMs = this.#timeoutOf(way);
    if (isShared) {
      return this.#makePool(key, parentServer(parent), new ParentConnections(parent, this.#around), timeoutMs);
    }
    const server = { ...this.#originServer(forward.destination), addresses: forward.access! };
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

  #makePool(key: string, server: PoolServer, dialer: Dialer, connectTimeoutMs: number): OriginPool {
    const { idleMs, lifetimeMs } = this.#options;
    const options = {
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
    } as const;
    return this.#pools.add(key, (onEmpty) => {
      const pool = new UpstreamPool(options, { ...this.#around, dialer: new OnlyWay(dialer), onEmpty });
      if (this.#closed) pool.close();
      return pool;
    });
  }

  #tunnelsOf(parent: Parent): ParentTunnels {
    const { viaName } = this.#options;
    return new ParentTunnels(parent, this.#around, viaName === null ? null : viaValue(11, viaName));
  }

  /** Each parent has its share, so that there is time for the last one. */
  #timeoutOf({ parents }: Way): number {
    return Math.ceil(this.#options.connectTimeoutMs / parents.length);
  }
}

/** Dials where there is one place to go to: what fails there once is not to be tried again at once. */
class OnlyWay implements Dialer {
  readonly #dialer: Dialer;

  constructor(dialer: Dialer) {
    this.#dialer = dialer;
  }

  dial(target: DialTarget, handler: DialHandler): PendingDial {
    return this.#dialer.dial(target, {
      onConnected: (connection) => handler.onConnected(connection),
      onFailed: (error) => handler.onFailed(error.withRetryable(false)),
    });
  }
}

/** Without a stream. */
function refuse(handler: UpstreamHandler, error: ProxyError): Lessor {
  handler.onLeaseFailed(error);
  return NOBODY;
}

const NOBODY: Lessor = { cancel() {}, allowRetry: () => false };

/**
 * An HTTP proxy is asked for `http://` URLs; through any other, what there is is a connection to the origin. So it is for a request
 * whose Host was not found to be true: the parent would believe it, and go elsewhere than was allowed.
 */
function isPassedOn({ destination, isHostVerified }: Forwarding, { isSocks }: Way): boolean {
  return destination.kind === "http" && isHostVerified && !isSocks;
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
