/** Tunnels as the pipeline takes them: streams on which nothing of ours is ever sent. */
import { ByteQueue } from "../core/byte-queue.ts";
import { ProxyError } from "../core/errors.ts";
import { ResponseMessage } from "../core/message.ts";
import type { Connection, ConnectionHandler, PendingDial } from "../core/ports.ts";
import type { UpstreamHandler, UpstreamStream } from "../pipeline/upstream.ts";
import type { TunnelDialHandler } from "./parent-dialer.ts";

/** A tunnel whose connection is being made. */
export class PendingTunnel implements TunnelDialHandler {
  readonly #tunnels: Set<TunnelStream>;
  readonly #handler: UpstreamHandler;
  #pending: PendingDial | null = null;

  constructor(tunnels: Set<TunnelStream>, handler: UpstreamHandler) {
    this.#tunnels = tunnels;
    this.#handler = handler;
  }

  begin(pending: PendingDial): void {
    this.#pending = pending;
  }

  cancel(): void {
    this.#pending?.cancel();
  }

  onConnected(connection: Connection, early?: Buffer): void {
    // The tunnel may stand for hours, and this as long as it: what has made the connection is not to be kept with it.
    this.#pending = null;
    const stream = new TunnelStream(connection, this.#tunnels);
    if (early !== undefined) stream.onBytes(early, 0, early.length);
    stream.lend(this.#handler);
  }

  onFailed(error: ProxyError): void {
    this.#handler.onLeaseFailed(error);
  }
}

/** A connection that becomes a tunnel as soon as it is used: no byte on it is ours. */
export class TunnelStream implements UpstreamStream, ConnectionHandler {
  readonly address: string;
  readonly authority = "";
  readonly reused = false;
  readonly #connection: Connection;
  readonly #tunnels: Set<TunnelStream>;
  /** What the other side has said before it was asked. */
  readonly #early = new ByteQueue();
  #handler: UpstreamHandler | null = null;

  constructor(connection: Connection, tunnels: Set<TunnelStream>) {
    const { family, address, port } = connection.remote;
    this.address = family === 6 ? `[${address}]:${port}` : `${address}:${port}`;
    this.#connection = connection;
    this.#tunnels = tunnels;
    connection.handler = this;
    connection.pause();
    tunnels.add(this);
  }

  lend(handler: UpstreamHandler): void {
    this.#handler = handler;
    handler.onStream(this);
  }

  /** Nothing is sent: the connection is given away. */
  sendHead(): void {
    const handler = this.#handler;
    if (handler === null) return;
    const connection = this.#connection;
    handler.onUpstreamSwitch(new ResponseMessage(), connection, this.#early.take());
  }

  write(): void {}

  end(): void {}

  pause(): void {}

  resume(): void {}

  get queuedBytes(): number {
    return this.#connection.queuedBytes;
  }

  spliceFrom(): null {
    return null;
  }

  onBodySpliced(): void {}

  /** The tunnel is over, or never began. */
  abort(): void {
    this.#handler = null;
    this.#tunnels.delete(this);
    this.#connection.destroy();
  }

  destroy(): void {
    this.#tunnels.delete(this);
    this.#connection.destroy(new ProxyError("connection_terminated", "the proxy was closed", { side: "proxy" }), true);
  }

  onBytes(buffer: Buffer, start: number, end: number): void {
    this.#early.append(buffer, start, end);
  }

  onDrain(): void {}

  onEnd(): void {
    this.#gone(new ProxyError("connection_terminated", `${this.address} closed the connection`));
    this.#connection.destroy();
  }

  onClose(error: ProxyError | null): void {
    this.#gone(error ?? new ProxyError("connection_terminated", `${this.address} closed the connection`));
  }

  #gone(error: ProxyError): void {
    const handler = this.#handler;
    this.#handler = null;
    this.#tunnels.delete(this);
    handler?.onUpstreamError(error, true);
  }
}
