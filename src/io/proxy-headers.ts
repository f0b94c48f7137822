/**
 * PROXY headers in front of connections: a peer that is a load balancer says first whose connection it passes on, and from then
 * on the connection's ends are what it said. It decides which bytes are the header's and how long they may take; who is
 * believed is decided by the listener. What stands behind the header is handed on with the connection.
 *
 * A peer that is expected to send a header and does not is refused, and one that is not expected to is taken as it is: who is
 * behind a connection never depends on what a client sends.
 */
import { ByteQueue } from "../core/byte-queue.ts";
import { ProxyError } from "../core/errors.ts";
import { NEXT_REQUEST_TIMEOUT_MS } from "../core/limits.ts";
import type { Address, Clock, Connection, ConnectionHandler, TimerHandle } from "../core/ports.ts";
import { decodeProxyHeader, ProxyHeader } from "../protocol/proxy-protocol/decode.ts";
import { proxyProtocolError } from "../protocol/proxy-protocol/errors.ts";
import { describeAddress } from "./addresses.ts";

/** What a listener says of PROXY headers. It is asked for each connection. */
export interface ProxyHeaders {
  /** Whether connections of this peer begin with a header. */
  expectsFrom(remote: Address): boolean;
  /** From accept to the header's last byte. */
  readonly timeoutMs: number;
  /** A connection was closed because of its header: for the log. Called as often as peers fail: the caller limits the rate. */
  onRefused(error: ProxyError, remote: Address): void;
}

export interface ProxiedConnection extends Connection {
  /** From now on these are its ends. */
  speaksFor(remote: Address, local: Address): void;
}

/** Takes a connection whose ends are known; `rest` is what came behind the header. */
type TakeReady<C> = (connection: C, rest: Buffer) => void;

const EMPTY = Buffer.alloc(0);
/** A header is used up before the next one is decoded: one serves the whole thread. */
const header = new ProxyHeader();

/** The way in of one listener. */
export class ProxyHeaderGate<C extends ProxiedConnection> {
  readonly headers: ProxyHeaders;
  readonly clock: Clock;
  readonly #takeReady: TakeReady<C>;
  readonly #waiting = new Set<HeaderReader<C>>();
  /** null: it is open, or nobody is left. */
  #closing: TimerHandle | null = null;
  /** Told when nobody is left. */
  readonly #untilEmpty: (() => void)[] = [];

  constructor(headers: ProxyHeaders, clock: Clock, takeReady: TakeReady<C>) {
    this.headers = headers;
    this.clock = clock;
    this.#takeReady = takeReady;
  }

  take(connection: C): void {
    if (!this.headers.expectsFrom(connection.remote)) return this.#takeReady(connection, EMPTY);
    const reader = new HeaderReader(this, connection);
    this.#waiting.add(reader);
  }

  forget(reader: HeaderReader<C>): void {
    this.#waiting.delete(reader);
    if (this.#waiting.size > 0) return;
    this.#closing?.cancel();
    this.#closing = null;
    // Whoever waits hears of it when the connection behind the header, if there is one, has been taken.
    for (const tell of this.#untilEmpty.splice(0)) tell();
  }

  ready(connection: C, rest: Buffer): void {
    this.#takeReady(connection, rest);
  }

  /** No more come. Whose header is under way is waited for as long as for a first request, which would stand behind it. */
  close(): void {
    if (this.#waiting.size === 0) return;
    this.#closing ??= this.clock.after(NEXT_REQUEST_TIMEOUT_MS, () => {
      for (const reader of this.#waiting) reader.abandon();
    });
  }

  /** Behind `close`: resolves when all have said whose connection it is, or have been abandoned. */
  whenEmpty(): Promise<void> {
    if (this.#waiting.size === 0) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#untilEmpty.push(resolve);
    return promise;
  }
}

/** For takers of connections that know nothing of headers: they are told of the rest as of bytes that have just come. */
export function withRest(take: (connection: Connection) => void): TakeReady<Connection> {
  return (connection, rest) => {
    take(connection);
    if (rest.length > 0 && !connection.closed) connection.handler.onBytes(rest, 0, rest.length);
  };
}

class HeaderReader<C extends ProxiedConnection> implements ConnectionHandler {
  readonly #gate: ProxyHeaderGate<C>;
  readonly #connection: C;
  readonly #received = new ByteQueue();
  readonly #deadline: TimerHandle;

  constructor(gate: ProxyHeaderGate<C>, connection: C) {
    this.#gate = gate;
    this.#connection = connection;
    const { timeoutMs } = gate.headers;
    this.#deadline = gate.clock.after(timeoutMs, () => this.#refuse(`not complete within ${timeoutMs} ms`));
    connection.handler = this;
  }

  onBytes(buffer: Buffer, start: number, end: number): void {
    const received = this.#received;
    received.append(buffer, start, end);
    const used = decodeProxyHeader(received.bytes, received.start, received.end, header);
    if (used === 0) return;
    if (used < 0) return this.#fail(proxyProtocolError(used));
    received.consume(used);
    this.#over();
    if (header.source !== null) this.#connection.speaksFor(header.source, header.destination!);
    this.#gate.ready(this.#connection, received.take());
  }

  onDrain(): void {}

  /** Whoever connects only to see whether somebody listens sends nothing at all: no news. */
  onEnd(): void {
    if (this.#received.length > 0) return this.#refuse("the peer has ended the connection within it");
    this.abandon();
  }

  onClose(): void {
    this.#over();
  }

  abandon(): void {
    this.#over();
    this.#connection.destroy();
  }

  #refuse(why: string): void {
    this.#fail(new ProxyError("http_request_error", `PROXY protocol header refused: ${why}`));
  }

  #fail(error: ProxyError): void {
    const { remote } = this.#connection;
    this.abandon();
    const { message } = error;
    const words = `${message} (from ${describeAddress(remote)})`;
    this.#gate.headers.onRefused(new ProxyError("http_request_error", words, { cause: error }), remote);
  }

  #over(): void {
    this.#deadline.cancel();
    this.#gate.forget(this);
  }
}
