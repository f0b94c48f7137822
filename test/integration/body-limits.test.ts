// A limit on bodies: 413 as soon as it is known to be passed, and the upstream gets no complete request of it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { bodyOf, Origin } from "../support/origin.ts";
import { ProxyUnderTest } from "../support/proxy-under-test.ts";
import { RawClient } from "../support/raw-client.ts";

const TIMEOUT = { timeout: 20_000 };

async function start() {
  const complete: string[] = [];
  const origin = await Origin.start(async (request, response) => {
    const body = await bodyOf(request).catch(() => null);
    if (body === null) return;
    complete.push(body);
    response.end(String(body.length));
  });
  const routes = [{ match: { path: "/large" }, limits: { body: "1MiB" }, proxy: origin.url }, { proxy: origin.url }];
  const proxy = await ProxyUnderTest.start({
    limits: { body: "10MiB" },
    servers: { web: { listen: "127.0.0.1:0", limits: { body: 100 }, routes } },
  });
  return {
    complete,
    origin,
    connect: () => RawClient.connect(proxy.port("web")),
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await origin[Symbol.asyncDispose]();
    },
  };
}

const head = (line: string, path = "/") => `POST ${path} HTTP/1.1\r\nHost: a\r\n${line}\r\n\r\n`;

test("a length beyond it is refused before a byte of the body, and before the upstream is asked", TIMEOUT, async () => {
  await using started = await start();
  using client = await started.connect();
  client.send(head("Content-Length: 101"));
  const answer = await client.answer();
  assert.equal(answer.status, 413);
  assert.equal(started.origin.accepted, 0);
});

test("exactly the limit passes; a route's own limit wins over the server's", TIMEOUT, async () => {
  await using started = await start();
  using client = await started.connect();
  client.send(head("Content-Length: 100") + "x".repeat(100));
  assert.equal((await client.answer()).body, "100");
  client.send(head("Content-Length: 1048576", "/large") + "x".repeat(1_048_576));
  assert.equal((await client.answer()).body, "1048576");
  client.send(head("Content-Length: 1048577", "/large"));
  assert.equal((await client.answer()).status, 413);
});

test("chunks are counted as they come; the upstream's request is broken off, never completed", TIMEOUT, async () => {
  await using started = await start();
  using client = await started.connect();
  client.send(`${head("Transfer-Encoding: chunked")}40\r\n${"x".repeat(64)}\r\n`);
  await started.origin.until(() => started.origin.asked.length === 1);
  client.send(`40\r\n${"x".repeat(64)}\r\n0\r\n\r\n`);
  assert.equal((await client.answer()).status, 413);
  await started.origin.until(() => started.origin.sockets.size === 0);
  assert.deepEqual(started.complete, []);
});

test(
  "the connection serves on behind a refused body that ends, and is ended behind one that does not",
  TIMEOUT,
  async () => {
    await using started = await start();
    using patient = await started.connect();
    patient.send(`${head("Content-Length: 200")}${"x".repeat(200)}`);
    assert.equal((await patient.answer()).status, 413);
    patient.send(`${head("Content-Length: 2")}ok`);
    assert.equal((await patient.answer()).body, "2");

    using endless = await started.connect();
    endless.send(head("Transfer-Encoding: chunked"));
    const piece = `10000\r\n${"x".repeat(65_536)}\r\n`;
    // Far more than is read for the connection to be kept.
    const feed = (): void => {
      while (!endless.closed && endless.socket.writable && endless.socket.write(piece));
    };
    endless.socket.on("drain", feed);
    feed();
    await endless.untilEnded();
    assert.match(endless.received, /^HTTP\/1\.1 413 /);
    endless.socket.off("drain", feed);
  },
);
