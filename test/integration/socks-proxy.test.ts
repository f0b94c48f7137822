// SOCKS5, 4 and 4a on real sockets: the handshake in every form, who may use it, where it goes, what is answered and logged.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { hash } from "@node-rs/bcrypt";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import { encodeConnect } from "../../src/protocol/socks/destination.ts";
import { issueCertificate } from "../support/certificates.ts";
import { curl } from "../support/curl.ts";
import { TestFolder } from "../support/folder.ts";
import { ANYWHERE, EchoServer, forwardConfig, Origin, RawClient } from "../support/forward-stage.ts";
import { freePort } from "../support/free-port.ts";
import { interceptionStage } from "../support/interception-stage.ts";
import { configOf, ProxyUnderTest } from "../support/proxy-under-test.ts";
import { needs } from "../support/requirements.ts";

const TIMEOUT = { timeout: 30_000 };
const CURL = { ...TIMEOUT, skip: needs("curl") };

type Options = Readonly<Record<string, unknown>>;

const SOCKS_LISTEN = { address: "127.0.0.1:0", protocol: "socks" };

async function socksProxy(forward: Options = {}, more: Options = {}): Promise<ProxyUnderTest> {
  return await ProxyUnderTest.start(forwardConfig(forward, { listen: SOCKS_LISTEN, ...more }));
}

/** Runs it with a proxy whose access log is read when that is closed. */
async function linesOf(
  forward: Options,
  run: (proxy: ProxyUnderTest) => Promise<void>,
  more: Options = {},
): Promise<Record<string, unknown>[]> {
  using folder = new TestFolder();
  const output = folder.file("access.log");
  {
    const config = { log: { access: { output } }, ...forwardConfig(forward, { listen: SOCKS_LISTEN, ...more }) };
    await using proxy = await ProxyUnderTest.start(config);
    await run(proxy);
  }
  return folder
    .read("access.log")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

const password = async () => ({ basic: { users: { ci: await hash("secret", 4) } } });

const GREETING = Buffer.of(5, 1, 0);
const GREETING_PASSWORD = Buffer.of(5, 2, 0, 2);
const login = (user: string, secret: string) =>
  Buffer.concat([Buffer.of(1, user.length), Buffer.from(user), Buffer.of(secret.length), Buffer.from(secret)]);
const CONNECTED = "05000001000000000000";

const hex = (text: string) => Buffer.from(text, "latin1").toString("hex");

/** What the proxy has answered once it has ended the connection. */
async function answerTo(port: number, ...messages: readonly Uint8Array[]): Promise<string> {
  using client = await RawClient.connect(port);
  client.send(Buffer.concat(messages));
  await client.untilEnded();
  return hex(client.received);
}

async function untilBytes(client: RawClient, count: number): Promise<string> {
  await client.until(() => client.receivedBytes >= count, `${count} bytes`);
  return hex(client.received);
}

describe("real clients", CURL, () => {
  test("curl by every version, by name and by address", async () => {
    await using origin = await Origin.start((request, response) => response.end(`hello ${request.headers.host}`));
    const lines = await linesOf({}, async (proxy) => {
      const at = `127.0.0.1:${proxy.port("egress")}`;
      for (const option of ["--socks5", "--socks5-hostname", "--socks4", "--socks4a"]) {
        const { output, log, status } = await curl([option, at, `http://localhost:${origin.port}/`]);
        assert.equal(status, 0, `${option}: ${log}`);
        assert.equal(output, `hello localhost:${origin.port}`);
      }
    });
    assert.deepEqual(
      lines.map(({ protocol, method, destination, status }) => [protocol, method, destination, status]),
      [
        ["SOCKS5", "CONNECT", `127.0.0.1:${origin.port}`, 200],
        ["SOCKS5", "CONNECT", `localhost:${origin.port}`, 200],
        ["SOCKS4", "CONNECT", `127.0.0.1:${origin.port}`, 200],
        ["SOCKS4", "CONNECT", `localhost:${origin.port}`, 200],
      ],
    );
    for (const { rule, route, path, requestBytes, responseBytes } of lines) {
      assert.equal(rule, "allow[0]");
      assert.equal(route, "egress.forward");
      assert.equal(path, undefined, "a tunnel has none");
      assert.ok(Number(requestBytes) > 0 && Number(responseBytes) > 0);
    }
  });

  test("user and password are asked for and tell the log who it was; SOCKS4 cannot prove anything", async () => {
    await using origin = await Origin.start((_request, response) => response.end("ok"));
    const url = `http://127.0.0.1:${origin.port}/`;
    const lines = await linesOf({ auth: await password() }, async (proxy) => {
      const at = `127.0.0.1:${proxy.port("egress")}`;
      const run = async (...args: string[]) => (await curl([...args, url])).status;
      assert.equal(await run("--proxy", `socks5h://ci:secret@${at}`), 0);
      assert.equal(await run("--proxy", `socks5://ci:wrong@${at}`), 97);
      assert.equal(await run("--proxy", `socks5://nobody:secret@${at}`), 97);
      assert.equal(await run("--socks5", at), 97);
      assert.equal(await run("--proxy", `socks4://ci:secret@${at}`), 97);
      assert.equal(await run("--proxy", `socks4a://ci@${at}`), 97);
    });
    assert.deepEqual(
      lines.map(({ user, status, protocol, error }) => [user, status, protocol, (error as Options)?.reason]),
      [
        ["ci", 200, "SOCKS5", undefined],
        [undefined, 407, "SOCKS5", "password_wrong"],
        [undefined, 407, "SOCKS5", "password_wrong"],
        [undefined, 407, "SOCKS5", undefined],
        [undefined, 407, "SOCKS4", undefined],
        [undefined, 407, "SOCKS4", undefined],
      ],
    );
    assert.equal(JSON.stringify(lines).includes("secret"), false);
  });

  test("what is intercepted inside is an exchange of HTTP, of the user who came in by SOCKS", async () => {
    const seen: string[] = [];
    const noting = {
      name: "noting",
      log({ request, connection, forward }: Exchange) {
        seen.push(`${connection.protocol ?? "HTTP"} ${request.method} ${forward?.user?.subject}`);
      },
    };
    await using stage = await interceptionStage((_request, response) => response.end("seen"), {
      forward: { auth: await password(), allow: [{ ...ANYWHERE, users: ["ci"] }], use: [noting] },
      listen: SOCKS_LISTEN,
    });
    const proxy = `socks5h://ci:secret@127.0.0.1:${stage.port}`;
    const url = `https://origin.example:${stage.origin.port}/`;
    const { output, log } = await curl(["--proxy", proxy, "--cacert", stage.folder.file("ca.pem"), url]);
    assert.equal(output, "seen", log);
    assert.deepEqual(seen.sort(), ["HTTP GET ci", "SOCKS5 CONNECT ci"]);
  });

  test("one that takes the address for HTTP is told what it is", async () => {
    await using proxy = await socksProxy();
    const { output, log } = await curl(["--include", `http://127.0.0.1:${proxy.port("egress")}/`]);
    assert.match(output, /^HTTP\/1\.1 400 Bad Request\r\n[\s\S]*speaks SOCKS, not HTTP/, log);
  });
});

test("SOCKS at an address for HTTP is refused at once, and the log says what it was", TIMEOUT, async () => {
  const lines = await linesOf(
    {},
    async (proxy) => {
      assert.match(Buffer.from(await answerTo(proxy.port("egress"), GREETING), "hex").toString(), /^HTTP\/1\.1 400 /);
    },
    { listen: "127.0.0.1:0" },
  );
  assert.match((lines[0]!.error as { message: string }).message, /SOCKS greeting .* `protocol: socks`/);
});

describe("the handshake", TIMEOUT, () => {
  test("byte by byte, and all at once with what is meant for the tunnel", async () => {
    await using echo = await EchoServer.start();
    await using proxy = await socksProxy({ auth: await password() });
    const request = encodeConnect("localhost", echo.port)!;
    const all = Buffer.concat([GREETING_PASSWORD, login("ci", "secret"), request, Buffer.from("ahead")]);
    const expected = `05020100${CONNECTED}${hex("ahead")}`;
    using whole = await RawClient.connect(proxy.port("egress"));
    whole.send(all);
    assert.equal(await untilBytes(whole, expected.length / 2), expected);
    using pieces = await RawClient.connect(proxy.port("egress"));
    pieces.socket.setNoDelay(true);
    for (const byte of all) {
      await new Promise((resolve) => pieces.socket.write(Buffer.of(byte), resolve));
    }
    assert.equal(await untilBytes(pieces, expected.length / 2), expected);
    pieces.send("and more");
    await pieces.untilText("and more");
    pieces.socket.end();
    await pieces.untilEnded();
    whole.socket.end();
    await whole.untilEnded();
    await proxy.untilConnections(0);
  });

  test("much that is sent ahead arrives whole", async () => {
    await using echo = await EchoServer.start();
    await using proxy = await socksProxy();
    using client = await RawClient.connect(proxy.port("egress"));
    client.keep = false;
    const ahead = Buffer.alloc(8 << 20, "x");
    client.send(Buffer.concat([GREETING, encodeConnect("127.0.0.1", echo.port)!, ahead]));
    await client.until(() => client.receivedBytes === 2 + 10 + ahead.length, "all of it");
  });

  test("one that stands still is ended by the deadline for heads, and logged when it had begun", async () => {
    // All at the same time: each has a second for what it sends, of which a busy machine may need some.
    const limits = { headTimeout: "1s" };
    const lines = await linesOf(
      { auth: await password() },
      async (proxy) => {
        const answers = [
          [],
          [Buffer.of(5)],
          [GREETING_PASSWORD, Buffer.of(1, 2)],
          [GREETING_PASSWORD, login("ci", "secret")],
        ].map((messages) => answerTo(proxy.port("egress"), ...messages));
        assert.deepEqual(await Promise.all(answers), ["", "", "0502", "05020100"]);
      },
      { limits },
    );
    assert.deepEqual(
      lines.map(({ status, method }) => [status, method]),
      [408, 408, 408].map((status) => [status, "-"]),
    );
  });

  test("what is no request gets its reply code, and the connection ends", async () => {
    const lines = await linesOf({}, async (proxy) => {
      const port = proxy.port("egress");
      const refused = (code: string) => `0500${code.replace(/^/, "05")}0001000000000000`;
      assert.equal(await answerTo(port, GREETING, Buffer.of(5, 2, 0, 1, 127, 0, 0, 1, 0, 80)), refused("07"), "BIND");
      assert.equal(await answerTo(port, GREETING, Buffer.of(5, 3, 0, 1, 0, 0, 0, 0, 0, 80)), refused("07"), "UDP");
      assert.equal(await answerTo(port, GREETING, Buffer.of(5, 1, 0, 2, 1)), refused("08"));
      assert.equal(await answerTo(port, Buffer.of(4, 2, 0, 80, 127, 0, 0, 1, 0)), "005b000000000000", "BIND of SOCKS4");
      assert.equal(await answerTo(port, Buffer.of(5, 1, 2)), "05ff", "only with a password, which nobody is asked for");
      assert.equal(await answerTo(port, Buffer.of(7, 7, 7)), "");
    });
    assert.deepEqual(
      lines.map(({ status }) => status),
      [400, 400, 400, 400, 407, 400],
    );
    assert.match((lines[0]!.error as { message: string }).message, /the command is not CONNECT/);
  });

  test("a client that leaves in the middle leaves nothing behind", async () => {
    await using proxy = await socksProxy({ auth: await password() });
    for (const bytes of [Buffer.of(5), GREETING_PASSWORD, Buffer.concat([GREETING_PASSWORD, login("ci", "wrong")])]) {
      using client = await RawClient.connect(proxy.port("egress"));
      client.send(bytes);
      await client.until(() => bytes.length === 1 || client.receivedBytes > 0, "the method");
      client.reset();
    }
    await proxy.untilConnections(0);
  });
});

describe("where it goes", TIMEOUT, () => {
  test("private destinations, by name and by address, and what rules refuse: not allowed", async () => {
    const forward = {
      deny: [{ name: "ads", hosts: ["*.ads.example"] }],
      allow: [{ name: "web", connectPorts: "1-65535" }],
    };
    const refused = ["127.0.0.1", "localhost", "::1", "169.254.169.254", "10.0.0.1", "::ffff:127.0.0.1", "0.0.0.0"];
    const lines = await linesOf(forward, async (proxy) => {
      const port = proxy.port("egress");
      for (const host of [...refused, "www.ads.example"]) {
        assert.equal(await answerTo(port, GREETING, encodeConnect(host, 443)!), "050005020001000000000000", host);
      }
      const socks4 = Buffer.of(4, 1, 1, 187, 127, 0, 0, 1, 0);
      assert.equal(await answerTo(port, socks4), "005b000000000000");
      const named = Buffer.concat([Buffer.of(4, 1, 1, 187, 0, 0, 0, 1, 0), Buffer.from("localhost\0")]);
      assert.equal(await answerTo(port, named), "005b000000000000");
      // A name that some programs read as an address is none at all.
      const decimal = Buffer.concat([Buffer.of(5, 1, 0, 3, 10), Buffer.from("2130706433"), Buffer.of(1, 187)]);
      assert.equal(await answerTo(port, GREETING, decimal), "050005010001000000000000");
    });
    const reasons = lines.map(({ error }) => (error as { reason?: string }).reason);
    assert.deepEqual(
      reasons.slice(0, refused.length),
      refused.map(() => "private_destination"),
    );
    assert.deepEqual(reasons.slice(refused.length), [
      "rule_denied",
      "private_destination",
      "private_destination",
      "ambiguous_host",
    ]);
    assert.equal(lines[refused.length]!.rule, "ads");
  });

  test("tunnels may go to `connectPorts`, whatever `ports` says", async () => {
    await using proxy = await socksProxy({ allow: [{ ...ANYWHERE, connectPorts: 443 }] });
    const port = proxy.port("egress");
    assert.equal(await answerTo(port, GREETING, encodeConnect("127.0.0.1", 80)!), "050005020001000000000000");
  });

  test("what cannot be connected to: connection refused", async () => {
    await using proxy = await socksProxy();
    const port = proxy.port("egress");
    assert.equal(await answerTo(port, GREETING, encodeConnect("127.0.0.1", 1)!), "050005050001000000000000");
  });

  test("rules with users let in who has proved it, and nobody else", async () => {
    await using echo = await EchoServer.start();
    await using proxy = await socksProxy({
      auth: { ...(await password()), optional: true },
      allow: [{ ...ANYWHERE, users: ["ci"] }],
    });
    const port = proxy.port("egress");
    const request = encodeConnect("127.0.0.1", echo.port)!;
    assert.equal(await answerTo(port, GREETING, request), "050005020001000000000000");
    using client = await RawClient.connect(port);
    client.send(Buffer.concat([GREETING_PASSWORD, login("ci", "secret"), request]));
    assert.equal(await untilBytes(client, 14), `05020100${CONNECTED}`);
  });

  test("what a feature answers in place of the tunnel is no tunnel", async () => {
    for (const [status, code] of [
      [403, "02"],
      [200, "01"],
      [302, "01"],
    ] as const) {
      const answering = {
        name: "answering",
        request: (exchange: { respond(answer: object): void }) =>
          exchange.respond({ status, body: "x".repeat(99_999) }),
      };
      await using proxy = await socksProxy({ use: [answering] });
      const answer = await answerTo(proxy.port("egress"), GREETING, encodeConnect("127.0.0.1", 443)!);
      assert.equal(answer, `050005${code}0001000000000000`);
    }
  });
});

test("in TLS", TIMEOUT, async () => {
  using folder = new TestFolder();
  const { cert, key } = issueCertificate({ names: ["socks.example"] });
  const certificates = [{ cert: folder.write("a.pem", cert), key: folder.write("a.key", key) }];
  await using echo = await EchoServer.start();
  await using proxy = await socksProxy({}, { listen: { ...SOCKS_LISTEN, tls: { certificates } } });
  const tls = { ca: cert, servername: "socks.example" };
  using client = await RawClient.connect({ port: proxy.port("egress"), tls });
  client.send(Buffer.concat([GREETING, encodeConnect("127.0.0.1", echo.port)!, Buffer.from("ahead")]));
  await client.untilText("ahead");
});

describe("reload and drain", TIMEOUT, () => {
  test("tunnels go on through a reload, and past one that makes the address speak HTTP", async () => {
    await using echo = await EchoServer.start();
    const port = await freePort();
    const address = `127.0.0.1:${port}`;
    await using proxy = await socksProxy({}, { listen: { ...SOCKS_LISTEN, address } });
    using client = await RawClient.connect(port);
    client.send(Buffer.concat([GREETING, encodeConnect("127.0.0.1", echo.port)!]));
    await untilBytes(client, 12);
    const denied = { allow: [{ hosts: ["only.example"] }] };
    await proxy.reload(forwardConfig(denied, { listen: { ...SOCKS_LISTEN, address } }));
    client.send("still");
    await client.untilText("still");
    assert.equal(
      await answerTo(port, GREETING, encodeConnect("127.0.0.1", echo.port)!),
      "050005020001000000000000",
      "by the new rules",
    );
    await proxy.reload(forwardConfig({}, { listen: address, routes: [{ respond: { body: "own" } }] }));
    client.send("and on");
    await client.untilText("and on");
    using other = await RawClient.connect(port);
    assert.equal((await other.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").answer()).body, "own");
  });

  test("draining closes who has said nothing, and cuts tunnels in the end", async () => {
    await using echo = await EchoServer.start();
    await using proxy = await socksProxy();
    using idle = await RawClient.connect(proxy.port("egress"));
    using client = await RawClient.connect(proxy.port("egress"));
    client.send(Buffer.concat([GREETING, encodeConnect("127.0.0.1", echo.port)!]));
    await untilBytes(client, 12);
    const closed = proxy.server.close(60_000);
    await idle.untilEnded();
    client.send("still");
    await client.untilText("still");
    proxy.server.destroy();
    await client.untilClosed();
    await closed;
  });
});

test("an address for SOCKS needs `forward`", () => {
  assert.throws(
    () => configOf({ servers: { web: { listen: [":80", { address: ":1080", protocol: "socks" }], respond: 204 } } }),
    /servers\.web\.listen\[1\]\.protocol: needs "forward"/,
  );
});
