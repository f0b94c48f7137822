/** Tunnels as the pipeline takes them: streams on which nothing of ours is ever sent. */
import { ByteQueue } from "../core/byte-queue.ts";
import { ProxyError } from "../core/errors.ts";
import { ResponseMessage } from "../core/message.ts";
import type { Connection, ConnectionHandler, PendingDial } from "../core/ports.ts";
import type { TunnelUpstream } from "../pipeline/forwarding.ts";
import type { Lessor, UpstreamHandler } from "../pipeline/upstream.ts";
import type { TunnelDialHandler } from "./parents/dialer.ts";

/** The tunnels of one upstream, and those that are being made. */
export class Tunnels {
  readonly #streams = new Set<TunnelStream>();
  readonly #pending = new Set<PendingTunnel>();
  readonly #countConnection: ((change: 1 | -1) => void) | undefined;

  /** `countConnection`: for the status. */
  constructor(countConnection?: (change: 1 | -1) => void) {
    this.#countConnection = countConnection;
  }

  get size(): number {
    return this.#streams.size;
  }

  get waiting(): number {
    return this.#pending.size;
  }

  /** The receiver is called in a later turn. */
  open(receiver: TunnelReceiver, dial: (handler: TunnelDialHandler) => PendingDial): PendingTunnel {
    const pending = new PendingTunnel(this.#pending, this, receiver);
    pending.begin(dial);
    return pending;
  }

  add(stream: TunnelStream): void {
    this.#streams.add(stream);
    this.#countConnection?.(1);
  }

  remove(stream: TunnelStream): void {
    if (this.#streams.delete(stream)) this.#countConnection?.(-1);
  }

  destroy(): void {
    for (const pending of [...this.#pending]) pending.destroy();
    for (const stream of [...this.#streams]) stream.destroy();
  }
}

/** Who wants a tunnel. One of the two is called, once. */
export interface TunnelReceiver {
  onTunnel(stream: TunnelStream): void;
  onFailed(error: ProxyError): void;
}

/** A tunnel whose connection is being made. */
export class PendingTunnel implements TunnelDialHandler, PendingDial, Lessor {
  readonly #all: Set<PendingTunnel>;
  readonly #tunnels: Tunnels;
  readonly #receiver: TunnelReceiver;
  #pending: PendingDial | null = null;

  constructor(all: Set<PendingTunnel>, tunnels: Tunnels, receiver: TunnelReceiver) {
    this.#all = all;
    this.#tunnels = tunnels;
    this.#receiver = receiver;
  }

  begin(dial: (handler: TunnelDialHandler) => PendingDial): void {
    this.#all.add(this);
    this.#pending = dial(this);
  }

  cancel(): void {
    if (this.#all.delete(this)) this.#pending?.cancel();
  }

  /** Every way was tried already. */
  allowRetry(): boolean {
    return false;
  }

  onConnected(connection: Connection, early?: Buffer): void {
    this.#all.delete(this);
    // The tunnel may stand for hours, and this as long as it: what has made the connection is not to be kept with it.
    this.#pending = null;
    const stream = new TunnelStream(connection, this.#tunnels);
    if (early !== undefined) stream.onBytes(early, 0, early.length);
    this.#receiver.onTunnel(stream);
  }

  onFailed(error: ProxyError): void {
    this.#all.delete(this);
    this.#receiver.onFailed(error);
  }

  destroy(): void {
    this.cancel();
    this.#receiver.onFailed(new ProxyError("destination_unavailable", "the proxy was closed", { retryable: false }));
  }
}

/** A connection that becomes a tunnel as soon as it is used: no byte on it is ours. */
export class TunnelStream implements TunnelUpstream, ConnectionHandler {
  readonly address: string;
  readonly authority = "";
  readonly reused = false;
  readonly #connection: Connection;
  readonly #tunnels: Tunnels;
  /** What the other side has said before it was asked. */
  readonly #early = new ByteQueue();
  #handler: UpstreamHandler | null = null;

  constructor(connection: Connection, tunnels: Tunnels) {
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
    const { connection, early } = this.take();
    handler.onUpstreamSwitch(new ResponseMessage(), connection, early);
  }

  take(): { readonly connection: Connection; readonly early: Buffer } {
    return { connection: this.#connection, early: this.#early.take() };
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
    this.#tunnels.remove(this);
    this.#connection.destroy();
  }

  destroy(): void {
    this.#tunnels.remove(this);
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
    this.#tunnels.remove(this);
    handler?.onUpstreamError(error, true);
  }
}
