// An authentication service on real sockets: what passes, what becomes of its faults, and how many connections it
// costs.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import type { Socket } from "node:net";
import os from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import type { TLSSocket } from "node:tls";
import { WebSocket, WebSocketServer } from "ws";
import { Authority, issueCertificate } from "../support/certificates.ts";
import { freePort } from "../support/free-port.ts";
import { bodyOf, Origin } from "../support/origin.ts";
import { Program } from "../support/program.ts";
import { ProxyUnderTest } from "../support/proxy-under-test.ts";
import { RawClient } from "../support/raw-client.ts";

const TIMEOUT = { timeout: 60_000 };
const GET = "GET /app?a=b HTTP/1.1\r\nHost: example.org\r\n";

type Options = Record<string, unknown>;

/**
 * A proxy that asks `address` before anything may go to the origin, and the origin, which says who it was told comes.
 */
async function gateway(address: string, options: Options = {}, more: Options = {}) {
  const origin = await Origin.start(async (request, response) => {
    const body = await bodyOf(request);
    response.end(`${request.headers["x-user"] ?? "nobody"} ${body}`);
  });
  const use = [{ forwardAuth: { address, responseHeaders: ["x-user"], ...options } }];
  const config = { servers: { web: { listen: "127.0.0.1:0", use, proxy: origin.url } }, ...more };
  const proxy = await ProxyUnderTest.start(config);
  return {
    origin,
    proxy,
    config,
    port: proxy.port("web"),
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await origin[Symbol.asyncDispose]();
    },
  };
}

/** A connection of its own. */
async function ask(port: number, lines = "", start = GET) {
  using client = await RawClient.connect(port);
  return await client.send(`${start}${lines}\r\n`).answer();
}

test("what the service lets go on arrives with what it said, and the rest gets its answer", TIMEOUT, async () => {
  await using service = await Origin.start((request, response) => {
    if (request.headers.cookie === "session=ann") response.writeHead(200, { "X-User": "ann" }).end("ignored");
    else response.writeHead(302, { Location: "/login", "Set-Cookie": ["a=1", "b=2"] }).end("log in first");
  });
  await using stage = await gateway(`${service.url}/verify?x`);
  const passed = await ask(stage.port, "Cookie: session=ann\r\nX-User: eve\r\n");
  assert.deepEqual([passed.status, passed.body], [200, "ann "]);
  const refused = await ask(stage.port, "Cookie: session=eve\r\nX-User: eve\r\n");
  assert.deepEqual([refused.status, refused.body], [302, "log in first"]);
  assert.deepEqual([refused.fields.get("location"), refused.fields.get("set-cookie")], ["/login", "a=1, b=2"]);
  assert.equal(stage.origin.asked.length, 1);
  const { url, headers } = service.asked[0]!;
  assert.equal(url, "/verify?x");
  assert.equal(headers["x-forwarded-uri"], "/app?a=b");
  assert.equal(headers.host, new URL(service.url).host);
});

test("a trusted proxy's word on client, scheme and host is passed on, and nobody else's", TIMEOUT, async () => {
  await using service = await Origin.start((_request, response) => response.writeHead(204).end());
  const lines =
    "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: front.example\r\nX-Forwarded-Uri: /x\r\n";
  for (const [trustedProxies, forwardedFor, proto, host] of [
    [["127.0.0.1"], "192.0.2.7, 127.0.0.1", "https", "front.example"],
    [[], "127.0.0.1", "http", "example.org"],
  ] as const) {
    await using stage = await gateway(service.url, {}, { trustedProxies });
    await ask(stage.port, lines);
    const { headers } = service.asked.at(-1)!;
    assert.equal(headers["x-forwarded-for"], forwardedFor);
    assert.deepEqual([headers["x-forwarded-proto"], headers["x-forwarded-host"]], [proto, host]);
    assert.equal(headers["x-forwarded-uri"], "/app?a=b");
  }
});

test("the service sees a body that is sent along, and so does the upstream", TIMEOUT, async () => {
  let seen = "";
  await using service = await Origin.start(async (request, response) => {
    seen = await bodyOf(request);
    response.writeHead(204).end();
  });
  await using stage = await gateway(service.url, { body: { forward: true, max: "100KiB" }, method: "preserve" });
  const body = "x".repeat(100 * 1024);
  const start = "POST / HTTP/1.1\r\nHost: a\r\n";
  const passed = await ask(stage.port, `Content-Length: ${body.length}\r\n\r\n${body}`, start);
  assert.equal(passed.body, `nobody ${body}\r\n`.slice(0, passed.body.length));
  assert.equal(passed.body.length, 7 + body.length);
  assert.equal(seen, body);
  const long = await ask(stage.port, `Content-Length: ${body.length + 1}\r\n\r\n${body}y`, start);
  assert.equal(long.status, 413);
  assert.equal(service.asked.length, 1);
  assert.equal(service.asked[0]!.method, "POST");
});

test("a WebSocket passes where the service says so", TIMEOUT, async () => {
  await using service = await Origin.start((request, response) => {
    response.writeHead(request.headers.authorization === "Bearer good" ? 200 : 401, { "X-User": "ann" }).end();
  });
  await using stage = await gateway(service.url);
  const sockets = new WebSocketServer({ server: stage.origin.server });
  sockets.on("connection", (socket, request) => socket.send(String(request.headers["x-user"])));
  const socket = new WebSocket(`ws://127.0.0.1:${stage.port}/`, {
    headers: { Authorization: "Bearer good", "X-User": "eve" },
  });
  const told = await new Promise((resolve, reject) => socket.once("message", resolve).once("error", reject));
  assert.equal(String(told), "ann");
  socket.terminate();
  const status = await new Promise((resolve) => {
    new WebSocket(`ws://127.0.0.1:${stage.port}/`)
      .on("error", () => {})
      .on("unexpected-response", (request, response) => {
        resolve(response.statusCode);
        request.destroy();
      });
  });
  assert.equal(status, 401);
  sockets.close();
});

describe("a service that", () => {
  const faults: readonly (readonly [name: string, serve: (response: http.ServerResponse, socket: Socket) => void])[] = [
    ["hangs", () => {}],
    ["resets", (_response, socket) => void socket.resetAndDestroy()],
    ["closes without an answer", (_response, socket) => void socket.destroy()],
    ["answers garbage", (_response, socket) => void socket.write("220 smtp.example ESMTP\r\n")],
    ["hangs within its head", (_response, socket) => void socket.write("HTTP/1.1 200 OK\r\nX-User: ann\r\n")],
    ["closes within its head", (_response, socket) => void socket.end("HTTP/1.1 200 OK\r\nX-User: ann\r\n")],
    [
      "closes in the middle of its body",
      (_response, socket) => void socket.end("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"),
    ],
    [
      "switches protocols",
      (_response, socket) => void socket.write("HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"),
    ],
  ];
  for (const [name, serve] of faults) {
    test(`${name} lets nothing pass: 503, and the next request finds it well`, TIMEOUT, async () => {
      let isWell = false;
      await using service = await Origin.start((request, response) => {
        if (isWell) response.writeHead(204).end();
        else serve(response, request.socket);
      });
      // What ends by itself needs no limit, which a busy machine could reach with the next request.
      await using stage = await gateway(service.url, name.startsWith("hangs") ? { timeout: "1s" } : {});
      const away = await ask(stage.port);
      assert.equal(away.status, 503);
      assert.equal(away.fields.get("retry-after"), "5");
      assert.doesNotMatch(away.body, /127\.0\.0\.1|verify|auth/);
      assert.equal(stage.origin.accepted, 0);
      isWell = true;
      assert.equal((await ask(stage.port)).status, 200);
    });
  }

  test("answers with 100 MiB is not listened to, and sends little of them", TIMEOUT, async () => {
    const chunk = Buffer.alloc(1024 * 1024);
    let sent = 0;
    let closed = () => {};
    const isClosed = new Promise<void>((resolve) => {
      closed = resolve;
    });
    await using service = await Origin.start((_request, response) => {
      response.writeHead(401);
      response.on("close", closed);
      const more = (): void => {
        while (sent < 100 && !response.destroyed) {
          sent++;
          if (!response.write(chunk)) return void response.once("drain", more);
        }
        response.end();
      };
      more();
    });
    await using stage = await gateway(service.url);
    assert.equal((await ask(stage.port)).status, 503);
    await isClosed;
    assert.ok(sent < 50, `${sent} MiB were sent`);
  });

  test("is away and comes back is asked again", TIMEOUT, async () => {
    const port = await freePort();
    await using stage = await gateway(`http://127.0.0.1:${port}/verify`);
    const good = "Authorization: Bearer good\r\n";
    assert.equal((await ask(stage.port, good)).status, 503);
    for (let round = 0; round < 2; round++) {
      await using service = Program.node("test/support/auth-service.ts", [String(port)]);
      await service.until(/asks may come/);
      const passed = await ask(stage.port, good);
      assert.deepEqual([passed.status, passed.body], [200, "ann "]);
      assert.equal((await ask(stage.port)).status, 401);
      await service.stop("SIGKILL");
      assert.equal((await ask(stage.port, good)).status, 503);
    }
  });
});

test("a client that leaves takes its question with it", TIMEOUT, async () => {
  let closed = () => {};
  const isClosed = new Promise<void>((resolve) => {
    closed = resolve;
  });
  await using service = await Origin.start((_request, response) => void response.on("close", closed));
  await using stage = await gateway(service.url);
  const client = await RawClient.connect(stage.port);
  client.send(`${GET}\r\n`);
  await service.until(() => service.asked.length === 1);
  client.reset();
  await isClosed;
  await stage.proxy.untilConnections(0);
  assert.equal(stage.origin.accepted, 0);
});

describe("connections to the service", () => {
  // traefik#6229: an answer that was not read to its end cost a connection each time.
  test("are as few as requests at the same time, over 10,000 checks", TIMEOUT, async () => {
    const CLIENTS = 32;
    let turn = 0;
    await using service = await Origin.start((_request, response) => {
      if (++turn % 2 === 0) response.writeHead(204, { "X-User": "ann" }).end();
      else response.writeHead(403).end("no ".repeat(2_000));
    });
    await using stage = await gateway(service.url);
    const agent = new http.Agent({ keepAlive: true, maxSockets: CLIENTS });
    const once = () =>
      new Promise<number>((resolve, reject) => {
        http
          .get({ agent, host: "127.0.0.1", port: stage.port, path: "/" }, (answer) => {
            answer.resume().on("end", () => resolve(answer.statusCode!));
          })
          .on("error", reject);
      });
    let left = 10_000;
    const statuses = new Map<number, number>();
    const client = async (): Promise<void> => {
      while (left-- > 0) {
        const status = await once();
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
      }
    };
    await Promise.all(Array.from({ length: CLIENTS }, client));
    agent.destroy();
    assert.deepEqual(Object.fromEntries(statuses), { 200: 5_000, 403: 5_000 });
    assert.ok(service.accepted <= CLIENTS, `${service.accepted} connections`);
    assert.equal(service.asked.length, 10_000);
  });

  test("are no more than maxConnections, and clients that leave in the queue cost none", TIMEOUT, async () => {
    const held: http.ServerResponse[] = [];
    let isOpen = false;
    await using service = await Origin.start((_request, response) => {
      if (isOpen) response.writeHead(204).end();
      else held.push(response);
    });
    await using stage = await gateway(service.url, { maxConnections: 2 });
    const clients: RawClient[] = [];
    for (let i = 0; i < 6; i++) {
      clients.push((await RawClient.connect(stage.port)).send(`${GET}\r\n`));
      if (i === 1) await service.until(() => held.length === 2);
    }
    await stage.proxy.untilConnections(8);
    for (const client of clients.splice(2, 2)) client.reset();
    await stage.proxy.untilConnections(6);
    isOpen = true;
    for (const response of held) response.writeHead(204).end();
    for (const client of clients) {
      assert.equal((await client.answer()).status, 200);
      client[Symbol.dispose]();
    }
    assert.equal(service.accepted, 2);
  });

  test("stay through a reload that does not concern them", TIMEOUT, async () => {
    await using service = await Origin.start((_request, response) => response.writeHead(204).end());
    await using stage = await gateway(service.url);
    await ask(stage.port);
    await stage.proxy.reload({ ...stage.config, drainTimeout: "7s" });
    await ask(stage.port);
    assert.equal(service.accepted, 1);
  });
});

describe("over TLS", () => {
  const authority = new Authority();
  const stranger = new Authority("Somebody Else");
  const server = issueCertificate({ names: ["auth.example", "127.0.0.1"], issuer: authority });
  const own = issueCertificate({ names: ["gateway.example"], issuer: authority });
  let folder: string;
  const file = (name: string) => path.join(folder, name);

  before(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), "headgate-auth-tls-"));
    writeFileSync(file("ca.pem"), authority.cert);
    writeFileSync(file("stranger.pem"), stranger.cert);
    writeFileSync(file("own.pem"), own.cert);
    writeFileSync(file("own.key"), own.key);
  });

  after(() => rmSync(folder, { recursive: true }));

  test("the service is verified, and shown our certificate", TIMEOUT, async () => {
    const tls = { cert: server.cert, key: server.key, ca: authority.cert, requestCert: true };
    await using service = await Origin.start(
      (request, response) => {
        const shown = (request.socket as TLSSocket).getPeerCertificate().subject?.CN ?? "nobody";
        response.writeHead(204, { "X-User": shown }).end();
      },
      { tls },
    );
    const address = service.url.replace("http:", "https:");
    for (const [options, status, body] of [
      [{ ca: file("ca.pem"), cert: file("own.pem"), key: file("own.key") }, 200, "gateway.example "],
      [
        { ca: file("ca.pem"), serverName: "auth.example", cert: file("own.pem"), key: file("own.key") },
        200,
        "gateway.example ",
      ],
      [{ ca: file("stranger.pem") }, 503, null],
      [{ ca: file("ca.pem"), serverName: "other.example" }, 503, null],
    ] as const) {
      await using stage = await gateway(address, { tls: options });
      const answer = await ask(stage.port);
      assert.equal(answer.status, status, JSON.stringify(options));
      if (body !== null) assert.equal(answer.body, body);
      else assert.equal(stage.origin.accepted, 0);
    }
  });
});
