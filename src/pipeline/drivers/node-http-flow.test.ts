// Pressure, aborts and deadlines of a mounted exchange: what one side does reaches the other at once, and nothing piles up.

import assert from "node:assert/strict";
import http, { type IncomingMessage, type ServerResponse } from "node:http";
import { test } from "node:test";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { MountStage } from "../../../test/support/mount-stage.ts";
import { bodyOf, Origin } from "../../../test/support/origin.ts";
import { RawClient } from "../../../test/support/raw-client.ts";
import type { Feature } from "../phases.ts";

const TIMEOUT = { timeout: 30_000 };
const MiB = 1024 * 1024;
/** What two sockets' buffers and a proxy between them hold at most on loopback, where the kernel lets buffers grow. */
const HELD_BYTES_MAX = 24 * MiB;

/** Writes until the other side has not taken a byte for a while of turns; what was written. */
async function writeUntilStuck(target: NodeJS.WritableStream & { readonly writableLength: number }): Promise<number> {
  const piece = Buffer.alloc(64 * 1024, "x");
  let written = 0;
  let queued = -1;
  for (let quietTurns = 0; quietTurns < 200; quietTurns++) {
    if (target.writableLength < MiB) {
      target.write(piece);
      written += piece.length;
      quietTurns = 0;
    }
    if (target.writableLength !== queued) quietTurns = 0;
    queued = target.writableLength;
    assert.ok(written < 4 * HELD_BYTES_MAX, "nothing slows the sender down");
    await nextTurn();
  }
  return written;
}

test("a client that does not read stops the upstream, and gets everything when it reads", TIMEOUT, async () => {
  const started = Promise.withResolvers<ServerResponse>();
  await using origin = await Origin.start((_, response) => started.resolve(response));
  await using stage = new MountStage(origin.port);
  using client = await RawClient.connect(await stage.serve());
  client.keep = false;
  client.socket.pause();
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  const response = await started.promise;
  const written = await writeUntilStuck(response);
  assert.ok(written < HELD_BYTES_MAX, `${written} bytes were taken from the upstream`);
  response.end();
  client.socket.resume();
  await client.until(() => client.receivedBytes >= written, "the whole body");
});

test("an upstream that does not read stops the client, and gets everything when it reads", TIMEOUT, async () => {
  const started = Promise.withResolvers<IncomingMessage>();
  await using origin = await Origin.start((request, response) => {
    request.pause();
    started.resolve(request);
    request.on("end", () => response.end("done"));
  });
  await using stage = new MountStage(origin.port);
  using client = await RawClient.connect(await stage.serve());
  client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  const request = await started.promise;
  // One chunk whose length is beyond what is ever sent, then its end once it is known how much that was.
  client.send(`${HELD_BYTES_MAX.toString(16)}\r\n`);
  const written = await writeUntilStuck(client.socket);
  assert.ok(written < HELD_BYTES_MAX, `${written} bytes were taken from the client`);
  let received = 0;
  request.on("data", (chunk: Buffer) => {
    received += chunk.length;
  });
  request.resume();
  client.send(Buffer.alloc(HELD_BYTES_MAX - written, "y"));
  client.send("\r\n0\r\n\r\n");
  assert.equal((await client.answer()).body, "done");
  assert.equal(received, HELD_BYTES_MAX);
});

for (const how of ["end", "destroy", "reset"] as const) {
  test(`a client that goes (${how}) while its answer is awaited frees the upstream at once`, TIMEOUT, async () => {
    await using origin = await Origin.start(() => {});
    await using stage = new MountStage(origin.port);
    using client = await RawClient.connect(await stage.serve());
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    await origin.until(() => origin.asked.length === 1);
    if (how === "end") client.socket.end();
    else if (how === "destroy") client.socket.destroy();
    else client.reset();
    await origin.until(() => origin.sockets.size === 0);
    await stage.until(() => stage.ended.length === 1);
    assert.equal(stage.ended[0]!.error?.status, 499);
  });
}

test(
  "a client that goes in the middle of its answer, or of its body, frees the upstream at once",
  TIMEOUT,
  async () => {
    await using origin = await Origin.start((request, response) => {
      request.on("error", () => {});
      if (request.method === "GET") response.write("first");
    });
    await using stage = new MountStage(origin.port);
    const port = await stage.serve();
    using reader = await RawClient.connect(port);
    reader.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    await reader.untilText("first");
    reader.socket.destroy();
    using writer = await RawClient.connect(port);
    writer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
    await origin.until(() => origin.asked.length === 2);
    writer.socket.destroy();
    await origin.until(() => origin.sockets.size === 0);
    await stage.until(() => stage.ended.length === 2);
  },
);

test(
  "an upstream that breaks off in the middle cuts the answer: no client can take it for complete",
  TIMEOUT,
  async () => {
    await using origin = await Origin.start((request, response) => {
      if (request.url === "/length") response.setHeader("Content-Length", 100);
      response.write("half", () => response.socket!.destroy());
    });
    await using stage = new MountStage(origin.port);
    const port = await stage.serve();
    for (const request of [
      "GET /length HTTP/1.1\r\nHost: a",
      "GET /chunks HTTP/1.1\r\nHost: a",
      "GET /chunks HTTP/1.0",
    ]) {
      using client = await RawClient.connect(port);
      client.send(`${request}\r\n\r\n`);
      await client.untilClosed();
      assert.match(client.received, /^HTTP\/1\.1 200 /);
      assert.ok(!client.received.endsWith("0\r\n\r\n"), request);
      assert.equal(client.error?.code, "ECONNRESET", request);
    }
  },
);

test(
  "an early answer to an upload ends it; the rest of the body is dropped and the connection serves on",
  TIMEOUT,
  async () => {
    await using origin = await Origin.start((_, response) => response.end("next"));
    await using stage = new MountStage(origin.port, { limits: { bodyBytesMax: 10 } });
    using client = await RawClient.connect(await stage.serve());
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n12345678901234567890\r\n");
    assert.equal((await client.answer()).status, 413);
    client.send("5\r\n12345\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert.equal((await client.answer()).body, "next");
  },
);

test(
  "a request's body that stands still is given up at its deadline: 408, and the upstream is freed",
  TIMEOUT,
  async () => {
    await using origin = await Origin.start((request) => void request.on("error", () => {}));
    await using stage = new MountStage(origin.port, { limits: { bodyTimeoutMs: 100 } });
    using client = await RawClient.connect(await stage.serve());
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
    assert.equal((await client.answer()).status, 408);
    await origin.until(() => origin.sockets.size === 0);
  },
);

test("a client that takes an answer which goes on need not go on with its body", TIMEOUT, async () => {
  await using origin = await Origin.start(async (_, response) => {
    for (let part = 0; part < 20; part++) {
      response.write("x");
      await sleep(50);
    }
    response.end();
  });
  await using stage = new MountStage(origin.port, { limits: { bodyTimeoutMs: 400 } });
  using client = await RawClient.connect(await stage.serve());
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
  assert.equal((await client.answer()).body, "x".repeat(20));
});

test("an answer that waits behind another is neither late nor half sent", TIMEOUT, async () => {
  const first = Promise.withResolvers<void>();
  await using origin = await Origin.start((request, response) => {
    if (request.url === "/first") return void first.promise.then(() => response.end("first"));
    if (request.url === "/never") return;
    if (request.url === "/cut") return void response.write("half", () => response.socket!.destroy());
    response.end(Buffer.alloc(MiB, "x"));
  });
  await using stage = new MountStage(origin.port, { limits: { bodyTimeoutMs: 100 } });
  using client = await RawClient.connect(await stage.serve());
  const requestOf = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
  client.send(requestOf("/first") + requestOf("/whole"));
  await sleep(500);
  first.resolve();
  assert.equal((await client.answer()).body, "first");
  assert.equal((await client.answer()).body.length, MiB);
  using other = await RawClient.connect(client.socket.remotePort!);
  other.send(requestOf("/never") + requestOf("/cut"));
  await other.untilClosed();
});

test("a client that stops reading is cut at its deadline, before the answer's end and after it", TIMEOUT, async () => {
  await using origin = await Origin.start((request, response) => {
    response.on("error", () => {});
    // More than any buffers hold; or just enough for Node's own queue behind them.
    response.end(Buffer.alloc(request.url === "/more" ? 64 * MiB : 7 * MiB, "x"));
  });
  await using stage = new MountStage(origin.port, { limits: { bodyTimeoutMs: 100 } });
  const port = await stage.serve();
  for (const path of ["/more", "/all"]) {
    using client = await RawClient.connect(port);
    client.socket.pause();
    client.send(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
    await stage.until(() => stage.ended.some((ended) => ended.path === path));
    // Whether its exchange was over or not, nothing of it is left.
    while (stage.driver.size > 0) await nextTurn();
    client.socket.resume();
    if (path === "/more") await client.untilClosed();
  }
  assert.equal(stage.ended[0]!.error?.type, "connection_write_timeout");
});

test("a program's own byte counter does not make a body vanish", TIMEOUT, async () => {
  await using origin = await Origin.start(async (request, response) => response.end(await bodyOf(request), "latin1"));
  await using stage = new MountStage(origin.port);
  let counted = 0;
  const server = http.createServer((request, response) => {
    request.setEncoding("latin1");
    request.on("data", (text: string) => {
      counted += text.length;
    });
    stage.driver.handle(request, response);
  });
  using client = await RawClient.connect(await stage.listen(server));
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel\xfco");
  assert.equal((await client.answer()).body, "hel\xfco");
  assert.equal(counted, 5);
});

test("a feature sees the whole body before it is sent, or the client gets 413", TIMEOUT, async () => {
  await using origin = await Origin.start(async (request, response) => response.end(await bodyOf(request)));
  const seen: string[] = [];
  const holding: Feature = {
    name: "holding",
    async request(exchange) {
      seen.push(String(await exchange.wholeBody(6)));
      assert.equal(origin.asked.length, seen.length - 1);
    },
  };
  await using stage = new MountStage(origin.port, { use: [holding] });
  const port = await stage.serve();
  using client = await RawClient.connect(port);
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nExpect: 100-continue\r\n\r\n");
  assert.equal((await client.answer()).status, 100);
  client.send("abcdef");
  assert.equal((await client.answer()).body, "abcdef");
  client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
  assert.equal((await client.answer()).body, "abc");
  client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nabcdefg\r\n0\r\n\r\n");
  assert.equal((await client.answer()).status, 413);
  assert.deepEqual(seen, ["abcdef", "abc"]);
  assert.equal(origin.asked.length, 2);
});
