// The proxy as Express middleware: mount points, what other middleware set, and the trap of body parsers, in front of which
// requests with a body used to hang for ever (node-http-proxy#180).

import assert from "node:assert/strict";
import { test } from "node:test";
import express from "express";
import { createProxy } from "../../src/index.ts";
import { HostServer } from "../support/host-server.ts";
import { bodyOf, Origin } from "../support/origin.ts";
import { RawClient } from "../support/raw-client.ts";

const TIMEOUT = { timeout: 20_000 };

/** Tells what it was asked. */
function startEcho(): Promise<Origin> {
  return Origin.start(async (request, response) => {
    const { method, url, headers } = request;
    response.end(JSON.stringify({ method, url, headers, body: await bodyOf(request) }));
  });
}

function post(path: string, type: string, body: string, ...more: string[]): string {
  const lines = [`Content-Type: ${type}`, `Content-Length: ${body.length}`, ...more];
  return `POST ${path} HTTP/1.1\r\nHost: a\r\n${lines.join("\r\n")}\r\n\r\n${body}`;
}

test(
  "under a mount point the upstream gets what is left of the path; other routes stay Express's",
  TIMEOUT,
  async () => {
    await using origin = await startEcho();
    const proxy = createProxy({ proxy: origin.url });
    const app = express();
    app.get("/own", (_, response) => void response.send("own"));
    app.use("/api", proxy.handle);
    await using host = await HostServer.start(app, proxy);
    using client = await RawClient.connect(host.port);
    const proxied = await client.send("GET /api/v1/users?x=1 HTTP/1.1\r\nHost: a\r\n\r\n").answer();
    assert.equal(JSON.parse(proxied.body).url, "/v1/users?x=1");
    assert.equal(proxied.fields.get("x-powered-by"), "Express");
    const top = await client.send("GET /api HTTP/1.1\r\nHost: a\r\n\r\n").answer();
    assert.equal(JSON.parse(top.body).url, "/");
    assert.equal((await client.send("GET /own HTTP/1.1\r\nHost: a\r\n\r\n").answer()).body, "own");
  },
);

test("what middleware in front did to the fields reaches the upstream, what it removed does not", TIMEOUT, async () => {
  await using origin = await startEcho();
  const proxy = createProxy({ proxy: origin.url });
  const app = express();
  app.use((request, _response, next) => {
    delete request.headers.authorization;
    request.headers["x-user"] = "alice";
    next();
  });
  app.use(proxy.handle);
  await using host = await HostServer.start(app, proxy);
  using client = await RawClient.connect(host.port);
  client.send("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic eDp5\r\nX-User: root\r\n\r\n");
  const { headers } = JSON.parse((await client.answer()).body);
  assert.equal(headers.authorization, undefined);
  assert.equal(headers["x-user"], "alice");
});

const parsed: [name: string, parser: express.RequestHandler, type: string, body: string, expected: string][] = [
  ["json", express.json(), "application/json", '{ "a": [1, "b"] }', '{"a":[1,"b"]}'],
  [
    "urlencoded",
    express.urlencoded({ extended: false }),
    "application/x-www-form-urlencoded",
    "a=1&b=x+y&b=z",
    "a=1&b=x+y&b=z",
  ],
  ["text", express.text(), "text/plain", "any text", "any text"],
  ["raw", express.raw(), "application/octet-stream", "\x00\x01", "\x00\x01"],
];

for (const [name, parser, type, body, expected] of parsed) {
  test(`a body that express.${name}() has read is made again`, TIMEOUT, async () => {
    await using origin = await startEcho();
    const proxy = createProxy({ proxy: origin.url });
    const app = express();
    app.use(parser, proxy.handle);
    await using host = await HostServer.start(app, proxy);
    using client = await RawClient.connect(host.port);
    const echo = JSON.parse((await client.send(post("/", type, body)).answer()).body);
    assert.equal(echo.body, expected);
    assert.equal(echo.headers["content-length"], String(expected.length));
    // One that the parser has left alone passes as it came.
    const other = JSON.parse((await client.send(post("/", "application/x-other", body)).answer()).body);
    assert.equal(other.body, body);
  });
}

test("a body that is larger than any buffer is made again under pressure", TIMEOUT, async () => {
  await using origin = await startEcho();
  const proxy = createProxy({ proxy: origin.url });
  const app = express();
  app.use(express.text({ limit: "8mb" }), proxy.handle);
  await using host = await HostServer.start(app, proxy);
  using client = await RawClient.connect(host.port);
  const body = "0123456789abcdef".repeat(256 * 1024);
  const echo = JSON.parse((await client.send(post("/", "text/plain", body)).answer()).body);
  assert.ok(echo.body === body);
});

test(
  "a body that was read and is nowhere fails at once, with 500, and the upstream is not asked",
  TIMEOUT,
  async () => {
    await using origin = await startEcho();
    const proxy = createProxy({ proxy: origin.url });
    const app = express();
    app.use((request, _response, next) => void request.on("end", next).resume());
    app.use(proxy.handle);
    await using host = await HostServer.start(app, proxy);
    using client = await RawClient.connect(host.port);
    const answer = await client.send(post("/", "application/json", "{}")).answer();
    assert.equal(answer.status, 500);
    assert.match(answer.fields.get("proxy-status") ?? "", /proxy_configuration_error/);
    assert.equal((await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").answer()).status, 200);
    assert.equal(origin.asked.length, 1);
  },
);

test("a body that something in front is still reading fails at once", TIMEOUT, async () => {
  await using origin = await startEcho();
  const proxy = createProxy({ proxy: origin.url });
  const app = express();
  app.use((request, _response, next) => void request.once("data", () => next()));
  app.use(proxy.handle);
  await using host = await HostServer.start(app, proxy);
  using client = await RawClient.connect(host.port);
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
  assert.equal((await client.answer()).status, 500);
  assert.deepEqual(origin.asked, []);
});

test("a configuration whose files cannot be read goes to Express's error handling", TIMEOUT, async () => {
  const tls = { ca: "/nonexistent/ca.pem" };
  const proxy = createProxy({ proxy: { to: "https://127.0.0.1:1", tls } });
  const app = express();
  app.use(proxy.handle);
  app.use(
    ((error, _request, response, _next) =>
      void response.status(503).send(error.message)) as express.ErrorRequestHandler,
  );
  await using host = await HostServer.start(app, proxy);
  using client = await RawClient.connect(host.port);
  const answer = await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").answer();
  assert.equal(answer.status, 503);
  assert.match(answer.body, /\/nonexistent\/ca\.pem/);
});
