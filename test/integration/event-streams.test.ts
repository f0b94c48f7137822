// Server-sent events: each must have arrived before the next one is sent.

import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { test } from "node:test";
import { Origin } from "../support/origin.ts";
import { ProxyUnderTest } from "../support/proxy-under-test.ts";
import { RawClient } from "../support/raw-client.ts";

const TIMEOUT = { timeout: 20_000 };

async function startStream(server: Record<string, unknown> = {}) {
  const begun = Promise.withResolvers<ServerResponse>();
  const origin = await Origin.start((_, response) => {
    response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
    response.flushHeaders();
    begun.resolve(response);
  });
  const proxy = await ProxyUnderTest.start({
    servers: { web: { listen: "127.0.0.1:0", proxy: origin.url, ...server } },
  });
  const client = await RawClient.connect(proxy.port("web"));
  return {
    origin,
    client,
    begun: begun.promise,
    async [Symbol.asyncDispose]() {
      client[Symbol.dispose]();
      await proxy[Symbol.asyncDispose]();
      await origin[Symbol.asyncDispose]();
    },
  };
}

for (const [version, use] of [
  ["1.1", undefined],
  ["1.0", undefined],
  ["1.1", [{ compress: true }]],
] as const) {
  test(`to HTTP/${version}${use === undefined ? "" : ", past a compressing feature"}`, TIMEOUT, async () => {
    await using stream = await startStream(use === undefined ? {} : { use });
    const { client } = stream;
    client.send(`GET / HTTP/${version}\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n`);
    const response = await stream.begun;
    // The head comes before any event.
    await client.untilText("\r\n\r\n");
    for (let n = 1; n <= 20; n++) {
      response.write(`id: ${n}\ndata: event ${n}\n\n`);
      await client.untilText(`data: event ${n}\n\n`);
    }
    response.end();
    if (version === "1.1") await client.untilText("\r\n0\r\n\r\n");
    else await client.untilEnded();
  });
}

test("a client that leaves between two events frees the server at once", TIMEOUT, async () => {
  await using stream = await startStream();
  const { client, origin } = stream;
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  const response = await stream.begun;
  response.write("data: 1\n\n");
  await client.untilText("data: 1");
  client.socket.destroy();
  await origin.until(() => origin.sockets.size === 0);
});

test(
  "a stream that falls silent is cut at the upstream's body timeout, so that nobody takes it for ended",
  TIMEOUT,
  async () => {
    await using stream = await startStream({ timeouts: { body: "100ms" } });
    const { client } = stream;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    (await stream.begun).write("data: 1\n\n");
    await client.untilClosed();
    assert.equal(client.error?.code, "ECONNRESET");
    assert.ok(client.received.includes("data: 1") && !client.received.endsWith("0\r\n\r\n"));
  },
);
