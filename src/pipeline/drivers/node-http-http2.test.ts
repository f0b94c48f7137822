// Requests of node:http2 by its compatible interface, as Fastify and Vite's secure server hand them over.

import assert from "node:assert/strict";
import http2 from "node:http2";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { MountStage } from "../../../test/support/mount-stage.ts";
import { bodyOf, Origin } from "../../../test/support/origin.ts";

const TIMEOUT = { timeout: 20_000 };

interface Opened extends AsyncDisposable {
  readonly session: http2.ClientHttp2Session;
}

async function open(stage: MountStage): Promise<Opened> {
  const server = http2.createServer((request, response) => stage.driver.handle(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const session = http2.connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  return {
    session,
    [Symbol.asyncDispose]: async () => {
      session.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

interface Answer {
  readonly headers: http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader;
  readonly body: string;
  readonly trailers: http2.IncomingHttpHeaders;
}

async function answerOf(stream: http2.ClientHttp2Stream): Promise<Answer> {
  let headers: Answer["headers"] = {};
  let trailers: http2.IncomingHttpHeaders = {};
  let body = "";
  stream.on("response", (received) => {
    headers = received;
  });
  stream.on("trailers", (received) => {
    trailers = received;
  });
  for await (const chunk of stream) body += chunk;
  return { headers, body, trailers };
}

test("a request and its answer: Host of :authority, no field of the other version, Via says 2", TIMEOUT, async () => {
  await using origin = await Origin.start((_, response) => {
    response.writeHead(201, ["X-Answer", "1", "Set-Cookie", "a=1", "Set-Cookie", "b=2", "Connection", "close"]);
    response.end("ok");
  });
  await using stage = new MountStage(origin.port, { via: "edge" });
  await using opened = await open(stage);
  const { session } = opened;
  const stream = session.request({ ":path": "/a?b", ":authority": "a.example", cookie: ["x=1", "y=2"] });
  const { headers, body } = await answerOf(stream);
  const [asked] = origin.asked;
  assert.equal(asked!.url, "/a?b");
  assert.equal(asked!.headers.host, "a.example");
  assert.equal(asked!.headers.cookie, "x=1; y=2");
  assert.equal(asked!.headers.via, "2 edge");
  assert.ok(!asked!.rawHeaders.some((name) => name.startsWith(":")));
  assert.deepEqual([headers[":status"], headers["x-answer"], body], [201, "1", "ok"]);
  assert.deepEqual(headers["set-cookie"], ["a=1", "b=2"]);
});

test("bodies with and without a length, and trailers both ways", TIMEOUT, async () => {
  await using origin = await Origin.start(async (request, response) => {
    const body = await bodyOf(request);
    const { "content-length": length, "transfer-encoding": coding } = request.headers;
    response.writeHead(200, { Trailer: "x-sum" });
    response.write(JSON.stringify({ length, coding, body, trailers: request.rawTrailers }));
    response.addTrailers({ "x-sum": "7" });
    response.end();
  });
  await using stage = new MountStage(origin.port);
  await using opened = await open(stage);
  const { session } = opened;
  const known = session.request({ ":method": "POST", ":path": "/", "content-length": "5" });
  known.end("hello");
  assert.deepEqual(JSON.parse((await answerOf(known)).body), { length: "5", body: "hello", trailers: [] });
  const unknown = session.request({ ":method": "POST", ":path": "/", te: "trailers" }, { waitForTrailers: true });
  unknown.on("wantTrailers", () => unknown.sendTrailers({ "x-up": "1" }));
  unknown.end("hello");
  const { body, trailers } = await answerOf(unknown);
  assert.deepEqual(JSON.parse(body), { coding: "chunked", body: "hello", trailers: ["x-up", "1"] });
  assert.equal(trailers["x-sum"], "7");
});

test("a stream that is reset frees its upstream at once, and the others go on", TIMEOUT, async () => {
  await using origin = await Origin.start((request, response) => {
    if (request.url === "/waits") return;
    response.end("ok");
  });
  await using stage = new MountStage(origin.port);
  await using opened = await open(stage);
  const { session } = opened;
  const waiting = session.request({ ":path": "/waits" });
  waiting.on("error", () => {});
  await origin.until(() => origin.asked.length === 1);
  waiting.close(http2.constants.NGHTTP2_CANCEL);
  await origin.until(() => origin.sockets.size === 0);
  assert.equal((await answerOf(session.request({ ":path": "/" }))).body, "ok");
});

test("a HEAD whose stream is reset before its answer frees its upstream at once", TIMEOUT, async () => {
  await using origin = await Origin.start(() => {});
  await using stage = new MountStage(origin.port);
  await using opened = await open(stage);
  const waiting = opened.session.request({ ":method": "HEAD", ":path": "/" });
  waiting.on("error", () => {});
  await origin.until(() => origin.asked.length === 1);
  waiting.close(http2.constants.NGHTTP2_CANCEL);
  await origin.until(() => origin.sockets.size === 0);
  assert.equal(stage.ended[0]!.error?.message, "the client closed the connection");
  assert.equal(stage.driver.size, 0);
});

test("an upstream that breaks off resets the stream", TIMEOUT, async () => {
  await using origin = await Origin.start((_, response) => {
    response.write("half", () => response.socket!.destroy());
  });
  await using stage = new MountStage(origin.port);
  await using opened = await open(stage);
  const stream = opened.session.request({ ":path": "/" });
  await assert.rejects(answerOf(stream), { code: "ERR_HTTP2_STREAM_ERROR" });
  assert.equal(stream.rstCode, http2.constants.NGHTTP2_INTERNAL_ERROR);
});

test("interim responses: 103 passes, a second 100 does not", TIMEOUT, async () => {
  await using origin = await Origin.start(async (request, response) => {
    response.writeEarlyHints({ link: "</a.css>; rel=preload" });
    response.end(await bodyOf(request));
  });
  await using stage = new MountStage(origin.port);
  await using opened = await open(stage);
  const stream = opened.session.request({
    ":method": "POST",
    ":path": "/",
    expect: "100-continue",
    "content-length": "5",
  });
  let continues = 0;
  const interim: unknown[] = [];
  stream.on("continue", () => {
    continues++;
    stream.end("hello");
  });
  stream.on("headers", (headers: http2.IncomingHttpStatusHeader) => interim.push(headers[":status"]));
  assert.equal((await answerOf(stream)).body, "hello");
  assert.equal(continues, 1);
  assert.ok(interim.includes(103));
});

test("an answer that Node would not send as it came is not lost: lines, trailers, a status", TIMEOUT, async () => {
  const nosniff = ["X-Content-Type-Options", "nosniff", "x-content-type-options", "nosniff"];
  await using origin = await Origin.start((_, response) => {
    response.writeHead(999, [
      ...nosniff,
      "Link",
      "</a>",
      "Link",
      "</b>",
      "HTTP2-Settings",
      "AAMAAABk",
      "Trailer",
      "ETag",
    ]);
    response.write("ok");
    response.addTrailers([
      ["ETag", '"1"'],
      ["etag", '"2"'],
      ["HTTP2-Settings", "AAMAAABk"],
    ]);
    response.end();
  });
  await using stage = new MountStage(origin.port);
  await using opened = await open(stage);
  const { headers, body, trailers } = await answerOf(opened.session.request({ ":path": "/", te: "trailers" }));
  assert.deepEqual([headers[":status"], body], [500, "ok"]);
  assert.deepEqual([headers["x-content-type-options"], headers.link], ["nosniff, nosniff", "</a>, </b>"]);
  assert.equal(trailers.etag, '"1", "2"');
  assert.equal(stage.ended[0]!.status, 999);
});
