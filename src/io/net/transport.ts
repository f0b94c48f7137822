/**
 * The transport on node:net and node:tls, which runs wherever Node runs. It makes connections of sockets, whichever way
 * they come, and counts them; what its connections share lives here. One per thread.
 */
import type net from "node:net";
import tls from "node:tls";
import { ProxyError } from "../../core/errors.ts";
import { TLS_HANDSHAKE_TIMEOUT_MS } from "../../core/limits.ts";
import type { Address, Clock, Connection, Dialer, TlsLayer } from "../../core/ports.ts";
import { addressOf } from "../addresses.ts";
import { describePlace } from "../binding.ts";
import type { DialOwner } from "../dialing/connecting.ts";
import { RacingDialer } from "../dialing/dial.ts";
import { NameCache } from "../dialing/name-cache.ts";
import { ListenError } from "../failures.ts";
import type { AddonMissing } from "../native/addon.ts";
import type { AskOriginal } from "../native/addresses.ts";
import type { ListenOptions, Transport, TransportListener, TransportOptions } from "../transport.ts";
import { TransportState } from "../transport-state.ts";
import { Arrivals } from "./arrivals.ts";
import { type ConnectingOwner, NetConnecting } from "./connect.ts";
import { NetConnection } from "./connection.ts";
import { ClientContexts } from "./dial-tls.ts";
import { type KnownEnds, openListener } from "./listen.ts";
import { PausedClients } from "./paused-clients.ts";
import { Receiver, receiveBy, takeOver } from "./receiver.ts";
import { descriptorOf } from "./socket-internals.ts";
import { clientTlsInfoOf } from "./tls-info.ts";
import { NetTlsLayer } from "./tls-layer.ts";
import { WriteBatch } from "./write-batch.ts";

export interface NetTransportOptions extends TransportOptions {
  /** A second descriptor of the same socket: Node closes what it listens on, which the caller keeps. */
  readonly duplicate?: (descriptor: number) => number;
  /** Called when somebody listens for redirected traffic: how to ask, or why nobody can. */
  readonly findAskOriginal?: () => AskOriginal | AddonMissing;
}

export class NetTransport implements Transport {
  readonly name = "net";
  readonly dialer: Dialer;
  readonly tls: TlsLayer;
  readonly #shared: SharedState;
  readonly #connecting: NetConnecting;
  readonly #handshakeTimeoutMs: number;
  readonly #duplicate: ((descriptor: number) => number) | null;
  readonly #findAskOriginal: () => AskOriginal | AddonMissing;

  constructor(clock: Clock, options: NetTransportOptions = {}) {
    this.#shared = new SharedState(clock, options.keepAliveMs ?? null, options.onFault);
    this.#handshakeTimeoutMs = options.handshakeTimeoutMs ?? TLS_HANDSHAKE_TIMEOUT_MS;
    this.#duplicate = options.duplicate ?? null;
    this.#findAskOriginal = options.findAskOriginal ?? (() => ({ reason: "this transport was opened without it" }));
    const clients = new ClientContexts();
    this.#connecting = new NetConnecting(this.#shared, clients);
    this.dialer = this.dialerWith(new NameCache(clock, options.lookup));
    this.tls = new NetTlsLayer(this.#shared, clients);
  }

  dialerWith(names: NameCache): Dialer {
    return new RacingDialer(this.#shared, names, this.#connecting);
  }

  async listen(options: ListenOptions, onConnection: (connection: Connection) => void): Promise<TransportListener> {
    const shared = this.#shared;
    const askOriginal = options.transparent === true ? this.#askOriginal(options) : null;
    return openListener(options, {
      clock: shared.clock,
      keepAliveMs: shared.keepAliveMs,
      handshakeTimeoutMs: this.#handshakeTimeoutMs,
      duplicate: this.#duplicate,
      serve: (socket, ends, take) => shared.serve(socket, ends, askOriginal, take),
      onConnection,
      countHandshake: (change) => shared.countAttempt(change),
      reportFault: (thrown) => shared.reportFault(thrown),
    });
  }

  adopt(socket: net.Socket): Connection {
    socket.setNoDelay(true);
    socket.setTimeout(0);
    const connection = this.#shared.connectionOf(socket, NO_ENDS);
    connection.readFromEvents();
    return connection;
  }

  get openConnections(): number {
    return this.#shared.connections + this.#shared.attempts;
  }

  #askOriginal(options: ListenOptions): AskOriginal {
    const found = this.#findAskOriginal();
    if (typeof found === "function") return found;
    const words = `only the native addon can tell where redirected connections had meant to go, and ${found.reason}`;
    throw new ListenError(describePlace(options), "ENOTSUP", words);
  }
}

const NO_ENDS: KnownEnds = { remote: null, local: null };

/** What the connections, listeners and attempts of a transport share. */
class SharedState extends TransportState implements DialOwner, ConnectingOwner {
  readonly batch = new WriteBatch();
  readonly keepAliveMs: number | null;
  readonly arrivals = new Arrivals();
  readonly pausedClients: PausedClients;

  constructor(clock: Clock, keepAliveMs: number | null, onFault: ((fault: Error) => void) | undefined) {
    super(clock, onFault);
    this.keepAliveMs = keepAliveMs;
    this.pausedClients = new PausedClients(clock);
  }

  connectionOf(socket: net.Socket, { remote, local }: KnownEnds, original: Address | null = null): NetConnection {
    return new NetConnection(this, socket, {
      originalDestination: original,
      remote: remote ?? addressOf(socket.remoteAddress, socket.remotePort),
      local: local ?? addressOf(socket.localAddress, socket.localPort),
      tls: socket instanceof tls.TLSSocket ? clientTlsInfoOf(socket) : null,
      side: "client",
    });
  }

  #accepted(socket: net.Socket, ends: KnownEnds, original: Address | null): NetConnection {
    const receiver = new Receiver(this.arrivals);
    const isSecured = socket instanceof tls.TLSSocket;
    const own = isSecured ? null : takeOver(socket, receiver);
    const connection = this.connectionOf(own ?? socket, ends, original);
    if (own !== null || (isSecured && receiveBy(socket, receiver))) receiver.connection = connection;
    else connection.readFromEvents();
    return connection;
  }

  serve(
    socket: net.Socket,
    ends: KnownEnds,
    askOriginal: AskOriginal | null,
    take: (connection: NetConnection) => void,
  ): void {
    const original = askOriginal === null ? null : originalDestinationOf(socket, askOriginal);
    const connection = this.#accepted(socket, ends, original);
    this.batch.enter();
    try {
      take(connection);
    } catch (thrown) {
      this.reportFault(thrown);
      connection.destroy(ProxyError.from(thrown), true);
    }
    this.batch.leave();
  }
}

function originalDestinationOf(socket: net.Socket, ask: AskOriginal): Address | null {
  const descriptor = descriptorOf(socket);
  return descriptor < 0 ? null : ask(descriptor);
}
