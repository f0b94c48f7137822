/**
 * The transport on node:net and node:tls, which runs wherever Node runs. It makes connections of sockets, whichever way
 * they come, and counts them; what its connections share lives here. One per thread.
 */
import net from "node:net";
import tls from "node:tls";
import { ProxyError } from "../../core/errors.ts";
import { TLS_HANDSHAKE_TIMEOUT_MS } from "../../core/limits.ts";
import type { Address, Clock, Connection, Dialer } from "../../core/ports.ts";
import { addressOf } from "./address.ts";
import { NetConnection } from "./connection.ts";
import { type ConnectSocket, type DialerOwner, NetDialer } from "./dial.ts";
import { tlsInfoOf } from "./dial-tls.ts";
import { type Lookup, NameCache, systemLookup } from "./dns.ts";
import { type ListenOptions, type NetListener, openListener } from "./listen.ts";
import { WriteBatch } from "./write-batch.ts";

export type { ListenTls } from "./listen-tls.ts";
export type { ListenOptions, NetListener };

export interface NetTransportOptions {
  /** TCP keep-alive probes after this much silence; default: none, since idle limits find dead peers. */
  readonly keepAliveMs?: number;
  /** A client's TLS handshake, from accept to the end. */
  readonly handshakeTimeoutMs?: number;
  /** A handler threw, or the system refused to accept: something is lost, the process goes on. Default: a warning. */
  readonly onFault?: (fault: Error) => void;
  /** Stand-ins of tests. */
  readonly lookup?: Lookup;
  readonly connectSocket?: ConnectSocket;
}

export class NetTransport {
  readonly name = "net";
  readonly dialer: Dialer;
  readonly #shared: SharedState;
  readonly #handshakeTimeoutMs: number;

  constructor(clock: Clock, options: NetTransportOptions = {}) {
    const onFault = options.onFault ?? ((fault: Error) => process.emitWarning(fault));
    this.#shared = new SharedState(clock, options.keepAliveMs ?? null, onFault);
    this.#handshakeTimeoutMs = options.handshakeTimeoutMs ?? TLS_HANDSHAKE_TIMEOUT_MS;
    const names = new NameCache(clock, options.lookup ?? systemLookup);
    this.dialer = new NetDialer(this.#shared, names, options.connectSocket ?? net.connect);
  }

  /**
   * Begins to listen; with TLS, `onConnection` is called after the handshake. It sets `connection.handler` before it
   * returns. Rejects with a ListenError, which has a `code` (EADDRINUSE, EACCES, ...) and a message for the operator.
   */
  listen(options: ListenOptions, onConnection: (connection: Connection) => void): Promise<NetListener> {
    const shared = this.#shared;
    return openListener(options, {
      keepAliveMs: shared.keepAliveMs,
      handshakeTimeoutMs: this.#handshakeTimeoutMs,
      accept: (socket, local) => shared.serve(socket, local, onConnection),
      countHandshake: (change) => shared.countAttempt(change),
      reportFault: (thrown) => shared.reportFault(thrown),
    });
  }

  /** A connection of a socket that somebody else accepted: node:http gives one away on an upgrade. Set its handler at once. */
  adopt(socket: net.Socket): Connection {
    socket.setNoDelay(true);
    socket.setTimeout(0);
    return this.#shared.connectionOf(socket, null);
  }

  /** Connections and attempts of either side that hold a socket. */
  get openConnections(): number {
    return this.#shared.connections + this.#shared.attempts;
  }
}

/** What the connections, listeners and attempts of a transport share. */
class SharedState implements DialerOwner {
  readonly batch = new WriteBatch();
  readonly clock: Clock;
  readonly keepAliveMs: number | null;
  connections = 0;
  attempts = 0;
  readonly #onFault: (fault: Error) => void;

  constructor(clock: Clock, keepAliveMs: number | null, onFault: (fault: Error) => void) {
    this.clock = clock;
    this.keepAliveMs = keepAliveMs;
    this.#onFault = onFault;
  }

  countConnection(change: 1 | -1): void {
    this.connections += change;
  }

  countAttempt(change: 1 | -1): void {
    this.attempts += change;
  }

  /** Never throws: it is called where a throw would leave the batch open. */
  reportFault(thrown: unknown): void {
    try {
      this.#onFault(thrown instanceof Error ? thrown : ProxyError.from(thrown));
    } catch (second) {
      process.emitWarning(ProxyError.from(second));
    }
  }

  connectionOf(socket: net.Socket, local: Address | null): NetConnection {
    const connection = new NetConnection(this, socket, {
      remote: addressOf(socket.remoteAddress, socket.remotePort),
      local: local ?? addressOf(socket.localAddress, socket.localPort),
      tls: socket instanceof tls.TLSSocket ? tlsInfoOf(socket) : null,
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
