/**
 * Dialing's part on node:net and node:tls: a socket that connects to one address, and the TLS handshake of the one that
 * won. It decides nothing about names, races and deadlines.
 */
import net from "node:net";
import type tls from "node:tls";
import { ProxyError } from "../../core/errors.ts";
import type { Address, DialTarget, DialTls, PendingDial } from "../../core/ports.ts";
import { addressOf, UNNAMED } from "../addresses.ts";
import type { AttemptHandler, CompletionHandler, Connecting, Ends } from "../dialing/connecting.ts";
import { describeTarget } from "../dialing/dial.ts";
import { failureOf, type SystemError } from "../failures.ts";
import { type ConnectionOwner, NetConnection } from "./connection.ts";
import { ClientTls } from "./dial-tls.ts";
import { tlsInfoOf } from "./tls-info.ts";

/** What is read at once from a socket: the size that Node itself uses. */
const READ_BYTES = 64 * 1024;

/** What connecting needs of its transport. */
export interface ConnectingOwner extends ConnectionOwner {
  readonly keepAliveMs: number | null;
}

export class NetConnecting implements Connecting<NetAttempt> {
  readonly #owner: ConnectingOwner;
  /**
   * All plain connections read into this one buffer: a handler must be done with it when it returns, so nothing is
   * allocated for a read, and the bytes are still in the processor's cache when they are copied out.
   */
  readonly #readBuffer = Buffer.allocUnsafeSlow(READ_BYTES);
  readonly #clients = new WeakMap<DialTls, ClientTls>();

  constructor(owner: ConnectingOwner) {
    this.#owner = owner;
  }

  objectionTo(target: DialTarget): ProxyError | null {
    if (target.tls === null) return null;
    try {
      this.#clientOf(target.tls);
      return null;
    } catch (thrown) {
      const error = thrown as Error;
      const message = `cannot connect to ${describeTarget(target)}: its TLS options cannot be used: ${error.message}`;
      return new ProxyError("proxy_configuration_error", message, { cause: error });
    }
  }

  attempt(remote: Address, target: DialTarget, handler: AttemptHandler<NetAttempt>): PendingDial {
    const buffer = this.#readBuffer;
    const { keepAliveMs } = this.#owner;
    const { family, address, port } = remote;
    const socket = net.connect({
      ...(family === 0 ? { path: address } : { host: address, port, family }),
      allowHalfOpen: true,
      noDelay: true,
      ...(keepAliveMs === null ? {} : { keepAlive: true, keepAliveInitialDelay: keepAliveMs }),
      ...(target.tls !== null ? {} : { onread: { buffer, callback } }),
    });
    const attempt = new NetAttempt(socket, remote, handler);
    function callback(length: number): boolean {
      attempt.connection?.receive(buffer, length);
      return true;
    }
    return attempt;
  }

  complete(attempt: NetAttempt, ends: Ends, target: DialTarget, handler: CompletionHandler): PendingDial {
    if (target.tls !== null) {
      return new Handshake(this.#owner, this.#clientOf(target.tls), attempt.socket, ends, target, handler);
    }
    attempt.release();
    attempt.connection = new NetConnection(this.#owner, attempt.socket, { ...ends, tls: null, side: "upstream" });
    handler.onComplete(attempt.connection);
    return attempt;
  }

  discard(attempt: NetAttempt): void {
    attempt.cancel();
  }

  /** One context for each DialTls object, for as long as that object lives. Throws when its PEM texts cannot be used. */
  #clientOf(options: DialTls): ClientTls {
    let client = this.#clients.get(options);
    if (client === undefined) {
      client = new ClientTls(options);
      this.#clients.set(options, client);
    }
    return client;
  }
}

/** A socket that is on its way to one address, and afterwards. */
export class NetAttempt implements PendingDial {
  readonly socket: net.Socket;
  /** Set when the socket has become a connection: bytes go there. */
  connection: NetConnection | null = null;
  #isPending = true;
  /** Stays after a cancellation: an error that nobody listens for would end the process. */
  readonly #onError: (error: SystemError) => void;

  constructor(socket: net.Socket, remote: Address, handler: AttemptHandler<NetAttempt>) {
    this.socket = socket;
    this.#onError = (error) => {
      if (!this.#isPending) return;
      this.#isPending = false;
      handler.onRefused(error);
    };
    socket.on("error", this.#onError);
    socket.once("connect", () => {
      if (!this.#isPending) return;
      this.#isPending = false;
      const local = remote.family === 0 ? UNNAMED : addressOf(socket.localAddress, socket.localPort);
      handler.onConnected(this, local);
    });
  }

  /** Whoever has the socket now listens for its errors. */
  release(): void {
    this.socket.off("error", this.#onError);
  }

  cancel(): void {
    this.#isPending = false;
    this.socket.destroy();
  }
}

/** The TLS handshake of a connected socket, until it is a connection. */
class Handshake implements PendingDial {
  readonly #secured: tls.TLSSocket;
  #isPending = true;

  constructor(
    owner: ConnectingOwner,
    client: ClientTls,
    socket: net.Socket,
    ends: Ends,
    target: DialTarget,
    handler: CompletionHandler,
  ) {
    const server = describeTarget(target);
    const secured = client.connect(socket, server);
    this.#secured = secured;
    const onError = (error: SystemError): void => {
      if (!this.#isPending) return;
      client.forget(server);
      this.cancel();
      handler.onIncomplete(failureOf(error, `TLS handshake with ${server} (${client.serverName})`, "upstream"));
    };
    const onClose = (): void => onError(Object.assign(new Error("closed"), { code: "ENOTCONN" }));
    secured.on("error", onError);
    secured.once("close", onClose);
    secured.once("secureConnect", () => {
      if (!this.#isPending) return;
      this.#isPending = false;
      secured.off("error", onError).off("close", onClose);
      const connection = new NetConnection(owner, secured, { ...ends, tls: tlsInfoOf(secured), side: "upstream" });
      connection.readFromEvents();
      handler.onComplete(connection);
    });
  }

  cancel(): void {
    this.#isPending = false;
    this.#secured.destroy();
  }
}
