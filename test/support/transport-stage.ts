// The transport that HEADGATE_TRANSPORT names, on real sockets, for one test: listeners on chosen ports, raw clients, connections whose handlers record what
// they are told. `close` ends everything and waits until the transport holds no socket, so a leak fails the test.

import assert from "node:assert/strict";
import net from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { ProxyError } from "../../src/core/errors.ts";
import type { Clock, Connection, ConnectionHandler, DialTarget } from "../../src/core/ports.ts";
import { SystemClock } from "../../src/io/clock.ts";
import type { ListenOptions, Transport, TransportListener, TransportOptions } from "../../src/io/transport.ts";
import { countAddonSockets, openTransportUnderTest } from "./transport-under-test.ts";

/** A dial that takes so long hangs; one that takes less may be that of a machine which has other things to do. */
export const DIAL_MS_MAX = 60_000;

/** Records what a connection tells; `until` waits for more of it. */
export class Recording implements ConnectionHandler {
  readonly connection: Connection;
  /** "bytes" (once for any number of calls in a row), "drain", "end", "close". */
  readonly events: string[] = [];
  readonly chunks: Buffer[] = [];
  bytes = 0;
  /** undefined while open. */
  error: ProxyError | null | undefined = undefined;
  /** Called after the bytes were recorded. */
  react: ((bytes: Buffer) => void) | null = null;
  #changed = Promise.withResolvers<void>();

  constructor(connection: Connection) {
    this.connection = connection;
    connection.handler = this;
  }

  onBytes(buffer: Buffer, start: number, end: number): void {
    const copy = Buffer.from(buffer.subarray(start, end));
    this.chunks.push(copy);
    this.bytes += copy.length;
    if (this.events.at(-1) !== "bytes") this.#note("bytes");
    else this.#wake();
    this.react?.(copy);
  }

  onDrain(): void {
    this.#note("drain");
  }

  onEnd(): void {
    this.#note("end");
  }

  onClose(error: ProxyError | null): void {
    this.error = error;
    this.#note("close");
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString("latin1");
  }

  async until(isDone: () => boolean): Promise<void> {
    while (!isDone()) await this.#changed.promise;
  }

  untilText(text: string): Promise<void> {
    return this.until(() => this.text === text);
  }

  /** What onClose was told. */
  async untilClosed(): Promise<ProxyError | null> {
    await this.until(() => this.error !== undefined);
    return this.error!;
  }

  #note(event: string): void {
    this.events.push(event);
    this.#wake();
  }

  #wake(): void {
    const { resolve } = this.#changed;
    this.#changed = Promise.withResolvers<void>();
    resolve();
  }
}

export interface Served {
  readonly listener: TransportListener;
  readonly port: number;
  /** The next connection that was accepted. */
  next(): Promise<Recording>;
}

export class TransportStage {
  readonly transport: Transport;
  readonly faults: Error[] = [];
  readonly #closers: (() => unknown)[] = [];

  constructor(options: TransportOptions = {}, clock: Clock = new SystemClock()) {
    this.transport = openTransportUnderTest(clock, { onFault: (fault) => this.faults.push(fault), ...options });
  }

  async serve(options: Partial<ListenOptions> = {}, onAccepted?: (recording: Recording) => void): Promise<Served> {
    const waiting: Recording[] = [];
    let arrived = Promise.withResolvers<void>();
    const all = { host: "127.0.0.1", port: 0, path: null, tls: null, ...options };
    const listener = await this.transport.listen(all, (connection) => {
      const recording = new Recording(connection);
      this.#closers.push(() => connection.destroy());
      onAccepted?.(recording);
      waiting.push(recording);
      arrived.resolve();
    });
    this.#closers.push(() => listener.close());
    const next = async () => {
      while (waiting.length === 0) {
        await arrived.promise;
        arrived = Promise.withResolvers<void>();
      }
      return waiting.shift()!;
    };
    return { listener, port: listener.address.port, next };
  }

  /** Resolves with the connection; rejects with the ProxyError. `onDialled` is called before anything else can happen to it. */
  dial(
    target: Partial<DialTarget> & { readonly port: number },
    onDialled?: (recording: Recording) => void,
  ): Promise<Recording> {
    const { promise, resolve, reject } = Promise.withResolvers<Recording>();
    this.transport.dialer.dial(
      { host: "127.0.0.1", tls: null, timeoutMs: DIAL_MS_MAX, ...target },
      {
        onConnected: (connection) => {
          this.#closers.push(() => connection.destroy());
          const recording = new Recording(connection);
          onDialled?.(recording);
          resolve(recording);
        },
        onFailed: reject,
      },
    );
    return promise;
  }

  /** A socket of Node's own. */
  async client(where: number | string, host = "127.0.0.1"): Promise<net.Socket> {
    const options = typeof where === "string" ? { path: where } : { port: where, host };
    const socket = net.connect({ ...options, allowHalfOpen: true });
    this.#closers.push(() => socket.destroy());
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    return socket;
  }

  /** Starts a server of Node's own; the port it got. */
  async start(server: net.Server): Promise<number> {
    server.on("connection", (socket) => {
      this.#closers.push(() => socket.destroy());
      socket.on("error", () => {});
    });
    this.#closers.push(() => server.close());
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return (server.address() as net.AddressInfo).port;
  }

  /** Both ends of one connection through the transport. */
  async pair(): Promise<{ readonly near: Recording; readonly far: Recording }> {
    const served = await this.serve();
    const [near, far] = await Promise.all([this.dial({ port: served.port }), served.next()]);
    return { near, far };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const close of this.#closers.splice(0)) await close();
    while (this.transport.openConnections > 0) await nextTurn();
    // What the transport has forgotten, the machine must have, too.
    while (countAddonSockets() > 0) await nextTurn();
    assert.deepEqual(this.faults, []);
  }
}
