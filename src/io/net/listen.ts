/**
 * Listening sockets: TCP on one address or on both families, unix sockets, plain or with TLS. It decides what may be
 * bound and turns every failure into a sentence; what a connection says is never looked at here.
 *
 * A unix socket outlives a process that was killed: its file is replaced when nobody answers on it any more, and only if
 * it is a socket.
 */
import { chmodSync, lstatSync, unlinkSync } from "node:fs";
import net from "node:net";
import tls from "node:tls";
import type { ProxyError } from "../../core/errors.ts";
import type { Address, Listener } from "../../core/ports.ts";
import { addressOf, describeAddress, describeHostPort, UNNAMED } from "./address.ts";
import { failureOf, ListenError, type SystemError } from "./failures.ts";
import { CertificateChoice, type ListenTls } from "./listen-tls.ts";

/** Linux cuts it to net.core.somaxconn, 4096 by default. nginx and Node ask for 511, which a burst of clients fills. */
const BACKLOG = 4096;

/** Data that waits in Node for a paused connection, beyond the one read (64 KiB) that crosses the mark. */
const READ_HIGH_WATER_BYTES = 16 * 1024;

export interface ListenOptions {
  /** A name or an address without brackets; null: every address of both families. */
  readonly host: string | null;
  /** 0: the system chooses. */
  readonly port: number;
  /** The path of a unix socket; then host and port say nothing. */
  readonly path: string | null;
  /** Permissions of the unix socket's file, such as 0o660; default: by the process's umask. */
  readonly mode?: number;
  readonly tls: ListenTls | null;
  readonly backlog?: number;
  /** Several threads or processes may listen on the same address, and the kernel spreads the connections. */
  readonly reusePort?: boolean;
  /** A client's handshake failed: for the log. Called as often as clients fail: the caller limits the rate. */
  readonly onTlsError?: (error: ProxyError, remote: Address) => void;
}

export interface NetListener extends Listener {
  /** Certificates for connections to come; those that exist go on. Throws when they cannot be used: the old ones stay. */
  updateTls(tls: ListenTls): void;
}

/** What a listener needs of its transport. */
export interface Acceptor {
  readonly keepAliveMs: number | null;
  readonly handshakeTimeoutMs: number;
  /** A socket that is ready to serve. `local` is null when it depends on the socket. */
  accept(socket: net.Socket, local: Address | null): void;
  /** Handshakes under way, by plus or minus one. */
  countHandshake(change: 1 | -1): void;
  /** The system refused to accept a connection, or a callback threw. */
  reportFault(thrown: unknown): void;
}

/** sockaddr_un.sun_path on Linux, without its closing NUL. Some versions of Node cut longer paths without a word. */
const SOCKET_PATH_BYTES_MAX = 107;

/** Rejects with a ListenError. */
export async function openListener(options: ListenOptions, acceptor: Acceptor): Promise<NetListener> {
  const where = options.path === null ? describeHostPort(options.host ?? "", options.port) : `unix:${options.path}`;
  if (options.path !== null && Buffer.byteLength(options.path) > SOCKET_PATH_BYTES_MAX) {
    const words = `the path of a unix socket may have at most ${SOCKET_PATH_BYTES_MAX} bytes`;
    throw new ListenError(where, "ENAMETOOLONG", words);
  }
  const choice = options.tls === null ? null : makeChoice(options.tls, where);
  const listener = new ServerListener(options, acceptor, where, choice);
  try {
    await listener.bind();
  } catch (error) {
    const inUse = (error as SystemError).code === "EADDRINUSE";
    if (options.path === null || !inUse || !(await removeStaleSocket(options.path))) {
      throw ListenError.from(error as SystemError, where);
    }
    await listener.bind().catch((second: SystemError) => {
      throw ListenError.from(second, where);
    });
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

/** Removes the file of a socket on which nobody listens; false when somebody does or it is no socket. */
async function removeStaleSocket(path: string): Promise<boolean> {
  try {
    if (!lstatSync(path).isSocket()) return false;
  } catch {
    return true;
  }
  const probe = net.connect({ path });
  const isStale = await new Promise<boolean>((resolve) => {
    probe.once("connect", () => resolve(false));
    probe.once("error", (error: SystemError) => resolve(error.code === "ECONNREFUSED" || error.code === "ENOENT"));
  });
  probe.destroy();
  if (!isStale) return false;
  try {
    unlinkSync(path);
  } catch {
    // Gone, or not ours to remove: binding again tells which.
  }
  return true;
}

class ServerListener implements NetListener {
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
    const server = tls.createServer({
      ...socketOptions,
      // A client that ends within the handshake will not finish it; afterwards it may end its side alone.
      allowHalfOpen: false,
      cert: first.cert,
      key: first.key,
      minVersion: options.minVersion,
      ALPNProtocols: ["http/1.1"],
      handshakeTimeout: acceptor.handshakeTimeoutMs,
      SNICallback: (serverName, done) => done(null, this.#choice?.contextFor(serverName)),
    });
    server.on("connection", () => acceptor.countHandshake(1));
    server.on("secureConnection", (socket) => {
      acceptor.countHandshake(-1);
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
        this.#options.onTlsError?.(failureOf(error, what, "client"), remote);
      } catch (thrown) {
        acceptor.reportFault(thrown);
      }
    });
    return server;
  }

  async bind(): Promise<void> {
    const { host, port, path, mode } = this.#options;
    const server = this.#server;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once("error", reject);
    server.listen(
      {
        ...(path !== null ? { path } : { port, reusePort: this.#options.reusePort === true }),
        // Without a host Node binds `::` for both families, or 0.0.0.0 where there is no IPv6.
        ...(host !== null && path === null ? { host } : {}),
        backlog: this.#options.backlog ?? BACKLOG,
        exclusive: true,
      },
      resolve,
    );
    await promise;
    server.off("error", reject);
    this.#bound = true;
    if (path !== null) {
      if (mode !== undefined) chmodSync(path, mode);
      this.address = this.#local = { family: 0, address: path, port: 0 };
      return;
    }
    const bound = server.address() as net.AddressInfo;
    this.address = { family: bound.family === "IPv6" ? 6 : 4, address: bound.address, port: bound.port };
    const isWildcard = bound.address === "::" || bound.address === "0.0.0.0";
    this.#local = isWildcard ? null : addressOf(bound.address, bound.port);
  }

  updateTls(options: ListenTls): void {
    if (!(this.#server instanceof tls.Server)) throw new Error(`${this.#where} does not speak TLS`);
    const choice = makeChoice(options, this.#where);
    const first = options.certificates[0]!;
    this.#server.setSecureContext({ cert: first.cert, key: first.key, minVersion: options.minVersion });
    this.#choice = choice;
  }

  close(): Promise<void> {
    // Node calls back only when the last connection has ended; the listening socket itself is closed at once.
    if (this.#server.listening) this.#server.close();
    return Promise.resolve();
  }
}
