/**
 * Bytes both ways between two connections, after 101 (or CONNECT): half-closes pass, either side that is slow pauses the
 * other, an abort of one side reaches the other at once. Nothing is looked at: where the two connections can be spliced, bytes
 * pass without being seen, and are copied where not; both ways hold to the same rules. What ended it is what came first.
 */
import { Deadline, type DeadlineWheel } from "../core/deadlines.ts";
import { ProxyError } from "../core/errors.ts";
import { BODY_PROGRESS_TIMEOUT_MS, LINGER_TIMEOUT_MS, QUEUE_HIGH_WATER_BYTES } from "../core/limits.ts";
import type { Connection, ConnectionHandler, Splice, SpliceHandler } from "../core/ports.ts";
import type { TakenOver } from "./downstream.ts";
import type { TunnelEnd } from "./exchange.ts";
import { StallWatch } from "./stall.ts";

export interface TunnelLimits {
  /** Without a byte either way. */
  readonly idleMs: number;
  /** The same once a side has ended; null: no other. */
  readonly halfClosedMs: number | null;
  readonly lifetimeMs: number | null;
}

/** One side of the tunnel: takes what its own connection receives to the peer's. */
class Side implements ConnectionHandler, SpliceHandler {
  readonly connection: Connection;
  readonly #tunnel: Tunnel;
  peer: Side | null = null;
  /** Bytes that were copied; those that passed unseen are the splice's to count. */
  #copied = 0;
  #splice: Splice | null = null;
  ended = false;
  closed = false;

  constructor(tunnel: Tunnel, connection: Connection) {
    this.#tunnel = tunnel;
    this.connection = connection;
  }

  onBytes(buffer: Buffer, start: number, end: number): void {
    const to = this.peer!.connection;
    this.#copied += end - start;
    to.write(buffer, start, end);
    if (to.queuedBytes > QUEUE_HIGH_WATER_BYTES) this.connection.pause();
  }

  /** Lets what comes from here on pass unseen, where it can. */
  splice(): void {
    this.#splice = this.connection.spliceTo(this.peer!.connection, Number.POSITIVE_INFINITY, this);
  }

  /** A splice without a number of bytes ends with the connection's own end. */
  onSpliced(): void {}

  /** Bytes that came from this side. */
  get bytes(): number {
    return this.#copied + (this.#splice === null ? 0 : this.#splice.receivedBytes);
  }

  /** Bytes that came from this side and are on their way in the kernel. */
  get #betweenBytes(): number {
    return this.#splice === null ? 0 : this.#splice.receivedBytes - this.#splice.sentBytes;
  }

  /** Bytes that this side has still to take. */
  get pendingBytes(): number {
    return this.connection.queuedBytes + this.peer!.#betweenBytes;
  }

  onDrain(): void {
    this.peer!.connection.resume();
  }

  onEnd(): void {
    this.ended = true;
    this.#tunnel.noteEndBy(this);
    this.peer!.connection.end();
    this.#tunnel.onSideEnded();
  }

  onClose(error: ProxyError | null): void {
    this.#tunnel.onSideClosed(this, error);
  }
}

export class Tunnel {
  readonly #client: Side;
  readonly #upstream: Side;
  readonly #stall: StallWatch;
  readonly #lifetime: Deadline | null;
  readonly #limits: TunnelLimits;
  readonly #onEnd: (tunnel: Tunnel, error: ProxyError | null) => void;
  #error: ProxyError | null = null;
  #endedBy: TunnelEnd | null = null;
  #over = false;
  /** The side that is still to take what the other one, which has closed, had sent. */
  #draining: Side | null = null;

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
    this.#stall = new StallWatch(deadlines, () => this.#look());
    this.#lifetime =
      limits.lifetimeMs === null
        ? null
        : new Deadline(deadlines, () => this.destroy(timedOut("the tunnel's lifetime ended"), "lifetime"));
  }

  /** Bytes from the client to the upstream. */
  get clientBytes(): number {
    return this.#client.bytes;
  }

  /** Bytes from the upstream to the client. */
  get upstreamBytes(): number {
    return this.#upstream.bytes;
  }

  /** What came first of all that ends it; null: nothing has. */
  get endedBy(): TunnelEnd | null {
    return this.#endedBy;
  }

  noteEndBy(side: Side): void {
    this.#endedBy ??= side === this.#client ? "client" : "upstream";
  }

  /** Takes over both connections; `client` says what that one had done before, `upstreamEarly` is what the upstream had sent. */
  start({ early: clientEarly, ended }: TakenOver, upstreamEarly: Buffer): void {
    for (const side of [this.#client, this.#upstream]) {
      side.connection.handler = side;
      // One that closed between two owners has told nobody.
      side.closed = side.connection.closed;
    }
    this.#stall.begin(this.#limits.idleMs);
    if (this.#limits.lifetimeMs !== null) this.#lifetime!.arm(this.#limits.lifetimeMs);
    if (clientEarly.length > 0) this.#client.onBytes(clientEarly, 0, clientEarly.length);
    if (upstreamEarly.length > 0) this.#upstream.onBytes(upstreamEarly, 0, upstreamEarly.length);
    if (this.#client.closed || this.#upstream.closed) {
      this.noteEndBy(this.#client.closed ? this.#client : this.#upstream);
      return this.destroy(new ProxyError("connection_terminated", "a side closed at once", { retryable: false }));
    }
    if (ended) this.#client.onEnd();
    else this.#client.splice();
    this.#upstream.splice();
    this.#client.connection.resume();
    this.#upstream.connection.resume();
  }

  onSideEnded(): void {
    if (this.#limits.halfClosedMs !== null && this.#draining === null) this.#stall.begin(this.#idleMs);
  }

  onSideClosed(side: Side, error: ProxyError | null): void {
    side.closed = true;
    // Whoever has ended may leave altogether: TLS within says goodbye to a client that has said it, and finds it gone. That is how most
    // tunnels end, and no fault. Nor is it one when a client that has had everything does not stay for the upstream's goodbye.
    const hasHadAll = side === this.#client && this.#upstream.ended && side.pendingBytes === 0;
    if (!side.ended && !hasHadAll) this.#error ??= error;
    if (error !== null && error.side === "proxy") this.#endedBy ??= "stopped";
    else this.noteEndBy(side);
    const peer = side.peer!;
    if (!peer.closed) {
      if (error !== null || !side.ended) peer.connection.destroy(undefined, error !== null);
      else {
        // It ended well: what is queued for the other side still leaves, but nobody answers it any more.
        peer.connection.end();
        this.#draining = peer;
        this.#stall.begin(LINGER_TIMEOUT_MS);
      }
    }
    this.#finishWhenClosed();
  }

  #look(): void {
    const client = this.#client;
    const upstream = this.#upstream;
    // What came counts twice, or it could make up for what was taken.
    const came = 2 * (client.bytes + upstream.bytes);
    const stalledMs = this.#stall.stalledMs(came - this.#pendingBytes);
    if (stalledMs < this.#stallMsMax) return;
    // It is over, though one side says no goodbye: no fault, unless something is cut off.
    const isOver = this.#isHalfClosed && this.#limits.halfClosedMs !== null && this.#pendingBytes === 0;
    this.destroy(isOver ? null : timedOut("no byte passed the tunnel"), "idle");
  }

  /** What is left when a side has closed leaves as slowly as the other one reads, while it moves at all. */
  get #stallMsMax(): number {
    if (this.#draining === null) return this.#idleMs;
    return this.#draining.pendingBytes > 0 ? BODY_PROGRESS_TIMEOUT_MS : LINGER_TIMEOUT_MS;
  }

  get #pendingBytes(): number {
    return this.#client.pendingBytes + this.#upstream.pendingBytes;
  }

  get #isHalfClosed(): boolean {
    return this.#client.ended || this.#upstream.ended;
  }

  get #idleMs(): number {
    const { idleMs, halfClosedMs } = this.#limits;
    if (halfClosedMs === null || !this.#isHalfClosed) return idleMs;
    // The last bytes of who has ended wait for as long as a body does.
    return Math.min(this.#pendingBytes > 0 ? BODY_PROGRESS_TIMEOUT_MS : halfClosedMs, idleMs);
  }

  /** Closes both sides at once; `error`: null when that is no fault. A side that loses what was queued for it sees a reset, not an end. */
  destroy(error: ProxyError | null, endedBy: TunnelEnd = "stopped"): void {
    this.#error ??= error;
    this.#endedBy ??= endedBy;
    for (const { closed, connection, pendingBytes } of [this.#client, this.#upstream]) {
      if (!closed) connection.destroy(undefined, pendingBytes > 0);
    }
    this.#finishWhenClosed();
  }

  #finishWhenClosed(): void {
    if (this.#over || !this.#client.closed || !this.#upstream.closed) return;
    this.#over = true;
    this.#stall.dispose();
    this.#lifetime?.dispose();
    this.#onEnd(this, this.#error);
  }
}

function timedOut(what: string): ProxyError {
  return new ProxyError("connection_timeout", what, { side: "proxy", retryable: false });
}
