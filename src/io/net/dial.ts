/**
 * Connecting to an upstream: name, address racing (RFC 8305), TLS handshake, all within one deadline and cancellable at
 * every stage. It decides which address wins and what the failure of all of them is called; whether to try again, and
 * which server, is decided by the caller.
 */
import net from "node:net";
import type tls from "node:tls";
import { ProxyError } from "../../core/errors.ts";
import { CONNECTION_ATTEMPT_DELAY_MS } from "../../core/limits.ts";
import type {
  Address,
  Clock,
  Dialer,
  DialHandler,
  DialTarget,
  DialTls,
  PendingDial,
  TimerHandle,
} from "../../core/ports.ts";
import { addressOf, describeHostPort, UNNAMED } from "./address.ts";
import { type ConnectionOwner, NetConnection } from "./connection.ts";
import { ClientTls, tlsInfoOf } from "./dial-tls.ts";
import type { NameCache, ResolvedAddress } from "./dns.ts";
import { failureOf, type SystemError } from "./failures.ts";

/** Makes a socket that begins to connect: `net.connect`, or a stand-in of a test. */
export type ConnectSocket = (options: net.NetConnectOpts) => net.Socket;

/** What is read at once from a socket: the size that Node itself uses. */
const READ_BYTES = 64 * 1024;

/** What a dialer needs of its transport. */
export interface DialerOwner extends ConnectionOwner {
  readonly clock: Clock;
  readonly keepAliveMs: number | null;
  /** Sockets that are connecting or shaking hands, by plus or minus one. */
  countAttempt(change: 1 | -1): void;
}

export class NetDialer implements Dialer {
  readonly owner: DialerOwner;
  readonly names: NameCache;
  readonly connectSocket: ConnectSocket;
  /**
   * All plain connections read into this one buffer: a handler must be done with it when it returns, so nothing is
   * allocated for a read, and the bytes are still in the processor's cache when they are copied out.
   */
  readonly readBuffer = Buffer.allocUnsafeSlow(READ_BYTES);
  readonly #clients = new WeakMap<DialTls, ClientTls>();

  constructor(owner: DialerOwner, names: NameCache, connectSocket: ConnectSocket) {
    this.owner = owner;
    this.names = names;
    this.connectSocket = connectSocket;
  }

  dial(target: DialTarget, handler: DialHandler): PendingDial {
    const dial = new Dial(this, target, handler);
    dial.start();
    return dial;
  }

  /** One context for each DialTls object, for as long as that object lives. Throws when its PEM texts cannot be used. */
  clientOf(options: DialTls): ClientTls {
    let client = this.#clients.get(options);
    if (client === undefined) {
      client = new ClientTls(options);
      this.#clients.set(options, client);
    }
    return client;
  }
}

/** One socket that is on its way to one address. */
interface Attempt {
  readonly socket: net.Socket;
  readonly remote: Address;
  /** Set when the socket has become a connection: bytes go there. */
  connection: NetConnection | null;
  readonly onConnect: () => void;
  readonly onError: (error: SystemError) => void;
}

class Dial implements PendingDial {
  readonly #dialer: NetDialer;
  readonly #owner: DialerOwner;
  readonly #target: DialTarget;
  readonly #handler: DialHandler;
  readonly #where: string;
  #stage: "resolving" | "connecting" | "securing" | "done" = "resolving";
  #client: ClientTls | null = null;
  #deadline: TimerHandle | null = null;
  #resolving: TimerHandle | null = null;
  #nextAttempt: TimerHandle | null = null;
  #addresses: readonly ResolvedAddress[] = [];
  /** Addresses that were tried. */
  #tried = 0;
  readonly #attempts = new Set<Attempt>();
  readonly #failures: ProxyError[] = [];
  #secured: tls.TLSSocket | null = null;

  constructor(dialer: NetDialer, target: DialTarget, handler: DialHandler) {
    this.#dialer = dialer;
    this.#owner = dialer.owner;
    this.#target = target;
    this.#handler = handler;
    this.#where = target.port === 0 ? `unix:${target.host}` : describeHostPort(target.host, target.port);
  }

  start(): void {
    const { host, port, tls: options, timeoutMs } = this.#target;
    if (options !== null) {
      try {
        this.#client = this.#dialer.clientOf(options);
      } catch (error) {
        this.#failLater(unusableTls(this.#where, error as Error));
        return;
      }
    }
    this.#deadline = this.#owner.clock.after(timeoutMs, () => this.#timedOut());
    const family = net.isIP(host);
    if (port === 0) this.#connectTo({ path: host }, { family: 0, address: host, port: 0 });
    else if (family !== 0) this.#race([{ address: host, family: family as 4 | 6 }]);
    else {
      this.#resolving = this.#dialer.names.resolve(host, {
        onResolved: (addresses) => this.#race(interleave(addresses)),
        onUnresolved: (error) =>
          this.#failLater(
            new ProxyError(error.type, `cannot connect to ${this.#where}: ${error.message}`, { cause: error }),
          ),
      });
    }
  }

  cancel(): void {
    if (this.#stage === "done") return;
    this.#stage = "done";
    this.#deadline?.cancel();
    this.#resolving?.cancel();
    this.#nextAttempt?.cancel();
    for (const attempt of this.#attempts) this.#abandon(attempt);
    if (this.#secured !== null) {
      this.#secured.destroy();
      this.#owner.countAttempt(-1);
    }
  }

  #race(addresses: readonly ResolvedAddress[]): void {
    if (this.#stage === "done") return;
    this.#addresses = addresses;
    this.#tryNext();
  }

  /** RFC 8305, section 5: one address after the other, each with a head start, at once when the one before has failed. */
  #tryNext(): void {
    const { address, family } = this.#addresses[this.#tried++]!;
    const port = this.#target.port;
    this.#nextAttempt?.cancel();
    this.#nextAttempt = null;
    this.#connectTo({ host: address, port, family }, { family, address, port });
    if (this.#tried < this.#addresses.length) {
      this.#nextAttempt = this.#owner.clock.after(CONNECTION_ATTEMPT_DELAY_MS, () => this.#tryNext());
    }
  }

  #connectTo(where: net.TcpNetConnectOpts | net.IpcNetConnectOpts, remote: Address): void {
    this.#stage = "connecting";
    const { keepAliveMs } = this.#owner;
    const buffer = this.#dialer.readBuffer;
    const socket = this.#dialer.connectSocket({
      ...where,
      allowHalfOpen: true,
      noDelay: true,
      ...(keepAliveMs === null ? {} : { keepAlive: true, keepAliveInitialDelay: keepAliveMs }),
      ...(this.#client !== null ? {} : { onread: { buffer, callback } }),
    });
    const attempt: Attempt = {
      socket,
      remote,
      connection: null,
      onConnect: () => this.#attemptConnected(attempt),
      onError: (error) => this.#attemptFailed(attempt, error),
    };
    function callback(length: number): boolean {
      attempt.connection?.receive(buffer, length);
      return true;
    }
    this.#owner.countAttempt(1);
    this.#attempts.add(attempt);
    socket.once("connect", attempt.onConnect);
    socket.on("error", attempt.onError);
  }

  #attemptFailed(attempt: Attempt, error: SystemError): void {
    if (!this.#attempts.delete(attempt)) return;
    this.#owner.countAttempt(-1);
    const { remote } = attempt;
    const isLiteral = remote.family === 0 || remote.address === this.#target.host;
    const what = `cannot connect to ${this.#where}`;
    this.#failures.push(failureOf(error, isLiteral ? what : `${what} at ${remote.address}`, "upstream"));
    if (this.#tried < this.#addresses.length) this.#tryNext();
    else if (this.#attempts.size === 0) this.#fail(failureOfAll(this.#failures));
  }

  #attemptConnected(attempt: Attempt): void {
    const { socket, remote } = attempt;
    const local = remote.family === 0 ? UNNAMED : addressOf(socket.localAddress, socket.localPort);
    if (local.port === remote.port && local.address === remote.address && remote.family !== 0) {
      // Nobody listens there, but the system chose the very same port for our end: TCP lets a socket connect to itself.
      socket.destroy(Object.assign(new Error("connected to itself"), { code: "ECONNREFUSED" }));
      return;
    }
    this.#attempts.delete(attempt);
    for (const loser of this.#attempts) this.#abandon(loser);
    this.#nextAttempt?.cancel();
    if (this.#client !== null) {
      this.#secure(this.#client, socket, { remote, local });
      return;
    }
    socket.off("error", attempt.onError);
    attempt.connection = new NetConnection(this.#owner, socket, { remote, local, tls: null, side: "upstream" });
    this.#succeed(attempt.connection);
  }

  #secure(client: ClientTls, socket: net.Socket, ends: { readonly remote: Address; readonly local: Address }): void {
    this.#stage = "securing";
    const server = this.#where;
    const secured = client.connect(socket, server);
    this.#secured = secured;
    const onError = (error: SystemError): void => {
      if (this.#stage !== "securing") return;
      client.forget(server);
      this.#fail(failureOf(error, `TLS handshake with ${this.#where} (${client.serverName})`, "upstream"));
    };
    const onClose = (): void => onError(Object.assign(new Error("closed"), { code: "ENOTCONN" }));
    secured.on("error", onError);
    secured.once("close", onClose);
    secured.once("secureConnect", () => {
      if (this.#stage !== "securing") return;
      secured.off("error", onError).off("close", onClose);
      this.#secured = null;
      const facts = { ...ends, tls: tlsInfoOf(secured), side: "upstream" } as const;
      const connection = new NetConnection(this.#owner, secured, facts);
      connection.readFromEvents();
      this.#succeed(connection);
    });
  }

  #abandon(attempt: Attempt): void {
    this.#attempts.delete(attempt);
    this.#owner.countAttempt(-1);
    attempt.socket.destroy();
  }

  #succeed(connection: NetConnection): void {
    this.#stage = "done";
    this.#deadline?.cancel();
    this.#owner.countAttempt(-1);
    const { batch } = this.#owner;
    batch.enter();
    try {
      this.#handler.onConnected(connection);
    } catch (thrown) {
      this.#owner.reportFault(thrown);
      connection.destroy(ProxyError.from(thrown));
    }
    batch.leave();
  }

  /** For failures that are known before `dial` has returned. */
  #failLater(error: ProxyError): void {
    process.nextTick(() => this.#fail(error));
  }

  #fail(error: ProxyError): void {
    if (this.#stage === "done") return;
    this.cancel();
    const { batch } = this.#owner;
    batch.enter();
    try {
      this.#handler.onFailed(error);
    } catch (thrown) {
      this.#owner.reportFault(thrown);
    }
    batch.leave();
  }

  #timedOut(): void {
    const { timeoutMs } = this.#target;
    const inTime = `within ${timeoutMs} ms`;
    if (this.#stage === "resolving") {
      this.#fail(
        new ProxyError("dns_timeout", `cannot connect to ${this.#where}: the name was not resolved ${inTime}`),
      );
    } else if (this.#stage === "securing") {
      this.#fail(new ProxyError("connection_timeout", `TLS handshake with ${this.#where}: not finished ${inTime}`));
    } else {
      const earlier = this.#failures.map((failure) => failure.message).join("; ");
      const message = `cannot connect to ${this.#where}: no answer ${inTime}${earlier === "" ? "" : ` (${earlier})`}`;
      this.#fail(new ProxyError("connection_timeout", message));
    }
  }
}

/** RFC 8305, section 4: the families in turn, beginning with the one that the system prefers, each in the system's order. */
export function interleave(addresses: readonly ResolvedAddress[]): readonly ResolvedAddress[] {
  const first = addresses.filter(({ family }) => family === addresses[0]!.family);
  const second = addresses.filter(({ family }) => family !== addresses[0]!.family);
  const mixed: ResolvedAddress[] = [];
  for (let index = 0; index < first.length || index < second.length; index++) {
    if (index < first.length) mixed.push(first[index]!);
    if (index < second.length) mixed.push(second[index]!);
  }
  return mixed;
}

/** A missing route says the least (a name has IPv6 addresses, this machine has no IPv6): any other failure goes first. */
function failureOfAll(failures: readonly ProxyError[]): ProxyError {
  const [only] = failures;
  if (failures.length === 1 && only !== undefined) return only;
  const telling = failures.find(({ type }) => type !== "destination_ip_unroutable") ?? only!;
  const message = failures.map((failure) => failure.message).join("; ");
  return new ProxyError(telling.type, message, { cause: new AggregateError(failures, message) });
}

function unusableTls(where: string, error: Error): ProxyError {
  const message = `cannot connect to ${where}: its TLS options cannot be used: ${error.message}`;
  return new ProxyError("proxy_configuration_error", message, { cause: error });
}
