// Which answers are compressed, and what changes in their heads.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Line, StandInExchange, standInResponse } from "../../../test/support/stand-in-exchange.ts";
import { ProxyError } from "../../core/errors.ts";
import { BODY_UNTIL_END } from "../../core/message.ts";
import type { Feature } from "../../pipeline/phases.ts";
import { createTestProxy } from "../../testing/index.ts";
import { createCompressFeature, EncoderBudget } from "./index.ts";
import { compressOptions } from "./options.ts";

interface Given {
  readonly method?: string;
  readonly request?: readonly Line[];
  readonly status?: number;
  readonly bodyBytes?: number;
  readonly type?: string;
  readonly response?: readonly Line[];
  readonly options?: Record<string, unknown>;
}

const ACCEPT: Line = ["Accept-Encoding", "gzip, br, zstd"];

function answered({
  method = "GET",
  request = [ACCEPT],
  status = 200,
  bodyBytes = 5000,
  response = [],
  ...given
}: Given) {
  const feature = createCompressFeature(compressOptions.parse(given.options ?? {}), new EncoderBudget(1e9));
  const exchange = new StandInExchange({ method, fields: request });
  const type: Line[] = given.type === "" ? [] : [["Content-Type", given.type ?? "text/html; charset=utf-8"]];
  const message = standInResponse(status, bodyBytes, [...type, ...response]);
  exchange.response = message;
  feature.response?.(exchange, message);
  const body = feature.responseBody?.(exchange, NOWHERE, NOWHERE) ?? null;
  feature.log?.(exchange);
  const get = (name: string) => message.fields.get(name);
  return { get, coding: get("content-encoding"), vary: get("vary"), isEncoded: body !== null, message };
}

const NOWHERE = { write() {}, end() {}, abort() {}, pause() {}, resume() {} };

describe("an answer is compressed", () => {
  const table: readonly (readonly [what: string, given: Given, coding: string])[] = [
    ["with what the configuration prefers", {}, "zstd"],
    ["with what the client prefers", { request: [["Accept-Encoding", "gzip, br;q=0.9, zstd;q=0.8"]] }, "gzip"],
    ["with what the configuration offers", { options: { encodings: ["gzip"] } }, "gzip"],
    ["when its length is not known", { bodyBytes: BODY_UNTIL_END }, "zstd"],
    ["when it has the least length", { bodyBytes: 1024 }, "zstd"],
    ["whatever its status", { status: 404 }, "zstd"],
    ["when it is JSON of any kind", { type: "application/problem+json" }, "zstd"],
    ["whatever case its type is written in", { type: "Application/JSON" }, "zstd"],
    ["when it is SVG", { type: "image/svg+xml" }, "zstd"],
    [
      "as an event stream when that is asked for",
      { type: "text/event-stream", options: { types: ["text/event-stream"] } },
      "zstd",
    ],
    [
      "when only other things are forbidden",
      { response: [["Cache-Control", 'private="no-transform", no-store']] },
      "zstd",
    ],
  ];
  for (const [what, given, coding] of table) {
    it(what, () => {
      const { coding: chosen, vary, isEncoded, message, get } = answered(given);
      assert.deepEqual([chosen, vary, isEncoded], [coding, "Accept-Encoding", true]);
      assert.equal(message.bodyBytes, BODY_UNTIL_END);
      assert.equal(get("content-length"), null);
    });
  }
});

describe("an answer is left as it is but varies", () => {
  const table: readonly (readonly [what: string, given: Given])[] = [
    ["when the client says nothing", { request: [] }],
    ["when the client accepts none of the codings", { request: [["Accept-Encoding", "deflate, gzip;q=0, *;q=0"]] }],
    ["when the client prefers it so", { request: [["Accept-Encoding", "identity, gzip;q=0.5"]] }],
    ["when the client forbids it", { request: [ACCEPT, ["Cache-Control", "no-transform"]] }],
    ["to HEAD", { method: "HEAD", bodyBytes: 0, response: [["Content-Length", "5000"]] }],
    ["to HEAD without a length", { method: "HEAD", bodyBytes: 0 }],
  ];
  for (const [what, given] of table) {
    it(what, () => {
      const { coding, vary, isEncoded, message } = answered(given);
      assert.deepEqual([coding, vary, isEncoded], [null, "Accept-Encoding", false]);
      assert.equal(message.bodyBytes, given.bodyBytes ?? 5000);
    });
  }
});

describe("an answer is left as it is", () => {
  const table: readonly (readonly [what: string, given: Given])[] = [
    ["when it is encoded already", { response: [["Content-Encoding", "gzip"]] }],
    ["when it is encoded in a way nobody knows", { response: [["Content-Encoding", "x"]] }],
    ["when it is a part", { status: 206 }],
    ["when it has a range", { response: [["Content-Range", "bytes 0-1/2"]] }],
    [
      "when the origin forbids it",
      {
        response: [
          ["Cache-Control", "public"],
          ["cache-control", "max-age=1, No-Transform"],
        ],
      },
    ],
    ["when it is short", { bodyBytes: 1023 }],
    ["when it is empty", { bodyBytes: 0, options: { minBytes: 0 } }],
    ["with 204", { status: 204, bodyBytes: 0 }],
    ["with 304", { status: 304, bodyBytes: 0 }],
    ["when it is an image", { type: "image/png" }],
    ["when it is an event stream", { type: "text/event-stream; charset=utf-8" }],
    ["when it has no type", { type: "" }],
    ["when its type is nonsense", { type: "text" }],
    ["to HEAD when it is short", { method: "HEAD", bodyBytes: 0, response: [["Content-Length", "10"]] }],
  ];
  for (const [what, given] of table) {
    it(what, () => {
      const { message, isEncoded } = answered(given);
      assert.equal(isEncoded, false);
      const untouched = answered({ ...given, request: [] }).message;
      assert.deepEqual([...message.fields.entries()], [...untouched.fields.entries()]);
      assert.equal(message.fields.has("vary"), false);
      assert.equal(message.bodyBytes, given.bodyBytes ?? 5000);
    });
  }
});

describe("the head of a compressed answer", () => {
  it("loses what was said of the bytes before", () => {
    const lost: Line[] = [
      ["Content-Length", "5000"],
      ["Accept-Ranges", "bytes"],
      ["Content-MD5", "Q2hlY2sgSW50ZWdyaXR5IQ=="],
      ["Digest", "sha-256=x"],
      ["Content-Digest", "sha-256=:eA==:"],
      ["Repr-Digest", "sha-256=:eA==:"],
    ];
    const { message } = answered({ response: [...lost, ["X-Kept", "1"]] });
    assert.deepEqual(
      [...message.fields.entries()].map(([name]) => name),
      ["Content-Type", "X-Kept", "Vary", "Content-Encoding"],
    );
  });

  it("has a weak entity tag in place of a strong one", () => {
    assert.equal(answered({ response: [["ETag", '"a"']] }).get("etag"), 'W/"a"');
    assert.equal(answered({ response: [["ETag", 'W/"a"']] }).get("etag"), 'W/"a"');
    assert.equal(answered({ response: [["ETag", '"a"']], request: [] }).get("etag"), '"a"');
  });

  it("says once that it varies", () => {
    assert.equal(answered({ response: [["Vary", "Origin"]] }).vary, "Origin, Accept-Encoding");
    assert.equal(answered({ response: [["Vary", "Origin, accept-encoding"]] }).vary, "Origin, accept-encoding");
    assert.equal(answered({ response: [["Vary", "*"]] }).vary, "*");
  });
});

describe("a 304", () => {
  const etag: Line = ["ETag", '"a"'];
  it("confirms the weak entity tag that the client got with the compressed answer", () => {
    const { get } = answered({
      status: 304,
      bodyBytes: 0,
      response: [etag],
      request: [["If-None-Match", 'W/"b", W/"a"']],
    });
    assert.deepEqual([get("etag"), get("vary")], ['W/"a"', "Accept-Encoding"]);
  });

  it("confirms the strong one to a client that has that", () => {
    const { get } = answered({ status: 304, bodyBytes: 0, response: [etag], request: [["If-None-Match", '"a"']] });
    assert.deepEqual([get("etag"), get("vary")], ['"a"', null]);
  });
});

describe("the memory of encoders", () => {
  it("is bounded: what does not fit in is sent as it is, and what ended makes room", () => {
    const budget = new EncoderBudget(600 * 1024);
    const feature = createCompressFeature(compressOptions.parse({ encodings: ["gzip"] }), budget);
    const begin = () => {
      const exchange = new StandInExchange({ fields: [ACCEPT] });
      const response = standInResponse(200, BODY_UNTIL_END, [["Content-Type", "text/css"]]);
      feature.response?.(exchange, response);
      return { exchange, coding: response.fields.get("content-encoding"), vary: response.fields.get("vary") };
    };
    const [first, second, third] = [begin(), begin(), begin()];
    assert.deepEqual([first.coding, second.coding, third.coding], ["gzip", "gzip", null]);
    assert.equal(third.vary, "Accept-Encoding");
    feature.log?.(first.exchange);
    feature.log?.(first.exchange);
    feature.log?.(third.exchange);
    assert.equal(begin().coding, "gzip");
    assert.equal(begin().coding, null);
    assert.equal(budget.bytes, 2 * 256 * 1024);
  });
});

describe("an answer of an error, in place of one that was to be encoded", () => {
  /** A feature in front refuses what the upstream has answered. */
  function answered(page: string, more: Partial<Feature>) {
    const budget = new EncoderBudget(1e9);
    const compress = createCompressFeature(compressOptions.parse({ encodings: ["gzip"] }), budget);
    const refusing: Feature = {
      name: "refusing",
      response(exchange, { status }) {
        if (status === 200) exchange.fail(new ProxyError("http_request_denied", "not this"));
      },
      ...more,
    };
    const proxy = createTestProxy({ use: [refusing, compress] });
    const client = proxy.connect().sends("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n");
    const server = proxy.origin.accepts();
    server.receivesHead();
    server.sends(`HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: ${page.length}\r\n\r\n${page}`);
    const head = client.receivesHead();
    return { proxy, budget, head, client };
  }

  it("is sent as it is when it is short", () => {
    const { proxy, budget, head, client } = answered("x".repeat(5000), {});
    assert.deepEqual([head.startLine, head.get("content-encoding")], ["HTTP/1.1 403 Forbidden", null]);
    assert.equal(client.takes().length, Number(head.get("content-length")));
    assert.equal(budget.bytes, 0);
    assert.deepEqual(proxy.finish(), []);
  });

  it("is encoded on its own account, and only that counts", () => {
    const page = "y".repeat(5000);
    const proxyError: Feature["proxyError"] = (exchange, { status }) => {
      exchange.respond({ status, fields: [["Content-Type", "text/html"]], body: page });
    };
    const { proxy, budget, head, client } = answered("x".repeat(5000), { proxyError });
    assert.deepEqual([head.startLine, head.get("content-encoding")], ["HTTP/1.1 403 Forbidden", "gzip"]);
    client.receives(/\r\n0\r\n\r\n$/);
    assert.equal(budget.bytes, 0);
    assert.deepEqual(proxy.finish(), []);
  });
});
