/**
 * Dialing's part on node:net and node:tls: a socket that connects to one address, and the TLS handshake of the one that
 * won. It decides nothing about names, races and deadlines.
 */
import net from "node:net";
import { ProxyError } from "../../core/errors.ts";
import type { Address, DialTarget, DialTls, PendingDial } from "../../core/ports.ts";
import { addressOf, UNNAMED } from "../addresses.ts";
import { descriptorLimit } from "../descriptor-limit.ts";
import type { AttemptHandler, CompletionHandler, Connecting, Ends } from "../dialing/connecting.ts";
import { describeTarget } from "../dialing/dial.ts";
import { type SystemError, systemErrorOf } from "../failures.ts";
import { type ConnectionOwner, NetConnection } from "./connection.ts";
import type { ClientContexts } from "./dial-tls.ts";
import { Handshake } from "./handshake.ts";
import { Receiver } from "./receiver.ts";
import { descriptorOf } from "./socket-internals.ts";

/** What connecting needs of its transport. */
export interface ConnectingOwner extends ConnectionOwner {
  readonly keepAliveMs: number | null;
}

export class NetConnecting implements Connecting<NetAttempt> {
  readonly #owner: ConnectingOwner;
  readonly #clients: ClientContexts;

  constructor(owner: ConnectingOwner, clients: ClientContexts) {
    this.#owner = owner;
    this.#clients = clients;
  }

  objectionTo(target: DialTarget): ProxyError | null {
    if (target.tls === null) return null;
    try {
      this.#clients.of(target.tls);
      return null;
    } catch (thrown) {
      const error = thrown as Error;
      const message = `cannot connect to ${describeTarget(target)}: its TLS options cannot be used: ${error.message}`;
      return new ProxyError("proxy_configuration_error", message, { cause: error });
    }
  }

  attempt(remote: Address, target: DialTarget, handler: AttemptHandler<NetAttempt>): PendingDial {
    const { keepAliveMs, arrivals } = this.#owner;
    const receiver = new Receiver(arrivals);
    const { family, address, port } = remote;
    const socket = net.connect({
      ...(family === 0 ? { path: address } : { host: address, port, family }),
      allowHalfOpen: true,
      noDelay: true,
      ...(keepAliveMs === null ? {} : { keepAlive: true, keepAliveInitialDelay: keepAliveMs }),
      ...(target.tls !== null ? {} : { onread: receiver }),
    });
    return new NetAttempt(socket, receiver, remote, handler);
  }

  complete(attempt: NetAttempt, ends: Ends, target: DialTarget, handler: CompletionHandler): PendingDial {
    if (target.tls !== null) return this.#shakeHands(target.tls, attempt.socket, ends, target, handler);
    attempt.release();
    const connection = new NetConnection(this.#owner, attempt.socket, { ...ends, tls: null, side: "upstream" });
    attempt.receiver.connection = connection;
    handler.onComplete(connection);
    return attempt;
  }

  discard(attempt: NetAttempt): void {
    attempt.cancel();
  }

  #shakeHands(
    options: DialTls,
    socket: net.Socket,
    ends: Ends,
    target: DialTarget,
    handler: CompletionHandler,
  ): PendingDial {
    const client = this.#clients.of(options);
    const server = describeTarget(target);
    return new Handshake(this.#owner, client.connect(socket, server), handler, {
      ends,
      side: "upstream",
      what: `TLS handshake with ${server} (${client.serverName})`,
      onFailed: () => client.forget(server),
    });
  }
}

/** A socket that is on its way to one address, and afterwards. */
export class NetAttempt implements PendingDial {
  readonly socket: net.Socket;
  /** Where its bytes go unless it will speak TLS. */
  readonly receiver: Receiver;
  #isPending = true;
  /** Stays after a cancellation: an error that nobody listens for would end the process. */
  readonly #onError: (error: SystemError) => void;

  constructor(socket: net.Socket, receiver: Receiver, remote: Address, handler: AttemptHandler<NetAttempt>) {
    this.socket = socket;
    this.receiver = receiver;
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
    // Node has made the socket by then.
    process.nextTick(() => {
      if (!this.#isPending || descriptorLimit.admits(descriptorOf(socket))) return;
      this.cancel();
      handler.onRefused(systemErrorOf("EMFILE"));
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
