// curl as the client: versions, uploads, ranges, interim responses, trailers and codings as others ask for them.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import os from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { curl } from "../support/curl.ts";
import { Origin } from "../support/origin.ts";
import { ProxyUnderTest } from "../support/proxy-under-test.ts";
import { needs } from "../support/requirements.ts";

const TIMEOUT = { timeout: 30_000 };
const MiB = 1024 * 1024;
const page = "a line of a page that compresses well\n".repeat(1_000);
const upload = randomBytes(8 * MiB);
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/** Tells the digest of what it was sent, and how that was framed. */
async function digest(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const hash = createHash("sha256");
  for await (const chunk of request) hash.update(chunk as Buffer);
  const { "content-length": length = "none", "transfer-encoding": coding = "none" } = request.headers;
  response.end(`${request.method} ${length} ${coding} ${hash.digest("hex")}`);
}

function serve(request: IncomingMessage, response: ServerResponse): void {
  switch (request.url) {
    case "/page":
      response.writeHead(200, { "Content-Type": "text/plain", "Content-Length": page.length }).end(page);
      break;
    case "/trailers":
      response.writeHead(200, { Trailer: "X-Sum" });
      response.write("abc");
      response.addTrailers({ "X-Sum": "7" });
      response.end();
      break;
    case "/range":
      assert.equal(request.headers.range, "bytes=5-9");
      response.writeHead(206, { "Content-Range": "bytes 5-9/100", "Content-Length": 5 }).end("56789");
      break;
    case "/refuses":
      response.writeHead(403, { Connection: "close" }).end("no");
      break;
    default:
      void digest(request, response);
  }
}

describe("curl through the proxy", { skip: needs("curl") }, () => {
  let folder: string;
  let origin: Origin;
  let proxy: ProxyUnderTest;
  let base: string;

  before(async () => {
    folder = mkdtempSync(path.join(os.tmpdir(), "headgate-curl-"));
    writeFileSync(path.join(folder, "upload"), upload);
    origin = await Origin.start(serve);
    proxy = await ProxyUnderTest.start({
      servers: { web: { listen: "127.0.0.1:0", use: [{ compress: true }], proxy: origin.url } },
    });
    base = `http://127.0.0.1:${proxy.port("web")}`;
  });

  after(async () => {
    await proxy?.[Symbol.asyncDispose]();
    await origin?.[Symbol.asyncDispose]();
    if (folder !== undefined) rmSync(folder, { recursive: true });
  });

  test("HTTP/1.0 gets the whole answer and the end of the connection", TIMEOUT, async () => {
    const { status, output } = await curl(["--http1.0", "--include", `${base}/page`]);
    assert.equal(status, 0);
    assert.match(output, /^HTTP\/1\.1 200 OK\r\n/);
    assert.match(output, /\r\nConnection: close\r\n/i);
    assert.ok(!/transfer-encoding/i.test(output));
    assert.ok(output.endsWith(`\r\n\r\n${page}`));
  });

  test("HTTP/1.1 uses its connection again", TIMEOUT, async () => {
    const discard = ["--output", "/dev/null", "--write-out", "%{num_connects} %{http_code}\n"];
    const { output } = await curl([...discard, `${base}/page`, "--next", ...discard, `${base}/trailers`]);
    assert.equal(output, "1 200\n0 200\n");
  });

  test("HEAD, and a range", TIMEOUT, async () => {
    const head = await curl(["--head", `${base}/page`]);
    assert.match(head.output, new RegExp(`\\r\\nContent-Length: ${page.length}\\r\\n`, "i"));
    const range = await curl(["--range", "5-9", "--include", `${base}/range`]);
    assert.match(range.output, /^HTTP\/1\.1 206 .*\r\nContent-Range: bytes 5-9\/100\r\n.*\r\n\r\n56789$/s);
  });

  test("uploads: with a length, in chunks, as a form", TIMEOUT, async () => {
    const file = path.join(folder, "upload");
    const put = await curl(["--upload-file", file, `${base}/put`]);
    assert.equal(put.output, `PUT ${upload.length} none ${sha256(upload)}`);
    const chunks = await curl(["--upload-file", "-", `${base}/put`], upload);
    assert.equal(chunks.output, `PUT none chunked ${sha256(upload)}`);
    const form = await curl(["--form", `file=@${file}`, `${base}/form`]);
    assert.match(form.output, /^POST \d+ none [0-9a-f]{64}$/);
  });

  test("Expect: 100-continue: the body is sent when it is asked for, or not at all", TIMEOUT, async () => {
    const expecting = ["--verbose", "--header", "Expect: 100-continue", "--expect100-timeout", "15"];
    const file = path.join(folder, "upload");
    const taken = await curl([...expecting, "--data-binary", `@${file}`, `${base}/post`]);
    assert.match(taken.log, /< HTTP\/1\.1 100 Continue/);
    assert.equal(taken.output, `POST ${upload.length} none ${sha256(upload)}`);
    origin.server.once("checkContinue", serve);
    const refused = await curl([...expecting, "--data-binary", `@${file}`, `${base}/refuses`]);
    assert.ok(!refused.log.includes("100 Continue"));
    assert.match(refused.log, /< HTTP\/1\.1 403 /);
    assert.equal(refused.output, "no");
  });

  test("trailers, for who asks for them", TIMEOUT, async () => {
    const raw = ["--raw", "--header", "Accept-Encoding: identity"];
    const asked = await curl([...raw, "--header", "TE: trailers", "--header", "Connection: TE", `${base}/trailers`]);
    assert.equal(asked.output, "3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n");
    const silent = await curl([...raw, `${base}/trailers`]);
    assert.equal(silent.output, "3\r\nabc\r\n0\r\n\r\n");
  });

  for (const coding of ["gzip", "br", "zstd"]) {
    test(`what is compressed on the way can be read: ${coding}`, TIMEOUT, async (t) => {
      const args = ["--compressed", "--header", `Accept-Encoding: ${coding}`, "--dump-header", "-", `${base}/page`];
      const { status, output, log } = await curl(args);
      if (status === 61) {
        t.skip(`this curl does not know ${coding}: ${log}`);
        return;
      }
      assert.match(output, new RegExp(`\\r\\nContent-Encoding: ${coding}\\r\\n`, "i"));
      assert.ok(output.endsWith(`\r\n\r\n${page}`));
    });
  }

  test("an offer of HTTP/2 is not taken up, and the request is served", TIMEOUT, async () => {
    const { status, output } = await curl(["--http2", "--write-out", "%{http_version}", `${base}/trailers`]);
    assert.deepEqual([status, output], [0, "abc1.1"]);
  });

  test("dot segments are gone before the upstream sees the path", TIMEOUT, async () => {
    await curl(["--path-as-is", `${base}/a/./b/../../%70age?x=/../y`]);
    assert.equal(origin.asked.at(-1)?.url, "/page?x=/../y");
  });
});
