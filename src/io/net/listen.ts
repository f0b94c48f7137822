/**
 * Listening sockets of node:net and node:tls: TCP on one address or on both families, unix sockets, and descriptors that
 * somebody else has bound. It decides how sockets are accepted; what a connection says is never looked at here.
 */
import net from "node:net";
import tls from "node:tls";
import { ProxyError } from "../../core/errors.ts";
import type { Address } from "../../core/ports.ts";
import { addressOf, describeAddress, UNNAMED } from "../addresses.ts";
import { BACKLOG, bindListener, describePlace } from "../binding.ts";
import { failureOf, ListenError, type SystemError } from "../failures.ts";
import type { ListenOptions, TransportListener } from "../transport.ts";
import { CertificateChoice, contextOptions, type ListenTls } from "./listen-tls.ts";

/** Data that waits in Node for a paused connection, beyond the one read (64 KiB) that crosses the mark. */
const READ_HIGH_WATER_BYTES = 16 * 1024;

/** What a listener needs of its transport. */
export interface Acceptor {
  readonly keepAliveMs: number | null;
  readonly handshakeTimeoutMs: number;
  readonly duplicate: ((descriptor: number) => number) | null;
  /** A socket that is ready to serve. `local` is null when it depends on the socket. */
  accept(socket: net.Socket, local: Address | null): void;
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
  #choice: CertificateChoice | null;
  #bound = false;
  /** The address of every accepted socket where it is the same for all. */
  #local: Address | null = null;

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
    this.#server = options.tls === null ? this.#plain(socketOptions) : this.#secure(socketOptions, options.tls);
    this.#server.on("error", (error: SystemError) => {
      if (this.#bound)
        acceptor.reportFault(
          failureOf(error, `cannot accept a connection on ${describeAddress(this.address)}`, "proxy"),
        );
    });
  }

  #plain(socketOptions: net.ServerOpts): net.Server {
    return net.createServer(socketOptions, (socket) => this.#acceptor.accept(socket, this.#local));
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
    server.on("connection", () => acceptor.countHandshake(1));
    server.on("secureConnection", (socket) => {
      acceptor.countHandshake(-1);
      // Node takes a resumed session that had no certificate for an authorized one.
      if (asked?.isRequired === true && socket.getPeerX509Certificate() === undefined) {
        socket.destroy();
        return;
      }
      socket.allowHalfOpen = true;
      acceptor.accept(socket, this.#local);
    });
    // Node reports exactly one of the two for each connection. After a time-out it leaves the socket open.
    server.on("tlsClientError", (error: SystemError, socket) => {
      acceptor.countHandshake(-1);
      const remote = addressOf(socket.remoteAddress, socket.remotePort);
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
      this.address = this.#local = { family: 0, address: path, port: 0 };
      return;
    }
    const bound = server.address() as net.AddressInfo;
    this.address = { family: bound.family === "IPv6" ? 6 : 4, address: bound.address, port: bound.port };
    const isWildcard = bound.address === "::" || bound.address === "0.0.0.0";
    this.#local = isWildcard ? null : addressOf(bound.address, bound.port);
  }

  #listenOptions(): net.ListenOptions & { readonly fd?: number } {
    const { host, port, path, descriptor, reusePort, backlog = BACKLOG } = this.#options;
    const common = { backlog, exclusive: true };
    if (descriptor !== undefined) {
      // Node closes what it listens on. Without a way to duplicate it, the caller's own descriptor is used up.
      return { ...common, fd: this.#acceptor.duplicate?.(descriptor) ?? descriptor };
    }
    if (path !== null) return { ...common, path };
    // Without a host Node binds `::` for both families, or 0.0.0.0 where there is no IPv6.
    return { ...common, port, reusePort: reusePort === true, ...(host === null ? {} : { host }) };
  }

  updateTls(options: ListenTls): void {
    if (!(this.#server instanceof tls.Server)) throw new Error(`${this.#where} does not speak TLS`);
    const choice = makeChoice(options, this.#where);
    // A tls.Server asks its clients for what it was made with.
    if (askedOf(options) !== askedOf(this.#options.tls!))
      throw new Error(`${this.#where} asks clients for something else`);
    this.#server.setSecureContext(contextOptions(options, options.certificates[0]!));
    this.#choice = choice;
  }

  close(): Promise<void> {
    // Node calls back only when the last connection has ended; the listening socket itself is closed at once.
    if (this.#server.listening) this.#server.close();
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
