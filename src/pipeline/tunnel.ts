/**
 * Bytes both ways between two connections, after 101 (or CONNECT): half-closes pass, either side that is slow pauses the
 * other, an abort of one side reaches the other at once. Nothing is looked at.
 */
import { Deadline, type DeadlineWheel } from "../core/deadlines.ts";
import { ProxyError } from "../core/errors.ts";
import { BODY_PROGRESS_TIMEOUT_MS, LINGER_TIMEOUT_MS, QUEUE_HIGH_WATER_BYTES } from "../core/limits.ts";
import type { Connection, ConnectionHandler } from "../core/ports.ts";
import type { TakenOver } from "./downstream.ts";

export interface TunnelLimits {
  /** Without a byte either way. */
  readonly idleMs: number;
  readonly lifetimeMs: number | null;
}

/** One side of the tunnel: takes what its own connection receives to the peer's. */
class Side implements ConnectionHandler {
  readonly connection: Connection;
  readonly #tunnel: Tunnel;
  peer: Side | null = null;
  bytes = 0;
  ended = false;
  closed = false;

  constructor(tunnel: Tunnel, connection: Connection) {
    this.#tunnel = tunnel;
    this.connection = connection;
  }

  onBytes(buffer: Buffer, start: number, end: number): void {
    const to = this.peer!.connection;
    this.bytes += end - start;
    this.#tunnel.touch();
    to.write(buffer, start, end);
    if (to.queuedBytes > QUEUE_HIGH_WATER_BYTES) this.connection.pause();
  }

  onDrain(): void {
    this.#tunnel.touch();
    this.peer!.connection.resume();
  }

  onEnd(): void {
    this.ended = true;
    this.peer!.connection.end();
  }

  onClose(error: ProxyError | null): void {
    this.#tunnel.onSideClosed(this, error);
  }
}

export class Tunnel {
  readonly #client: Side;
  readonly #upstream: Side;
  readonly #idle: Deadline;
  readonly #lifetime: Deadline | null;
  readonly #limits: TunnelLimits;
  readonly #onEnd: (tunnel: Tunnel, error: ProxyError | null) => void;
  #error: ProxyError | null = null;
  #over = false;
  /** The side that is still to take what the other one, which has closed, had sent; how much, and how long it has not moved. */
  #draining: Side | null = null;
  #queuedAtDeadline = 0;
  #stalledMs = 0;

  /** `onEnd` is called once, when both sides are closed; with an error when it was not orderly. */
  constructor(
    client: Connection,
    upstream: Connection,
    deadlines: DeadlineWheel,
    limits: TunnelLimits,
    onEnd: (tunnel: Tunnel, error: ProxyError | null) => void,
  ) {
    this.#client = new Side(this, client);
    this.#upstream = new Side(this, upstream);
    this.#client.peer = this.#upstream;
    this.#upstream.peer = this.#client;
    this.#limits = limits;
    this.#onEnd = onEnd;
    this.#idle = new Deadline(deadlines, () => this.#onIdle());
    this.#lifetime =
      limits.lifetimeMs === null
        ? null
        : new Deadline(deadlines, () => this.destroy(timedOut("the tunnel's lifetime ended")));
  }

  /** Bytes from the client to the upstream. */
  get clientBytes(): number {
    return this.#client.bytes;
  }

  /** Bytes from the upstream to the client. */
  get upstreamBytes(): number {
    return this.#upstream.bytes;
  }

  /** Takes over both connections; `client` says what that one had done before, `upstreamEarly` is what the upstream had sent. */
  start({ early: clientEarly, ended }: TakenOver, upstreamEarly: Buffer): void {
    for (const side of [this.#client, this.#upstream]) {
      side.connection.handler = side;
      // One that closed between two owners has told nobody.
      side.closed = side.connection.closed;
    }
    this.touch();
    if (this.#limits.lifetimeMs !== null) this.#lifetime!.arm(this.#limits.lifetimeMs);
    if (clientEarly.length > 0) this.#client.onBytes(clientEarly, 0, clientEarly.length);
    if (upstreamEarly.length > 0) this.#upstream.onBytes(upstreamEarly, 0, upstreamEarly.length);
    if (this.#client.closed || this.#upstream.closed) {
      return this.destroy(new ProxyError("connection_terminated", "a side closed at once", { retryable: false }));
    }
    if (ended) this.#client.onEnd();
    this.#client.connection.resume();
    this.#upstream.connection.resume();
  }

  touch(): void {
    this.#idle.arm(this.#limits.idleMs);
  }

  onSideClosed(side: Side, error: ProxyError | null): void {
    side.closed = true;
    this.#error ??= error;
    const peer = side.peer!;
    if (!peer.closed) {
      if (error !== null || !side.ended) peer.connection.destroy(undefined, error !== null);
      else {
        // It ended well: what is queued for the other side still leaves, but nobody answers it any more.
        peer.connection.end();
        this.#draining = peer;
        this.#queuedAtDeadline = peer.connection.queuedBytes;
        this.#idle.arm(LINGER_TIMEOUT_MS);
      }
    }
    this.#finishWhenClosed();
  }

  #onIdle(): void {
    const draining = this.#draining?.connection;
    if (draining !== undefined) {
      // What is left leaves as slowly as the side reads, while it moves at all.
      const { queuedBytes } = draining;
      const moved = queuedBytes < this.#queuedAtDeadline;
      this.#stalledMs = moved ? 0 : this.#stalledMs + LINGER_TIMEOUT_MS;
      if (moved || (queuedBytes > 0 && this.#stalledMs < BODY_PROGRESS_TIMEOUT_MS)) {
        this.#queuedAtDeadline = queuedBytes;
        this.#idle.arm(LINGER_TIMEOUT_MS);
        return;
      }
    }
    this.destroy(timedOut("no byte passed the tunnel"));
  }

  /** Closes both sides at once. A side that loses what was queued for it sees a reset, not an end. */
  destroy(error: ProxyError): void {
    this.#error ??= error;
    for (const { closed, connection } of [this.#client, this.#upstream]) {
      if (!closed) connection.destroy(undefined, connection.queuedBytes > 0);
    }
    this.#finishWhenClosed();
  }

  #finishWhenClosed(): void {
    if (this.#over || !this.#client.closed || !this.#upstream.closed) return;
    this.#over = true;
    this.#idle.dispose();
    this.#lifetime?.dispose();
    this.#onEnd(this, this.#error);
  }
}

function timedOut(what: string): ProxyError {
  return new ProxyError("connection_timeout", what, { side: "proxy", retryable: false });
}
