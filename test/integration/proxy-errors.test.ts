// What a client reads when an upstream cannot answer: the status, Proxy-Status (RFC 9209), a page in the form that it
// accepts, and nothing about our side of the matter.

import assert from "node:assert/strict";
import net, { type AddressInfo } from "node:net";
import { test } from "node:test";
import { freePort } from "../support/free-port.ts";
import { ProxyUnderTest } from "../support/proxy-under-test.ts";
import { type RawAnswer, RawClient } from "../support/raw-client.ts";

const TIMEOUT = { timeout: 20_000 };

/** An upstream that does this with every connection; its port. */
async function upstream(serve: (socket: net.Socket) => void) {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    serve(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function ask(port: number, more: Record<string, unknown> = {}, accept = "*/*"): Promise<RawAnswer> {
  await using proxy = await ProxyUnderTest.start({
    servers: { web: { listen: "127.0.0.1:0", proxy: { to: `http://127.0.0.1:${port}`, ...more } } },
  });
  using client = await RawClient.connect(proxy.port("web"));
  return await client.send(`GET /secret-path HTTP/1.1\r\nHost: a\r\nAccept: ${accept}\r\n\r\n`).answer();
}

const answerTo = (text: string) => (socket: net.Socket) => void socket.once("data", () => socket.write(text));

const failures: [name: string, serve: (socket: net.Socket) => void, status: number, type: string][] = [
  [
    "it closes without an answer",
    (socket) => void socket.once("data", () => socket.destroy()),
    502,
    "connection_terminated",
  ],
  ["it resets", (socket) => void socket.once("data", () => socket.resetAndDestroy()), 502, "connection_terminated"],
  [
    "it closes within its head",
    (socket) => void socket.once("data", () => socket.end("HTTP/1.1 200 O")),
    502,
    "http_response_incomplete",
  ],
  ["it speaks something else", answerTo("220 smtp.example ESMTP\r\n"), 502, "http_protocol_error"],
  [
    "its framing is ambiguous",
    answerTo("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
    502,
    "http_protocol_error",
  ],
  [
    "its coding is unknown",
    answerTo("HTTP/1.1 200 OK\r\nTransfer-Encoding: br\r\n\r\n"),
    502,
    "http_response_transfer_coding",
  ],
  [
    "its head is too large",
    answerTo(`HTTP/1.1 200 OK\r\nX: ${"x".repeat(40_000)}\r\n\r\n`),
    502,
    "http_response_header_section_size",
  ],
  ["it says nothing in time", () => {}, 504, "http_response_timeout"],
];

for (const [name, serve, status, type] of failures) {
  test(name, TIMEOUT, async () => {
    await using server = await upstream(serve);
    const answer = await ask(server.port, type === "http_response_timeout" ? { timeouts: { response: "200ms" } } : {});
    assert.equal(answer.status, status);
    assert.match(answer.fields.get("proxy-status") ?? "", new RegExp(`^headgate; error=${type}$`));
  });
}

test("nobody listens there", TIMEOUT, async () => {
  const port = await freePort();
  const answer = await ask(port);
  assert.equal(answer.status, 502);
  assert.equal(answer.fields.get("proxy-status"), "headgate; error=connection_refused");
});

test(
  "the page is HTML, JSON or text, as the client accepts, and says nothing of addresses or paths",
  TIMEOUT,
  async () => {
    const port = await freePort();
    const forms: [accept: string, type: RegExp][] = [
      ["text/html,application/xhtml+xml,*/*;q=0.8", /^text\/html/],
      ["application/json", /^application\/(problem\+)?json/],
      ["text/plain", /^text\/plain/],
      ["*/*", /^text\/plain/],
    ];
    for (const [accept, type] of forms) {
      const answer = await ask(port, {}, accept);
      assert.match(answer.fields.get("content-type") ?? "", type);
      assert.ok(answer.body.includes("502"));
      assert.equal(answer.fields.get("cache-control"), "no-store");
      const said = answer.lines.join("\n") + answer.body;
      for (const secret of [String(port), "127.0.0.1", "secret-path", "ECONNREFUSED", "    at "]) {
        assert.ok(!said.includes(secret), `it says ${secret}`);
      }
    }
  },
);

test("an answer that breaks off cannot be taken for complete, whatever it broke", TIMEOUT, async () => {
  const broken = [
    "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nnonsense\r\n",
  ];
  for (const text of broken) {
    await using server = await upstream((socket) => void socket.once("data", () => socket.end(text)));
    await using proxy = await ProxyUnderTest.start({
      servers: { web: { listen: "127.0.0.1:0", proxy: `http://127.0.0.1:${server.port}` } },
    });
    for (const version of ["1.1", "1.0"]) {
      using client = await RawClient.connect(proxy.port("web"));
      client.send(`GET / HTTP/${version}\r\nHost: a\r\n\r\n`);
      await client.untilClosed();
      assert.equal(client.error?.code, "ECONNRESET", text);
    }
  }
});
