// Reply codes: which error becomes which, and back; and the closed set of reasons of the codec.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ERROR_TYPES, type ErrorType, ProxyError } from "../../core/errors.ts";
import * as errors from "./errors.ts";
import { errorOfReplyCode, replyCodeOf, replyCodeOfStatus } from "./replies.ts";

describe("the reply code of an error", () => {
  const codes: [code: number, types: readonly ErrorType[]][] = [
    [2, ["http_request_denied", "destination_ip_prohibited", "proxy_loop_detected"]],
    [3, ["destination_ip_unroutable"]],
    [4, ["dns_error", "dns_timeout", "destination_not_found", "destination_unavailable"]],
    [5, ["connection_refused"]],
    [6, ["connection_timeout"]],
  ];
  it("is the one that says most", () => {
    for (const [code, types] of codes) {
      for (const type of types) assert.equal(replyCodeOf(new ProxyError(type, "")), code, type);
    }
  });

  it("is a general failure otherwise, or what the status says", () => {
    const told = codes.flatMap(([, types]) => types);
    for (const type of Object.keys(ERROR_TYPES) as ErrorType[]) {
      if (told.includes(type)) continue;
      const expected = ERROR_TYPES[type].status === 504 ? 6 : 1;
      assert.equal(replyCodeOf(new ProxyError(type, "")), expected, type);
    }
    assert.equal(replyCodeOf(new ProxyError("http_request_error", "", { status: 407 })), 2);
  });

  it("of an answer of a feature comes from its status", () => {
    for (const status of [401, 403, 407, 451]) assert.equal(replyCodeOfStatus(status), 2);
    assert.equal(replyCodeOfStatus(504), 6);
    for (const status of [200, 302, 400, 404, 429, 500, 502, 503]) assert.equal(replyCodeOfStatus(status), 1);
  });
});

describe("the error of a reply code", () => {
  it("is of the upstream, and becomes the same code again where there is one", () => {
    for (let code = 1; code <= 255; code++) {
      const error = errorOfReplyCode(code);
      assert.equal(error.side, "upstream");
      assert.ok(error.message.endsWith(`(${code})`), error.message);
      const again = replyCodeOf(error);
      if (code >= 2 && code <= 6) assert.equal(again, code);
      else assert.ok(again === 4 || (code === 7 && again === 1), `${code} became ${again}`);
    }
  });

  it("says whether another attempt may help", () => {
    const retryable = [1, 2, 3, 4, 5, 6, 7, 8].filter((code) => errorOfReplyCode(code).retryable);
    assert.deepEqual(retryable, [1, 3, 4, 5, 6, 8]);
  });
});

describe("errors of SOCKS", () => {
  const constants = Object.entries(errors).flatMap(([name, value]) =>
    name.startsWith("ERR_") ? [{ name, code: value as number }] : [],
  );

  it("have a constant and an entry each, at the place that the code says, with a sentence of its own", () => {
    assert.equal(errors.SOCKS_ERRORS.length, constants.length);
    for (const { name, code } of constants) assert.equal(errors.SOCKS_ERRORS[-1 - code]?.code, code, name);
    assert.equal(new Set(errors.SOCKS_ERRORS.map(({ reason }) => reason)).size, constants.length);
  });

  it("are of clients or of servers", () => {
    for (const { name, code } of constants) {
      const isServer = name.startsWith("ERR_SERVER");
      const error = (isServer ? errors.socksServerError : errors.socksRequestError)(code);
      assert.equal(error.side, isServer ? "upstream" : "client", name);
      assert.throws(() => (isServer ? errors.socksRequestError : errors.socksServerError)(code), RangeError, name);
    }
    for (const code of [0, 1, -1 - constants.length, Number.NaN]) {
      assert.throws(() => errors.socksRequestError(code), RangeError);
      assert.throws(() => errors.socksServerError(code), RangeError);
    }
  });
});
