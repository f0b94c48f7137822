// A forward proxy on real sockets: requests in absolute form and tunnels, who may use it, where it goes, and what it tells the origin.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { hash } from "@node-rs/bcrypt";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import { ANYWHERE, connectThrough, EchoServer, forwardConfig, forwardProxy } from "../support/forward-stage.ts";
import { Origin } from "../support/origin.ts";
import { configOf } from "../support/proxy-under-test.ts";
import { RawClient } from "../support/raw-client.ts";

const TIMEOUT = { timeout: 30_000 };

describe("requests in absolute form", () => {
  test("go where they say, as they came, on connections that are kept", TIMEOUT, async () => {
    const seen: string[] = [];
    const ports = new Set<number | undefined>();
    await using origin = await Origin.start((request, response) => {
      seen.push(`${request.method} ${request.url} ${request.headers.host} ${request.headers.via ?? ""}`);
      ports.add(request.socket.remotePort);
      assert.equal(request.headers["proxy-authorization"], undefined);
      assert.equal(request.headers["proxy-connection"], undefined);
      assert.equal(request.headers["x-forwarded-for"], "192.0.2.7", "the client's own");
      response.end("hello");
    });
    await using proxy = await forwardProxy({}, { routes: [{ match: { path: "/own" }, respond: { body: "own" } }] });
    using client = await RawClient.connect(proxy.port("egress"));
    const authority = `127.0.0.1:${origin.port}`;
    for (let count = 0; count < 3; count++) {
      client.send(
        `GET http://${authority}/a//b/../c%7e?x=%2F HTTP/1.1\r\nHost: ${authority}\r\n` +
          "Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic YTpi\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n",
      );
      const answer = await client.answer();
      assert.equal(answer.status, 200);
      assert.equal(answer.body, "hello");
    }
    assert.equal(seen.length, 3);
    for (const line of seen) assert.match(line, /^GET \/a\/\/b\/\.\.\/c%7e\?x=%2F 127\.0\.0\.1:\d+ 1\.1 \S+$/);
    assert.equal(ports.size, 1);
    client.send(`GET /own HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
    assert.equal((await client.answer()).body, "own", "origin form meets the server's routes");
    client.send("GET /other HTTP/1.1\r\nHost: x\r\n\r\n");
    const lost = await client.answer();
    assert.deepEqual([lost.status, lost.body.includes("This is a proxy: name it as http_proxy")], [404, true]);
    const self = `127.0.0.1:${proxy.port("egress")}`;
    client.send(`GET http://${self}/ HTTP/1.1\r\nHost: ${self}\r\n\r\n`);
    const looped = await client.answer();
    assert.deepEqual([looped.status, looped.body.includes("was asked for itself")], [502, true]);
  });

  test("an HTTP/1.0 client, a Host that differs, and hosts in forms of their own", TIMEOUT, async () => {
    await using origin = await Origin.start((_request, response) => response.end("ok"));
    await using proxy = await forwardProxy();
    const ask = async (start: string, lines = "") => {
      using client = await RawClient.connect(proxy.port("egress"));
      return (await client.send(`${start}\r\n${lines}\r\n`).answer()).status;
    };
    const url = `http://127.0.0.1:${origin.port}`;
    assert.equal(await ask(`GET ${url}/ HTTP/1.0`), 200);
    assert.equal(await ask(`GET ${url} HTTP/1.1`, "Host: evil.example\r\n"), 400);
    for (const host of ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "127.0.0.1.", "[::ffff:127.0.0.1]"]) {
      const status = await ask(`GET http://${host}:${origin.port}/ HTTP/1.1`, `Host: ${host}:${origin.port}\r\n`);
      assert.equal(status, ["127.0.0.1.", "[::ffff:127.0.0.1]"].includes(host) ? 200 : 400, host);
    }
  });

  test("WebSocket passes", TIMEOUT, async () => {
    await using origin = await Origin.start((_request, response) => response.end());
    origin.server.on("upgrade", (_request, socket) => {
      socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi");
      socket.on("data", (bytes: Buffer) => socket.end(bytes));
    });
    await using proxy = await forwardProxy();
    using client = await RawClient.connect(proxy.port("egress"));
    const authority = `127.0.0.1:${origin.port}`;
    client.send(
      `GET http://${authority}/ws HTTP/1.1\r\nHost: ${authority}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
    );
    await client.untilText("hi");
    assert.match(client.received, /^HTTP\/1\.1 101 /);
    client.send("echo");
    await client.untilText("echo");
  });
});

describe("tunnels", () => {
  test("carry bytes both ways, those sent ahead included, and end half by half", TIMEOUT, async () => {
    await using echo = await EchoServer.start();
    await using proxy = await forwardProxy();
    using client = await RawClient.connect(proxy.port("egress"));
    client.send(`CONNECT ${echo.authority} HTTP/1.1\r\nHost: ${echo.authority}\r\n\r\nahead`);
    await client.untilText("ahead");
    assert.match(client.received, /^HTTP\/1\.1 200 OK\r\n/);
    assert.doesNotMatch(client.received, /content-length|transfer-encoding|connection:/i);
    client.send("and more");
    await client.untilText("and more");
    client.socket.end();
    await client.untilEnded();
    await proxy.untilConnections(0);
  });

  test(
    "one that is refused ends the connection: what is sent ahead, or comes later, is no request",
    TIMEOUT,
    async () => {
      await using proxy = await forwardProxy({ allow: [{ hosts: ["only.example"] }] });
      using ahead = await RawClient.connect(proxy.port("egress"));
      ahead.send(
        "CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: a\r\n\r\nGET http://only.example/ HTTP/1.1\r\nHost: only.example\r\n\r\n",
      );
      assert.equal((await ahead.answer()).status, 403);
      await ahead.untilEnded();
      assert.equal(ahead.rest, "", "what was meant for the tunnel is no request");
      using later = await RawClient.connect(proxy.port("egress"));
      later.send("CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: a\r\n\r\n");
      const answer = await later.answer();
      assert.equal(answer.status, 403);
      assert.equal(answer.fields.get("connection"), "close");
      later.send("GET http://only.example/ HTTP/1.1\r\nHost: only.example\r\n\r\n");
      await later.untilEnded();
      assert.equal(later.rest, "");
    },
  );

  test("what cannot be connected to is an error of the proxy, and no tunnel", TIMEOUT, async () => {
    await using proxy = await forwardProxy();
    using client = await RawClient.connect(proxy.port("egress"));
    client.send("CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: a\r\n\r\n");
    const answer = await client.answer();
    assert.equal(answer.status, 502);
    assert.match(answer.fields.get("proxy-status") ?? "", /connection_refused/);
  });

  test("with a body, without a port, or for a name that reads as a number: refused", TIMEOUT, async () => {
    await using proxy = await forwardProxy();
    for (const [head, status] of [
      ["CONNECT a.example:443 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", 400],
      ["CONNECT a.example HTTP/1.1\r\nHost: a\r\n\r\n", 400],
      ["CONNECT 0x7f.1:443 HTTP/1.1\r\nHost: a\r\n\r\n", 400],
    ] as const) {
      using client = await RawClient.connect(proxy.port("egress"));
      assert.equal((await client.send(head).answer()).status, status, head);
    }
  });
});

describe("who may", () => {
  test("without credentials 407 on the same connection, and with them the tunnel", TIMEOUT, async () => {
    await using echo = await EchoServer.start();
    const auth = { basic: { users: { ci: await hash("secret", 4) }, realm: "builds" } };
    await using proxy = await forwardProxy({ auth });
    using client = await RawClient.connect(proxy.port("egress"));
    client.send(`CONNECT ${echo.authority} HTTP/1.1\r\nHost: a\r\n\r\n`);
    const refused = await client.answer();
    assert.equal(refused.status, 407);
    assert.equal(refused.fields.get("proxy-authenticate"), 'Basic realm="builds", charset="UTF-8"');
    assert.match(refused.body, /This proxy asks who you are/);
    for (const [login, status] of [
      ["ci:wrong", 407],
      ["nobody:secret", 407],
      ["ci:secret", 200],
    ] as const) {
      const line = `Proxy-Authorization: Basic ${Buffer.from(login).toString("base64")}\r\n`;
      const { client, status: got } = await connectThrough(proxy.port("egress"), echo.authority, line);
      assert.equal(got, status, login);
      // The same for a name that there is and for one that there is not.
      if (got === 407) await client.untilText("The name or the password is not right.");
      client[Symbol.dispose]();
    }
  });

  test("it does not start where strangers could use it, and says what to add", () => {
    for (const [forward, listen] of [
      [{ allow: undefined }, ":3128"],
      [{ allow: [{ hosts: ["a.example"] }] }, "192.0.2.1:3128"],
      [{ allow: [{ clients: ["10.0.0.0/8"] }, {}] }, "[::]:3128"],
    ] as const) {
      assert.throws(
        () => configOf(forwardConfig(forward, { listen })),
        /would serve everybody who can reach .*clients: \[10\.0\.0\.0\/8\].*auth.*127\.0\.0\.1/,
      );
    }
    configOf(forwardConfig({ allow: [{ clients: ["10.0.0.0/8"], ...ANYWHERE }] }, { listen: ":3128" }));
    configOf(forwardConfig({ allow: undefined }, { listen: "127.0.0.1:3128" }));
  });
});

test("private destinations are refused unless a rule names their network", TIMEOUT, async () => {
  await using proxy = await forwardProxy({
    deny: [{ name: "ads", hosts: ["*.ads.example"] }],
    allow: [{ name: "all", connectPorts: "1-65535", ports: "1-65535" }],
  });
  const addresses = [
    "127.0.0.1",
    "[::1]",
    "169.254.169.254",
    "10.0.0.1",
    "[::ffff:127.0.0.1]",
    "0.0.0.0",
    "[fe80::1]",
    "100.100.100.200",
  ];
  for (const address of [...addresses, "www.ads.example"]) {
    const { client, status } = await connectThrough(proxy.port("egress"), `${address}:443`);
    client[Symbol.dispose]();
    assert.equal(status, 403, address);
  }
});

test(
  "a feature that answers CONNECT with 2xx promises a tunnel that is not there: the exchange fails",
  TIMEOUT,
  async () => {
    const blocked = {
      name: "blocked",
      request: (exchange: Exchange) => void exchange.respond({ status: 200, body: "no" }),
    };
    await using proxy = await forwardProxy({ use: [blocked] });
    using client = await RawClient.connect(proxy.port("egress"));
    client.send("CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert.equal((await client.answer()).status, 500);
    using plain = await RawClient.connect(proxy.port("egress"));
    plain.send("GET http://127.0.0.1:1/ HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n");
    assert.equal((await plain.answer()).body, "no");
  },
);
