/**
 * The transport on node:net and node:tls, which runs wherever Node runs. It makes connections of sockets, whichever way
 * they come, and counts them; what its connections share lives here. One per thread.
 */
import type net from "node:net";
import tls from "node:tls";
import { ProxyError } from "../../core/errors.ts";
import { TLS_HANDSHAKE_TIMEOUT_MS } from "../../core/limits.ts";
import type { Address, Clock, Connection, Dialer } from "../../core/ports.ts";
import { addressOf } from "../addresses.ts";
import type { DialOwner } from "../dialing/connecting.ts";
import { RacingDialer } from "../dialing/dial.ts";
import { NameCache } from "../dialing/name-cache.ts";
import type { ListenOptions, Transport, TransportListener, TransportOptions } from "../transport.ts";
import { TransportState } from "../transport-state.ts";
import { type ConnectingOwner, NetConnecting } from "./connect.ts";
import { NetConnection } from "./connection.ts";
import { openListener } from "./listen.ts";
import { clientTlsInfoOf } from "./tls-info.ts";
import { WriteBatch } from "./write-batch.ts";

export interface NetTransportOptions extends TransportOptions {
  /** A second descriptor of the same socket: Node closes what it listens on, which the caller keeps. */
  readonly duplicate?: (descriptor: number) => number;
}

export class NetTransport implements Transport {
  readonly name = "net";
  readonly dialer: Dialer;
  readonly #shared: SharedState;
  readonly #connecting: NetConnecting;
  readonly #handshakeTimeoutMs: number;
  readonly #duplicate: ((descriptor: number) => number) | null;

  constructor(clock: Clock, options: NetTransportOptions = {}) {
    this.#shared = new SharedState(clock, options.keepAliveMs ?? null, options.onFault);
    this.#handshakeTimeoutMs = options.handshakeTimeoutMs ?? TLS_HANDSHAKE_TIMEOUT_MS;
    this.#duplicate = options.duplicate ?? null;
    this.#connecting = new NetConnecting(this.#shared);
    this.dialer = this.dialerWith(new NameCache(clock, options.lookup));
  }

  dialerWith(names: NameCache): Dialer {
    return new RacingDialer(this.#shared, names, this.#connecting);
  }

  listen(options: ListenOptions, onConnection: (connection: Connection) => void): Promise<TransportListener> {
    const shared = this.#shared;
    return openListener(options, {
      keepAliveMs: shared.keepAliveMs,
      handshakeTimeoutMs: this.#handshakeTimeoutMs,
      duplicate: this.#duplicate,
      accept: (socket, local) => shared.serve(socket, local, onConnection),
      countHandshake: (change) => shared.countAttempt(change),
      reportFault: (thrown) => shared.reportFault(thrown),
    });
  }

  adopt(socket: net.Socket): Connection {
    socket.setNoDelay(true);
    socket.setTimeout(0);
    return this.#shared.connectionOf(socket, null);
  }

  get openConnections(): number {
    return this.#shared.connections + this.#shared.attempts;
  }
}

/** What the connections, listeners and attempts of a transport share. */
class SharedState extends TransportState implements DialOwner, ConnectingOwner {
  readonly batch = new WriteBatch();
  readonly keepAliveMs: number | null;

  constructor(clock: Clock, keepAliveMs: number | null, onFault: ((fault: Error) => void) | undefined) {
    super(clock, onFault);
    this.keepAliveMs = keepAliveMs;
  }

  connectionOf(socket: net.Socket, local: Address | null): NetConnection {
    const connection = new NetConnection(this, socket, {
      remote: addressOf(socket.remoteAddress, socket.remotePort),
      local: local ?? addressOf(socket.localAddress, socket.localPort),
      tls: socket instanceof tls.TLSSocket ? clientTlsInfoOf(socket) : null,
      side: "client",
    });
    connection.readFromEvents();
    return connection;
  }

  serve(socket: net.Socket, local: Address | null, onConnection: (connection: Connection) => void): void {
    const connection = this.connectionOf(socket, local);
    this.batch.enter();
    try {
      onConnection(connection);
    } catch (thrown) {
      this.reportFault(thrown);
      connection.destroy(ProxyError.from(thrown), true);
    }
    this.batch.leave();
  }
}
