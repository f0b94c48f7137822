/**
 * Opens the HTTPS of hosts that are to be seen. A client that was told that it has its tunnel begins TLS; its ClientHello is looked
 * at first. A host that is to be opened is served with a certificate of our own authority, and the requests inside go through the
 * same pipeline as any others, to an origin whose certificate is verified there as always. Everything else becomes the tunnel that
 * was asked for, without a byte of it changed.
 *
 * What the client asked to be connected to, the name that it asks TLS for (SNI) and the Host of its requests must be one host:
 * that is seen at each request (pipeline/forward-admission.ts), which gets 421 otherwise.
 */

import { ByteQueue } from "../../core/byte-queue.ts";
import { Deadline, type DeadlineWheel } from "../../core/deadlines.ts";
import { OWN_CERTIFICATE_REFUSED, ProxyError } from "../../core/errors.ts";
import { FifoMap } from "../../core/fifo-map.ts";
import type { Connection, ConnectionHandler, DialHandler, PendingDial, ServeTls, TlsLayer } from "../../core/ports.ts";
import type { TakenOver } from "../../pipeline/downstream.ts";
import type { Exchange } from "../../pipeline/exchange.ts";
import type {
  ConnectionTaker,
  Destination,
  Forwarding,
  TakenConnection,
  TakenHandler,
  TunnelUpstream,
} from "../../pipeline/forwarding.ts";
import type { Sender } from "../../pipeline/upstream.ts";
import { ClientHello, parseClientHello } from "../../protocol/client-hello/parse.ts";
import { canonicalAddress } from "../../semantics/cidr.ts";
import { caNotTrusted } from "../refusal.ts";
import type { HostSet } from "../rules/hosts.ts";
import type { PortRange } from "../rules/options.ts";
import type { TunnelReceiver } from "../tunnel-stream.ts";

/** A certificate with its chain, and its key. */
export interface ServedLeaf {
  readonly cert: string;
  readonly key: string;
}

/** Where certificates come from. */
export interface LeafSource {
  /** null: `leafFor` must be asked. */
  peek(host: string): ServedLeaf | null;
  /** Rejects with a ProxyError. */
  leafFor(host: string): Promise<ServedLeaf>;
  /** Why there will be none, as far as that is known beforehand. */
  refusalOf(host: string): ProxyError | null;
}

/** Makes a tunnel, as its access allows. */
export interface TunnelDialer {
  openTunnel(sender: Sender, receiver: TunnelReceiver): PendingDial;
}

export interface InterceptionOptions {
  readonly hosts: HostSet;
  readonly except: HostSet;
  readonly leaves: LeafSource;
  readonly tls: TlsLayer;
  readonly tunnels: TunnelDialer;
  readonly deadlines: DeadlineWheel;
  /** Ports on which TLS is expected; tunnels to others are left alone. */
  readonly ports: readonly PortRange[];
  /** For the ClientHello, and again for the handshake. */
  readonly handshakeTimeoutMs: number;
}

/**
 * Behind an address any protocol may be, also one whose server speaks first: a client that says nothing for so long waits for it.
 * Clients of TLS speak at once; a second is more than the way to them takes.
 */
const SILENCE_MS = 1_000;

/** What is offered to clients: the one version of HTTP that is spoken inside. */
const ALPN = ["http/1.1"];
/**
 * Leaves that are ready to be served, of one thread. The context that the TLS layer makes for each is 37 KiB of native memory and
 * costs 1.7 ms to make, which a host that was not asked for lately can pay again.
 */
export const SERVED_MAX = 256;
/** Used up before the next one is read: one serves the whole thread. */
const hello = new ClientHello();

export class Interception implements ConnectionTaker {
  readonly options: InterceptionOptions;
  /** In the order of last use. */
  readonly #served = new FifoMap<ServedLeaf, ServeTls>();

  constructor(options: InterceptionOptions) {
    this.options = options;
  }

  /**
   * Whoever is to take a tunnel to this destination over; null: it is left alone, and nobody looks into it. What ought to be opened
   * and cannot be is refused: an operator who wants to see it would not want it to pass unseen.
   */
  takerFor({ kind, host, isAddress, port }: Destination): ConnectionTaker | ProxyError | null {
    if (kind !== "tunnel" || !this.options.ports.some(({ first, last }) => port >= first && port <= last)) return null;
    // Behind an address any name may stand: only the ClientHello tells.
    if (isAddress) return this;
    return this.opens(host) ? (this.options.leaves.refusalOf(host) ?? this) : null;
  }

  take(exchange: Exchange, client: TakenOver, handler: TakenHandler): TakenConnection {
    const taken = new Taken(this, exchange, client, handler);
    taken.begin();
    return taken;
  }

  opens(host: string): boolean {
    return this.options.hosts.has(host) && !this.options.except.has(host);
  }

  /** The same object for the same leaf, by which the TLS layer knows it again for as long as we keep it. */
  serveTls(leaf: ServedLeaf): ServeTls {
    const served = this.#served;
    const known = served.get(leaf);
    if (known === undefined && served.size >= SERVED_MAX) served.delete(served.oldest!);
    const options = known ?? { cert: leaf.cert, key: leaf.key, minVersion: "TLSv1.2", alpn: ALPN };
    served.set(leaf, options);
    return options;
  }
}

/** One connection, from the answer to CONNECT until it is a connection of requests, a tunnel, or closed. */
class Taken implements TakenConnection, ConnectionHandler, DialHandler, TunnelReceiver {
  readonly #interception: Interception;
  readonly #exchange: Exchange;
  readonly #forward: Forwarding;
  #client: TakenOver;
  readonly #handler: TakenHandler;
  readonly #deadline: Deadline;
  readonly #received = new ByteQueue();
  /** The handshake, or the connection of a tunnel, that is on its way. */
  #pending: PendingDial | null = null;
  /** The ClientHello was read, or cannot be. */
  #isJudged = false;
  /** The name that is served; null: a tunnel is being made. */
  #host: string | null = null;
  #serverName: string | null = null;
  /** The beginning of something has come, and its time was prolonged. */
  #isLate = false;
  #isOver = false;

  constructor(interception: Interception, exchange: Exchange, client: TakenOver, handler: TakenHandler) {
    this.#interception = interception;
    this.#exchange = exchange;
    this.#forward = exchange.forward!;
    this.#client = client;
    this.#handler = handler;
    const { deadlines } = interception.options;
    this.#deadline = new Deadline(deadlines, () => this.#onDeadline());
  }

  begin(): void {
    const { connection, early, ended } = this.#client;
    connection.handler = this;
    if (connection.closed) return this.#fail(gone());
    const { handshakeTimeoutMs } = this.#interception.options;
    this.#deadline.arm(this.#mayBeTunnel ? Math.min(SILENCE_MS, handshakeTimeoutMs) : handshakeTimeoutMs);
    if (early.length > 0) this.onBytes(early, 0, early.length);
    if (ended) this.onEnd();
    if (!this.#isJudged) connection.resume();
  }

  onBytes(buffer: Buffer, start: number, end: number): void {
    this.#received.append(buffer, start, end);
    if (!this.#isJudged) this.#judge();
  }

  onDrain(): void {}

  onEnd(): void {
    if (this.#isOver) return;
    // What a plain tunnel would pass on: half of it has ended.
    this.#client = { ...this.#client, ended: true };
    if (!this.#isJudged && this.#mayBeTunnel) return this.#tunnel();
    if (this.#host !== null || !this.#isJudged) this.#fail(gone());
  }

  onClose(error: ProxyError | null): void {
    this.#fail(error ?? gone());
  }

  /** It was asked for by its address, so nobody knows yet what is behind it. */
  get #mayBeTunnel(): boolean {
    return this.#forward.destination.isAddress;
  }

  #onDeadline(): void {
    if (this.#isJudged || !this.#mayBeTunnel) return this.#fail(refused("the client did not begin TLS in time", 408));
    // What has come of a ClientHello gets the time of a handshake; then it is none.
    if (this.#received.length === 0 || this.#isLate) return this.#tunnel();
    this.#isLate = true;
    this.#deadline.arm(this.#interception.options.handshakeTimeoutMs);
  }

  #judge(): void {
    const { bytes, start, end } = this.#received;
    const found = parseClientHello(bytes, start, end, hello);
    if (found === 0) return;
    if (found < 0) {
      if (this.#mayBeTunnel) return this.#tunnel();
      return this.#fail(refused("the client does not speak TLS to a host that is intercepted", 400));
    }
    const { host } = this.#forward.destination;
    const { serverName } = hello;
    this.#forward.serverName = serverName;
    if (!this.#mayBeTunnel) return this.#open(host, serverName);
    // The name says more than the address that it stands behind.
    const name = serverName ?? host;
    if (this.#interception.opens(name)) this.#open(name, serverName);
    else this.#tunnel();
  }

  #open(host: string, serverName: string | null): void {
    this.#isJudged = true;
    this.#client.connection.pause();
    this.#host = host;
    this.#serverName = serverName;
    const { leaves } = this.#interception.options;
    const leaf = leaves.peek(host);
    if (leaf !== null) return this.#serve(leaf);
    leaves.leafFor(host).then(
      (made) => {
        if (!this.#isOver) this.#serve(made);
      },
      (error: unknown) => this.#fail(ProxyError.from(error)),
    );
  }

  #serve(leaf: ServedLeaf): void {
    const { connection } = this.#client;
    if (connection.closed) return this.#fail(gone());
    this.#deadline.disarm();
    const { tls, handshakeTimeoutMs } = this.#interception.options;
    const early = this.#received.take();
    this.#pending = tls.serve(connection, early, this.#interception.serveTls(leaf), handshakeTimeoutMs, this);
  }

  #tunnel(): void {
    this.#isJudged = true;
    this.#client.connection.pause();
    this.#deadline.disarm();
    this.#pending = this.#interception.options.tunnels.openTunnel(this.#exchange, this);
  }

  onTunnel(stream: TunnelUpstream): void {
    if (this.#isOver) return stream.abort(null);
    this.#over();
    this.#handler.onTunnel({ ...this.#client, early: this.#received.take() }, stream);
  }

  /** The client's own, now in TLS. */
  onConnected(connection: Connection): void {
    if (this.#isOver) return connection.destroy();
    this.#over();
    const { destination, user } = this.#forward;
    const literal = canonicalAddress(destination.host);
    this.#client.serve(connection, {
      kind: "https",
      host: this.#host!,
      port: destination.port,
      address: destination.address ?? (literal === this.#host ? null : literal),
      serverName: this.#serverName,
      user,
      clientAddress: this.#exchange.clientAddress,
      upstream: this.#exchange.upstream,
    });
    this.#handler.onReleased(null);
  }

  onFailed(error: ProxyError): void {
    this.#pending = null;
    this.#fail(error.reason === OWN_CERTIFICATE_REFUSED ? caNotTrusted() : error);
  }

  destroy(error: ProxyError): void {
    this.#fail(error);
  }

  #fail(error: ProxyError): void {
    if (this.#isOver) return;
    this.#over();
    this.#pending?.cancel();
    this.#client.connection.destroy(undefined, true);
    this.#handler.onReleased(error);
  }

  #over(): void {
    this.#isOver = true;
    this.#deadline.dispose();
  }
}

function refused(message: string, status: number): ProxyError {
  return new ProxyError("http_request_error", message, { status });
}

function gone(): ProxyError {
  return refused("the client closed the connection", 499);
}
