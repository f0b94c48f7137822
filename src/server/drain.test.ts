// The end of a proxy: nothing new is accepted, what is idle closes at once, what is under way may end, and what does not
// end in time is cut off.

import assert from "node:assert/strict";
import { once } from "node:events";
import http, { type ServerResponse } from "node:http";
import net from "node:net";
import { describe, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import tls from "node:tls";
import WebSocket, { WebSocketServer } from "ws";
import type { Feature } from "../../src/index.ts";
import { issueCertificate } from "../../test/support/certificates.ts";
import { TestFolder } from "../../test/support/folder.ts";
import { isRefused } from "../../test/support/free-port.ts";
import { Origin } from "../../test/support/origin.ts";
import { ProxyUnderTest } from "../../test/support/proxy-under-test.ts";
import { RawClient } from "../../test/support/raw-client.ts";

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
/** Longer than a test may take: what passes before it was not ended by it. */
const LONG_MS = 60_000;

/** An origin that answers when it is told to. */
async function slowOrigin(): Promise<{ origin: Origin; asked: Promise<ServerResponse> }> {
  const { promise: asked, resolve } = Promise.withResolvers<ServerResponse>();
  const origin = await Origin.start((_request, response) => resolve(response));
  return { origin, asked };
}

/** Until the proxy has that many connections, those in a handshake included. */
async function accepted(proxy: ProxyUnderTest, count: number): Promise<void> {
  while (proxy.server.transport.openConnections < count) await nextTurn();
}

/** The first bytes of an answer. Rejects where there is none: a machine that is very busy may let the proxy's patience pass. */
async function answerOn(socket: net.Socket): Promise<string> {
  const closed = once(socket, "close").then(() => {
    throw new Error("closed without an answer");
  });
  const [head] = await Promise.race([once(socket, "data"), closed]);
  closed.catch(() => {});
  return String(head);
}

describe("draining", () => {
  test("closes idle connections and lets a request end, which says that its connection closes", async () => {
    const { origin: started, asked } = await slowOrigin();
    await using origin = started;
    const routes = [{ match: { path: "/quick" }, respond: 204 }, { proxy: origin.url }];
    await using proxy = await ProxyUnderTest.start({ servers: { web: { listen: "127.0.0.1:0", routes } } });
    const port = proxy.port("web");
    using idle = await RawClient.connect(port);
    assert.equal((await idle.send("GET /quick HTTP/1.1\r\nHost: a\r\n\r\n").answer()).status, 204);
    using busy = await RawClient.connect(port);
    busy.send(GET);
    const response = await asked;
    const closed = proxy.server.close(LONG_MS);
    await idle.untilEnded();
    await assert.rejects(RawClient.connect(port), { code: "ECONNREFUSED" });
    response.end("done");
    const answer = await busy.answer();
    assert.deepEqual([answer.body, answer.fields.get("connection")], ["done", "close"]);
    await busy.untilEnded();
    idle.socket.end();
    busy.socket.end();
    assert.equal(await closed, 0);
    await origin.until(() => origin.sockets.size === 0);
  });

  test("answers who had only just connected, and asks now", async () => {
    await using proxy = await ProxyUnderTest.start({ servers: { web: { listen: "127.0.0.1:0", respond: 204 } } });
    const port = proxy.port("web");
    using client = await RawClient.connect(port);
    await accepted(proxy, 1);
    const closed = proxy.server.close(LONG_MS);
    while (!(await isRefused(port)));
    const answer = await client.send(GET).answer();
    assert.deepEqual([answer.status, answer.fields.get("connection")], [204, "close"]);
    await client.untilEnded();
    client.socket.end();
    assert.equal(await closed, 0);
  });

  test("lets a handshake end, and answers what is asked behind it", async () => {
    using folder = new TestFolder();
    const { cert, key } = issueCertificate({ names: ["a.test"] });
    const certificates = [{ cert: folder.write("cert.pem", cert), key: folder.write("key.pem", key) }];
    await using proxy = await ProxyUnderTest.start({
      servers: { web: { listen: { address: "127.0.0.1:0", tls: { certificates } }, respond: 204 } },
    });
    const port = proxy.port("web");
    const socket = net.connect(port, "127.0.0.1");
    await accepted(proxy, 1);
    const closed = proxy.server.close(LONG_MS);
    while (!(await isRefused(port)));
    const secure = tls.connect({ socket, ca: cert, servername: "a.test" });
    secure.write(GET);
    assert.match(await answerOn(secure), /^HTTP\/1\.1 204 .*\r\nConnection: close\r\n/s);
    secure.resume().end();
    assert.equal(await closed, 0);
  });

  test("answers whose connection is told only now, with and without TLS", async () => {
    using folder = new TestFolder();
    const { cert, key } = issueCertificate({ names: ["a.test"] });
    const certificates = [{ cert: folder.write("cert.pem", cert), key: folder.write("key.pem", key) }];
    for (const isTls of [false, true]) {
      const proxyProtocol = { from: "127.0.0.0/8" };
      const listen = { address: "127.0.0.1:0", proxyProtocol, ...(isTls && { tls: { certificates } }) };
      await using proxy = await ProxyUnderTest.start({ servers: { web: { listen, respond: 204 } } });
      const port = proxy.port("web");
      const socket = net.connect(port, "127.0.0.1");
      await accepted(proxy, 1);
      const closed = proxy.server.close(LONG_MS);
      while (!(await isRefused(port)));
      socket.write("PROXY TCP4 192.0.2.7 198.51.100.1 40000 443\r\n");
      const client = isTls ? tls.connect({ socket, ca: cert, servername: "a.test" }) : socket;
      client.write(GET);
      assert.match(await answerOn(client), /^HTTP\/1\.1 204 .*\r\nConnection: close\r\n/s);
      client.resume().end();
      assert.equal(await closed, 0);
    }
  });

  test("waits a second and no longer for whoever does not say whose connection it is", async () => {
    const listen = { address: "127.0.0.1:0", proxyProtocol: { from: "127.0.0.0/8" } };
    await using proxy = await ProxyUnderTest.start({ servers: { web: { listen, respond: 204 } } });
    using silent = await RawClient.connect(proxy.port("web"));
    await accepted(proxy, 1);
    assert.equal(await proxy.server.close(LONG_MS), 0);
    await silent.untilEnded();
    while (proxy.server.transport.openConnections > 0) await nextTurn();
  });

  test("cuts what has not ended in time, and says how many", async () => {
    const { origin: started, asked } = await slowOrigin();
    await using origin = started;
    await using proxy = await ProxyUnderTest.start({ servers: { web: { listen: "127.0.0.1:0", proxy: origin.url } } });
    using busy = await RawClient.connect(proxy.port("web"));
    busy.send(GET);
    await asked;
    assert.equal(await proxy.server.close(50), 1);
    await busy.untilEnded();
    assert.equal(busy.received, "");
    await origin.until(() => origin.sockets.size === 0);
  });

  test("keeps a tunnel until the time is up", async () => {
    const server = http.createServer();
    const sockets = new WebSocketServer({ server });
    sockets.on("connection", (socket) => socket.on("message", (data) => socket.send(`echo ${data}`)));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    try {
      const to = `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`;
      await using proxy = await ProxyUnderTest.start({ servers: { web: { listen: "127.0.0.1:0", proxy: to } } });
      const socket = new WebSocket(`ws://127.0.0.1:${proxy.port("web")}/`);
      await once(socket, "open");
      const closed = proxy.server.close(200);
      socket.send("hello");
      const [answer] = await once(socket, "message");
      assert.equal(String(answer), "echo hello");
      const gone = once(socket, "close");
      assert.equal(await closed, 1);
      assert.equal((await gone)[0], 1006);
    } finally {
      server.closeAllConnections();
      server.close();
      sockets.close();
    }
  });

  test("waits for what a feature has sent by itself, and ends it when the time is up", async () => {
    let ends = Promise.withResolvers<string>();
    const forking: Feature = {
      name: "forking",
      request(exchange) {
        const note = (what: string) => ends.resolve(what);
        exchange.fork(exchange.request.copyWithoutBody(), {
          onInformational() {},
          onHead() {},
          onBody() {},
          onEnd: () => note("end"),
          onFailed: ({ type }) => note(type),
        });
        exchange.respond({ status: 204 });
      },
    };
    for (const [ms, expected] of [
      [LONG_MS, "end"],
      [50, "connection_terminated"],
    ] as const) {
      ends = Promise.withResolvers();
      const { origin: started, asked } = await slowOrigin();
      await using origin = started;
      await using proxy = await ProxyUnderTest.start({
        servers: { web: { listen: "127.0.0.1:0", use: [forking], proxy: origin.url } },
      });
      using client = await RawClient.connect(proxy.port("web"));
      client.send(GET);
      assert.equal((await client.answer()).status, 204);
      const response = await asked;
      client.socket.end();
      const closed = proxy.server.close(ms);
      await client.untilEnded();
      if (ms === LONG_MS) response.end("done");
      assert.equal(await ends.promise, expected);
      assert.equal(await closed, 0, "no client was cut off");
    }
  });

  test("ends at once when it is told to", async () => {
    const { origin: started, asked } = await slowOrigin();
    await using origin = started;
    await using proxy = await ProxyUnderTest.start({ servers: { web: { listen: "127.0.0.1:0", proxy: origin.url } } });
    using busy = await RawClient.connect(proxy.port("web"));
    busy.send(GET);
    await asked;
    const port = proxy.port("web");
    const closed = proxy.server.close(LONG_MS);
    // It begins in a later turn; that nobody listens any more shows that it has.
    while (!(await isRefused(port)));
    proxy.server.destroy();
    await closed;
    await busy.untilEnded();
  });

  test("ends only once, however often it is asked", async () => {
    await using proxy = await ProxyUnderTest.start({ servers: { web: { listen: "127.0.0.1:0", respond: 204 } } });
    assert.deepEqual(await Promise.all([proxy.server.close(LONG_MS), proxy.server.close(0)]), [0, 0]);
    await assert.rejects(proxy.reload({ servers: { web: { listen: "127.0.0.1:0", respond: 204 } } }), /is closed/);
  });

  test("a connection that a reload has left behind is drained too", async () => {
    const { origin: started, asked } = await slowOrigin();
    await using origin = started;
    const web = { listen: "127.0.0.1:0", proxy: origin.url };
    await using proxy = await ProxyUnderTest.start({ servers: { web, old: web } });
    using busy = await RawClient.connect(proxy.port("old"));
    busy.send(GET);
    const response = await asked;
    await proxy.reload({ servers: { web } });
    const closed = proxy.server.close(LONG_MS);
    response.end("late");
    assert.equal((await busy.answer()).body, "late");
    busy.socket.end();
    assert.equal(await closed, 0);
  });
});
