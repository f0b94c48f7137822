/**
 * Listening sockets of node:net and node:tls: TCP on one address or on both families, unix sockets, and descriptors that
 * somebody else has bound. It decides how sockets are accepted; what a connection says is never looked at here.
 */
import net from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import tls from "node:tls";
import { ProxyError } from "../../core/errors.ts";
import type { Address, Clock, Connection } from "../../core/ports.ts";
import { addressOf, describeAddress, UNNAMED } from "../addresses.ts";
import { BACKLOG, bindListener, describePlace } from "../binding.ts";
import { descriptorLimit } from "../descriptor-limit.ts";
import { failureOf, ListenError, type SystemError, systemErrorOf } from "../failures.ts";
import { ProxyHeaderGate, withRest } from "../proxy-headers.ts";
import type { ListenOptions, TransportListener } from "../transport.ts";
import type { NetConnection } from "./connection.ts";
import { CertificateChoice, contextOptions, type ListenTls } from "./listen-tls.ts";
import { descriptorOf } from "./socket-internals.ts";

/** Data that waits in Node for a paused connection, beyond the one read (64 KiB) that crosses the mark. */
const READ_HIGH_WATER_BYTES = 16 * 1024;

/** What is known of a socket's ends; null: the socket says it. */
export interface KnownEnds {
  readonly remote: Address | null;
  readonly local: Address | null;
}

/** What a listener needs of its transport. */
export interface Acceptor {
  readonly clock: Clock;
  readonly keepAliveMs: number | null;
  readonly handshakeTimeoutMs: number;
  readonly duplicate: ((descriptor: number) => number) | null;
  /** Who is given connections that are ready. */
  readonly onConnection: (connection: Connection) => void;
  /** Makes a connection of a socket, and gives it to `take`. */
  serve(socket: net.Socket, ends: KnownEnds, take: (connection: NetConnection) => void): void;
  /** Handshakes under way, by plus or minus one. */
  countHandshake(change: 1 | -1): void;
  /** The system refused to accept a connection, or a callback threw. */
  reportFault(thrown: unknown): void;
}

/** Rejects with a ListenError. */
export async function openListener(options: ListenOptions, acceptor: Acceptor): Promise<TransportListener> {
  const where = describePlace(options);
  const choice = options.tls === null ? null : makeChoice(options.tls, where);
  const listener = new ServerListener(options, acceptor, where, choice);
  try {
    await bindListener(options, () => listener.bind());
  } catch (error) {
    await listener.close();
    throw error;
  }
  return listener;
}

function makeChoice(options: ListenTls, where: string): CertificateChoice {
  try {
    return new CertificateChoice(options);
  } catch (error) {
    throw new ListenError(
      where,
      "ERR_TLS_CERTIFICATE",
      `its certificate cannot be used: ${(error as Error).message}`,
      error,
    );
  }
}

class ServerListener implements TransportListener {
  address: Address = UNNAMED;
  readonly #options: ListenOptions;
  readonly #acceptor: Acceptor;
  readonly #where: string;
  readonly #server: net.Server;
  /** null: clients speak no TLS. The listening server itself, unless headers are read before the handshakes. */
  readonly #secureServer: tls.Server | null;
  /** null: connections are taken as they come. */
  readonly #gate: ProxyHeaderGate<NetConnection> | null;
  /** Of sockets that TLS was put on, as headers told them. */
  readonly #ends = new WeakMap<net.Socket, KnownEnds>();
  #choice: CertificateChoice | null;
  #bound = false;
  #accepted = 0;
  /** Under way. */
  #handshakes = 0;
  /** Told when there are none. */
  readonly #untilNone: (() => void)[] = [];
  /** The local address of every accepted socket where it is the same for all. */
  #common: KnownEnds = { remote: null, local: null };

  constructor(options: ListenOptions, acceptor: Acceptor, where: string, choice: CertificateChoice | null) {
    this.#options = options;
    this.#acceptor = acceptor;
    this.#where = where;
    this.#choice = choice;
    const socketOptions = {
      allowHalfOpen: true,
      noDelay: true,
      highWaterMark: READ_HIGH_WATER_BYTES,
      keepAlive: acceptor.keepAliveMs !== null,
      keepAliveInitialDelay: acceptor.keepAliveMs ?? 0,
    };
    const { proxyHeaders = null } = options;
    const secure = options.tls === null ? null : this.#secure(socketOptions, options.tls);
    this.#secureServer = secure;
    const takeReady =
      secure === null
        ? withRest(acceptor.onConnection)
        : (connection: NetConnection, rest: Buffer) => this.#beginTls(connection, rest, secure);
    this.#gate = proxyHeaders === null ? null : new ProxyHeaderGate(proxyHeaders, acceptor.clock, takeReady);
    this.#server = secure !== null && this.#gate === null ? secure : this.#plain(socketOptions);
    this.#server.on("connection", () => {
      this.#accepted++;
    });
    this.#server.on("error", (error: SystemError) => {
      if (this.#bound)
        acceptor.reportFault(
          failureOf(error, `cannot accept a connection on ${describeAddress(this.address)}`, "proxy"),
        );
    });
  }

  #plain(socketOptions: net.ServerOpts): net.Server {
    const gate = this.#gate;
    const take = gate === null ? this.#acceptor.onConnection : (connection: NetConnection) => gate.take(connection);
    return net.createServer(socketOptions, (socket) => {
      if (this.#isKept(socket)) this.#serve(socket, this.#common, take);
    });
  }

  /** One that takes a descriptor which is left to others is closed: Node accepts them without asking. */
  #isKept(socket: net.Socket): boolean {
    if (descriptorLimit.admitsClient(descriptorOf(socket))) return true;
    socket.destroy();
    const what = `cannot accept a connection on ${describeAddress(this.address)}`;
    this.#acceptor.reportFault(failureOf(systemErrorOf("EMFILE"), what, "proxy"));
    return false;
  }

  /**
   * A TCP socket that its peer has reset tells no more whose it was, though what came before may still be read: no rule about clients
   * would hold for it. The system itself returns none that it cannot name (accept(2), ECONNABORTED), but Node does not ask it to.
   */
  #serve(socket: net.Socket, ends: KnownEnds, take: (connection: NetConnection) => void): void {
    const isUnix = this.address.family === 0;
    if (!isUnix && ends.remote === null && socket.remoteAddress === undefined) socket.destroy();
    else this.#acceptor.serve(socket, ends, take);
  }

  /** Gives a socket whose header was read to the server for TLS, as if that had just accepted it. */
  #beginTls(connection: NetConnection, rest: Buffer, server: tls.Server): void {
    const { remote, local } = connection;
    connection.giveSocket({
      onSocket: (socket) => {
        if (rest.length > 0) socket.unshift(rest);
        socket.allowHalfOpen = false;
        // Only where the peer's end was read before TLS was put on the socket, which then never hears of it.
        socket.once("end", () => socket.destroy());
        this.#ends.set(socket, { remote, local });
        server.emit("connection", socket);
      },
      // It has left: nobody knew of it yet.
      onNoSocket() {},
    });
  }

  /**
   * Whose connection TLS was put on. Node has no public way from a TLS socket to the one below; should this one go away, connections
   * are refused, never taken for those of their balancer.
   */
  #endsOf(socket: tls.TLSSocket): KnownEnds | null {
    if (this.#gate === null) return this.#common;
    const { _parent: below } = socket as unknown as { readonly _parent?: net.Socket | null };
    return below === undefined || below === null ? null : (this.#ends.get(below) ?? null);
  }

  #secure(socketOptions: net.ServerOpts, options: ListenTls): tls.Server {
    const first = options.certificates[0]!;
    const acceptor = this.#acceptor;
    const asked = options.clientAuth ?? null;
    const server = tls.createServer({
      ...socketOptions,
      // A client that ends within the handshake will not finish it; afterwards it may end its side alone.
      allowHalfOpen: false,
      ...contextOptions(options, first),
      requestCert: asked !== null,
      // Without a certificate OpenSSL then ends the handshake, with one that is not good Node does.
      rejectUnauthorized: asked?.isRequired === true,
      ALPNProtocols: ["http/1.1"],
      handshakeTimeout: acceptor.handshakeTimeoutMs,
      SNICallback: (serverName, done) => done(null, this.#choice?.contextFor(serverName)),
    });
    server.on("connection", (socket) => {
      this.#countHandshake(1);
      // Behind a gate it was looked at before.
      if (this.#gate === null) this.#isKept(socket);
    });
    server.on("secureConnection", (socket) => {
      this.#countHandshake(-1);
      // Node takes a resumed session that had no certificate for an authorized one.
      if (asked?.isRequired === true && socket.getPeerX509Certificate() === undefined) {
        socket.destroy();
        return;
      }
      const ends = this.#endsOf(socket);
      if (ends === null) {
        socket.destroy();
        return acceptor.reportFault(new Error(`${this.#where}: nobody knows whose connection it is`));
      }
      socket.allowHalfOpen = true;
      this.#serve(socket, ends, acceptor.onConnection);
    });
    // Node reports exactly one of the two for each connection. After a time-out it leaves the socket open.
    server.on("tlsClientError", (error: SystemError, socket) => {
      this.#countHandshake(-1);
      const remote = this.#endsOf(socket)?.remote ?? addressOf(socket.remoteAddress, socket.remotePort);
      socket.destroy();
      // A client that has gone has no address any more.
      const who = remote === UNNAMED ? "a client" : `client ${describeAddress(remote)}`;
      const what = `TLS handshake of ${who} on ${describeAddress(this.address)}`;
      try {
        this.#options.onTlsError?.(refusedCertificate(socket, what) ?? failureOf(error, what, "client"), remote);
      } catch (thrown) {
        acceptor.reportFault(thrown);
      }
    });
    return server;
  }

  /** Rejects with a SystemError; then it may be called again. */
  async bind(): Promise<void> {
    const server = this.#server;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once("error", reject);
    server.listen(this.#listenOptions(), resolve);
    try {
      await promise;
    } finally {
      server.off("error", reject);
    }
    this.#bound = true;
    const { path } = this.#options;
    if (path !== null) {
      this.address = { family: 0, address: path, port: 0 };
      this.#common = { remote: null, local: this.address };
      return;
    }
    const bound = server.address() as net.AddressInfo;
    this.address = { family: bound.family === "IPv6" ? 6 : 4, address: bound.address, port: bound.port };
    const isWildcard = bound.address === "::" || bound.address === "0.0.0.0";
    this.#common = { remote: null, local: isWildcard ? null : addressOf(bound.address, bound.port) };
  }

  #listenOptions(): net.ListenOptions & { readonly fd?: number } {
    const { host, port, path, descriptor, reusePort, backlog = BACKLOG } = this.#options;
    const common = { backlog, exclusive: true };
    if (descriptor !== undefined) {
      // Node closes what it listens on. Without a way to duplicate it, the caller's own descriptor is used up.
      return { ...common, fd: this.#acceptor.duplicate?.(descriptor) ?? descriptor };
    }
    if (path !== null) return { ...common, path };
    // Without a host Node binds `::` for both families, or 0.0.0.0 where there is no IPv6. With one it is that address alone.
    return { ...common, port, reusePort: reusePort === true, ...(host === null ? {} : { host, ipv6Only: true }) };
  }

  updateTls(options: ListenTls): void {
    const server = this.#secureServer;
    if (server === null) throw new Error(`${this.#where} does not speak TLS`);
    const choice = makeChoice(options, this.#where);
    // A tls.Server asks its clients for what it was made with.
    if (askedOf(options) !== askedOf(this.#options.tls!))
      throw new Error(`${this.#where} asks clients for something else`);
    server.setSecureContext(contextOptions(options, options.certificates[0]!));
    this.#choice = choice;
  }

  #countHandshake(change: 1 | -1): void {
    this.#acceptor.countHandshake(change);
    this.#handshakes += change;
    // Whoever waits hears of it in a later turn, when the connection that came of the last one has been taken.
    if (this.#handshakes === 0) for (const resolve of this.#untilNone.splice(0)) resolve();
  }

  async takeWaiting(): Promise<void> {
    // Node accepts one of them a turn. Under a flood there is always another one.
    await nextTurn();
    for (let turns = 0; turns < BACKLOG; turns++) {
      const before = this.#accepted;
      await nextTurn();
      if (this.#accepted === before) return;
    }
  }

  async whenHandshakesEnd(): Promise<void> {
    // A handshake may begin behind each of them.
    await this.#gate?.whenEmpty();
    if (this.#handshakes === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#untilNone.push(resolve);
    await promise;
  }

  close(): Promise<void> {
    // Node calls back only when the last connection has ended; the listening socket itself is closed at once.
    if (this.#server.listening) this.#server.close();
    this.#gate?.close();
    return Promise.resolve();
  }
}

function askedOf({ clientAuth }: ListenTls): "nothing" | "required" | "optional" {
  if (clientAuth === undefined || clientAuth === null) return "nothing";
  return clientAuth.isRequired ? "required" : "optional";
}

/** Node itself only says that the client has gone, having sent it away. null: there was no such certificate. */
function refusedCertificate(socket: tls.TLSSocket, what: string): ProxyError | null {
  // An Error with a code, whatever its type says.
  const why = socket.authorizationError as unknown;
  if (why === undefined || why === null) return null;
  const message = `${what}: the client's certificate is not accepted: ${String(why)}`;
  return new ProxyError("tls_certificate_error", message, { side: "client", status: 400 });
}
