// Upgrades of a mounted pipeline: whatever becomes of one, the socket gets an answer and the process goes on
// (node-http-proxy#1468: a failed upgrade ended the process).

import assert from "node:assert/strict";
import http from "node:http";
import https from "node:https";
import net, { type AddressInfo } from "node:net";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { WebSocket, WebSocketServer } from "ws";
import { Authority, issueCertificate } from "../../../test/support/certificates.ts";
import { MountStage } from "../../../test/support/mount-stage.ts";
import { Origin } from "../../../test/support/origin.ts";
import { RawClient } from "../../../test/support/raw-client.ts";

const TIMEOUT = { timeout: 20_000 };
const UPGRADE = "Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
const HANDSHAKE = `GET /up HTTP/1.1\r\n${UPGRADE}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`;

test("bytes pass both ways after 101; those sent ahead of it come first", TIMEOUT, async () => {
  await using origin = await Origin.start(() => {});
  let asked = "";
  origin.server.on("upgrade", (_, socket, head) => {
    asked += head.toString();
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello ");
    socket.on("data", (chunk: Buffer) => {
      asked += chunk.toString();
      socket.write(chunk);
    });
    socket.on("end", () => socket.end("bye"));
  });
  await using stage = new MountStage(origin.port);
  using client = await RawClient.connect(await stage.serve());
  client.send(`${HANDSHAKE}early `);
  assert.equal((await client.answer()).status, 101);
  await client.untilText("hello early ");
  client.send("late");
  await client.untilText("late");
  assert.equal(asked, "early late");
  client.socket.end();
  await client.untilClosed();
  assert.ok(client.received.endsWith("latebye"));
});

test("the ws package on both sides: messages, then a close with its code", TIMEOUT, async () => {
  await using origin = await Origin.start(() => {});
  const server = new WebSocketServer({ server: origin.server });
  server.on("connection", (socket) => socket.on("message", (data) => socket.send(data)));
  await using stage = new MountStage(origin.port);
  const client = new WebSocket(`ws://127.0.0.1:${await stage.serve()}/up`);
  const echo = new Promise<string>((resolve) => client.once("message", (data) => resolve(String(data))));
  client.once("open", () => client.send("x".repeat(200_000)));
  assert.equal((await echo).length, 200_000);
  const closed = new Promise<number>((resolve) => client.once("close", resolve));
  client.close(4001);
  assert.equal(await closed, 4001);
  server.close();
});

test("from a server with TLS: requests and upgrades, told as https", TIMEOUT, async () => {
  const authority = new Authority();
  const certificate = issueCertificate({ names: ["127.0.0.1"], issuer: authority });
  await using origin = await Origin.start((request, response) => response.end(request.headers["x-forwarded-proto"]));
  const backend = new WebSocketServer({ server: origin.server });
  backend.on("connection", (socket, request) => socket.send(String(request.headers["x-forwarded-proto"])));
  await using stage = new MountStage(origin.port);
  const server = https.createServer(certificate, (request, response) => stage.driver.handle(request, response));
  server.on("upgrade", (request, socket, head) => stage.driver.handleUpgrade(request, socket, head));
  const port = await stage.listen(server);
  using client = await RawClient.connect({ port, tls: { ca: authority.cert } });
  assert.equal((await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").answer()).body, "https");
  const socket = new WebSocket(`wss://127.0.0.1:${port}/up`, { ca: authority.cert });
  const message = new Promise((resolve, reject) => socket.once("message", resolve).once("error", reject));
  assert.equal(String(await message), "https");
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.close();
  await closed;
  backend.close();
});

test("an upstream that is not there: 502, and the socket is closed", TIMEOUT, async () => {
  const origin = await Origin.start(() => {});
  const { port: nobody } = origin;
  await origin[Symbol.asyncDispose]();
  await using stage = new MountStage(nobody);
  using client = await RawClient.connect(await stage.serve());
  const answer = await client.send(HANDSHAKE).answer();
  assert.equal(answer.status, 502);
  assert.equal(answer.fields.get("connection"), "close");
  await client.untilEnded();
});

test("an upstream that resets, or speaks no HTTP, instead of answering: 502", TIMEOUT, async () => {
  for (const speak of [
    (socket: net.Socket) => void socket.resetAndDestroy(),
    (socket: net.Socket) => void socket.end("\0\0\0\0"),
  ]) {
    const server = net.createServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", () => speak(socket));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    await using stage = new MountStage((server.address() as AddressInfo).port);
    using client = await RawClient.connect(await stage.serve());
    assert.equal((await client.send(HANDSHAKE).answer()).status, 502);
    await client.untilEnded();
    server.close();
  }
});

test(
  "an upstream that refuses: its answer passes, the socket closes, bytes sent ahead go nowhere",
  TIMEOUT,
  async () => {
    await using origin = await Origin.start((_, response) => response.writeHead(403).end("no"));
    await using stage = new MountStage(origin.port);
    using client = await RawClient.connect(await stage.serve());
    client.send(`${HANDSHAKE}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n`);
    const answer = await client.answer();
    assert.deepEqual([answer.status, answer.body, answer.fields.get("connection")], [403, "no", "close"]);
    await client.untilEnded();
    assert.equal(client.rest, "");
    assert.deepEqual(
      origin.asked.map((asked) => asked.url),
      ["/up"],
    );
  },
);

test("no route, a protocol that the route forbids, a body: an answer each, and never a tunnel", TIMEOUT, async () => {
  await using origin = await Origin.start((request, response) => response.end(`served ${request.url}`));
  origin.server.on("upgrade", (_, socket) => socket.destroy());
  await using stage = new MountStage(origin.port, { path: "/up", upgrade: [] });
  const port = await stage.serve();
  const attempts: [text: string, status: number][] = [
    [HANDSHAKE.replace("/up", "/other"), 404],
    [HANDSHAKE, 200],
    [`POST /up HTTP/1.1\r\n${UPGRADE}Content-Length: 5\r\n\r\nhello`, 400],
    [`POST /up HTTP/1.1\r\n${UPGRADE}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`, 400],
    // Node gives no socket of these: more of the body is to come.
    [`POST /up HTTP/1.1\r\n${UPGRADE}Content-Length: 5\r\n\r\nhel`, 400],
    [`POST /up HTTP/1.1\r\n${UPGRADE}Content-Length: 9000000\r\n\r\n${"x".repeat(8_000_000)}`, 400],
    [`POST /up HTTP/1.1\r\n${UPGRADE}Transfer-Encoding: chunked\r\n\r\n5\r\nhel`, 400],
    [`POST /up HTTP/1.1\r\n${UPGRADE}Transfer-Encoding: chunked\r\n\r\n5\r\nhello, no chunk`, 400],
  ];
  for (const [text, status] of attempts) {
    using client = await RawClient.connect(port);
    const answer = await client.send(text).answer();
    assert.deepEqual([answer.status, answer.fields.get("connection")], [status, "close"], JSON.stringify(text));
    await client.untilEnded();
  }
  assert.equal(origin.asked.length, 1);
});

test("a client that goes while the upstream is asked frees it at once", TIMEOUT, async () => {
  await using origin = await Origin.start(() => {});
  origin.server.on(
    "upgrade",
    (_, socket) =>
      void socket
        .on("error", () => {})
        .on("end", () => socket.end())
        .resume(),
  );
  await using stage = new MountStage(origin.port);
  const port = await stage.serve();
  for (const leave of ["destroy", "reset"] as const) {
    using client = await RawClient.connect(port);
    client.send(HANDSHAKE);
    await origin.until(() => origin.sockets.size === 1);
    if (leave === "reset") client.reset();
    else client.socket.destroy();
    await origin.until(() => origin.sockets.size === 0);
  }
});

test("a socket that was gone before it was handed over is left alone", TIMEOUT, async () => {
  await using origin = await Origin.start(() => {});
  await using stage = new MountStage(origin.port);
  const server = http.createServer();
  const handed = Promise.withResolvers<void>();
  server.on("upgrade", (request, socket, head) => {
    socket.destroy();
    stage.driver.handleUpgrade(request, socket, head);
    handed.resolve();
  });
  using client = await RawClient.connect(await stage.listen(server));
  client.send(HANDSHAKE);
  await handed.promise;
  await client.untilEnded();
  assert.equal(stage.driver.size, 0);
  assert.equal(origin.accepted, 0);
});

test("a reset of either side of a tunnel reaches the other, and nobody throws", TIMEOUT, async () => {
  await using origin = await Origin.start(() => {});
  const tunnels: net.Socket[] = [];
  origin.server.on("upgrade", (_, socket) => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    tunnels.push(socket as net.Socket);
  });
  await using stage = new MountStage(origin.port);
  const port = await stage.serve();
  using first = await RawClient.connect(port);
  await first.send(HANDSHAKE).answer();
  tunnels[0]!.resetAndDestroy();
  await first.untilClosed();
  using second = await RawClient.connect(port);
  await second.send(HANDSHAKE).answer();
  second.reset();
  await origin.until(() => origin.sockets.size === 0);
  while (stage.driver.size > 0) await nextTurn();
});
