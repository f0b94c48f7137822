// WebSockets (RFC 6455) with the ws package on both sides, and the tunnel under them looked at as bytes.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import type net from "node:net";
import { test } from "node:test";
import { WebSocket, WebSocketServer } from "ws";
import { Origin } from "../support/origin.ts";
import { ProxyUnderTest } from "../support/proxy-under-test.ts";
import { RawClient } from "../support/raw-client.ts";

const TIMEOUT = { timeout: 30_000 };
const MiB = 1024 * 1024;
const HANDSHAKE = [
  "GET /up HTTP/1.1",
  "Host: a",
  "Connection: Upgrade",
  "Upgrade: websocket",
  "Sec-WebSocket-Version: 13",
  "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
  "\r\n",
].join("\r\n");
const SWITCHING = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

interface Sockets extends AsyncDisposable {
  readonly proxy: ProxyUnderTest;
  readonly origin: Origin;
  /** A client through the proxy, opened, and the server's end of it. */
  open(): Promise<{ readonly client: WebSocket; readonly server: WebSocket }>;
}

async function startSockets(server: Record<string, unknown> = {}, compress = false): Promise<Sockets> {
  const origin = await Origin.start((_, response) => response.end());
  const backend = new WebSocketServer({ server: origin.server, perMessageDeflate: compress, maxPayload: 64 * MiB });
  const proxy = await ProxyUnderTest.start({
    servers: { web: { listen: "127.0.0.1:0", proxy: origin.url, ...server } },
  });
  return {
    proxy,
    origin,
    async open() {
      const connected = once(backend, "connection") as Promise<[WebSocket]>;
      const client = new WebSocket(`ws://127.0.0.1:${proxy.port("web")}/`, { perMessageDeflate: compress });
      await once(client, "open");
      return { client, server: (await connected)[0] };
    },
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await origin[Symbol.asyncDispose]();
    },
  };
}

/** What the proxy does with an upgrade when the upstream's side is under the test's own hand. */
async function startRaw(onUpgrade: (socket: net.Socket, head: Buffer) => void, server: Record<string, unknown> = {}) {
  const origin = await Origin.start((_, response) => response.end());
  origin.server.on("upgrade", (_, socket, head) => {
    onUpgrade(socket as net.Socket, head);
    // Node leaves an upgraded socket half open until its owner has seen the end.
    socket.on("end", () => socket.end()).resume();
  });
  const proxy = await ProxyUnderTest.start({
    servers: { web: { listen: "127.0.0.1:0", proxy: origin.url, ...server } },
  });
  return {
    origin,
    proxy,
    connect: () => RawClient.connect(proxy.port("web")),
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await origin[Symbol.asyncDispose]();
    },
  };
}

for (const compress of [false, true]) {
  test(`messages of every size pass both ways${compress ? ", compressed" : ""}`, TIMEOUT, async () => {
    await using sockets = await startSockets({}, compress);
    const { client, server } = await sockets.open();
    server.on("message", (data, isBinary) => server.send(data, { binary: isBinary }));
    for (const size of [0, 1, 125, 126, 65_535, 65_536, 8 * MiB]) {
      const message = randomBytes(size);
      client.send(message);
      const [echo, isBinary] = (await once(client, "message")) as [Buffer, boolean];
      assert.ok(isBinary && echo.equals(message), `${size} bytes`);
    }
    client.send("grüße");
    const [text, isBinary] = (await once(client, "message")) as [Buffer, boolean];
    assert.deepEqual([text.toString(), isBinary], ["grüße", false]);
  });
}

test("close codes and reasons pass, from the client and from the server", TIMEOUT, async () => {
  await using sockets = await startSockets();
  const first = await sockets.open();
  first.client.close(4001, "client is done");
  const [code, reason] = (await once(first.server, "close")) as [number, Buffer];
  assert.deepEqual([code, reason.toString()], [4001, "client is done"]);
  const second = await sockets.open();
  second.server.close(1012, "restart");
  const [serverCode, serverReason] = (await once(second.client, "close")) as [number, Buffer];
  assert.deepEqual([serverCode, serverReason.toString()], [1012, "restart"]);
});

test("pings are answered by the other side, not by the proxy", TIMEOUT, async () => {
  await using sockets = await startSockets();
  const { client, server } = await sockets.open();
  client.ping("one");
  const [seen] = (await once(server, "ping")) as [Buffer];
  const [pong] = (await once(client, "pong")) as [Buffer];
  assert.deepEqual([seen.toString(), pong.toString()], ["one", "one"]);
  server.ping("two");
  assert.equal(String((await once(client, "ping"))[0]), "two");
});

test("a side that vanishes takes the other with it at once", TIMEOUT, async () => {
  await using sockets = await startSockets();
  const first = await sockets.open();
  first.client.terminate();
  await once(first.server, "close");
  const second = await sockets.open();
  second.server.terminate();
  assert.equal((await once(second.client, "close"))[0], 1006);
});

test("a slow reader slows the sender down, and the proxy holds little", TIMEOUT, async () => {
  await using sockets = await startSockets();
  const { client, server } = await sockets.open();
  client.pause();
  const message = randomBytes(MiB);
  let sent = 0;
  // Until the server's own socket is full and stays so.
  while (server.bufferedAmount < 4 * MiB) {
    server.send(message);
    sent++;
    await new Promise<void>((resolve) => setImmediate(resolve));
    assert.ok(sent < 64, "nothing slows the sender down");
  }
  let received = 0;
  client.on("message", () => received++);
  client.resume();
  while (received < sent) await once(client, "message");
});

test("bytes that the server sends at once behind its 101 arrive", TIMEOUT, async () => {
  await using raw = await startRaw((socket) => socket.write(`${SWITCHING}hello`));
  using client = await raw.connect();
  assert.equal((await client.send(HANDSHAKE).answer()).status, 101);
  await client.untilText("hello");
});

test("bytes that the client sends ahead pass only when the server has agreed", TIMEOUT, async () => {
  const asked = Promise.withResolvers<net.Socket>();
  let early = "";
  await using raw = await startRaw((socket, head) => {
    early += head.toString();
    socket.on("data", (chunk) => {
      early += chunk;
    });
    asked.resolve(socket);
  });
  using client = await raw.connect();
  client.send(`${HANDSHAKE}early`);
  const socket = await asked.promise;
  // A round trip through the same proxy: whatever was to pass has passed.
  using other = await raw.connect();
  await other.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").answer();
  assert.equal(early.length, 0);
  socket.write(SWITCHING);
  assert.equal((await client.answer()).status, 101);
  while (early.length < 5) await once(socket, "data");
  assert.equal(early, "early");
});

test("each side may end its half and go on listening", TIMEOUT, async () => {
  let heard = "";
  await using raw = await startRaw((socket) => {
    socket.write(SWITCHING);
    socket.on("data", (chunk) => {
      heard += chunk;
    });
    // The client has ended; what it asked for still comes.
    socket.on("end", () => socket.end(`heard ${heard}`));
  });
  using client = await raw.connect();
  await client.send(HANDSHAKE).answer();
  client.send("question");
  client.socket.end();
  await client.untilClosed();
  assert.equal(client.rest, "heard question");
});

test("a tunnel without a byte is closed at its limit, a busy one at its age", TIMEOUT, async () => {
  await using idle = await startRaw((socket) => socket.write(SWITCHING), { limits: { tunnelIdle: "100ms" } });
  using quiet = await idle.connect();
  await quiet.send(HANDSHAKE).answer();
  await quiet.untilEnded();
  await idle.origin.until(() => idle.origin.sockets.size === 0);

  await using aged = await startRaw(
    (socket) => {
      socket.write(SWITCHING);
      socket.on("data", (chunk) => void socket.write(chunk));
    },
    { limits: { tunnelLifetime: "300ms" } },
  );
  using busy = await aged.connect();
  await busy.send(HANDSHAKE).answer();
  busy.socket.on("data", (chunk) => void busy.socket.write(chunk));
  busy.send("round and round");
  await busy.untilEnded();
  await aged.origin.until(() => aged.origin.sockets.size === 0);
});

test("an upgrade that the route does not allow goes on as a plain request", TIMEOUT, async () => {
  await using sockets = await startSockets({ upgrade: [] });
  using client = await RawClient.connect(sockets.proxy.port("web"));
  assert.equal((await client.send(HANDSHAKE).answer()).status, 200);
  const [asked] = sockets.origin.asked;
  assert.equal(asked!.headers.upgrade, undefined);
});

test("an upgrade that the server refuses gets the server's answer, and the connection serves on", TIMEOUT, async () => {
  await using raw = await startRaw((socket) => {
    const fields = "WWW-Authenticate: Basic\r\nConnection: close\r\nContent-Length: 2";
    socket.end(`HTTP/1.1 401 Unauthorized\r\n${fields}\r\n\r\nno`);
  });
  using client = await raw.connect();
  const refused = await client.send(HANDSHAKE).answer();
  assert.deepEqual([refused.status, refused.fields.get("www-authenticate"), refused.body], [401, "Basic", "no"]);
  assert.equal((await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").answer()).status, 200);
});

test("a server that switches to what nobody asked for gets 502 in its place", TIMEOUT, async () => {
  await using raw = await startRaw((socket) => {
    socket.end("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n");
  });
  using client = await raw.connect();
  const answer = await client.send(HANDSHAKE).answer();
  assert.equal(answer.status, 502);
  assert.match(answer.fields.get("proxy-status") ?? "", /http_upgrade_failed/);
});
