// Interim responses through a mounted exchange: 100, which Node itself may have sent, 103, and any other.

import assert from "node:assert/strict";
import http from "node:http";
import { test } from "node:test";
import { MountStage } from "../../../test/support/mount-stage.ts";
import { bodyOf, Origin } from "../../../test/support/origin.ts";
import { RawClient } from "../../../test/support/raw-client.ts";

const TIMEOUT = { timeout: 20_000 };
const EXPECTING = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";

test("Node's own 100 is the only one; the body follows", TIMEOUT, async () => {
  await using origin = await Origin.start(async (request, response) => response.end(await bodyOf(request)));
  await using stage = new MountStage(origin.port);
  using client = await RawClient.connect(await stage.serve());
  assert.equal((await client.send(EXPECTING).answer()).status, 100);
  const answer = await client.send("hello").answer();
  assert.deepEqual([answer.status, answer.body], [200, "hello"]);
});

test("a program that listens to checkContinue leaves the 100 to the upstream", TIMEOUT, async () => {
  await using origin = await Origin.start(async (request, response) => response.end(await bodyOf(request)));
  const continued = Promise.withResolvers<http.ServerResponse>();
  origin.server.on("checkContinue", async (request, response) => {
    continued.resolve(response);
    response.end(await bodyOf(request));
  });
  await using stage = new MountStage(origin.port);
  const server = http.createServer();
  server.on("checkContinue", (request, response) => stage.driver.handle(request, response));
  using client = await RawClient.connect(await stage.listen(server));
  client.send(EXPECTING);
  const upstream = await continued.promise;
  assert.equal(client.received, "");
  upstream.writeContinue();
  assert.equal((await client.answer()).status, 100);
  assert.equal((await client.send("hello").answer()).body, "hello");
});

test("a refusal in place of 100 reaches the client, and no body is asked for", TIMEOUT, async () => {
  await using origin = await Origin.start(() => {});
  origin.server.on("checkContinue", (_, response) => response.writeHead(417).end());
  await using stage = new MountStage(origin.port);
  const server = http.createServer();
  server.on("checkContinue", (request, response) => stage.driver.handle(request, response));
  using client = await RawClient.connect(await stage.listen(server));
  const answer = await client.send(EXPECTING).answer();
  assert.equal(answer.status, 417);
  assert.equal(answer.fields.get("connection"), "close");
});

test("an upstream that never asks for the body is to blame for it", TIMEOUT, async () => {
  await using origin = await Origin.start(() => {});
  origin.server.on("checkContinue", () => {});
  await using stage = new MountStage(origin.port, { limits: { bodyTimeoutMs: 100 } });
  const server = http.createServer();
  server.on("checkContinue", (request, response) => stage.driver.handle(request, response));
  using client = await RawClient.connect(await stage.listen(server));
  const answer = await client.send(EXPECTING).answer();
  assert.equal(answer.status, 504);
  assert.match(answer.fields.get("proxy-status") ?? "", /http_response_timeout/);
});

test("103 passes with its links, once for each, and not to HTTP/1.0", TIMEOUT, async () => {
  await using origin = await Origin.start((_, response) => {
    response.writeEarlyHints({
      link: ["</a.css>; rel=preload; as=style", "</b.js>; rel=preload; as=script"],
      "x-hint": "1",
    });
    response.end("x");
  });
  await using stage = new MountStage(origin.port);
  const port = await stage.serve();
  using client = await RawClient.connect(port);
  const hints = await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").answer();
  assert.equal(hints.status, 103);
  assert.equal(hints.fields.get("link"), "</a.css>; rel=preload; as=style, </b.js>; rel=preload; as=script");
  assert.equal(hints.fields.get("x-hint"), "1");
  assert.equal((await client.answer()).status, 200);
  using old = await RawClient.connect(port);
  assert.equal((await old.send("GET / HTTP/1.0\r\n\r\n").answer()).status, 200);
});

test("other interim responses pass where Node can send them", TIMEOUT, async () => {
  await using origin = await Origin.start((_, response) => {
    response.socket!.write("HTTP/1.1 104 Upload Resumption Supported\r\nX-Interim: 1\r\n\r\n");
    response.end("x");
  });
  await using stage = new MountStage(origin.port);
  using client = await RawClient.connect(await stage.serve());
  const first = await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").answer();
  if ("writeInformation" in http.ServerResponse.prototype) {
    assert.equal(first.status, 104);
    assert.equal(first.fields.get("x-interim"), "1");
    assert.equal((await client.answer()).status, 200);
  } else assert.equal(first.status, 200);
});

test("an interim response that Node refuses is left out, and the answer comes", TIMEOUT, async () => {
  await using origin = await Origin.start((_, response) => {
    response.writeEarlyHints({ link: "</a.css>; rel=preload" });
    response.end("x");
  });
  await using stage = new MountStage(origin.port);
  const server = http.createServer((request, response) => {
    const refuse = (): never => {
      throw new TypeError("refused");
    };
    Object.assign(response, { writeInformation: refuse, writeEarlyHints: refuse });
    stage.driver.handle(request, response);
  });
  using client = await RawClient.connect(await stage.listen(server));
  assert.equal((await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").answer()).status, 200);
});
