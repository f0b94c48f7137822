// A client that vanishes, at every stage of an exchange: its upstream is free at once, and nothing of it is left
// (node-http-proxy#1586 kept such upstream requests for ever).

import assert from "node:assert/strict";
import { test } from "node:test";
import { Origin } from "../support/origin.ts";
import { ProxyUnderTest } from "../support/proxy-under-test.ts";
import { RawClient } from "../support/raw-client.ts";

const TIMEOUT = { timeout: 20_000 };
const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const UPLOAD = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nthe beginning";

const leave = {
  "by FIN": (client: RawClient) => void client.socket.end(),
  "by closing": (client: RawClient) => void client.socket.destroy(),
  "by RST": (client: RawClient) => client.reset(),
};

for (const [how, go] of Object.entries(leave)) {
  test(`${how}: while its answer is awaited`, TIMEOUT, async () => {
    await using origin = await Origin.start(() => {});
    await using proxy = await ProxyUnderTest.start({ servers: { web: { listen: "127.0.0.1:0", proxy: origin.url } } });
    using client = await RawClient.connect(proxy.port("web"));
    client.send(GET);
    await origin.until(() => origin.asked.length === 1);
    go(client);
    await origin.until(() => origin.sockets.size === 0);
    await proxy.untilConnections(0);
  });

  test(`${how}: in the middle of its answer`, TIMEOUT, async () => {
    await using origin = await Origin.start((_, response) => response.write("the beginning"));
    await using proxy = await ProxyUnderTest.start({ servers: { web: { listen: "127.0.0.1:0", proxy: origin.url } } });
    using client = await RawClient.connect(proxy.port("web"));
    client.send(GET);
    await client.untilText("the beginning");
    go(client);
    await origin.until(() => origin.sockets.size === 0);
    await proxy.untilConnections(0);
  });

  test(`${how}: in the middle of its upload`, TIMEOUT, async () => {
    let received = "";
    await using origin = await Origin.start((request) => {
      request.on("error", () => {});
      request.on("data", (chunk: Buffer) => {
        received += chunk;
        go(client);
      });
    });
    await using proxy = await ProxyUnderTest.start({ servers: { web: { listen: "127.0.0.1:0", proxy: origin.url } } });
    using client = await RawClient.connect(proxy.port("web"));
    client.send(UPLOAD);
    await origin.until(() => origin.accepted === 1 && origin.sockets.size === 0);
    assert.equal(received, "the beginning");
    await proxy.untilConnections(0);
  });
}

test(
  "a thousand of them, and the next request is served on a connection that none of them spoilt",
  TIMEOUT,
  async () => {
    await using origin = await Origin.start((request, response) => {
      if (request.url === "/waits") return;
      response.end("served");
    });
    await using proxy = await ProxyUnderTest.start({ servers: { web: { listen: "127.0.0.1:0", proxy: origin.url } } });
    for (let round = 0; round < 20; round++) {
      const clients = await Promise.all(Array.from({ length: 50 }, () => RawClient.connect(proxy.port("web"))));
      for (const client of clients) client.send("GET /waits HTTP/1.1\r\nHost: a\r\n\r\n");
      await origin.until(() => origin.asked.length === 50 * (round + 1));
      for (const client of clients) client.reset();
      await origin.until(() => origin.sockets.size === 0);
    }
    await proxy.untilConnections(0);
    using client = await RawClient.connect(proxy.port("web"));
    assert.equal((await client.send(GET).answer()).body, "served");
  },
);

test("a client that waits for a connection of a full upstream leaves the queue", TIMEOUT, async () => {
  await using origin = await Origin.start((request, response) => {
    if (request.url === "/ends") response.end("served");
  });
  await using proxy = await ProxyUnderTest.start({
    servers: { web: { listen: "127.0.0.1:0", proxy: { to: origin.url, maxConnections: 1, queue: { max: 1 } } } },
  });
  const port = proxy.port("web");
  using first = await RawClient.connect(port);
  first.send(GET);
  await origin.until(() => origin.asked.length === 1);
  using second = await RawClient.connect(port);
  second.send(GET);
  // The queue has one place: this one is refused only once the second has it.
  using third = await RawClient.connect(port);
  let refused = await third.send(GET).answer();
  assert.equal(refused.status, 503);
  second.socket.destroy();
  // Its place is free when somebody else is not refused any more.
  using fourth = await RawClient.connect(port);
  fourth.send("GET /ends HTTP/1.1\r\nHost: a\r\n\r\n");
  first.socket.destroy();
  refused = await fourth.answer();
  assert.deepEqual([refused.status, refused.body], [200, "served"]);
});
