// A request as Node parsed it, and what is made of it for the codec: the program's changes count, framing is never theirs.

import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { test } from "node:test";
import { acquireStorage, releaseStorage } from "../../core/fields.ts";
import { FIELDS_MAX, HEAD_BYTES_MAX, REQUEST_LINE_BYTES_MAX } from "../../core/limits.ts";
import { parseRequestHead, RequestHead } from "../../protocol/http1/request-head.ts";
import { encodeReceivedHead } from "./node-http/received-head.ts";

type Headers = Record<string, unknown>;

/** `headers`: null for those that Node makes of lines that are not repeated. */
function received(rawHeaders: string[], headers: Headers | null = null, start: Partial<IncomingMessage> = {}) {
  const shown: Headers = {};
  for (let i = 0; i < rawHeaders.length; i += 2) shown[rawHeaders[i]!.toLowerCase()] = rawHeaders[i + 1]!;
  return {
    method: "GET",
    url: "/",
    httpVersion: "1.1",
    rawHeaders,
    headers: headers ?? shown,
    ...start,
  } as IncomingMessage;
}

function encode(...given: Parameters<typeof received>): string {
  return encodeReceivedHead(received(...given)).toString("latin1");
}

function head(...lines: string[]): string {
  return `GET / HTTP/1.1\r\n${lines.map((line) => `${line}\r\n`).join("")}\r\n`;
}

/** The codec's verdict: how many bytes, or an ERR_ code below zero. */
function verdict(bytes: Buffer): number {
  const storage = acquireStorage();
  const limits = { headBytesMax: HEAD_BYTES_MAX, requestLineBytesMax: REQUEST_LINE_BYTES_MAX, fieldsMax: FIELDS_MAX };
  const length = parseRequestHead(bytes, 0, bytes.length, storage, limits, new RequestHead());
  releaseStorage(storage);
  return length;
}

test("names keep their case, lines their order", () => {
  const raw = ["host", "a", "X-Second", "1", "ACCEPT", "*/*", "x-first", "2", "X-SECOND", "3"];
  const headers = { host: "a", "x-second": "1, 3", accept: "*/*", "x-first": "2" };
  assert.equal(encode(raw, headers), head("host: a", "X-Second: 1", "ACCEPT: */*", "x-first: 2", "X-SECOND: 3"));
});

test("the start line has the version that came and the target that the program left", () => {
  const request = received(["Host", "a"], null, { method: "PUT", url: "/rest?x=1", httpVersion: "1.0" });
  assert.equal(encodeReceivedHead(request).toString(), "PUT /rest?x=1 HTTP/1.0\r\nHost: a\r\n\r\n");
});

test("a field that the program removed stays removed", () => {
  assert.equal(encode(["Host", "a", "Authorization", "Basic eDp5"], { host: "a" }), head("Host: a"));
  assert.equal(encode(["Host", "a", "X-User", "root"], { host: "a", "x-user": undefined }), head("Host: a"));
});

test("a field that the program set replaces all lines that came, at the place of the first", () => {
  const raw = ["X-User", "root", "Host", "a", "X-User", "admin"];
  assert.equal(encode(raw, { "x-user": "alice", host: "a" }), head("X-User: alice", "Host: a"));
});

test("a field that the program added is sent as it is spelled, a list as lines, a number as text", () => {
  const headers = { host: "a", "X-Tags": ["one", "two"], "x-count": 3 };
  assert.equal(encode(["Host", "a"], headers), head("Host: a", "X-Tags: one", "X-Tags: two", "x-count: 3"));
});

test("of a repeated field of which Node shows the first line, only that one goes on", () => {
  const raw = ["Host", "a", "Authorization", "Basic YTph", "Authorization", "Basic Yjpi"];
  assert.equal(encode(raw, { host: "a", authorization: "Basic YTph" }), head("Host: a", "Authorization: Basic YTph"));
});

test("several Cookie lines go on as one (RFC 9113, section 8.2.3)", () => {
  const raw = ["Host", "a", "cookie", "a=1", "cookie", "b=2"];
  assert.equal(encode(raw, { host: "a", cookie: "a=1; b=2" }), head("Host: a", "cookie: a=1; b=2"));
});

test("several Hosts all go to the codec, which refuses them", () => {
  const bytes = encodeReceivedHead(received(["Host", "a", "Host", "b"], { host: "a" }));
  assert.equal(bytes.toString(), head("Host: a", "Host: b"));
  assert.ok(verdict(bytes) < 0);
});

test("framing is what came, whatever the program says of it", () => {
  const raw = ["Host", "a", "Content-Length", "5"];
  assert.equal(encode(raw, { host: "a" }), head("Host: a", "Content-Length: 5"));
  assert.equal(encode(raw, { host: "a", "content-length": "7" }), head("Host: a", "Content-Length: 5"));
  assert.equal(encode(["Host", "a"], { host: "a", "transfer-encoding": "chunked" }), head("Host: a"));
});

test("pseudo-fields of HTTP/2 go, and :authority becomes Host", () => {
  const raw = [":method", "GET", ":authority", "a.example:8443", ":path", "/", "x-a", "1"];
  assert.equal(
    encode(raw, { ":method": "GET", ":authority": "a.example:8443", "x-a": "1" }),
    head("Host: a.example:8443", "x-a: 1"),
  );
});

test("nothing that a program sets can end a line or begin another", () => {
  const host = ["Host", "a"];
  const attempts: IncomingMessage[] = [
    received(host, { host: "a", "x-a": "1\r\nX-Evil: 1" }),
    received(host, { host: "a", "x-a": "1\nX-Evil: 1" }),
    received(host, { host: "a", "x-a\r\nX-Evil": "1" }),
    received(host, { host: "a", "x-evil: 1": "1" }),
    received(host, { host: "a", "x evil": "1" }),
    received(host, { host: "a", "x-a": "\u010d\u010a" }),
    received(host, null, { url: "/ HTTP/1.1\r\nX-Evil: 1\r\nX-Rest: " }),
    received(host, null, { url: "/ HTTP/1.1" }),
    received(host, null, { url: "" }),
    received(host, null, { url: "rest" }),
    received(host, null, { url: "/\u560a" }),
    received(host, null, { method: "GET /evil" }),
    received(host, null, { method: "GET / HTTP/1.1\r\nX-Evil: 1\r\n\r\nGET" }),
  ];
  for (const attempt of attempts) {
    const bytes = encodeReceivedHead(attempt);
    assert.ok(verdict(bytes) < 0, `accepted: ${JSON.stringify(bytes.toString("latin1"))}`);
  }
});
