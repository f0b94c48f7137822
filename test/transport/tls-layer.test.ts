// TLS on a connection that is there already: what a client sends inside a tunnel, and what we send through one.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import type net from "node:net";
import os from "node:os";
import path from "node:path";
import { Duplex } from "node:stream";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import tls from "node:tls";
import { QUEUE_HIGH_WATER_BYTES } from "../../src/core/limits.ts";
import { dialing, serving, TlsLayerStage, trusted } from "../support/tls-layer-stage.ts";
import type { Recording } from "../support/transport-stage.ts";

async function closeAll(...ends: readonly Recording[]): Promise<void> {
  for (const { connection } of ends) connection.destroy();
  await Promise.all(ends.map((end) => end.untilClosed()));
}

test("plain text first, then TLS: bytes both ways, and each side ends alone", async () => {
  await using stage = new TlsLayerStage();
  const plain = await stage.pair();
  plain.near.connection.writeLatin1("CONNECT");
  await plain.far.untilText("CONNECT");
  plain.far.connection.writeLatin1("200");
  await plain.near.untilText("200");

  const { near, far } = await stage.secure(plain.near, plain.far);
  assert.equal(stage.transport.openConnections, 2);
  assert.deepEqual(near.connection.remote, plain.near.connection.remote);
  assert.deepEqual(far.connection.local, plain.far.connection.local);
  near.connection.writeLatin1("question");
  await far.untilText("question");
  far.connection.writeLatin1("answer");
  await near.untilText("answer");

  near.connection.end();
  await far.until(() => far.events.includes("end"));
  far.connection.writeLatin1(", and more");
  await near.untilText("answer, and more");
  far.connection.end();
  assert.deepEqual(await Promise.all([near.untilClosed(), far.untilClosed()]), [null, null]);
  assert.deepEqual(near.events, ["bytes", "end", "close"]);
});

test("whoever had the connection can do nothing with it any more, and is told nothing", async () => {
  await using stage = new TlsLayerStage();
  const plain = await stage.pair();
  const both = stage.secure(plain.near, plain.far);
  for (const { connection } of [plain.near, plain.far]) {
    assert.equal(connection.closed, true);
    connection.writeLatin1("plain");
    connection.pause();
    connection.resume();
    connection.end();
    connection.destroy();
  }
  const { near, far } = await both;
  near.connection.writeLatin1("x");
  await far.untilText("x");
  near.connection.end();
  far.connection.end();
  await Promise.all([near.untilClosed(), far.untilClosed()]);
  assert.deepEqual([...plain.near.events, ...plain.far.events], []);
});

test("what was agreed on: names, protocols, and sessions that are resumed", async () => {
  await using stage = new TlsLayerStage();
  const expected = {
    protocol: "TLSv1.3",
    cipher: "TLS_AES_256_GCM_SHA384",
    serverName: "app.internal",
    alpn: "http/1.1",
    peerCertificate: null,
  };
  for (const resumed of [false, true]) {
    const { near, far } = await stage.securedPair();
    assert.deepEqual(near.connection.tls, { ...expected, resumed });
    assert.deepEqual(far.connection.tls, { ...expected, resumed });
    // A TLS 1.3 session comes with the first bytes.
    far.connection.writeLatin1("x");
    await near.untilText("x");
    await closeAll(near, far);
  }
  const { near, far } = await stage.securedPair({ connect: { ...dialing, alpn: [] } });
  assert.deepEqual([near.connection.tls!.alpn, far.connection.tls!.alpn], [null, null]);
  near.connection.destroy();
  far.connection.destroy();
});

test("clients of HTTP/2 take what is offered; those that speak nothing else are told so", async (t) => {
  await using stage = new TlsLayerStage();
  const served = await stage.serve();
  async function client(ALPNProtocols: string[]): Promise<tls.TLSSocket> {
    const socket = await stage.client(served.port);
    return tls.connect({ socket, ALPNProtocols, servername: "app.internal", ca: trusted });
  }
  await t.test("h2 and http/1.1", async () => {
    const both = await client(["h2", "http/1.1"]);
    both.on("error", () => {});
    const far = await stage.serveTls((await served.next()).connection);
    assert.equal(far.connection.tls!.alpn, "http/1.1");
    far.connection.destroy();
  });
  await t.test("h2 alone", async () => {
    const only = await client(["h2"]);
    const refused = new Promise<Error>((resolve) => only.once("error", resolve));
    await assert.rejects(stage.serveTls((await served.next()).connection), {
      type: "tls_protocol_error",
      side: "client",
    });
    assert.equal(((await refused) as NodeJS.ErrnoException).code, "ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL");
  });
});

/** A client of Node's whose first flight arrives in two pieces: `length` bytes, and the rest when that is released. */
function splitClient(raw: net.Socket, length: number): { readonly secured: tls.TLSSocket; release(): void } {
  let held: Buffer | null = null;
  const wire: Duplex = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      if (held === null) {
        raw.write(chunk.subarray(0, length));
        held = chunk.subarray(length);
      } else raw.write(chunk);
      done();
    },
  });
  raw.on("data", (chunk) => wire.push(chunk));
  const secured = tls.connect({ socket: wire, servername: "app.internal", ca: trusted });
  return { secured, release: () => raw.write(held!) };
}

test("the first bytes of a ClientHello have arrived, however many, and the rest comes at any time", async () => {
  await using stage = new TlsLayerStage();
  for (const length of [1, 5, 6, 100, 10_000]) {
    for (const turns of [0, 1, 3]) {
      const begun = Promise.withResolvers<Recording>();
      const served = await stage.serve({}, (far) => {
        far.react = (early) => {
          begun.resolve(stage.serveTls(far.connection, { early }));
          // It is copied.
          early.fill(0);
          if (turns === 0) release();
        };
      });
      const { secured, release } = splitClient(await stage.client(served.port), length);
      secured.write("question");
      if (turns > 0) {
        for (let turn = 0; turn < turns; turn++) await nextTurn();
        release();
      }
      const far = await begun.promise;
      await far.untilText("question");
      far.connection.writeLatin1("answer");
      assert.equal(String(await new Promise((resolve) => secured.once("data", resolve))), "answer");
      await closeAll(far);
    }
  }
});

test("a ClientHello that arrives in the very turn in which somebody else puts TLS on its connection", async () => {
  await using stage = new TlsLayerStage();
  const served = await stage.serve();
  const other = await stage.client(served.port);
  const waker = await served.next();
  const raw = await stage.client(served.port);
  const far = await served.next();
  const begun = Promise.withResolvers<Recording>();
  waker.react = () => begun.resolve(stage.serveTls(far.connection));
  const { secured, release } = splitClient(raw, 0);
  secured.write("question");
  await nextTurn();
  other.write("go");
  release();
  const layered = await begun.promise;
  await layered.untilText("question");
  await closeAll(layered);
});

test("what is written when onDrain is called, right before TLS begins, is not lost", async () => {
  await using stage = new TlsLayerStage();
  // The kernel takes the one at once, and the other bit by bit.
  for (const bytes of [2 * QUEUE_HIGH_WATER_BYTES, 6_000_000]) {
    const { near, far } = await stage.pair();
    const begun = Promise.withResolvers<Recording>();
    const { connection } = far;
    connection.handler = {
      onBytes() {},
      onDrain: () => {
        connection.writeLatin1("200");
        begun.resolve(stage.serveTls(connection));
      },
      onEnd() {},
      onClose() {},
    };
    connection.write(Buffer.alloc(bytes));
    // A transport that hands over at once owes no onDrain for what was taken.
    if (connection.queuedBytes === 0) connection.handler.onDrain();
    await near.until(() => near.bytes === bytes + 3);
    assert.ok(near.text.endsWith("200"));
    const [client, server] = await Promise.all([stage.connectTls(near.connection), begun.promise]);
    await closeAll(client, server);
  }
});

/** Sends that many bytes, as fast as they are taken, and then ends. */
function send({ connection }: Recording, bytes: number): void {
  const chunk = Buffer.alloc(60_000, 7);
  const { handler } = connection;
  let left = bytes;
  const more = (): void => {
    while (left > 0 && connection.queuedBytes <= QUEUE_HIGH_WATER_BYTES) {
      connection.write(chunk, 0, Math.min(left, chunk.length));
      left -= Math.min(left, chunk.length);
    }
    if (left === 0) connection.end();
  };
  connection.handler = {
    onBytes: (buffer, start, end) => handler.onBytes(buffer, start, end),
    onDrain: more,
    onEnd: () => handler.onEnd(),
    onClose: (error) => handler.onClose(error),
  };
  more();
}

/** Pauses now and then. */
function readHaltingly(recording: Recording): void {
  let reads = 0;
  recording.react = () => {
    if (++reads % 16 !== 0) return;
    recording.connection.pause();
    setImmediate(() => recording.connection.resume());
  };
}

test("megabytes both ways at once, with readers that pause", async () => {
  await using stage = new TlsLayerStage();
  const { near, far } = await stage.securedPair();
  const bytes = 6_000_000;
  for (const end of [near, far]) readHaltingly(end);
  for (const end of [near, far]) send(end, bytes);
  assert.deepEqual(await Promise.all([near.untilClosed(), far.untilClosed()]), [null, null]);
  assert.deepEqual([near.bytes, far.bytes], [bytes, bytes]);
});

test("what was written before leaves first, also when the peer is slow to take it", async () => {
  await using stage = new TlsLayerStage();
  const bytes = 6_000_000;
  const { near, far } = await stage.pair();
  near.connection.pause();
  far.connection.write(Buffer.alloc(bytes, 1));
  assert.ok(far.connection.queuedBytes > 0);
  const server = stage.serveTls(far.connection);
  for (let turn = 0; turn < 5; turn++) await nextTurn();
  near.connection.resume();
  await near.until(() => near.bytes === bytes);
  const client = await stage.connectTls(near.connection);
  client.connection.writeLatin1("x");
  await (await server).untilText("x");
  assert.ok(near.chunks.every((chunk) => chunk.every((byte) => byte === 1)));
  await closeAll(client, await server);
});

test("a head that was written in the same turn arrives before the ClientHello", async () => {
  await using stage = new TlsLayerStage();
  const { near, far } = await stage.pair();
  const begun = Promise.withResolvers<Recording>();
  far.react = () => {
    const { text } = far;
    if (text.length > 7) begun.resolve(stage.serveTls(far.connection, { early: Buffer.from(text.slice(7), "latin1") }));
  };
  near.connection.writeLatin1("CONNECT");
  const client = await stage.connectTls(near.connection);
  client.connection.writeLatin1("x");
  const server = await begun.promise;
  await server.untilText("x");
  await closeAll(client, server);
});

test("the peer's first bytes are there before our ClientHello is: a server that does not wait is not understood", async () => {
  await using stage = new TlsLayerStage();
  const { near, far } = await stage.pair();
  far.connection.writeLatin1("220 hello\r\n");
  await assert.rejects(stage.connectTls(near.connection), { type: "tls_protocol_error", side: "upstream" });
  await far.until(() => far.events.includes("end") || far.events.includes("close"));
});

test("a paused connection, and one on a unix socket", async () => {
  await using stage = new TlsLayerStage();
  const folder = mkdtempSync(path.join(os.tmpdir(), "headgate-tls-layer-"));
  try {
    const file = path.join(folder, "socket");
    const served = await stage.serve({ path: file });
    const plain = await stage.dial({ host: file, port: 0 });
    const accepted = await served.next();
    plain.connection.pause();
    accepted.connection.pause();
    const { near, far } = await stage.secure(plain, accepted);
    near.connection.writeLatin1("question");
    await far.untilText("question");
    far.connection.writeLatin1("answer");
    await near.untilText("answer");
    await closeAll(near, far);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("TLS in TLS: early bytes, megabytes both ways, and the ends of both", async () => {
  await using stage = new TlsLayerStage();
  const served = await stage.serve({
    tls: { certificates: [{ cert: serving.cert, key: serving.key }], minVersion: "TLSv1.2" },
  });
  const outer = await stage.dial({ port: served.port, tls: dialing });
  const accepted = await served.next();
  outer.connection.writeLatin1("CONNECT");
  await accepted.untilText("CONNECT");
  const begun = Promise.withResolvers<Recording>();
  accepted.react = (early) => begun.resolve(stage.serveTls(accepted.connection, { early }));
  const near = await stage.connectTls(outer.connection);
  const far = await begun.promise;
  assert.equal(near.connection.tls!.serverName, "app.internal");
  assert.equal(stage.transport.openConnections, 2);
  const bytes = 3_000_000;
  readHaltingly(near);
  send(near, bytes);
  send(far, bytes);
  assert.deepEqual(await Promise.all([near.untilClosed(), far.untilClosed()]), [null, null]);
  assert.deepEqual([near.bytes, far.bytes], [bytes, bytes]);
});

test("three layers deep", async () => {
  await using stage = new TlsLayerStage();
  const first = await stage.securedPair();
  const second = await stage.secure(first.near, first.far);
  const { near, far } = await stage.secure(second.near, second.far);
  near.connection.writeLatin1("deep");
  await far.untilText("deep");
  far.connection.end();
  await near.until(() => near.events.includes("end"));
  near.connection.end();
  assert.deepEqual(await Promise.all([near.untilClosed(), far.untilClosed()]), [null, null]);
});
