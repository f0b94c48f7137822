// When a request is tried again, and when it must not be: only what cannot have had an effect, or may have it twice.

import assert from "node:assert/strict";
import net, { type AddressInfo } from "node:net";
import { test } from "node:test";
import { REPLAY_BODY_BYTES_MAX } from "../../src/core/limits.ts";
import { freePort } from "../support/free-port.ts";
import { bodyOf, Origin } from "../support/origin.ts";
import { ProxyUnderTest } from "../support/proxy-under-test.ts";
import { RawClient } from "../support/raw-client.ts";

const TIMEOUT = { timeout: 20_000 };
const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

function request(method: string, body: string): string {
  return `${method} / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

/** Answers the first request of a connection, and resets when so much of the second has come: a pooled connection that was closed just then. */
async function startStale({ bytesBefore = 1 } = {}) {
  const texts: string[] = [];
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    let served = false;
    let text = "";
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
      const [head = "", body] = text.split("\r\n\r\n");
      const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
      if (served) {
        if (text.length < bytesBefore) return;
        texts.push(text);
        socket.resetAndDestroy();
      } else if (body !== undefined && body.length === length) {
        texts.push(text);
        served = true;
        text = "";
        socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const proxy = await ProxyUnderTest.start({
    servers: { web: { listen: "127.0.0.1:0", proxy: `http://127.0.0.1:${port}` } },
  });
  return {
    /** What it was sent, request by request. */
    texts,
    client: await RawClient.connect(proxy.port("web")),
    async [Symbol.asyncDispose]() {
      this.client[Symbol.dispose]();
      await proxy[Symbol.asyncDispose]();
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

test(
  "a pooled connection that turns out to be dead: GET goes again on a new one, and nobody notices",
  TIMEOUT,
  async () => {
    await using stale = await startStale();
    const { client, texts } = stale;
    assert.equal((await client.send(GET).answer()).status, 200);
    assert.equal((await client.send(GET).answer()).status, 200);
    assert.equal(texts.length, 3);
  },
);

test("PUT goes again with its body, and POST behind it on a new connection at once", TIMEOUT, async () => {
  await using stale = await startStale();
  const { client, texts } = stale;
  await client.send(GET).answer();
  assert.equal((await client.send(request("PUT", "content")).answer()).status, 200);
  assert.equal(texts.filter((text) => text.startsWith("PUT ")).length, 2);
  assert.ok(texts.at(-1)!.endsWith("\r\n\r\ncontent"));
  assert.equal((await client.send(request("POST", "effect")).answer()).status, 200);
  assert.equal(texts.filter((text) => text.startsWith("POST ")).length, 1);
});

test("POST, once written, does not go again", TIMEOUT, async () => {
  await using stale = await startStale();
  const { client, texts } = stale;
  await client.send(GET).answer();
  assert.equal((await client.send(request("POST", "effect")).answer()).status, 502);
  assert.equal(texts.filter((text) => text.startsWith("POST ")).length, 1);
});

test("a body that outgrew the buffer for another attempt is not sent again", TIMEOUT, async () => {
  await using stale = await startStale({ bytesBefore: REPLAY_BODY_BYTES_MAX + 10_000 });
  const { client, texts } = stale;
  await client.send(GET).answer();
  client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n").send("x".repeat(200_000));
  assert.equal((await client.answer()).status, 502);
  assert.equal(texts.filter((text) => text.startsWith("PUT ")).length, 1);
});

test(
  "a server that is not there: the next one is asked, with any method, since nothing was written",
  TIMEOUT,
  async () => {
    await using origin = await Origin.start(async (asked, response) =>
      response.end(`${asked.method} ${await bodyOf(asked)}`),
    );
    const dead = `http://127.0.0.1:${await freePort()}`;
    await using proxy = await ProxyUnderTest.start({
      upstreams: { app: { servers: [dead, origin.url] } },
      servers: { web: { listen: "127.0.0.1:0", proxy: "app" } },
    });
    using client = await RawClient.connect(proxy.port("web"));
    for (let i = 0; i < 4; i++) {
      assert.equal((await client.send(request("POST", `effect ${i}`)).answer()).body, `POST effect ${i}`);
    }
    assert.equal(origin.asked.length, 4);
  },
);

test("no server is there: 502, and why", TIMEOUT, async () => {
  const servers = [`http://127.0.0.1:${await freePort()}`, `http://127.0.0.1:${await freePort()}`];
  await using proxy = await ProxyUnderTest.start({
    upstreams: { app: { servers } },
    servers: { web: { listen: "127.0.0.1:0", proxy: "app" } },
  });
  using client = await RawClient.connect(proxy.port("web"));
  const answer = await client.send(GET).answer();
  assert.deepEqual([answer.status, answer.fields.get("proxy-status")], [502, "headgate; error=connection_refused"]);
});

test("retries cannot multiply an outage: beyond the budget every request is asked once", TIMEOUT, async () => {
  let asked = 0;
  const server = net.createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => {
      asked++;
      socket.resetAndDestroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const to = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await using proxy = await ProxyUnderTest.start({
    servers: { web: { listen: "127.0.0.1:0", proxy: { to, retries: { max: 2, budget: 0.1, budgetMin: 5 } } } },
  });
  using client = await RawClient.connect(proxy.port("web"));
  for (let i = 0; i < 100; i++) assert.equal((await client.send(GET).answer()).status, 502);
  assert.ok(asked >= 105 && asked <= 125, `${asked} attempts for 100 requests`);
  server.close();
});

test("a server that takes connections and does no more is left out like one that is not there", TIMEOUT, async () => {
  await using origin = await Origin.start((_, response) => response.end());
  const server = net.createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const mute = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await using proxy = await ProxyUnderTest.start({
    upstreams: { app: { servers: [mute, origin.url] } },
    servers: { web: { listen: "127.0.0.1:0", proxy: "app" } },
  });
  using client = await RawClient.connect(proxy.port("web"));
  let failed = 0;
  for (let i = 0; i < 60; i++) {
    const { status } = await client.send(request("POST", "effect")).answer();
    if (status !== 200) failed++;
  }
  // Once more for each time that it is tried anew.
  assert.ok(failed >= 3 && failed <= 5, `${failed} of 60 failed`);
  server.close();
});
