// The PROXY protocol on a whole proxy: HAProxy in front of every kind of listener, and what the client's address is good for.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Address } from "../../src/core/ports.ts";
import { encodeConnect } from "../../src/protocol/socks/destination.ts";
import { issueCertificate } from "../support/certificates.ts";
import { TestFolder } from "../support/folder.ts";
import { ANYWHERE, EchoServer, Origin, RawClient } from "../support/forward-stage.ts";
import { freePort } from "../support/free-port.ts";
import { Haproxy } from "../support/haproxy.ts";
import { proxyHeader, proxyLine } from "../support/proxy-header.ts";
import { configOf, ProxyUnderTest } from "../support/proxy-under-test.ts";
import { needs } from "../support/requirements.ts";

const TIMEOUT = { timeout: 30_000 };
const LOOPBACK = { from: "127.0.0.0/8" };
const BALANCED = { address: "127.0.0.1:0", proxyProtocol: LOOPBACK };
const SERVER: Address = { family: 4, address: "198.51.100.1", port: 80 };
const clientAt = (address: string): Address => ({ family: 4, address, port: 40_000 });
const GET = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";

function linesIn(folder: TestFolder): Record<string, unknown>[] {
  const lines = folder.read("access.log").trim().split("\n");
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe("HAProxy in front", { ...TIMEOUT, skip: needs("haproxy") }, () => {
  test("says by both versions who the client is: to HTTP, in TLS, to SOCKS", async () => {
    using folder = new TestFolder();
    const { cert, key } = issueCertificate({ names: ["a.example"] });
    const certificates = [{ cert: folder.write("a.pem", cert), key: folder.write("a.key", key) }];
    await using echo = await EchoServer.start();
    const ports: number[] = [];
    {
      await using proxy = await ProxyUnderTest.start({
        log: { access: { output: folder.file("access.log"), fields: ["peer", "protocol", "tls", "scheme"] } },
        servers: {
          web: {
            listen: [BALANCED, { ...BALANCED, tls: { certificates } }, { ...BALANCED, protocol: "socks" }],
            forward: { allow: [{ clients: "127.0.0.1", ...ANYWHERE }] },
            routes: [{ respond: { body: "own" } }],
          },
        },
      });
      const backends = proxy.ports("web").map((port) => `127.0.0.1:${port}`);
      await using haproxy = await Haproxy.start(
        ["send-proxy", "send-proxy-v2"].flatMap((how) => backends.map((backend) => `${backend} ${how}`)),
      );
      const note = (client: RawClient): void => void ports.push(client.socket.localPort!);
      for (const first of [0, 3]) {
        const [http, https, socks] = haproxy.ports.slice(first, first + 3);
        using plain = await RawClient.connect(http!);
        note(plain);
        assert.equal((await plain.send(GET).answer()).body, "own");
        using secured = await RawClient.connect({ port: https!, tls: { ca: cert, servername: "a.example" } });
        note(secured);
        assert.equal((await secured.send(GET).answer()).body, "own");
        using tunnelled = await RawClient.connect(socks!);
        note(tunnelled);
        tunnelled.send(Buffer.concat([Buffer.of(5, 1, 0), encodeConnect("127.0.0.1", echo.port)!, Buffer.from("hi")]));
        await tunnelled.untilText("hi");
        tunnelled.socket.end();
        await tunnelled.untilEnded();
      }
    }
    const kinds = [
      { protocol: "HTTP/1.1", scheme: "http" },
      { protocol: "HTTP/1.1", tls: "TLSv1.3", scheme: "https" },
      { protocol: "SOCKS5" },
    ];
    const expected = ports.map((port, index) => ({ peer: `127.0.0.1:${port}`, ...kinds[index % 3] }));
    assert.deepEqual(linesIn(folder), expected);
  });
});

describe("the client that a header names", TIMEOUT, () => {
  test("is the one of logs, rules and forwarding fields", async () => {
    using folder = new TestFolder();
    await using origin = await Origin.start((request, response) => response.end(request.headers["x-forwarded-for"]));
    {
      await using proxy = await ProxyUnderTest.start({
        log: { access: { output: folder.file("access.log"), fields: ["client", "peer", "status"] } },
        servers: {
          web: {
            listen: BALANCED,
            forward: { allow: [{ clients: "192.0.2.0/24", ...ANYWHERE }] },
            routes: [{ proxy: `http://127.0.0.1:${origin.port}` }],
          },
        },
      });
      const ask = async (from: string, request: string) => {
        using client = await RawClient.connect(proxy.port("web"));
        client.send(Buffer.concat([proxyHeader(clientAt(from), SERVER), Buffer.from(request)]));
        return await client.answer();
      };
      const absolute = GET.replace("/", `http://127.0.0.1:${origin.port}/`).replace(/Host.*\r\n/, "");
      assert.equal((await ask("192.0.2.7", absolute.replace("1.1", "1.0"))).status, 200);
      assert.equal((await ask("203.0.113.7", absolute.replace("1.1", "1.0"))).status, 403);
      assert.equal((await ask("203.0.113.7", GET)).body, "203.0.113.7");
      const forged = GET.replace("\r\n\r\n", "\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n");
      assert.equal((await ask("203.0.113.7", forged)).body, "203.0.113.7");
    }
    const told = linesIn(folder).map(({ client, peer, status }) => `${client} ${peer} ${status}`);
    assert.deepEqual(told, [
      "192.0.2.7 192.0.2.7:40000 200",
      "203.0.113.7 203.0.113.7:40000 403",
      "203.0.113.7 203.0.113.7:40000 200",
      "203.0.113.7 203.0.113.7:40000 200",
    ]);
  });

  test("is believed of nobody else: a header from elsewhere is a request that is none", async () => {
    using folder = new TestFolder();
    {
      await using proxy = await ProxyUnderTest.start({
        log: { access: { output: folder.file("access.log"), fields: ["client", "status"] } },
        servers: { web: { listen: { ...BALANCED, proxyProtocol: { from: "10.0.0.0/8" } }, respond: 204 } },
      });
      for (const header of [proxyLine(clientAt("10.0.0.1"), SERVER), proxyHeader(clientAt("10.0.0.1"), SERVER)]) {
        using client = await RawClient.connect(proxy.port("web"));
        client.send(Buffer.concat([header, Buffer.from(GET)]));
        assert.equal((await client.answer()).status, 400);
        await client.untilEnded();
      }
      using client = await RawClient.connect(proxy.port("web"));
      assert.equal((await client.send(GET).answer()).status, 204);
    }
    const told = linesIn(folder).map(({ client, status }) => `${client} ${status}`);
    assert.deepEqual(told, ["127.0.0.1 400", "127.0.0.1 400", "127.0.0.1 204"]);
  });

  test("is said on a unix socket by whoever connects", async () => {
    using folder = new TestFolder();
    const path = folder.file("web.sock");
    await using origin = await Origin.start((request, response) => response.end(request.headers["x-forwarded-for"]));
    await using proxy = await ProxyUnderTest.start({
      servers: {
        web: { listen: { address: `unix:${path}`, proxyProtocol: {} }, proxy: `http://127.0.0.1:${origin.port}` },
      },
    });
    using client = await RawClient.connect({ path });
    client.send(Buffer.concat([proxyLine(clientAt("192.0.2.7"), SERVER), Buffer.from(GET)]));
    assert.equal((await client.answer()).body, "192.0.2.7");
    assert.equal(proxy.server.listening.length, 1);
  });
});

test("what is no header closes the connection, and the log says so once in a while", TIMEOUT, async () => {
  await using proxy = await ProxyUnderTest.start({ servers: { web: { listen: BALANCED, respond: 204 } } });
  for (let count = 0; count < 3; count++) {
    using client = await RawClient.connect(proxy.port("web"));
    client.send(GET);
    await client.untilEnded();
    assert.equal(client.received, "");
  }
  const told = proxy.logged.filter(({ msg }) => msg.includes("PROXY protocol header refused"));
  assert.equal(told.length, 1);
  assert.equal(told[0]!.level, "info");
  assert.match(told[0]!.msg, /does not begin with one \(from 127\.0\.0\.1:\d+\)$/);
});

test("a reload changes whom it is believed of, and keeps the connections that are there", TIMEOUT, async () => {
  const address = `127.0.0.1:${await freePort()}`;
  const config = (from: string | null) => ({
    servers: {
      web: {
        listen: { address, ...(from === null ? {} : { proxyProtocol: { from } }) },
        routes: [{ match: { client: "192.0.2.0/24" }, respond: { body: "named" } }, { respond: { body: "peer" } }],
      },
    },
  });
  await using proxy = await ProxyUnderTest.start(config("10.0.0.0/8"));
  const port = proxy.port("web");
  const named = async () => {
    using client = await RawClient.connect(port);
    client.send(Buffer.concat([proxyLine(clientAt("192.0.2.7"), SERVER), Buffer.from(GET)]));
    return (await client.answer()).body;
  };
  using before = await RawClient.connect(port);
  assert.equal((await before.send(GET).answer()).body, "peer");
  await proxy.reload(config("127.0.0.1"));
  assert.equal((await before.send(GET).answer()).body, "peer");
  assert.equal(await named(), "named");
  await proxy.reload(config(null));
  using after = await RawClient.connect(port);
  assert.equal((await after.send(GET).answer()).body, "peer");
  await proxy.reload(config("127.0.0.1"));
  assert.equal(await named(), "named");
});

test("the file says whose headers are believed", () => {
  const check = (listen: object, more: object = { respond: 204 }) => {
    assert.throws(() => configOf({ servers: { web: { listen, ...more } } }), check.expected);
  };
  check.expected = /servers\.web\.listen\.proxyProtocol: needs "from"/;
  check({ address: ":80", proxyProtocol: {} });
  check.expected = /servers\.web\.listen\.proxyProtocol\.from: has no meaning with a unix socket/;
  check({ address: "unix:/run/x.sock", proxyProtocol: { from: "127.0.0.1" } });
  // Who is behind a balancer on this machine may be anybody.
  check.expected = /would serve everybody/;
  check(BALANCED, { forward: {} });
});
