// A request that comes back to us is refused the second time it passes, whatever way it took.

import assert from "node:assert/strict";
import { test } from "node:test";
import { freePort } from "../support/free-port.ts";
import { ProxyUnderTest } from "../support/proxy-under-test.ts";
import { RawClient } from "../support/raw-client.ts";

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

test("a proxy that points at itself", async () => {
  const port = await freePort();
  await using proxy = await ProxyUnderTest.start({
    servers: { web: { listen: `127.0.0.1:${port}`, proxy: `http://127.0.0.1:${port}` } },
  });
  using client = await RawClient.connect(proxy.port("web"));
  const answer = await client.send(GET).answer();
  assert.equal(answer.status, 502);
  assert.match(answer.fields.get("proxy-status") ?? "", /error=proxy_loop_detected/);
  // Once there and once back: no more connections than that.
  assert.ok(proxy.server.transport.openConnections <= 3);
});

test("two proxies that point at each other", async () => {
  const [one, two] = [await freePort(), await freePort()];
  const pointing = (from: number, to: number) => ({
    servers: { web: { listen: `127.0.0.1:${from}`, proxy: `http://127.0.0.1:${to}` } },
  });
  await using first = await ProxyUnderTest.start({ via: "first", ...pointing(one, two) });
  await using second = await ProxyUnderTest.start({ via: "second", ...pointing(two, one) });
  using client = await RawClient.connect(first.port("web"));
  const answer = await client.send(GET).answer();
  assert.equal(answer.status, 502);
  assert.match(answer.fields.get("proxy-status") ?? "", /error=proxy_loop_detected/);
  assert.ok(second.server.transport.openConnections <= 2);
});

test("another proxy's Via is no loop, and stays", async () => {
  await using far = await ProxyUnderTest.start({
    via: "far",
    servers: { web: { listen: "127.0.0.1:0", respond: { status: 200, body: "arrived" } } },
  });
  await using near = await ProxyUnderTest.start({
    via: "near",
    servers: { web: { listen: "127.0.0.1:0", proxy: `http://127.0.0.1:${far.port("web")}` } },
  });
  using client = await RawClient.connect(near.port("web"));
  const answer = await client.send("GET / HTTP/1.1\r\nHost: a\r\nVia: 1.1 nearby, 1.0 nea\r\n\r\n").answer();
  assert.deepEqual([answer.status, answer.body], [200, "arrived"]);
});
