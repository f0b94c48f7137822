// What is too large, too slow, too many, or no request: refused in JSON, and the next one is served as if nothing had been.

import assert from "node:assert/strict";
import { once } from "node:events";
import { afterEach, describe, test } from "node:test";
import { BODY_BYTES_MAX, HEAD_BYTES_MAX } from "../../src/admin/limits.ts";
import { AdminStage } from "./admin-stage.ts";

const FIELDS = "Host: localhost\r\nContent-Type: application/json\r\n";

/** The status of an answer that came before the connection's end, and its JSON. */
function parse(text: string): readonly [status: number, error: unknown] {
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(text)?.[1]);
  const body = text.slice(text.indexOf("\r\n\r\n") + 4);
  assert.equal(Number(/\r\ncontent-length: (\d+)\r\n/i.exec(text)?.[1]), Buffer.byteLength(body));
  return [status, (JSON.parse(body) as { error: unknown }).error];
}

/** Time enough for the whole requests that come behind. */
const SOON = { requestTimeoutMs: 500, timeoutCheckMs: 10 };

let stage: AdminStage;

afterEach(async () => {
  // It still serves.
  assert.equal((await stage.ask("GET", "/status")).status, 200);
  stage[Symbol.dispose]();
});

describe("a body", () => {
  test("of the maximum passes, one byte more does not", async () => {
    stage = await AdminStage.start();
    const body = JSON.stringify("x".repeat(BODY_BYTES_MAX - 2));
    assert.equal((await stage.post("/reload", body)).status, 200);
    const { status, json, headers } = await stage.post("/reload", `${body} `);
    assert.deepEqual([status, json], [413, { error: "the body may have at most 65536 bytes" }]);
    assert.equal(headers.connection, "close");
    assert.deepEqual(stage.control.calls, ["reload"]);
  });

  test("of a length that was announced is refused before it comes", async () => {
    stage = await AdminStage.start();
    const text = await stage.raw(`POST /stop HTTP/1.1\r\n${FIELDS}Content-Length: 99999999999\r\n\r\n`);
    assert.deepEqual(parse(text), [413, "the body may have at most 65536 bytes"]);
    assert.deepEqual(stage.control.calls, []);
  });

  test("in chunks is counted", async () => {
    stage = await AdminStage.start();
    const chunk = `1000\r\n${" ".repeat(0x1000)}\r\n`;
    const head = `POST /stop HTTP/1.1\r\n${FIELDS}Transfer-Encoding: chunked\r\n\r\n`;
    const text = await stage.raw(head + chunk.repeat(17));
    assert.deepEqual(parse(text), [413, "the body may have at most 65536 bytes"]);
    assert.deepEqual(stage.control.calls, []);
  });

  for (const body of ["{", "drain", "{} {}", "\xff", "\u0000"]) {
    test(`${JSON.stringify(body)} is no JSON: 400`, async () => {
      stage = await AdminStage.start();
      const { status, json } = await stage.post("/stop", body);
      assert.deepEqual([status, json], [400, { error: "the body is not JSON" }]);
      assert.deepEqual(stage.control.calls, []);
    });
  }

  test("that never ends is waited for so long only", async () => {
    stage = await AdminStage.start("unix", SOON);
    const text = await stage.raw(`POST /stop HTTP/1.1\r\n${FIELDS}Content-Length: 3\r\n\r\n{`);
    assert.deepEqual(parse(text), [408, "the request took too long to arrive"]);
    assert.deepEqual(stage.control.calls, []);
  });

  test("that is cut off asks nothing", async () => {
    stage = await AdminStage.start();
    const socket = await stage.connect();
    socket.write(`POST /stop HTTP/1.1\r\n${FIELDS}Content-Length: 3\r\n\r\n{}`);
    socket.destroySoon();
    await once(socket, "close");
    assert.equal((await stage.ask("GET", "/status")).status, 200);
    assert.deepEqual(stage.control.calls, ["status"]);
    assert.deepEqual(
      stage.output.entries.filter(({ level }) => level === "error"),
      [],
    );
  });
});

describe("a head", () => {
  test("that is too long: 431", async () => {
    stage = await AdminStage.start();
    const text = await stage.raw(`GET /status HTTP/1.1\r\nHost: a\r\nX: ${"x".repeat(HEAD_BYTES_MAX)}\r\n\r\n`);
    assert.deepEqual(parse(text), [431, "the head of the request is too long"]);
  });

  test("that never ends: 408", async () => {
    stage = await AdminStage.start("unix", SOON);
    assert.deepEqual(parse(await stage.raw("GET /status HTTP/1.1\r\nHost:")), [
      408,
      "the request took too long to arrive",
    ]);
  });

  for (const bytes of [
    "GET\r\n\r\n",
    "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "POST /stop HTTP/1.1\nHost: a\n\n",
  ]) {
    test(`${JSON.stringify(bytes)} is none: 400`, async () => {
      stage = await AdminStage.start();
      assert.deepEqual(parse(await stage.raw(bytes)), [400, "that is not a request of HTTP/1.1"]);
      assert.deepEqual(stage.control.calls, []);
    });
  }

  test("with two lengths smuggles nothing", async () => {
    stage = await AdminStage.start();
    const smuggled = `POST /stop HTTP/1.1\r\n${FIELDS}Content-Length: 0\r\n\r\n`;
    const fields = `${FIELDS}Content-Length: ${smuggled.length}\r\nTransfer-Encoding: chunked\r\n`;
    await stage.raw(`POST /reload HTTP/1.1\r\n${fields}\r\n0\r\n\r\n${smuggled}`);
    assert.deepEqual(stage.control.calls, []);
  });
});

test("more connections than there may be are closed at once", async () => {
  stage = await AdminStage.start("unix", { connectionsMax: 2 });
  const kept = [await stage.connect(), await stage.connect()];
  const answers = kept.map(async (socket) => {
    socket.write("GET /status HTTP/1.1\r\nHost: a\r\n\r\n");
    await once(socket, "data");
  });
  await Promise.all(answers);
  const third = await stage.connect();
  third.resume().on("error", () => {});
  await once(third, "close");
  for (const socket of kept) {
    socket.destroy();
    await once(socket, "close");
  }
});
