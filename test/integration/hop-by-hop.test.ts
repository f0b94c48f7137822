// Fields of one hop stay on it, in both directions, and what Connection names goes with them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Origin } from "../support/origin.ts";
import { ProxyUnderTest } from "../support/proxy-under-test.ts";
import { RawClient } from "../support/raw-client.ts";

test("fields of the client's hop do not reach the upstream, nor those of the upstream's the client", async () => {
  await using origin = await Origin.start((_, response) => {
    response.writeHead(200, [
      ...["Connection", "X-Private", "X-Private", "1", "Keep-Alive", "timeout=77", "Proxy-Authenticate", "Basic"],
      ...["X-Public", "2", "Content-Length", "2"],
    ]);
    response.end("ok");
  });
  await using proxy = await ProxyUnderTest.start({
    via: "edge",
    servers: { web: { listen: "127.0.0.1:0", proxy: origin.url } },
  });
  using client = await RawClient.connect(proxy.port("web"));
  const lines = [
    ...[
      "Host: a",
      "Connection: keep-alive, X-Private, close-not",
      "X-Private: 1",
      "Keep-Alive: timeout=77",
      "TE: gzip",
    ],
    ...["Proxy-Connection: keep-alive", "Proxy-Authorization: Basic eDp5", "Upgrade: h2c", "X-Public: 2"],
  ];
  client.send(`GET / HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`);
  const answer = await client.answer();

  const { headers } = origin.asked[0]!;
  const removed = ["x-private", "keep-alive", "te", "proxy-connection", "proxy-authorization", "upgrade"];
  for (const name of removed) assert.ok(!(name in headers), `${name} crossed: ${headers[name]}`);
  assert.equal(headers["x-public"], "2");
  assert.equal(headers.via, "1.1 edge");
  for (const name of ["x-private", "keep-alive", "proxy-authenticate", "connection"]) {
    assert.ok(!answer.fields.has(name), `${name} crossed: ${answer.fields.get(name)}`);
  }
  assert.equal(answer.fields.get("x-public"), "2");
  assert.equal(answer.fields.get("via"), "1.1 edge");
});

test("Connection cannot take away what the proxy adds, nor what identity and framing need", async () => {
  await using origin = await Origin.start((_, response) => response.end());
  await using proxy = await ProxyUnderTest.start({
    servers: {
      web: {
        listen: "127.0.0.1:0",
        use: [{ headers: { request: { set: { "x-user": "alice" } } } }],
        proxy: origin.url,
      },
    },
  });
  using client = await RawClient.connect(proxy.port("web"));
  const named = "X-User, X-Forwarded-For, Host, Cookie, Authorization, Content-Length";
  client.send(
    `POST / HTTP/1.1\r\nHost: a\r\nConnection: ${named}\r\nCookie: a=1\r\nAuthorization: Basic eDp5\r\nContent-Length: 2\r\n\r\nok`,
  );
  assert.equal((await client.answer()).status, 200);
  const { headers } = origin.asked[0]!;
  assert.equal(headers["x-user"], "alice");
  assert.equal(headers["x-forwarded-for"], "127.0.0.1");
  assert.deepEqual([headers.host, headers.cookie, headers.authorization], ["a", "a=1", "Basic eDp5"]);
  assert.equal(headers["content-length"], "2");
});
