// Whoever reads slowly makes the proxy hold no more than its high-water mark: the sender is stopped, and what lies between
// the two is in the kernel's buffers. What the proxy holds itself is counted: what was sent, less what the kernel has, less what
// was read. A client that vanishes in the middle of its answer frees the upstream's connection at once
// (node-http-proxy#1586).

import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { describe, type TestContext, test } from "node:test";
import { QUEUE_HIGH_WATER_BYTES } from "../../src/core/limits.ts";
import { kernelQueuedBytes, untilStill } from "../support/soak-kernel-queues.ts";
import { PatternCheck, patternAt } from "../support/soak-pattern.ts";
import { needsProc, ProxyProcess } from "../support/soak-process.ts";
import { inTime } from "../support/soak-wait.ts";

const KiB = 1024;
const MiB = 1024 * KiB;
/** Far more than the kernel takes of a connection whose reader has stopped. */
const OFFERED_BYTES = 64 * MiB;
/** Beyond the mark: the read that crosses it, the one that was under way, and what Node reads ahead of a paused socket. */
const HELD_BYTES_MAX = QUEUE_HIGH_WATER_BYTES + 3 * 64 * KiB;
/**
 * For garbage, of which a collector that gets little of a core leaves some 30 MiB. The bodies that are stopped here would be 640 MiB;
 * what the proxy holds of them is counted exactly beside this.
 */
const GROWTH_BYTES_MAX = 128 * MiB;
const READERS = 10;
/**
 * At once: a turn of either loop. Every limit of the proxy is longer. Any of the ten may meet a pause of the machine, so the quickest
 * is judged: what waits for a limit waits for it each time.
 */
const AT_ONCE_MS = 1_000;
/** A reader may stand still for long, on a machine that does. */
const LIMITS = { timeouts: { body: "1h" }, limits: { bodyTimeout: "1h" } };
/** Only a hang takes so long. The tests move hundreds of MiB, and take most of a minute where they get a fraction of a core. */
const HANG_MS = 300_000;

/** Reads a piece when it is told to, and not a byte more: what Node's streams would read ahead stays in the kernel. */
class SlowReader {
  readonly socket: net.Socket;
  readonly #onPiece: (piece: Buffer) => void;
  #wanted = 0;
  #taken = Promise.withResolvers<void>();
  bytes = 0;

  constructor(port: number, pieceBytes: number, onPiece: (piece: Buffer) => void = () => {}) {
    this.#onPiece = onPiece;
    const onread = {
      buffer: Buffer.alloc(pieceBytes),
      callback: (length: number, buffer: Uint8Array) => this.#take(Buffer.from(buffer.subarray(0, length))),
    };
    this.socket = net.connect({ port, host: "127.0.0.1", onread });
    this.socket.on("error", () => {});
    this.socket.pause();
  }

  #take(piece: Buffer): boolean {
    this.bytes += piece.length;
    this.#onPiece(piece);
    if (this.bytes < this.#wanted) return true;
    this.#taken.resolve();
    return false;
  }

  /** Reads until it has that many bytes more, to the end of a piece. */
  async read(bytes: number): Promise<void> {
    this.#wanted = this.bytes + bytes;
    this.#taken = Promise.withResolvers();
    this.socket.resume();
    await this.#taken.promise;
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}

/** Sends the pattern as fast as it is taken. What the kernel has taken of it is what it has written, less its own queue. */
function push(socket: net.Socket, head: string): void {
  let position = 0;
  socket.on("error", () => {});
  socket.write(head);
  const go = () => {
    while (position < OFFERED_BYTES) {
      const piece = patternAt(position, OFFERED_BYTES - position);
      position += piece.length;
      if (!socket.write(piece)) return;
    }
  };
  socket.on("drain", go);
  go();
}

const pushedBytes = (socket: net.Socket) => socket.bytesWritten - socket.writableLength;

/** An origin on bare sockets: `serve` has a connection when the head of its request has arrived, and what came behind that. */
class BareOrigin {
  readonly sockets: net.Socket[] = [];
  readonly #server: net.Server;

  constructor(serve: (socket: net.Socket, ahead: Buffer) => void) {
    this.#server = net.createServer((socket) => {
      this.sockets.push(socket);
      socket.on("error", () => {});
      let received = Buffer.alloc(0);
      const onData = (chunk: Buffer) => {
        received = Buffer.concat([received, chunk]);
        const headEnd = received.indexOf("\r\n\r\n");
        if (headEnd < 0) return;
        socket.off("data", onData);
        serve(socket, received.subarray(headEnd + 4));
      };
      socket.on("data", onData);
    });
  }

  async start(): Promise<number> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return (this.#server.address() as net.AddressInfo).port;
  }

  get open(): net.Socket[] {
    return this.sockets.filter((socket) => !socket.closed);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }
}

/** Each connection of the origin serves one request. */
const HEAD = `HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ${OFFERED_BYTES}\r\n\r\n`;
const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const POST = `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${OFFERED_BYTES}\r\n\r\n`;

/** Fails when the proxy holds more than it may, of one connection on the average. */
async function checkHeld(ports: readonly number[], sent: () => number, read: () => number): Promise<number> {
  await untilStill(ports, () => sent() + read());
  assert.ok(sent() < READERS * OFFERED_BYTES, "all was taken: nobody was stopped");
  const held = (sent() - read() - kernelQueuedBytes(ports)) / READERS;
  assert.ok(held < HELD_BYTES_MAX, `the proxy holds ${held} bytes of a connection`);
  return held;
}

function tell(context: TestContext, held: readonly number[], growth: number): void {
  const most = (Math.max(...held) / KiB).toFixed(0);
  context.diagnostic(`held of a connection: ${most} KiB at most; memory grew by ${(growth / MiB).toFixed(1)} MiB`);
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);

describe("a slow reader", { skip: needsProc, timeout: HANG_MS }, () => {
  test("of answers makes the proxy hold no more than its high-water mark; its end frees the upstream", async (context) => {
    await using origin = new BareOrigin((socket) => push(socket, HEAD));
    const originPort = await origin.start();
    await using proxy = await ProxyProcess.start({ proxy: `http://127.0.0.1:${originPort}`, ...LIMITS });
    const ports = [proxy.port, originPort];
    using stack = new DisposableStack();
    const readers = Array.from({ length: READERS }, () => stack.use(new SlowReader(proxy.port, KiB)));
    const sent = () => sum(origin.sockets.slice(1).map(pushedBytes));
    const read = () => sum(readers.map(({ bytes }) => bytes));
    const readAll = (bytes: number) => Promise.all(readers.map((reader) => reader.read(bytes)));

    using quick = new SlowReader(proxy.port, 64 * KiB);
    quick.socket.write(GET);
    await quick.read(OFFERED_BYTES);
    const before = proxy.residentBytes;
    for (const { socket } of readers) socket.write(GET);
    await readAll(1);
    const held = [await checkHeld(ports, sent, read)];
    // A minute of 1 KiB/s, without its waiting.
    for (let second = 0; second < 60; second++) {
      await readAll(KiB);
      if (second % 10 === 0) held.push(await checkHeld(ports, sent, read));
    }
    // Enough to set the origin going again.
    await readAll(6 * MiB);
    held.push(await checkHeld(ports, sent, read));
    const growth = proxy.residentBytes - before;
    tell(context, held, growth);
    assert.ok(growth < GROWTH_BYTES_MAX, `memory grew by ${growth} bytes`);

    const freedMs = { byFin: [] as number[], byReset: [] as number[] };
    for (const [index, { socket }] of readers.entries()) {
      const { promise: closed, resolve: onClosed } = Promise.withResolvers<void>();
      for (const upstream of origin.open) upstream.once("close", () => onClosed());
      const startedMs = performance.now();
      const isReset = index % 2 === 1;
      if (isReset) socket.resetAndDestroy();
      else socket.destroy();
      await inTime(closed, "the upstream's connection is still open");
      (isReset ? freedMs.byReset : freedMs.byFin).push(performance.now() - startedMs);
      assert.equal(origin.open.length, READERS - index - 1);
    }
    for (const [how, times] of Object.entries(freedMs)) {
      const quickestMs = Math.min(...times);
      const slowestMs = Math.max(...times);
      context.diagnostic(
        `${how}, a client freed its upstream in ${quickestMs.toFixed(1)} to ${slowestMs.toFixed(1)} ms`,
      );
      assert.ok(quickestMs < AT_ONCE_MS, `freeing the upstream took ${quickestMs} ms or more, ${how}`);
    }
    quick.socket.destroy();
    await proxy.untilConnections(0);
    await proxy.stop();
  });

  test("of requests makes the proxy hold no more than its high-water mark; all arrives when it reads on", async (context) => {
    const uploads: { readonly socket: net.Socket; readonly ahead: Buffer }[] = [];
    const { promise: allBegun, resolve: onAllBegun } = Promise.withResolvers<void>();
    await using origin = new BareOrigin((socket, ahead) => {
      if (origin.sockets.length === 1) return readOn(socket, ahead);
      socket.pause();
      uploads.push({ socket, ahead });
      if (uploads.length === READERS) onAllBegun();
    });
    const originPort = await origin.start();
    await using proxy = await ProxyProcess.start({ proxy: `http://127.0.0.1:${originPort}`, ...LIMITS });
    using stack = new DisposableStack();
    const upload = () => {
      const socket = stack.adopt(net.connect(proxy.port, "127.0.0.1"), (opened) => opened.destroy());
      push(socket, POST);
      return socket;
    };
    await once(upload(), "data");
    const before = proxy.residentBytes;
    const clients = Array.from({ length: READERS }, upload);
    await allBegun;
    const sent = () => sum(clients.map(pushedBytes));
    const read = () => sum(uploads.map(({ socket }) => socket.bytesRead));
    const held = await checkHeld([proxy.port, originPort], sent, read);
    const growth = proxy.residentBytes - before;
    tell(context, [held], growth);
    assert.ok(growth < GROWTH_BYTES_MAX, `memory grew by ${growth} bytes`);

    const answers = clients.map((client) => once(client, "data") as Promise<[Buffer]>);
    for (const { socket, ahead } of uploads) readOn(socket, ahead);
    for (const [answer] of await Promise.all(answers)) assert.match(answer.toString("latin1"), /^HTTP\/1\.1 204 /);
    for (const client of clients) client.destroy();
    await proxy.stop();
  });
});

/** Compares the rest of the body with what was sent, and answers at its end. */
function readOn(socket: net.Socket, ahead: Buffer): void {
  const check = new PatternCheck();
  const take = (chunk: Buffer) => {
    check.add(chunk);
    if (check.position === OFFERED_BYTES) socket.write("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
  };
  take(ahead);
  socket.on("data", take);
  socket.resume();
}
