// Debug rules of a forward proxy: what the access log tells of what they let through, what it never tells, and that nothing is
// changed or slowed by it.

import assert from "node:assert/strict";
import { describe, mock, test } from "node:test";
import { gzipSync } from "node:zlib";
import { NativeConnection } from "../../src/io/native/connection.ts";
import { checkSetup } from "../../src/server/check-setup.ts";
import { TestFolder } from "../support/folder.ts";
import { ANYWHERE, forwardConfig } from "../support/forward-stage.ts";
import { Origin } from "../support/origin.ts";
import { ScriptedParent } from "../support/parents.ts";
import { configOf, ProxyUnderTest } from "../support/proxy-under-test.ts";
import { RawClient } from "../support/raw-client.ts";

const TIMEOUT = { timeout: 30_000 };
const FUTURE = new Date(Date.now() + 3_600_000).toISOString();
const PAST = "2026-01-01T00:00Z";
const DEBUG = { until: FUTURE, bodies: "1KiB" };

type LoggedLine = Readonly<Record<string, unknown>>;

function configWith(allow: readonly object[], access: object, via: readonly object[] = []) {
  return { log: { access }, ...forwardConfig({ allow, via }) };
}

/** Lines of a proxy with these rules, and what it said at the start. */
async function logOf(
  allow: readonly object[],
  use: (ask: Ask, port: number) => Promise<void>,
  access: object = {},
  via: readonly object[] = [],
): Promise<{ readonly lines: readonly LoggedLine[]; readonly text: string; readonly warned: readonly string[] }> {
  using folder = new TestFolder();
  const output = folder.file("access.log");
  let warned: readonly string[] = [];
  {
    await using proxy = await ProxyUnderTest.start(configWith(allow, { output, fields: ["rule"], ...access }, via));
    warned = proxy.logged.filter(({ level }) => level === "warn").map(({ msg }) => msg);
    const port = proxy.port("egress");
    await use(async (to, lines = "", body = "") => {
      using client = await RawClient.connect(port);
      const length = body === "" ? "" : `Content-Length: ${Buffer.byteLength(body)}\r\n`;
      const method = body === "" ? "GET" : "POST";
      const host = new URL(to).host;
      client.send(`${method} ${to} HTTP/1.1\r\nHost: ${host}\r\n${lines}${length}\r\n`).send(Buffer.from(body));
      return Buffer.from((await client.answer()).body, "latin1").toString();
    }, port);
  }
  const text = folder.read("access.log");
  const lines = text.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line) as LoggedLine]));
  return { lines, text, warned };
}

type Ask = (to: string, lines?: string, body?: string) => Promise<string>;

/** Sends back what it gets, as the type that it came in; or what the path says. */
function mirror(): Promise<Origin> {
  return Origin.start(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const type = request.headers["content-type"];
    if (type !== undefined) response.setHeader("content-type", type);
    if (request.url === "/gzip") {
      response.setHeader("content-encoding", "gzip");
      response.end(gzipSync("hunter2"));
    } else if (request.url === "/range") {
      response.setHeader("content-range", "bytes 5-11/20");
      response.writeHead(206).end("hunter2");
    } else response.end(Buffer.concat(parts));
  });
}

describe("a debug rule", () => {
  test("tells header fields and bodies, each an object, and what passes is not changed", TIMEOUT, async () => {
    await using origin = await mirror();
    const url = `http://127.0.0.1:${origin.port}/`;
    const body = '{"a":[1,2],"password":"hunter2","b":"\u2028ü"}';
    const { lines, warned } = await logOf([{ ...ANYWHERE, name: "looked-at", debug: DEBUG }], async (ask) => {
      assert.equal(await ask(url, "Content-Type: application/json\r\nX-A: 1\r\nX-A: 2\r\n", body), body);
    });
    const [line] = lines;
    const { requestHeaders, responseHeaders, requestBody, responseBody, ...rest } = line as Record<string, LoggedLine>;
    assert.deepEqual(rest, { rule: "looked-at" });
    assert.deepEqual(requestHeaders!["x-a"], ["1", "2"]);
    assert.equal(responseHeaders!["content-type"], "application/json");
    const told = {
      bytes: Buffer.byteLength(body),
      type: "application/json",
      text: body.replace("hunter2", "[redacted]"),
    };
    assert.deepEqual([requestBody, responseBody], [told, told]);
    assert.deepEqual(warned, [
      `servers.egress.forward: the rule looked-at writes bodies and header fields to the access log until ${FUTURE}`,
    ]);
  });

  test("shows no more than it says, and nothing of what cannot be read", TIMEOUT, async () => {
    await using origin = await mirror();
    const url = `http://127.0.0.1:${origin.port}`;
    const debug = { until: FUTURE, bodies: 10, headers: false };
    const { lines, text } = await logOf([{ ...ANYWHERE, debug }], async (ask) => {
      await ask(`${url}/`, "Content-Type: text/plain\r\n", "0123456789hunter2");
      await ask(`${url}/`, "Content-Type: multipart/form-data; boundary=x\r\n", "--x\r\n\r\nhunter2");
      await ask(`${url}/gzip`, "Content-Type: text/plain\r\n");
      await ask(`${url}/range`, "Content-Type: text/plain\r\n");
      await ask(`${url}/`, "", "hunter2");
      await ask(`${url}/`);
    });
    assert.doesNotMatch(text, /hunter2|Headers/);
    const cut = { bytes: 17, type: "text/plain", text: "0123456789", truncated: true };
    const parts = { bytes: 14, type: "multipart/form-data; boundary=x" };
    const gzip = { bytes: gzipSync("hunter2").length, type: "text/plain", encoded: "gzip" };
    assert.deepEqual(
      lines.map(({ requestBody, responseBody }) => [requestBody, responseBody]),
      [
        [cut, cut],
        [parts, parts],
        [undefined, gzip],
        [undefined, { bytes: 7, type: "text/plain" }],
        [{ bytes: 7 }, { bytes: 7 }],
        [undefined, undefined],
      ],
    );
  });

  test("no secret reaches the log, wherever it stands", TIMEOUT, async () => {
    await using origin = await mirror();
    const url = `http://127.0.0.1:${origin.port}`;
    const debug = { ...DEBUG, redact: ["shoe-size"] };
    const { lines, text } = await logOf([{ ...ANYWHERE, debug }], async (ask) => {
      const secrets =
        "Authorization: Bearer hunter2\r\nProxy-Authorization: Basic aHVudGVyMjpodW50ZXIy\r\nCookie: hunter2\r\n" +
        "X-Auth-Token: hunter2\r\nPrivate-Token: hunter2\r\nX-Note: basic hunter2Q=\r\nReferer: http://a/?token=hunter2\r\n";
      for (const [type, body] of [
        ["application/json", '{"a":[{"token":["hunter2"]}],"password":"x","password":"hunter2"}'],
        ["application/json", '[{"pass\\u0077ord":{"x":"hunter2"}},{"shoeSize":"hunter2"}]'],
        ["application/json", '{"password":"hunter2'],
        ["application/json", "{'password':'hunter2'}"],
        ["application/x-www-form-urlencoded", "a=b&p%61ssword=hunter2&shoe_size=hunter2&code=hunter2"],
        ["text/plain", "password: hunter2"],
        ["application/json;charset=utf-16le", "hunter2"],
        ["multipart/form-data; boundary=x", '--x\r\nContent-Disposition: form-data; name="password"\r\n\r\nhunter2'],
      ] as const) {
        assert.equal(await ask(`${url}/`, `${secrets}Content-Type: ${type}\r\n`, body), body);
      }
    });
    assert.equal(lines.length, 8);
    assert.doesNotMatch(text, /hunter2|aHVudGVy/);
    assert.match(text, /"text":"a=b&p%61ssword=\[redacted\]&shoe_size=\[redacted\]&code=\[redacted\]"/);
  });

  test("nor does what features add for the origin", TIMEOUT, async () => {
    await using origin = await mirror();
    using folder = new TestFolder();
    const output = folder.file("access.log");
    {
      const use = [{ headers: { request: { set: { "X-Plain": "hunter2" } } } }];
      await using proxy = await ProxyUnderTest.start({
        log: { access: { output, fields: ["requestHeaders"] } },
        ...forwardConfig({ use }),
      });
      using client = await RawClient.connect(proxy.port("egress"));
      const host = `127.0.0.1:${origin.port}`;
      await client.send(`GET http://${host}/ HTTP/1.1\r\nHost: ${host}\r\nX-A: b\r\n\r\n`).answer();
      assert.equal(origin.asked[0]?.headers["x-plain"], "hunter2");
    }
    const { requestHeaders } = JSON.parse(folder.read("access.log")) as Readonly<Record<string, LoggedLine>>;
    assert.deepEqual([requestHeaders?.["x-plain"], requestHeaders?.["x-a"]], ["[redacted]", "b"]);
    assert.match(String(requestHeaders?.via), /^1\.1 /);
  });

  test("nor do the credentials of a proxy behind", TIMEOUT, async () => {
    await using parent = await ScriptedParent.start((socket, received) => {
      if (!received.endsWith("\r\n\r\n")) return;
      assert.match(received, /proxy-authorization: Basic YW5uOmh1bnRlcjI=/i);
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Seen: Basic YW5uOmh1bnRlcjI=\r\n\r\n");
    });
    const allow = [{ hosts: ["a.test"], debug: DEBUG }];
    const { lines, text } = await logOf(allow, async (ask) => void (await ask("http://a.test/")), {}, [
      { proxy: parent.url("ann:hunter2") },
    ]);
    const [line] = lines as Readonly<Record<string, LoggedLine>>[];
    assert.equal(line?.requestHeaders?.host, "a.test");
    assert.equal(line?.responseHeaders?.["x-seen"], "[redacted]");
    assert.doesNotMatch(text, /hunter2|YW5uOmh1bnRlcjI/);
  });

  test("counts only where it decides, which the address may say, and only until its time", TIMEOUT, async () => {
    await using origin = await mirror();
    const url = `http://127.0.0.1:${origin.port}/`;
    const named = { networks: ["192.0.2.0/24"], name: "elsewhere", ports: "1-65535", debug: DEBUG };
    const own = { ...ANYWHERE, name: "here" };
    const type = "Content-Type: text/plain\r\n";
    const other = await logOf([named, own], async (ask) => {
      assert.equal(await ask(url, type, "abc"), "abc");
    });
    assert.deepEqual(other.lines, [{ rule: "here" }]);
    const both = [
      { ...named, debug: undefined },
      { ...own, debug: { ...DEBUG, bodies: 2 } },
    ];
    const decided = await logOf(both, async (ask) => {
      assert.equal(await ask(url, type, "abc"), "abc");
    });
    const [shown] = decided.lines as Readonly<Record<string, LoggedLine>>[];
    assert.equal(shown?.requestBody?.text, "ab");
    const past = await logOf([{ ...own, debug: { ...DEBUG, until: PAST } }], async (ask) => {
      assert.equal(await ask(url, type, "abc"), "abc");
    });
    assert.deepEqual(past.lines, [{ rule: "here" }]);
    const ended = `servers.egress.forward: the rule here has a debug block that ended at 2026-01-01T00:00:00.000Z: take it out`;
    assert.deepEqual(past.warned, [ended]);
    const config = configOf(configWith([{ ...own, debug: { ...DEBUG, until: PAST } }], {}));
    assert.deepEqual(await checkSetup(config), [ended]);
  });

  test("is written although others are sampled, and also when the exchange fails", TIMEOUT, async () => {
    await using origin = await Origin.start((request, response) => {
      response.writeHead(200, { "content-length": "10", "content-type": "text/plain" });
      response.write("hello", () => request.socket.destroy());
    });
    const { lines } = await logOf(
      [{ ...ANYWHERE, debug: DEBUG }],
      async (ask, port) => {
        using client = await RawClient.connect(port);
        client.send(`GET http://127.0.0.1:${origin.port}/ HTTP/1.1\r\nHost: 127.0.0.1:${origin.port}\r\n\r\n`);
        await client.untilClosed();
        await ask("http://127.0.0.1:1/", "X-A: b\r\n");
      },
      { sample: 0 },
    );
    assert.deepEqual(lines[0]?.responseBody, { bytes: 5, type: "text/plain", text: "hello" });
    const [, failed] = lines as Readonly<Record<string, LoggedLine>>[];
    assert.equal(failed?.requestHeaders?.["x-a"], "b");
    assert.equal(failed?.responseBody, undefined, "an answer of our own is no body of the origin");
  });

  test("without a log that could show it, or without an end, is refused", () => {
    for (const [access, debug, problem] of [
      ["off", DEBUG, /allow\[0\]\.debug.*nobody would see it/],
      [{ format: "combined" }, DEBUG, /nobody would see it/],
      [{}, { bodies: "1KiB" }, /debug: .*"until"|until.*required/],
      [{}, { until: "2026-12-01" }, /expected a time such as/],
      [{}, { ...DEBUG, bodies: "1MiB" }, /expected a size from 1 to 256KiB/],
    ] as const) {
      assert.throws(() => configOf(configWith([{ ...ANYWHERE, debug }], access as object)), problem);
    }
  });
});

test("long answers pass unseen unless a debug rule asks for the bodies", TIMEOUT, async (context) => {
  if (process.env.HEADGATE_TRANSPORT === "net") return context.skip("splices are of the native transport");
  const splices = mock.method(NativeConnection.prototype, "spliceTo");
  const bytes = 1024 * 1024;
  await using origin = await Origin.start((_request, response) => {
    response.setHeader("content-type", "text/plain");
    response.end(Buffer.alloc(bytes, "a"));
  });
  const elsewhere = { name: "elsewhere", hosts: ["a.example"], debug: DEBUG };
  for (const [rules, isSpliced] of [
    [[ANYWHERE], true],
    [[elsewhere, ANYWHERE], true],
    [[{ ...ANYWHERE, debug: { until: FUTURE } }], true],
    [[{ ...ANYWHERE, debug: DEBUG }], false],
  ] as const) {
    splices.mock.resetCalls();
    await logOf(rules, async (ask) => {
      assert.equal((await ask(`http://127.0.0.1:${origin.port}/`)).length, bytes);
    });
    const made = splices.mock.calls.filter(({ result }) => result !== null && result !== undefined);
    assert.equal(made.length > 0, isSpliced, JSON.stringify(rules));
  }
  splices.mock.restore();
});
