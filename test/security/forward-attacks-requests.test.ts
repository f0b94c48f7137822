// Attacks by the form of a request: what two servers could read in two ways, what is smuggled behind or within CONNECT, heads that
// are too large, too slow or never end, and requests that go round in circles. Each is refused or bounded, and logged.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { AttackedProxy, assertRefused, EVERY_PORT } from "../support/forward-attack.ts";
import { ANYWHERE, EchoServer } from "../support/forward-stage.ts";
import { Origin } from "../support/origin.ts";
import { RawClient } from "../support/raw-client.ts";

const TIMEOUT = { timeout: 120_000 };

describe("CONNECT that is not one", () => {
  /** After the authority of a server that would be reached. */
  const heads: readonly [what: string, head: (authority: string) => string, status: number, reason: RegExp][] = [
    [
      "a length",
      (a) => `CONNECT ${a} HTTP/1.1\r\nHost: ${a}\r\nContent-Length: 5\r\n\r\nhello`,
      400,
      /announces a body/,
    ],
    [
      "chunks",
      (a) => `CONNECT ${a} HTTP/1.1\r\nHost: ${a}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      400,
      /announces a body/,
    ],
    [
      "both",
      (a) => `CONNECT ${a} HTTP/1.1\r\nHost: ${a}\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n`,
      400,
      /./,
    ],
    [
      "two lengths",
      (a) => `CONNECT ${a} HTTP/1.1\r\nHost: ${a}\r\nContent-Length: 0\r\nContent-Length: 1\r\n\r\n`,
      400,
      /./,
    ],
    ["a hidden coding", (a) => `CONNECT ${a} HTTP/1.1\r\nHost: ${a}\r\nTransfer-Encoding : chunked\r\n\r\n`, 400, /./],
    ["another coding", (a) => `CONNECT ${a} HTTP/1.1\r\nHost: ${a}\r\nTransfer-Encoding: xchunked\r\n\r\n`, 400, /./],
    ["an absolute URL", (a) => `CONNECT http://${a}/ HTTP/1.1\r\nHost: ${a}\r\n\r\n`, 400, /target/],
    ["a path", (a) => `CONNECT /${a} HTTP/1.1\r\nHost: ${a}\r\n\r\n`, 400, /target/],
    ["a path behind", (a) => `CONNECT ${a}/ HTTP/1.1\r\nHost: ${a}\r\n\r\n`, 400, /target/],
    ["a query behind", (a) => `CONNECT ${a}?x HTTP/1.1\r\nHost: ${a}\r\n\r\n`, 400, /target/],
    ["an asterisk", (a) => `CONNECT * HTTP/1.1\r\nHost: ${a}\r\n\r\n`, 400, /target/],
    ["a user", (a) => `CONNECT a:443@${a} HTTP/1.1\r\nHost: ${a}\r\n\r\n`, 400, /target/],
    ["a host as user", (a) => `CONNECT a.example@${a} HTTP/1.1\r\nHost: ${a}\r\n\r\n`, 400, /target/],
    ["a fragment", (a) => `CONNECT ${a}#.example:443 HTTP/1.1\r\nHost: ${a}\r\n\r\n`, 400, /target/],
    ["an encoded colon", (a) => `CONNECT ${a.replace(":", "%3a")} HTTP/1.1\r\nHost: ${a}\r\n\r\n`, 400, /target/],
    ["NUL", (a) => `CONNECT ${a}\0 HTTP/1.1\r\nHost: ${a}\r\n\r\n`, 400, /./],
    ["a tab", (a) => `CONNECT\t${a} HTTP/1.1\r\nHost: ${a}\r\n\r\n`, 400, /./],
    ["two spaces", (a) => `CONNECT  ${a} HTTP/1.1\r\nHost: ${a}\r\n\r\n`, 400, /./],
    ["no version", (a) => `CONNECT ${a}\r\nHost: ${a}\r\n\r\n`, 400, /./],
    ["another version", (a) => `CONNECT ${a} HTTP/2.0\r\nHost: ${a}\r\n\r\n`, 505, /./],
    ["bare LF", (a) => `CONNECT ${a} HTTP/1.1\nHost: ${a}\n\n`, 400, /line feed|LF/],
    ["bare LF in a line", (a) => `CONNECT ${a} HTTP/1.1\r\nHost: ${a}\nX: y\r\n\r\n`, 400, /./],
    ["bare CR", (a) => `CONNECT ${a} HTTP/1.1\rHost: ${a}\r\n\r\n`, 400, /./],
    ["a folded line", (a) => `CONNECT ${a} HTTP/1.1\r\nHost: ${a}\r\n folded\r\n\r\n`, 400, /./],
    ["a folded Host", (a) => `CONNECT ${a} HTTP/1.1\r\nHost:\r\n ${a}\r\n\r\n`, 400, /./],
    ["no Host", (a) => `CONNECT ${a} HTTP/1.1\r\n\r\n`, 400, /Host/],
    ["two Hosts", (a) => `CONNECT ${a} HTTP/1.1\r\nHost: ${a}\r\nHost: b.example\r\n\r\n`, 400, /Host/],
    ["a Host that is a list", (a) => `CONNECT ${a} HTTP/1.1\r\nHost: ${a}, b.example\r\n\r\n`, 400, /Host/],
    ["lower case", (a) => `connect ${a} HTTP/1.1\r\nHost: ${a}\r\n\r\n`, 400, /./],
    ["another method", (a) => `GET ${a} HTTP/1.1\r\nHost: ${a}\r\n\r\n`, 400, /target/],
    ["TRACE", (a) => `TRACE http://${a}/ HTTP/1.1\r\nHost: ${a}\r\n\r\n`, 405, /TRACE/],
    ["a long name", (a) => `CONNECT ${"a".repeat(256)}.example:443 HTTP/1.1\r\nHost: ${a}\r\n\r\n`, 400, /./],
    ["an empty label", (a) => `CONNECT a..example:443 HTTP/1.1\r\nHost: ${a}\r\n\r\n`, 400, /names no/],
    ["dots alone", (a) => `CONNECT ..:443 HTTP/1.1\r\nHost: ${a}\r\n\r\n`, 400, /names no/],
    ["a dot at the start", (a) => `CONNECT .example:443 HTTP/1.1\r\nHost: ${a}\r\n\r\n`, 400, /names no/],
    ["two dots at the end", (a) => `CONNECT a.example..:443 HTTP/1.1\r\nHost: ${a}\r\n\r\n`, 400, /names no/],
  ];

  test("is refused, logged, and ends the connection where its end is in doubt", TIMEOUT, async () => {
    await using echo = await EchoServer.start();
    await using attacked = await AttackedProxy.start({ allow: [ANYWHERE] });
    for (const [what, head, status, reason] of heads) {
      assertRefused(await attacked.ask(head(echo.authority)), status, reason, what);
    }
    assert.equal(echo.sockets.size, 0, "nobody came");
  });

  test("what stands behind one that is refused is no request, in whatever pieces it comes", TIMEOUT, async () => {
    await using origin = await Origin.start((_request, response) => response.end("smuggled"));
    await using attacked = await AttackedProxy.start({
      deny: [{ name: "no-tunnels", methods: ["CONNECT"] }],
      allow: [ANYWHERE],
    });
    const smuggled = `GET http://127.0.0.1:${origin.port}/ HTTP/1.1\r\nHost: 127.0.0.1:${origin.port}\r\n\r\n`;
    using client = await attacked.connect();
    client.send(`CONNECT 127.0.0.1:${origin.port} HTTP/1.1\r\nHost: a\r\n\r\n${smuggled}${smuggled}`);
    const answer = await client.answer();
    await client.untilEnded();
    assertRefused({ answer, line: await attacked.nextLine() }, 403, "rule_denied", "CONNECT");
    assert.equal(client.rest, "");
    assert.equal(answer.fields.get("connection"), "close");
    assert.equal(attacked.proxy.accessLines.length, 1, "one request");
  });

  test("after a tunnel no byte is read as a request", TIMEOUT, async () => {
    await using echo = await EchoServer.start();
    await using attacked = await AttackedProxy.start({ allow: [ANYWHERE] });
    using client = await attacked.connect();
    client.send(`CONNECT ${echo.authority} HTTP/1.1\r\nHost: a\r\n\r\n`);
    await client.untilText("\r\n\r\n");
    const inner = "GET http://127.0.0.1:1/ HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n";
    client.send(inner);
    await client.untilText(inner);
    client.socket.end();
    await client.untilEnded();
    const line = await attacked.nextLine();
    assert.deepEqual(
      [line.method, line.status, line.requestBytes, line.responseBytes],
      ["CONNECT", 200, inner.length, inner.length],
    );
  });

  test("fields of a hop reach no origin, also when Connection hides what is not one", TIMEOUT, async () => {
    const seen: NodeJS.Dict<string | string[]>[] = [];
    await using origin = await Origin.start((request, response) => {
      seen.push(request.headers);
      response.end("ok");
    });
    await using attacked = await AttackedProxy.start({ allow: [ANYWHERE] });
    const authority = `127.0.0.1:${origin.port}`;
    const { answer } = await attacked.get(
      `http://${authority}/`,
      "Connection: close, X-Secret\r\nX-Secret: 1\r\nProxy-Connection: x\r\nKeep-Alive: timeout=1\r\nProxy-Authorization: Basic YTpi\r\nUpgrade: h2c\r\n",
    );
    assert.equal(answer.status, 200);
    for (const name of ["x-secret", "proxy-connection", "keep-alive", "proxy-authorization", "upgrade"]) {
      assert.equal(seen[0]![name], undefined, name);
    }
    assert.equal(seen[0]!.host, authority);
  });
});

describe("Host and target", () => {
  test("that differ: 400, in whatever way", TIMEOUT, async () => {
    await using origin = await Origin.start((_request, response) => response.end("ok"));
    await using attacked = await AttackedProxy.start({ allow: [ANYWHERE] });
    const { port } = origin;
    const ask = (target: string, host: string) => attacked.ask(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    for (const [target, host] of [
      [`http://127.0.0.1:${port}/`, "internal.example"],
      [`http://127.0.0.1:${port}/`, "127.0.0.1"],
      [`http://127.0.0.1:${port}/`, `127.0.0.1:${port + 1}`],
      [`http://127.0.0.1:${port}/`, `127.0.0.2:${port}`],
      [`http://127.0.0.1:${port}@internal.example/`, "internal.example"],
      [`http://internal.example@127.0.0.1:${port}/`, `127.0.0.1:${port}`],
      [`http://127.0.0.1:${port}\\@internal.example/`, `127.0.0.1:${port}`],
      [`http:///127.0.0.1:${port}/`, `127.0.0.1:${port}`],
      [`http:127.0.0.1:${port}/`, `127.0.0.1:${port}`],
      [`http://127.0.0.1:${port}/#a`, `127.0.0.1:${port}`],
      [`http://127.0.0.1:${port}/`, `127.0.0.1:${port}/`],
      [`http://127.0.0.1:${port}/`, ""],
    ] as const) {
      assertRefused(await ask(target, host), 400, /Host|target/, `${target} with Host ${host}`);
    }
    for (const host of [`127.0.0.1:${port}`, `127.0.0.1.:${port}`]) {
      const { answer, line } = await ask(`http://127.0.0.1:${port}/`, host);
      assert.deepEqual([answer.status, line.status], [200, 200], host);
    }
  });
});

describe("heads", () => {
  test("that are too large, or have too many fields", TIMEOUT, async () => {
    await using attacked = await AttackedProxy.start({}, { limits: { head: "4KiB", fields: 16 } });
    const connect = "CONNECT a.example:443 HTTP/1.1\r\nHost: a\r\n";
    const large = await attacked.ask(`${connect}X: ${"x".repeat(5_000)}\r\n\r\n`);
    assertRefused(large, 431, /./, "a long field");
    assertRefused(await attacked.ask(`${connect}${"A: b\r\n".repeat(17)}\r\n`), 431, /./, "many fields");
    assertRefused(
      await attacked.ask(`GET http://a.example/${"x".repeat(5_000)} HTTP/1.1\r\n`),
      431,
      /./,
      "a long target",
    );
  });

  test("that come byte by byte, or never end: 408, and the place is free", TIMEOUT, async () => {
    await using attacked = await AttackedProxy.start({}, { limits: { headTimeout: "150ms" } });
    using slow = await attacked.connect();
    let sent = 0;
    const head = "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\nX: ";
    const drip = setInterval(() => slow.send(head[sent++] ?? "x"), 5);
    try {
      const answer = await slow.answer();
      assertRefused({ answer, line: await attacked.nextLine() }, 408, /did not arrive in time/, "a slow head");
      await slow.untilEnded();
    } finally {
      clearInterval(drip);
    }
    slow[Symbol.dispose]();
    using silent = await attacked.connect();
    await silent.untilEnded();
  });

  test(
    "200 pipelined requests for tunnels: each is answered in its turn, and one tunnel is opened",
    TIMEOUT,
    async () => {
      await using echo = await EchoServer.start();
      await using attacked = await AttackedProxy.start({ deny: [{ name: "closed", ports: 9 }], allow: [ANYWHERE] });
      using client = await attacked.connect();
      const refused = "CONNECT 127.0.0.1:9 HTTP/1.1\r\nHost: a\r\n\r\n";
      client.send(refused.repeat(200));
      assert.equal((await client.answer()).status, 403);
      await client.untilEnded();
      assert.equal(client.rest, "", "what was sent ahead into a tunnel is no request");
      assert.equal((await attacked.nextLine()).error?.reason, "rule_denied");
      // The first one is a tunnel: the others are its bytes.
      using open = await attacked.connect();
      const asked = `CONNECT ${echo.authority} HTTP/1.1\r\nHost: a\r\n\r\n`;
      open.send(asked.repeat(200));
      await open.until(() => open.receivedBytes > asked.length * 199, "its own bytes");
      assert.equal(echo.sockets.size, 1);
      open.socket.end();
      await open.untilEnded();
      const line = await attacked.nextLine();
      assert.deepEqual([line.status, line.requestBytes], [200, asked.length * 199]);
    },
  );
});

describe("loops", () => {
  test("a request that comes back is known by Via, whichever way it came", TIMEOUT, async () => {
    await using attacked = await AttackedProxy.start({ allow: [ANYWHERE] });
    // It comes back in origin form, which is for routes: it does not come to that.
    const { answer, line: inner } = await attacked.get(`http://127.0.0.1:${attacked.port}/`);
    assert.equal(answer.status, 502);
    assert.deepEqual([inner.status, inner.error?.type], [502, "proxy_loop_detected"]);
    const outer = await attacked.nextLine();
    assert.deepEqual([outer.status, outer.destination], [502, `127.0.0.1:${attacked.port}`]);
    // By way of another proxy it comes back in absolute form.
    await using origin = await Origin.start((request, response) => response.end(request.headers.via));
    const via = (await attacked.get(`http://127.0.0.1:${origin.port}/`)).answer.body;
    const again = await attacked.get(`http://127.0.0.1:${origin.port}/`, `Via: 1.1 other\r\nVia: ${via}\r\n`);
    assert.equal(again.answer.status, 502);
    assert.equal(again.line.error?.type, "proxy_loop_detected");
  });

  test("a tunnel to the proxy within a tunnel to the proxy: as many as a client may have", TIMEOUT, async () => {
    await using attacked = await AttackedProxy.start({ allow: [ANYWHERE], tunnelsPerClient: 4 });
    using client = await attacked.connect();
    // CONNECT has no Via. What bounds its loops is that the proxy is its own client by then, which may have so many and no more.
    const ask = `CONNECT 127.0.0.1:${attacked.port} HTTP/1.1\r\nHost: a\r\n\r\n`;
    const statuses = () => client.received.match(/(?<=HTTP\/1\.1 )\d+/g) ?? [];
    for (let depth = 1; depth <= 5; depth++) {
      client.send(ask);
      await client.until(() => statuses().length === depth, `answer ${depth}`);
    }
    assert.deepEqual(statuses(), ["200", "200", "200", "200", "429"]);
    assert.equal((await attacked.nextLine()).error?.reason, "too_many_tunnels");
    client.reset();
    for (let depth = 1; depth <= 4; depth++) assert.equal((await attacked.nextLine()).status, 200);
    await attacked.proxy.untilConnections(0);
  });
});

test("the proxy's own address is no destination without a rule that names it", TIMEOUT, async () => {
  await using attacked = await AttackedProxy.start({ allow: [EVERY_PORT] });
  const self = `127.0.0.1:${attacked.port}`;
  assertRefused(await attacked.tunnel(self), 403, "private_destination", "CONNECT");
  assertRefused(await attacked.get(`http://${self}/`), 403, "private_destination", "GET");
});

test("a client that leaves in the middle of a head leaves nothing", TIMEOUT, async () => {
  await using attacked = await AttackedProxy.start();
  for (const bytes of ["C", "CONNECT a.example:443 HTTP/1.1\r\n", ""]) {
    const client = await RawClient.connect(attacked.port);
    if (bytes !== "") client.send(bytes);
    client.reset();
  }
  await attacked.proxy.untilConnections(0);
});
