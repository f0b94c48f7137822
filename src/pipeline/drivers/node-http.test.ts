// A request and a response of node:http as one exchange: fields, framing and statuses, in both directions.

import assert from "node:assert/strict";
import http from "node:http";
import net, { type AddressInfo } from "node:net";
import { test } from "node:test";
import { MountStage } from "../../../test/support/mount-stage.ts";
import { bodyOf, Origin } from "../../../test/support/origin.ts";
import { RawClient } from "../../../test/support/raw-client.ts";

const TIMEOUT = { timeout: 20_000 };

test("fields cross in their order and case, hop-by-hop fields do not", TIMEOUT, async () => {
  await using origin = await Origin.start((_, response) => {
    response.writeHead(200, ["X-Answer", "1", "content-length", "2", "x-ANSWER", "2", "Keep-Alive", "timeout=77"]);
    response.end("ok");
  });
  await using stage = new MountStage(origin.port);
  using client = await RawClient.connect(await stage.serve());
  client.send(
    "GET /a?b=%20c HTTP/1.1\r\nhost: a.example\r\nX-One: 1\r\nConnection: X-Gone\r\nX-Gone: 1\r\nx-TWO: 2\r\n\r\n",
  );
  const answer = await client.answer();

  const [asked] = origin.asked;
  assert.equal(asked!.url, "/a?b=%20c");
  assert.deepEqual(asked!.rawHeaders.slice(0, 6), ["host", "a.example", "X-One", "1", "x-TWO", "2"]);
  assert.ok(!("x-gone" in asked!.headers));
  assert.equal(asked!.headers["x-forwarded-for"], "127.0.0.1");
  assert.equal(answer.status, 200);
  assert.equal(answer.body, "ok");
  // Node gathers the lines of a name; their case and order within it stay.
  assert.deepEqual(
    answer.lines.filter((line) => /^x-answer/i.test(line)),
    ["X-Answer: 1", "X-Answer: 2"],
  );
  assert.notEqual(answer.fields.get("keep-alive"), "timeout=77");
});

test(
  "a body of unknown length is chunked for HTTP/1.1 and ends with the connection for HTTP/1.0",
  TIMEOUT,
  async () => {
    await using origin = await Origin.start((_, response) => {
      response.write("one ");
      response.end("two");
    });
    await using stage = new MountStage(origin.port);
    const port = await stage.serve();
    using modern = await RawClient.connect(port);
    const chunked = await modern.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").answer();
    assert.equal(chunked.fields.get("transfer-encoding"), "chunked");
    assert.equal(chunked.body, "one two");
    using old = await RawClient.connect(port);
    const whole = await old.send("GET / HTTP/1.0\r\n\r\n").answer();
    assert.equal(whole.fields.get("transfer-encoding"), undefined);
    assert.equal(whole.body, "one two");
    assert.equal(origin.asked[1]!.headers.host, `127.0.0.1:${origin.port}`);
  },
);

test("answers to HEAD, 204 and 304 keep their length and have no body", TIMEOUT, async () => {
  await using origin = await Origin.start((request, response) => {
    const status = Number(request.url!.slice(1));
    response.writeHead(status, status === 204 ? {} : { "Content-Length": "1000" });
    response.end(request.method === "GET" && status === 200 ? "x".repeat(1000) : undefined);
  });
  await using stage = new MountStage(origin.port);
  using client = await RawClient.connect(await stage.serve());
  const head = await client.send("HEAD /200 HTTP/1.1\r\nHost: a\r\n\r\n").answer(true);
  assert.deepEqual([head.status, head.fields.get("content-length"), client.rest], [200, "1000", ""]);
  const empty = await client.send("GET /204 HTTP/1.1\r\nHost: a\r\n\r\n").answer();
  assert.deepEqual([empty.status, empty.fields.get("content-length"), client.rest], [204, undefined, ""]);
  const same = await client.send("GET /304 HTTP/1.1\r\nHost: a\r\n\r\n").answer();
  assert.deepEqual([same.status, same.fields.get("content-length"), client.rest], [304, "1000", ""]);
  const next = await client.send("GET /200 HTTP/1.1\r\nHost: a\r\n\r\n").answer();
  assert.equal(next.body.length, 1000);
});

test("pipelined requests are answered in their order", TIMEOUT, async () => {
  await using origin = await Origin.start((request, response) => response.end(request.url));
  await using stage = new MountStage(origin.port);
  using client = await RawClient.connect(await stage.serve());
  client.send([1, 2, 3].map((n) => `GET /${n} HTTP/1.1\r\nHost: a\r\n\r\n`).join(""));
  for (const n of [1, 2, 3]) assert.equal((await client.answer()).body, `/${n}`);
});

test("what the program set on the response stays, unless the answer has its own", TIMEOUT, async () => {
  await using origin = await Origin.start((_, response) => {
    response.writeHead(200, { "X-Both": "theirs", "Set-Cookie": "b=2", Vary: "Accept-Encoding" });
    response.end("x");
  });
  await using stage = new MountStage(origin.port);
  const server = http.createServer((request, response) => {
    response
      .setHeader("X-Own", "mine")
      .setHeader("x-both", "mine")
      .setHeader("Set-Cookie", "a=1")
      .setHeader("Vary", "Origin");
    stage.driver.handle(request, response);
  });
  using client = await RawClient.connect(await stage.listen(server));
  const { fields } = await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").answer();
  assert.equal(fields.get("x-own"), "mine");
  assert.equal(fields.get("x-both"), "theirs");
  assert.equal(fields.get("set-cookie"), "a=1, b=2");
  assert.equal(fields.get("vary"), "Origin, Accept-Encoding");
});

test("a request with a body of known length, and one that is chunked with trailers", TIMEOUT, async () => {
  await using origin = await Origin.start(async (request, response) => {
    const body = await bodyOf(request);
    const { "content-length": length, "transfer-encoding": coding } = request.headers;
    response.end(JSON.stringify({ length, coding, body, trailers: request.rawTrailers }));
  });
  await using stage = new MountStage(origin.port);
  using client = await RawClient.connect(await stage.serve());
  const known = await client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello").answer();
  assert.deepEqual(JSON.parse(known.body), { length: "5", body: "hello", trailers: [] });
  client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n");
  // What a server could take for a field of the head does not pass.
  const forged = "Authorization: Basic eDp5\r\nHost: b\r\nCookie: a=b\r\nConnection: close\r\nX-Real-IP: 192.0.2.1\r\n";
  client.send(`3\r\nabc\r\n2\r\nde\r\n0\r\n${forged}X-Sum: 7\r\n\r\n`);
  const chunked = await client.answer();
  assert.deepEqual(JSON.parse(chunked.body), { coding: "chunked", body: "abcde", trailers: ["X-Sum", "7"] });
});

test("trailers of the answer reach a client that asks for them, and no other", TIMEOUT, async () => {
  await using origin = await Origin.start((_, response) => {
    response.writeHead(200, { Trailer: "X-Sum" });
    response.write("abc");
    response.addTrailers({ "X-Sum": "7" });
    response.end();
  });
  await using stage = new MountStage(origin.port);
  using client = await RawClient.connect(await stage.serve());
  const asked = await client.send("GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\r\n").answer();
  assert.deepEqual(asked.trailers, ["X-Sum: 7"]);
  const silent = await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").answer();
  assert.deepEqual(silent.trailers, []);
});

for (const [what, request, head] of [
  ["HEAD", "HEAD / HTTP/1.1", "Transfer-Encoding: chunked"],
  ["a body of known length", "GET / HTTP/1.1", "Content-Length: 2"],
  ["a client of HTTP/1.0", "GET / HTTP/1.0", "Transfer-Encoding: chunked"],
] as const) {
  test(`trailers that are announced where none can come cost no answer: ${what}`, TIMEOUT, async () => {
    const body = what === "HEAD" ? "" : head.startsWith("Content") ? "ok" : "2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n";
    const origin = net.createServer((socket) => {
      socket.once("data", () => socket.end(`HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\n${head}\r\n\r\n${body}`));
    });
    await new Promise<void>((resolve) => origin.listen(0, "127.0.0.1", resolve));
    await using stage = new MountStage((origin.address() as AddressInfo).port);
    using client = await RawClient.connect(await stage.serve());
    const answer = await client.send(`${request}\r\nHost: a\r\n\r\n`).answer(what === "HEAD");
    assert.deepEqual([answer.status, answer.fields.get("trailer")], [200, undefined]);
    assert.equal(answer.body, what === "HEAD" ? "" : "ok");
    origin.close();
  });
}

test("a head that the codec refuses is refused, even where Node is told to be lenient", TIMEOUT, async () => {
  await using origin = await Origin.start((_, response) => response.end());
  await using stage = new MountStage(origin.port);
  const server = http.createServer(
    { insecureHTTPParser: true, requireHostHeader: false, maxHeaderSize: 65_536 },
    (request, response) => stage.driver.handle(request, response),
  );
  const port = await stage.listen(server);
  const refused: [text: string, status: number][] = [
    ["GET / HTTP/1.1\r\n\r\n", 400],
    ["GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400],
    ["GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n", 400],
    ["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 400],
    ["GET / HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\n\r\n", 417],
    [`GET / HTTP/1.1\r\nHost: a\r\n${"X: 1\r\n".repeat(128)}\r\n`, 431],
    [`GET /${"x".repeat(17_000)} HTTP/1.1\r\nHost: a\r\n\r\n`, 414],
  ];
  for (const [text, status] of refused) {
    using client = await RawClient.connect(port);
    assert.equal((await client.send(text).answer()).status, status, JSON.stringify(text.slice(0, 60)));
  }
  assert.deepEqual(origin.asked, []);
});

test("an exchange that fails gives the error's page: no route, an upstream that is not there", TIMEOUT, async () => {
  const origin = await Origin.start((_, response) => response.end());
  const { port: nobody } = origin;
  await origin[Symbol.asyncDispose]();
  await using stage = new MountStage(nobody, { path: "/here" });
  using client = await RawClient.connect(await stage.serve());
  const away = await client.send("GET /here HTTP/1.1\r\nHost: a\r\n\r\n").answer();
  assert.equal(away.status, 502);
  assert.match(away.fields.get("proxy-status") ?? "", /error=connection_refused/);
  const elsewhere = await client.send("GET /there HTTP/1.1\r\nHost: a\r\n\r\n").answer();
  assert.equal(elsewhere.status, 404);
});

test("a response that the program has begun is its own: handle() throws and touches nothing", TIMEOUT, async () => {
  await using origin = await Origin.start((_, response) => response.end());
  await using stage = new MountStage(origin.port);
  const server = http.createServer((request, response) => {
    response.write("mine");
    assert.throws(() => stage.driver.handle(request, response), /the response was begun/);
    response.end();
  });
  using client = await RawClient.connect(await stage.listen(server));
  assert.equal((await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").answer()).body, "mine");
  assert.deepEqual(origin.asked, []);
});
