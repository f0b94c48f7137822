// nginx as the origin: an implementation of HTTP that is not ours, with the ways of its own to frame, to keep and to end.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import http, { type IncomingMessage } from "node:http";
import { after, before, describe, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { Nginx } from "../support/nginx.ts";
import { ProxyUnderTest } from "../support/proxy-under-test.ts";
import { RawClient } from "../support/raw-client.ts";
import { needs } from "../support/requirements.ts";

const TIMEOUT = { timeout: 30_000 };
const MiB = 1024 * 1024;
const large = randomBytes(32 * MiB);
const text = "all work and no play makes a proxy dull. ".repeat(2_000);

const SERVER = `
  gzip on;
  gzip_types text/plain;
  gzip_proxied any;
  location = /text { default_type text/plain; }
  location = /slow { rewrite ^ /large break; limit_rate 256k; default_type text/plain; }
  location = /none { return 444; }
  location = /upload { client_max_body_size 1k; proxy_pass http://127.0.0.1:1; }
  location = /short-kept { keepalive_timeout 1s 1s; rewrite ^ /text break; }
  location = /closes { keepalive_timeout 0; rewrite ^ /text break; }
`;

describe("nginx behind the proxy", { skip: needs("nginx") }, () => {
  let nginx: Nginx;
  let proxy: ProxyUnderTest;
  let port: number;

  before(async () => {
    nginx = await Nginx.start(SERVER, { large, text });
    proxy = await ProxyUnderTest.start({ servers: { web: { listen: "127.0.0.1:0", proxy: nginx.url } } });
    port = proxy.port("web");
  });

  after(async () => {
    await proxy?.[Symbol.asyncDispose]();
    await nginx?.[Symbol.asyncDispose]();
  });

  function get(path: string, headers: Record<string, string> = {}): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      http.get({ port, host: "127.0.0.1", path, headers, agent: false }, resolve).on("error", reject);
    });
  }

  async function bytesOf(message: IncomingMessage): Promise<Buffer> {
    const chunks: Buffer[] = [];
    for await (const chunk of message) chunks.push(chunk as Buffer);
    return Buffer.concat(chunks);
  }

  test("its connections are kept and used again, whichever client asks", TIMEOUT, async () => {
    const connections = new Set<unknown>();
    for (let i = 0; i < 20; i++) {
      const answer = await get("/text");
      connections.add(answer.headers["x-connection"]);
      await bytesOf(answer);
    }
    assert.equal(connections.size, 1);
  });

  test("a large file passes whole and unchanged", TIMEOUT, async () => {
    const answer = await get("/large");
    assert.equal(answer.headers["content-length"], String(large.length));
    const hash = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
    assert.equal(hash(await bytesOf(answer)), hash(large));
  });

  test("one range, and several of them", TIMEOUT, async () => {
    const one = await get("/large", { range: "bytes=1000000-1000999" });
    assert.equal(one.statusCode, 206);
    assert.equal(one.headers["content-range"], `bytes 1000000-1000999/${large.length}`);
    assert.deepEqual(await bytesOf(one), large.subarray(1_000_000, 1_001_000));
    const several = await get("/large", { range: "bytes=0-9,100-109" });
    assert.match(several.headers["content-type"] ?? "", /^multipart\/byteranges/);
    const parts = await bytesOf(several);
    assert.ok(parts.includes(large.subarray(0, 10)) && parts.includes(large.subarray(100, 110)));
  });

  test("what it compresses comes in chunks and stays compressed", TIMEOUT, async () => {
    const answer = await get("/text", { "accept-encoding": "gzip" });
    assert.equal(answer.headers["content-encoding"], "gzip");
    assert.equal(answer.headers["transfer-encoding"], "chunked");
    assert.equal(gunzipSync(await bytesOf(answer)).toString(), text);
  });

  test("conditions and HEAD: no body, and the connection serves on", TIMEOUT, async () => {
    const { etag } = (await get("/large", { range: "bytes=0-0" })).headers;
    using client = await RawClient.connect(port);
    const same = await client.send(`GET /large HTTP/1.1\r\nHost: a\r\nIf-None-Match: ${etag}\r\n\r\n`).answer();
    assert.equal(same.status, 304);
    const head = await client.send("HEAD /large HTTP/1.1\r\nHost: a\r\n\r\n").answer(true);
    assert.deepEqual([head.status, head.fields.get("content-length")], [200, String(large.length)]);
    assert.equal((await client.send("GET /text HTTP/1.1\r\nHost: a\r\n\r\n").answer()).body, text);
  });

  test("it closes without an answer: another connection is tried, then 502", TIMEOUT, async () => {
    const answer = await get("/none");
    assert.equal(answer.statusCode, 502);
    assert.match(answer.headers["proxy-status"] as string, /connection_terminated/);
    answer.resume();
  });

  test("it refuses an upload before its end: the client gets its answer", TIMEOUT, async () => {
    using client = await RawClient.connect(port);
    const body = Buffer.alloc(MiB, "x");
    client.send(`POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n`).send(body);
    const answer = await client.answer();
    assert.equal(answer.status, 413);
    assert.ok(answer.body.includes("nginx"));
  });

  test("connections that it will close soon, or at once, are not used again", TIMEOUT, async () => {
    for (const path of ["/short-kept", "/closes"]) {
      const first = await get(path);
      await bytesOf(first);
      const second = await get(path);
      await bytesOf(second);
      assert.equal(first.statusCode, 200);
      assert.notEqual(first.headers["x-connection"], second.headers["x-connection"], path);
    }
  });

  for (const [name, fields] of [
    ["with a length", ""],
    ["in chunks", "Accept-Encoding: gzip\r\n"],
  ] as const) {
    test(`it dies in the middle of an answer ${name}: the client can tell`, TIMEOUT, async () => {
      using client = await RawClient.connect(port);
      client.send(`GET /slow HTTP/1.1\r\nHost: a\r\n${fields}\r\n`);
      await client.until(() => client.receivedBytes > 10_000, "the beginning");
      assert.match(client.received, fields === "" ? /\r\nContent-Length: / : /\r\nTransfer-Encoding: chunked\r\n/);
      process.kill(nginx.workerPid, "SIGKILL");
      await client.untilClosed();
      assert.equal(client.error?.code, "ECONNRESET");
      assert.ok(client.receivedBytes < large.length);
      // Its successor serves.
      assert.equal((await get("/closes")).statusCode, 200);
    });
  }
});
