// What the access log of a forward proxy says of requests and tunnels, however they end.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { hash } from "@node-rs/bcrypt";
import { TestFolder } from "../support/folder.ts";
import { ANYWHERE, connectThrough, EchoServer, forwardConfig } from "../support/forward-stage.ts";
import { askOn, interceptionStage } from "../support/interception-stage.ts";
import { Origin } from "../support/origin.ts";
import { ProxyUnderTest } from "../support/proxy-under-test.ts";
import { RawClient } from "../support/raw-client.ts";

const TIMEOUT = { timeout: 30_000 };
const FIELDS = [
  ..."user destination rule serverName url path query method status requestBytes responseBytes".split(" "),
  ..."upstreamAddress ended error requestHeaders responseHeaders scheme route".split(" "),
];

type LoggedLine = Readonly<Record<string, unknown>>;

/** Lines of a proxy that was used and stopped. */
async function logOf(
  forward: Readonly<Record<string, unknown>>,
  use: (port: number, proxy: ProxyUnderTest) => Promise<void>,
  more: Readonly<Record<string, unknown>> = {},
  fields: readonly string[] = FIELDS,
): Promise<LoggedLine[]> {
  using folder = new TestFolder();
  const output = folder.file("access.log");
  {
    await using proxy = await ProxyUnderTest.start({
      log: { access: { output, fields } },
      ...forwardConfig(forward, more),
    });
    await use(proxy.port("egress"), proxy);
  }
  return linesOf(folder.read("access.log"));
}

function linesOf(text: string): LoggedLine[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as LoggedLine);
}

async function tunnelLine(
  end: (client: RawClient, echo: EchoServer, proxy: ProxyUnderTest) => Promise<void> | void,
  more: Readonly<Record<string, unknown>> = {},
  moved = "four",
): Promise<LoggedLine> {
  await using echo = await EchoServer.start();
  const lines = await logOf(
    {},
    async (port, proxy) => {
      const { client, status } = await connectThrough(port, echo.authority);
      assert.equal(status, 200);
      client.send(moved);
      await client.untilText(`\r\n\r\n${moved}`);
      await end(client, echo, proxy);
      // Whoever has seen the end of the other side closes its own.
      await client.untilEnded();
      client.socket.end();
      await client.untilClosed();
      await proxy.untilConnections(0);
    },
    more,
  );
  const [line] = lines;
  assert.equal(lines.length, 1);
  assert.ok(line !== undefined);
  assert.deepEqual(
    [line.method, line.destination, line.upstreamAddress, line.url, line.status, line.rule, line.route],
    ["CONNECT", echo.authority, echo.authority, echo.authority, 200, "allow[0]", "egress.forward"],
  );
  assert.ok(!("path" in line) && !("query" in line));
  assert.deepEqual([line.requestBytes, line.responseBytes], [moved.length, moved.length]);
  return line;
}

describe("requests in absolute form", () => {
  test("tell who, where to, by which rule, and what passed", TIMEOUT, async () => {
    await using origin = await Origin.start((request, response) => {
      request.resume();
      request.on("end", () => response.setHeader("x-two", ["1", "2"]).end("hello"));
    });
    const authority = `127.0.0.1:${origin.port}`;
    const auth = { basic: { users: { ann: await hash("hunter2", 4) } } };
    const allow = [{ hosts: ["other.example"] }, { ...ANYWHERE, name: "builds" }];
    const credentials = `Basic ${Buffer.from("ann:hunter2").toString("base64")}`;
    const [line, ...others] = await logOf({ auth, allow }, async (port) => {
      using client = await RawClient.connect(port);
      client.send(
        `POST http://${authority}/a/b?c=d HTTP/1.1\r\nHost: ${authority}\r\nProxy-Authorization: ${credentials}\r\n` +
          "Authorization: Bearer hunter2\r\nCookie: a=hunter2\r\nX-Api-Key: hunter2\r\nX-Plain: yes\r\n" +
          `Referer: http://ann:hunter2@a.example/\r\nContent-Length: 3\r\n\r\nabc`,
      );
      assert.equal((await client.answer()).status, 200);
    });
    assert.deepEqual(others, []);
    const { requestHeaders, responseHeaders, ...rest } = line as {
      requestHeaders: LoggedLine;
      responseHeaders: LoggedLine;
    };
    assert.deepEqual(rest, {
      user: "ann",
      destination: authority,
      rule: "builds",
      url: `http://${authority}/a/b?c=d`,
      path: "/a/b",
      query: "c=d",
      method: "POST",
      status: 200,
      requestBytes: 3,
      responseBytes: 5,
      upstreamAddress: authority,
      scheme: "http",
      route: "egress.forward",
    });
    assert.doesNotMatch(JSON.stringify(line), /hunter2|aHVudGVyMg|YW5uOmh1bnRlcjI/);
    assert.equal(requestHeaders.authorization, "[redacted]");
    assert.equal(requestHeaders.cookie, "[redacted]");
    assert.equal(requestHeaders["x-api-key"], "[redacted]");
    assert.equal(requestHeaders.referer, "[redacted]");
    assert.equal(requestHeaders["x-plain"], "yes");
    assert.deepEqual(responseHeaders["x-two"], ["1", "2"]);
  });

  test("that are refused tell why, and no secret of a target that could not be read", TIMEOUT, async () => {
    const basic = { users: { ann: await hash("hunter2", 4) } };
    const forward = { auth: { optional: true, basic }, deny: [{ name: "no-ads", hosts: ["ads.example"] }] };
    const lines = await logOf({ ...forward, allow: [{ users: ["ann"] }] }, async (port) => {
      for (const start of ["GET http://ads.example/x", "GET http://a.example/", "GET http://ann:hunter2@a.example/"]) {
        using client = await RawClient.connect(port);
        const host = new URL(start.slice(4)).host;
        await client.send(`${start} HTTP/1.1\r\nHost: ${host}\r\n\r\n`).answer();
      }
      using wrong = await RawClient.connect(port);
      const credentials = Buffer.from("ann:hunter3").toString("base64");
      const answer = await wrong
        .send(`CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\nProxy-Authorization: Basic ${credentials}\r\n\r\n`)
        .answer();
      assert.equal(answer.status, 407);
      assert.ok(!answer.body.includes(credentials));
    });
    assert.deepEqual(
      lines.map(({ status, rule, url }) => [status, rule, url]),
      [
        [403, "no-ads", "http://ads.example/x"],
        [407, undefined, "http://a.example/"],
        [400, undefined, undefined],
        [407, undefined, "a.example:443"],
      ],
    );
    const reasons = lines.map(({ error }) => (error as { reason?: string }).reason);
    assert.deepEqual(reasons, ["rule_denied", "credentials_missing", undefined, "password_wrong"]);
    assert.doesNotMatch(JSON.stringify(lines), /hunter|YW5uOmh1bnRlcjM/);
    for (const line of lines) assert.ok(!("ended" in line) && !("upstreamAddress" in line));
  });

  test("whose origin fails, or is cut off, tell that", TIMEOUT, async () => {
    await using origin = await Origin.start((request, response) => {
      response.writeHead(200, { "content-length": "10" }).write("hello", () => request.socket.destroy());
    });
    const [unreachable, cut, left] = await logOf({}, async (port) => {
      using client = await RawClient.connect(port);
      await client.send("GET http://127.0.0.1:1/ HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n").answer();
      client.send(`GET http://127.0.0.1:${origin.port}/ HTTP/1.1\r\nHost: 127.0.0.1:${origin.port}\r\n\r\n`);
      await client.untilClosed();
      await using silent = await Origin.start(() => {});
      const leaving = await RawClient.connect(port);
      leaving.send(`GET http://127.0.0.1:${silent.port}/ HTTP/1.1\r\nHost: 127.0.0.1:${silent.port}\r\n\r\n`);
      await silent.until(() => silent.asked.length === 1);
      leaving.reset();
      await silent.until(() => silent.sockets.size === 0);
    });
    const errors = [unreachable, cut, left].map((line) => line?.error as { type: string; side: string });
    assert.deepEqual([unreachable?.status, errors[0]?.type], [502, "connection_refused"]);
    assert.equal(unreachable?.rule, "allow[0]");
    assert.deepEqual([cut?.status, cut?.responseBytes], [200, 5]);
    assert.equal(errors[1]?.side, "upstream");
    assert.deepEqual([left?.status, errors[2]?.side], [499, "client"]);
  });
});

describe("a tunnel tells what ended it", () => {
  test("the client", TIMEOUT, async () => {
    const orderly = await tunnelLine((client) => void client.socket.end());
    assert.deepEqual([orderly.ended, orderly.error], ["client", undefined]);
    const torn = await tunnelLine((client) => client.reset());
    assert.equal(torn.ended, "client");
    assert.ok(torn.error !== undefined);
  });

  test("the other side", TIMEOUT, async () => {
    const orderly = await tunnelLine((_client, echo) => {
      for (const socket of echo.sockets) socket.end();
    });
    assert.deepEqual([orderly.ended, orderly.error], ["upstream", undefined]);
    const torn = await tunnelLine((_client, echo) => {
      for (const socket of echo.sockets) socket.resetAndDestroy();
    });
    assert.equal(torn.ended, "upstream");
    assert.ok(torn.error !== undefined);
  });

  test("time without a byte, its lifetime, the end of the proxy", TIMEOUT, async () => {
    const wait = () => {};
    // Nothing is sent, which a busy machine might do too late.
    const idle = await tunnelLine(wait, { limits: { tunnelIdle: "200ms" } }, "");
    const lifetime = await tunnelLine(wait, { limits: { tunnelLifetime: "200ms" } }, "");
    const stopped = await tunnelLine(async (_client, _echo, proxy) => void (await proxy.server.close(0)));
    assert.deepEqual([idle.ended, lifetime.ended, stopped.ended], ["idle", "lifetime", "stopped"]);
    for (const { error } of [idle, lifetime, stopped]) assert.equal((error as LoggedLine).side, "proxy");
  });
});

test("a tunnel that is opened, and the requests in it, each have a line", TIMEOUT, async () => {
  using folder = new TestFolder();
  const output = folder.file("access.log");
  const auth = { basic: { users: { ann: await hash("hunter2", 4) } } };
  let authority = "";
  {
    await using stage = await interceptionStage((_request, response) => response.end("inside"), {
      forward: { auth },
      log: { access: { output, fields: FIELDS } },
    });
    authority = `origin.example:${stage.origin.port}`;
    const credentials = `Proxy-Authorization: Basic ${Buffer.from("ann:hunter2").toString("base64")}\r\n`;
    const socket = await stage.secured(authority, "origin.example", [stage.ca], credentials);
    assert.match(await askOn(socket, authority, credentials), /^HTTP\/1\.1 200 /);
    const { client } = await connectThrough(stage.port, authority, credentials);
    client.send("no TLS at all");
    await client.untilClosed();
  }
  const lines = linesOf(folder.read("access.log"));
  assert.deepEqual(
    lines.map(({ method, user, destination, serverName, url, ended }) => [
      method,
      user,
      destination,
      serverName,
      url,
      ended,
    ]),
    [
      ["CONNECT", "ann", authority, "origin.example", authority, "intercepted"],
      ["GET", "ann", authority, "origin.example", `https://${authority}/a`, undefined],
      ["CONNECT", "ann", authority, undefined, authority, "error"],
    ],
  );
  assert.deepEqual([lines[1]?.scheme, lines[1]?.path, lines[1]?.responseBytes], ["https", "/a", 6]);
  assert.doesNotMatch(JSON.stringify(lines), /YW5uOmh1bnRlcjI|hunter2/);
});

test("a host that is a number is called by what was written, with its reason", TIMEOUT, async () => {
  const hosts = ["2130706433:443", "127.1:443"];
  const lines = await logOf({}, async (port) => {
    for (const host of hosts) (await connectThrough(port, host)).client[Symbol.dispose]();
    using client = await RawClient.connect(port);
    await client.send("GET http://0x7f.1/ HTTP/1.1\r\nHost: 0x7f.1\r\n\r\n").answer();
  });
  assert.deepEqual(
    lines.map(({ method, destination, status, scheme }) => [method, destination, status, scheme]),
    [...hosts.map((host) => ["CONNECT", host, 400, undefined]), ["GET", "0x7f.1", 400, "http"]],
  );
  const error = lines[0]!.error as Readonly<Record<string, unknown>>;
  const message = "2130706433 is no host: some programs take it for an address, others for a name";
  assert.deepEqual([error.reason, error.message], ["ambiguous_host", message]);
});
