// Who a client is: what it says of itself is worth nothing unless a proxy that is trusted says it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Origin } from "../support/origin.ts";
import { ProxyUnderTest } from "../support/proxy-under-test.ts";
import { RawClient } from "../support/raw-client.ts";

const CLAIMS = [
  "X-Forwarded-For: 192.0.2.7, 127.0.0.9",
  "X-Forwarded-Proto: https",
  "X-Forwarded-Host: claimed.example",
  "Forwarded: for=192.0.2.7;proto=https",
];

const REAL_IP = [{ headers: { request: { set: { "x-real-ip": "{client}" } } } }];

async function ask(trustedProxies: readonly string[], lines: readonly string[]) {
  await using origin = await Origin.start((_, response) => response.end("served"));
  await using proxy = await ProxyUnderTest.start({
    trustedProxies,
    servers: {
      web: {
        listen: "127.0.0.1:0",
        routes: [
          { match: { client: "192.0.2.0/24" }, use: REAL_IP, proxy: origin.url },
          { match: { path: "/open" }, use: REAL_IP, proxy: origin.url },
        ],
      },
    },
  });
  using client = await RawClient.connect(proxy.port("web"));
  const known = await client.send(`GET / HTTP/1.1\r\nHost: a\r\n${lines.join("\r\n")}\r\n\r\n`).answer();
  const open = await client.send(`GET /open HTTP/1.1\r\nHost: a\r\n${lines.join("\r\n")}\r\n\r\n`).answer();
  assert.equal(open.status, 200);
  return { status: known.status, headers: origin.asked.at(-1)!.headers };
}

test("nobody is trusted unless the configuration says so: claims are removed and decide nothing", async () => {
  const { status, headers } = await ask([], CLAIMS);
  assert.equal(status, 404);
  assert.equal(headers["x-forwarded-for"], "127.0.0.1");
  assert.equal(headers["x-forwarded-proto"], "http");
  assert.equal(headers["x-forwarded-host"], "a");
  assert.ok(!String(headers.forwarded).includes("192.0.2.7"));
});

test("a trusted proxy is believed: the client is the last one that it did not vouch for", async () => {
  const { status, headers } = await ask(["127.0.0.0/8"], CLAIMS.slice(0, 3));
  assert.equal(status, 200);
  assert.equal(headers["x-forwarded-for"], "192.0.2.7, 127.0.0.9, 127.0.0.1");
  assert.equal(headers["x-forwarded-proto"], "https");
  assert.equal(headers["x-forwarded-host"], "claimed.example");
});

test("an address that a trusted proxy was told, behind one that is not trusted, is not believed", async () => {
  const { status } = await ask(["127.0.0.1"], ["X-Forwarded-For: 192.0.2.7, 203.0.113.5"]);
  assert.equal(status, 404);
});

test("X-Real-IP by a placeholder is the address that is believed, whatever the client says there", async () => {
  const claims = ["X-Forwarded-For: 192.0.2.7", "X-Real-IP: 192.0.2.8", "X_Real_IP: 192.0.2.9"];
  for (const [trusted, expected] of [
    [[], "127.0.0.1"],
    [["127.0.0.0/8"], "192.0.2.7"],
  ] as const) {
    const { headers } = await ask(trusted, claims);
    assert.equal(headers["x-real-ip"], expected);
    assert.ok(!("x_real_ip" in headers));
  }
});
