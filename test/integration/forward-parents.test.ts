// Requests and tunnels of a forward proxy that go through a proxy of somebody else: what that one is asked, what its answers mean, and
// which one is tried next.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import { Authority, issueCertificate } from "../support/certificates.ts";
import { TestFolder } from "../support/folder.ts";
import { connectThrough, EchoServer, forwardConfig, forwardProxy } from "../support/forward-stage.ts";
import { freePort } from "../support/free-port.ts";
import { Origin } from "../support/origin.ts";
import { answersWith, onceHead, ScriptedParent, SocksParent, tunnelTo } from "../support/parents.ts";
import { ProxyUnderTest } from "../support/proxy-under-test.ts";
import { RawClient } from "../support/raw-client.ts";

const TIMEOUT = { timeout: 30_000 };
const LOGIN = "us%20er:s%2Fcret";
const BASIC = `Basic ${Buffer.from("us er:s/cret").toString("base64")}`;
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/** Names that nobody here may ask for: the parent resolves them. */
const ALLOW = { hosts: ["*.test"], ports: "1-65535", connectPorts: "1-65535" };

/** A proxy whose access log a test can read once it has closed. */
async function logging(folder: TestFolder, forward: object): Promise<ProxyUnderTest> {
  const log = { access: { format: "json", output: folder.file("access.log") } };
  return await ProxyUnderTest.start({ log, ...forwardConfig({ allow: [ALLOW], ...forward }) });
}

interface Line {
  readonly via?: string;
  readonly rule?: string;
  readonly status: number;
  readonly upstreamAddress?: string;
  readonly destination: string;
  readonly error?: { readonly message: string };
}

function linesOf(folder: TestFolder): readonly Line[] {
  const text = folder.read("access.log").trim();
  return text === "" ? [] : text.split("\n").map((line) => JSON.parse(line) as Line);
}

async function get(port: number, url: string, lines = ""): Promise<{ readonly status: number; readonly body: string }> {
  using client = await RawClient.connect(port);
  client.send(`GET ${url} HTTP/1.1\r\nHost: ${new URL(url).host}\r\n${lines}\r\n`);
  return await client.answer();
}

describe("through an HTTP proxy", () => {
  test(
    "requests are in absolute form, on a connection that is kept, with its credentials and no others",
    TIMEOUT,
    async () => {
      await using parent = await ScriptedParent.start((socket, received) => {
        if (received.endsWith("\r\n\r\n")) socket.write(OK);
      });
      using folder = new TestFolder();
      {
        await using proxy = await logging(folder, { via: [{ proxy: parent.url(LOGIN) }] });
        using client = await RawClient.connect(proxy.port("egress"));
        for (const url of ["http://a.test/x?y=1", "http://b.test:8080/", "http://b.test:8080"]) {
          client.send(
            `GET ${url} HTTP/1.1\r\nHost: ${new URL(url).host}\r\nProxy-Authorization: Basic Y2xpZW50OngK\r\n\r\n`,
          );
          assert.equal((await client.answer()).body, "ok");
        }
        client.send("OPTIONS http://b.test:8080 HTTP/1.1\r\nHost: b.test:8080\r\n\r\n");
        assert.equal((await client.answer()).body, "ok");
        using old = await RawClient.connect(proxy.port("egress"));
        assert.equal((await old.send("GET http://c.test/ HTTP/1.0\r\n\r\n").answer()).status, 200);
      }
      assert.equal(parent.accepted, 1, "requests for all origins share connections to the proxy");
      const heads = parent.received[0]!.split("\r\n\r\n").slice(0, -1);
      const lineOf = (head: string) => head.slice(0, head.indexOf("\r\n"));
      assert.deepEqual(heads.map(lineOf), [
        "GET http://a.test/x?y=1 HTTP/1.1",
        "GET http://b.test:8080/ HTTP/1.1",
        "GET http://b.test:8080/ HTTP/1.1",
        "OPTIONS http://b.test:8080 HTTP/1.1",
        "GET http://c.test/ HTTP/1.1",
      ]);
      for (const head of heads) {
        assert.deepEqual(head.match(/^proxy-authorization: .*$/gim), [`Proxy-Authorization: ${BASIC}`]);
        assert.match(head, /^via: 1\.[01] headgate-/im);
        assert.match(head, /^host: /im);
      }
      const lines = linesOf(folder);
      assert.equal(lines.length, 5);
      for (const line of lines) {
        assert.equal(line.via, `http://127.0.0.1:${parent.port}`);
        assert.equal(line.upstreamAddress, `127.0.0.1:${parent.port}`);
        assert.equal(line.rule, "allow[0]");
      }
      assert.doesNotMatch(folder.read("access.log"), /cret|dXMg/);
    },
  );

  test("a tunnel is asked for by CONNECT, and what comes early is the client's", TIMEOUT, async () => {
    await using parent = await ScriptedParent.start((socket, received) => {
      if (received.endsWith("\r\n\r\n")) {
        socket.write("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
        socket.write("HTTP/1.1 200 Fine\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n220 early ");
      } else if (received.endsWith("EHLO")) socket.write("250 ok");
    });
    using folder = new TestFolder();
    {
      await using proxy = await logging(folder, { via: [{ proxy: parent.url(LOGIN) }] });
      const { client, status } = await connectThrough(
        proxy.port("egress"),
        "mail.test:25",
        "Via: 1.0 before\r\nX-A: 1\r\n",
      );
      assert.equal(status, 200);
      await client.untilText("220 early ");
      client.send("EHLO");
      await client.untilText("250 ok");
      assert.doesNotMatch(client.received, /content-length|transfer-encoding|Link/i);
      client[Symbol.dispose]();
    }
    const [head] = parent.received;
    assert.match(
      head!,
      /^CONNECT mail\.test:25 HTTP\/1\.1\r\nHost: mail\.test:25\r\nVia: 1\.0 before, 1\.1 headgate-\w+\r\nProxy-Authorization: .+\r\n\r\nEHLO$/,
    );
    const [line] = linesOf(folder);
    assert.deepEqual([line!.via, line!.status], [`http://127.0.0.1:${parent.port}`, 200]);
  });

  test("its credentials are those of the rule, whatever a feature has put there", TIMEOUT, async () => {
    await using parent = await ScriptedParent.start(answersWith(OK));
    const upstreamRequest = ({ request }: Exchange) => request.fields.set("Proxy-Authorization", "Basic b3RoZXI6");
    const use = [
      { headers: { request: { set: { "proxy-authorization": "Basic b3RoZXI6" } } } },
      { name: "other", upstreamRequest },
    ];
    await using proxy = await forwardProxy({ allow: [ALLOW], use, via: [{ proxy: parent.url(LOGIN) }] });
    assert.equal((await get(proxy.port("egress"), "http://a.test/")).body, "ok");
    assert.deepEqual(parent.received[0]!.match(/^proxy-authorization: .*$/gim), [`Proxy-Authorization: ${BASIC}`]);
  });

  test("WebSocket passes", TIMEOUT, async () => {
    await using parent = await ScriptedParent.start((socket, received) => {
      if (received.endsWith("\r\n\r\n")) {
        socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi");
      } else socket.write("there");
    });
    await using proxy = await forwardProxy({ allow: [ALLOW], via: [{ proxy: parent.url() }] });
    using client = await RawClient.connect(proxy.port("egress"));
    client.send("GET http://a.test/ws HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    await client.untilText("hi");
    await client.send("and").untilText("there");
    assert.match(parent.received[0]!, /^GET http:\/\/a\.test\/ws HTTP/);
  });

  test(
    "an https origin is verified by its own name, inside the tunnel, and its connections are kept",
    TIMEOUT,
    async () => {
      const authority = new Authority();
      using folder = new TestFolder();
      const ca = folder.write("ca.pem", authority.cert);
      const tls = issueCertificate({ names: ["secure.test"], issuer: authority });
      await using origin = await Origin.start(
        (request, response) => response.end(`${request.headers.host} ${request.url}`),
        { tls },
      );
      await using parent = await ScriptedParent.start(tunnelTo(origin.port));
      await using proxy = await forwardProxy({ allow: [ALLOW], via: [{ proxy: parent.url() }], tls: { ca } });
      for (let count = 0; count < 2; count++) {
        const { body } = await get(proxy.port("egress"), "https://secure.test/x");
        assert.equal(body, "secure.test /x");
      }
      assert.equal(parent.accepted, 1);
      assert.match(parent.received[0]!, /^CONNECT secure\.test:443 HTTP/);
      assert.equal((await get(proxy.port("egress"), "https://other.test/")).status, 502, "not its certificate");
      assert.equal(parent.accepted, 2);
    },
  );

  test("over TLS, verified by the rule's authorities", TIMEOUT, async () => {
    const authority = new Authority();
    using folder = new TestFolder();
    const ca = folder.write("ca.pem", authority.cert);
    const origins = new Authority();
    const secure = issueCertificate({ names: ["secure.test"], issuer: origins });
    await using echo = await EchoServer.start();
    await using origin = await Origin.start((_request, response) => response.end("inside"), { tls: secure });
    const identity = issueCertificate({ names: ["127.0.0.1"], issuer: authority });
    const script = onceHead((socket, head) => {
      if (head.startsWith("GET")) socket.write(OK);
      else tunnelTo(head.includes("secure") ? origin.port : echo.port)(socket, head);
    });
    await using parent = await ScriptedParent.start(script, { cert: identity.cert, key: identity.key });
    const forward = { allow: [ALLOW], tls: { ca: folder.write("origins.pem", origins.cert) } };
    await using proxy = await forwardProxy({ ...forward, via: [{ proxy: parent.url(LOGIN), tls: { ca } }] });
    assert.equal((await get(proxy.port("egress"), "http://a.test/")).body, "ok");
    const { client } = await connectThrough(proxy.port("egress"), "echo.test:7");
    await client.send("through TLS").untilText("through TLS");
    client[Symbol.dispose]();
    assert.equal((await get(proxy.port("egress"), "https://secure.test/")).body, "inside", "TLS in TLS");
    await using doubting = await forwardProxy({ ...forward, via: [{ proxy: parent.url() }] });
    const refused = await get(doubting.port("egress"), "http://a.test/");
    assert.equal(refused.status, 502);
    assert.match(refused.body, /The next proxy on the way to the server cannot be reached/);
  });
});

describe("what a proxy answers instead", () => {
  const huge = `HTTP/1.1 200 OK\r\nX: ${"x".repeat(40_000)}\r\n\r\n`;
  const cases: readonly (readonly [string, string, boolean, number, RegExp])[] = [
    [
      "407",
      "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
      false,
      502,
      /refuses our credentials/,
    ],
    ["403", "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", false, 403, /answered CONNECT with 403/],
    [
      "302",
      "HTTP/1.1 302 Found\r\nLocation: http://login/\r\nContent-Length: 0\r\n\r\n",
      false,
      502,
      /answered CONNECT with 302/,
    ],
    ["404", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", false, 502, /answered CONNECT with 404/],
    ["503", "HTTP/1.1 503 Unavailable\r\nContent-Length: 0\r\n\r\n", false, 503, /answered CONNECT with 503/],
    ["504", "HTTP/1.0 504 Gateway Timeout\r\nContent-Length: 0\r\n\r\n", false, 504, /answered CONNECT with 504/],
    ["101", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", false, 502, /answered CONNECT with 101/],
    ["nothing, and closes", "", true, 502, /closed the connection without an answer/],
    ["half a head, and closes", "HTTP/1.1 200 OK\r\n", true, 502, /closed the connection without an answer/],
    ["garbage", "SSH-2.0-OpenSSH_9.2\r\n", false, 502, /response refused/],
    ["a huge head", huge, false, 502, /response refused/],
    ["interim answers without end", "HTTP/1.1 100 Continue\r\n\r\n".repeat(30), false, 502, /interim/],
    ["a status that is none", "HTTP/1.1 2000 OK\r\n\r\n", false, 502, /response refused/],
  ];
  for (const [name, answer, isEnd, status, says] of cases) {
    test(name, TIMEOUT, async () => {
      await using parent = await ScriptedParent.start(answersWith(answer, isEnd));
      using folder = new TestFolder();
      {
        await using proxy = await logging(folder, { via: [{ proxy: parent.url(LOGIN) }] });
        using client = await RawClient.connect(proxy.port("egress"));
        client.send("CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n");
        const got = await client.answer();
        assert.equal(got.status, status);
        assert.equal(got.fields.get("proxy-authenticate"), undefined);
        await parent.until(() => parent.sockets.size === 0);
        using another = await RawClient.connect(proxy.port("egress"));
        another.send("GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n");
        const plain = (await another.answer()).status;
        assert.notEqual(plain, 407, "a client never sees the parent's question");
        if (name === "407") {
          assert.equal(plain, 502);
          assert.match(got.body, /The next proxy on the way to the server does not serve this one/);
        }
      }
      const [line] = linesOf(folder);
      assert.match(line!.error!.message, says);
      assert.match(line!.error!.message, /^proxy http:\/\/127\.0\.0\.1:\d+: /);
      assert.equal(line!.via, `http://127.0.0.1:${parent.port}`);
      assert.doesNotMatch(folder.read("access.log"), /cret|dXMg/);
    });
  }

  test("nothing at all: an error in time, and the connection is closed", TIMEOUT, async () => {
    await using parent = await ScriptedParent.start(() => {});
    await using proxy = await forwardProxy({
      allow: [ALLOW],
      via: [{ proxy: parent.url() }],
      timeouts: { connect: "100ms" },
    });
    const { client, status } = await connectThrough(proxy.port("egress"), "a.test:443");
    client[Symbol.dispose]();
    assert.equal(status, 504);
    await parent.until(() => parent.sockets.size === 0);
  });

  test("nothing yet, and the client leaves: the connection is closed", TIMEOUT, async () => {
    await using parent = await ScriptedParent.start(() => {});
    await using proxy = await forwardProxy({ allow: [ALLOW], via: [{ proxy: parent.url() }] });
    const client = await RawClient.connect(proxy.port("egress"));
    client.send("CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n");
    await parent.until(() => parent.received.length === 1 && parent.received[0] !== "");
    client.reset();
    await parent.until(() => parent.sockets.size === 0);
    await proxy.untilConnections(0);
  });
});

describe("through a SOCKS proxy", () => {
  test(
    "names are its own to resolve, requests are the origin's, on connections that are kept by origin",
    TIMEOUT,
    async () => {
      await using origin = await Origin.start((request, response) => response.end(`${request.method} ${request.url}`));
      await using parent = await SocksParent.start({ authentication: "required", password: "s/cret" });
      using folder = new TestFolder();
      {
        await using proxy = await logging(folder, { via: [{ proxy: parent.url(LOGIN) }] });
        for (const name of ["a.test", "a.test", "b.test"]) {
          const { body } = await get(proxy.port("egress"), `http://${name}:${origin.port}/x`);
          assert.equal(body, "GET /x");
        }
        await using echo = await EchoServer.start();
        const { client, status } = await connectThrough(proxy.port("egress"), `c.test:${echo.port}`);
        assert.equal(status, 200);
        await client.send("echo").untilText("echo");
        client[Symbol.dispose]();
        const gone = await connectThrough(proxy.port("egress"), "d.test:1");
        gone.client[Symbol.dispose]();
        assert.equal(gone.status, 502);
      }
      const { port } = origin;
      assert.deepEqual(parent.asked.slice(0, 2), [`a.test:${port}`, `b.test:${port}`]);
      assert.deepEqual([...new Set(parent.users)], ["us er"]);
      assert.equal(
        parent.asked.filter((asked) => asked === "d.test:1").length,
        1,
        "what it has refused is not asked again",
      );
      const last = linesOf(folder).at(-1)!;
      assert.match(last.error!.message, /^proxy socks5:\/\/127\.0\.0\.1:\d+: .*connection refused/);
      assert.equal(last.via, `socks5://127.0.0.1:${parent.port}`);
      assert.doesNotMatch(folder.read("access.log"), /s\/cret/);
    },
  );

  test("wrong credentials, and a server that is none", TIMEOUT, async () => {
    await using parent = await SocksParent.start({ authentication: "required", password: "other" });
    await using web = await ScriptedParent.start((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
    using folder = new TestFolder();
    {
      const via = [
        { hosts: ["a.test"], proxy: parent.url(LOGIN) },
        { hosts: ["b.test"], proxy: parent.url() },
        { proxy: `socks5://127.0.0.1:${web.port}` },
      ];
      await using proxy = await logging(folder, { via });
      for (const name of ["a.test", "b.test", "c.test"]) {
        const { client, status } = await connectThrough(proxy.port("egress"), `${name}:443`);
        client[Symbol.dispose]();
        assert.equal(status, 502, name);
      }
    }
    const messages = linesOf(folder).map(({ error }) => error!.message);
    assert.match(messages[0]!, /does not accept the configured user and password/);
    assert.match(messages[1]!, /accepts none of the offered authentications/);
    assert.match(messages[2]!, /does not speak SOCKS5/);
  });
});

describe("which way", () => {
  test("the first rule that has the host and the port; what none has goes direct", TIMEOUT, async () => {
    const named = (name: string) => answersWith(`HTTP/1.1 200 OK\r\nContent-Length: ${name.length}\r\n\r\n${name}`);
    await using one = await ScriptedParent.start(named("one"));
    await using two = await ScriptedParent.start(named("two"));
    await using origin = await Origin.start((_request, response) => response.end("direct"));
    const networks = ["127.0.0.0/8"];
    const allow = [{ networks, ports: "1-65535", connectPorts: "1-65535" }, ALLOW];
    const via = [
      { hosts: ["*.one.test"], ports: "8000-8999", proxy: one.url() },
      { hosts: ["*.test"], proxy: two.url() },
    ];
    await using proxy = await forwardProxy({ allow, via });
    const port = proxy.port("egress");
    assert.equal((await get(port, "http://a.one.test:8080/")).body, "one");
    assert.equal((await get(port, "http://a.one.test/")).body, "two");
    assert.equal((await get(port, `http://127.0.0.1:${origin.port}/`)).body, "direct");
    await proxy.reload(forwardConfig({ allow, via: [{ ports: 1, proxy: one.url() }, "direct", { proxy: two.url() }] }));
    const later = proxy.port("egress");
    assert.equal((await get(later, `http://127.0.0.1:${origin.port}/`)).body, "direct");
  });

  test("an address that no rule allows is refused, whoever would connect to it", TIMEOUT, async () => {
    await using parent = await ScriptedParent.start(tunnelTo(1));
    await using proxy = await forwardProxy({
      allow: [{ ports: "1-65535", connectPorts: "1-65535" }],
      via: [{ proxy: parent.url() }],
    });
    for (const host of ["127.0.0.1", "169.254.169.254", "[::1]", "10.0.0.1"]) {
      const { client, status } = await connectThrough(proxy.port("egress"), `${host}:443`);
      client[Symbol.dispose]();
      assert.equal(status, 403, host);
      assert.equal((await get(proxy.port("egress"), `http://${host}/`)).status, 403);
    }
    assert.equal(parent.accepted, 0);
  });
});

describe("several proxies in one rule", () => {
  test("the next one is tried when one cannot be reached, which is left out for a while", TIMEOUT, async () => {
    await using echo = await EchoServer.start();
    await using backup = await ScriptedParent.start(
      onceHead((socket, head) => (head.startsWith("GET") ? socket.write(OK) : tunnelTo(echo.port)(socket, head))),
    );
    await using silent = await ScriptedParent.start((socket) => socket.end());
    const dead = await freePort();
    using folder = new TestFolder();
    {
      const proxies = [`http://127.0.0.1:${dead}`, silent.url(), backup.url()];
      await using proxy = await logging(folder, { via: [{ proxy: proxies }] });
      const { client } = await connectThrough(proxy.port("egress"), "echo.test:7");
      await client.send("to the third").untilText("to the third");
      client[Symbol.dispose]();
      assert.equal(silent.accepted, 1);
      assert.equal((await get(proxy.port("egress"), "http://a.test/")).body, "ok");
      assert.equal(silent.accepted, 1, "it is left out for a while");
    }
    assert.deepEqual(
      linesOf(folder).map(({ via, status }) => [via, status]),
      [
        [`http://127.0.0.1:${backup.port}`, 200],
        [`http://127.0.0.1:${backup.port}`, 200],
      ],
    );
  });

  test("a body that was not sent anywhere goes to the next one", TIMEOUT, async () => {
    await using backup = await ScriptedParent.start((socket, received) => {
      if (received.endsWith("body")) socket.write(OK);
    });
    const proxies = [`http://127.0.0.1:${await freePort()}`, backup.url()];
    await using proxy = await forwardProxy({ allow: [ALLOW], via: [{ proxy: proxies }] });
    using client = await RawClient.connect(proxy.port("egress"));
    client.send("POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\nbody");
    assert.equal((await client.answer()).body, "ok");
  });

  test("one that has answered has decided: its refusal is the answer", TIMEOUT, async () => {
    await using first = await ScriptedParent.start(answersWith("HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n"));
    await using second = await ScriptedParent.start(answersWith(OK));
    await using proxy = await forwardProxy({ allow: [ALLOW], via: [{ proxy: [first.url(), second.url()] }] });
    const { client, status } = await connectThrough(proxy.port("egress"), "a.test:443");
    client[Symbol.dispose]();
    assert.equal(status, 502);
    assert.equal((await get(proxy.port("egress"), "http://a.test/")).status, 502);
    assert.equal(second.accepted, 0);
  });

  test("when none can be reached, the error tells of each", TIMEOUT, async () => {
    await using silent = await ScriptedParent.start((socket) => socket.end());
    const dead = await freePort();
    using folder = new TestFolder();
    {
      await using proxy = await logging(folder, { via: [{ proxy: [`http://x:y@127.0.0.1:${dead}`, silent.url()] }] });
      const { client, status } = await connectThrough(proxy.port("egress"), "a.test:443");
      client[Symbol.dispose]();
      assert.equal(status, 502);
      assert.equal((await get(proxy.port("egress"), "https://a.test/")).status, 502);
    }
    for (const { error } of linesOf(folder)) {
      assert.match(
        error!.message,
        new RegExp(`proxy http://127.0.0.1:${dead}: .*; proxy http://127.0.0.1:${silent.port}: `),
      );
    }
  });
});
