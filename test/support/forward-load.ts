// Clients of a forward proxy by the thousand: each has a tunnel to a server that sends back what it gets, and looks at every byte.

import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";

/** So many open at the same time, or a listening socket's queue is full. */
const OPENING_MAX = 100;
/** What a tunnel has under way. */
const PIECE_BYTES = 8 * 1024;

/** A tunnel that is open. */
export class LoadTunnel {
  readonly socket: net.Socket;
  #wanted = 0;
  #received = 0;
  #moved = Promise.withResolvers<void>();

  private constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on("error", (error) => this.#moved.reject(error));
    socket.on("close", () => this.#moved.reject(new Error("a tunnel was closed")));
    // Nobody waits any more.
    this.#moved.promise.catch(() => {});
  }

  static async open(port: number, authority: string): Promise<LoadTunnel> {
    const socket = net.connect(port, "127.0.0.1");
    const tunnel = new LoadTunnel(socket);
    socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
    let head = "";
    while (!head.endsWith("\r\n\r\n")) head += String(((await once(socket, "data")) as [Buffer])[0]);
    assert.match(head, /^HTTP\/1\.1 200 /);
    socket.on("data", (bytes: Buffer) => tunnel.#take(bytes));
    return tunnel;
  }

  /** Sends so many bytes, a piece at a time, until all of them have come back. */
  move(bytes: number): Promise<void> {
    this.#moved = Promise.withResolvers<void>();
    this.#wanted = bytes;
    this.#received = 0;
    this.#send(0);
    return this.#moved.promise;
  }

  #send(from: number): void {
    const piece = Buffer.allocUnsafe(Math.min(PIECE_BYTES, this.#wanted - from));
    for (let at = 0; at < piece.length; at++) piece[at] = (from + at) % 251;
    this.socket.write(piece);
  }

  #take(bytes: Buffer): void {
    for (const byte of bytes) {
      if (byte !== this.#received++ % 251) return this.#moved.reject(new Error("another byte came back"));
    }
    if (this.#received === this.#wanted) this.#moved.resolve();
    else if (this.#received % PIECE_BYTES === 0) this.#send(this.#received);
  }

  /** As a client that has what it wanted, and waits for the other end. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.socket.once("close", () => resolve()));
    this.socket.end();
    await closed;
  }
}

/** Does it so many times, some of them at the same time. */
export async function inCrowds<T>(count: number, act: (index: number) => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  let next = 0;
  const one = async (): Promise<void> => {
    while (next < count) {
      const index = next++;
      results[index] = await act(index);
    }
  };
  await Promise.all(Array.from({ length: OPENING_MAX }, one));
  return results;
}
