// Every reason for a refusal has its constant, its sentence and its verdict, for requests and for responses.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ERROR_TYPES } from "../../core/errors.ts";
import * as errors from "./errors.ts";

const constants = Object.entries(errors).flatMap(([name, value]) =>
  name.startsWith("ERR_") ? [{ name, code: value as number }] : [],
);

describe("codec errors", () => {
  it("have a constant and an entry each, at the place that the code says", () => {
    assert.ok(constants.length > 30);
    assert.equal(errors.CODEC_ERRORS.length, constants.length);
    for (const { name, code } of constants) assert.equal(errors.CODEC_ERRORS[-1 - code]?.code, code, name);
  });

  it("have a sentence of their own each", () => {
    const reasons = new Set(errors.CODEC_ERRORS.map(({ reason }) => reason));
    assert.equal(reasons.size, constants.length);
    for (const reason of reasons) assert.match(reason, /^[A-Za-z].{20,}[^.]$/);
  });

  it("become an error of the client in a request, and of the upstream in a response", () => {
    for (const { name, code } of constants) {
      const request = errors.requestError(code);
      assert.deepEqual([request.type, request.side, request.retryable], ["http_request_error", "client", false], name);
      assert.ok([400, 414, 417, 431, 505].includes(request.status), name);
      const response = errors.responseError(code);
      assert.deepEqual([response.status, response.side, response.retryable], [502, "upstream", false], name);
      assert.ok(response.type in ERROR_TYPES, name);
    }
  });

  it("have the status that the client can act on", () => {
    const statuses = Object.groupBy(constants, ({ code }) => errors.requestError(code).status);
    const names = (status: number) => statuses[status]?.map(({ name }) => name).sort();
    assert.deepEqual(names(414), ["ERR_REQUEST_LINE_TOO_LONG"]);
    assert.deepEqual(names(417), ["ERR_EXPECTATION"]);
    assert.deepEqual(names(431), ["ERR_HEAD_TOO_LARGE", "ERR_TOO_MANY_FIELDS", "ERR_TRAILERS_TOO_LARGE"]);
    assert.deepEqual(names(505), ["ERR_VERSION_UNSUPPORTED"]);
    assert.equal(errors.responseError(errors.ERR_HEAD_TOO_LARGE).type, "http_response_header_section_size");
    assert.equal(errors.responseError(errors.ERR_TRAILERS_TOO_LARGE).type, "http_response_trailer_section_size");
    assert.equal(errors.responseError(errors.ERR_CODING_UNKNOWN).type, "http_response_transfer_coding");
    assert.equal(errors.responseError(errors.ERR_BARE_LF).type, "http_protocol_error");
  });

  it("are a closed set", () => {
    for (const code of [0, 1, -1 - constants.length, -1.5, Number.NaN]) {
      assert.throws(() => errors.requestError(code), RangeError);
      assert.throws(() => errors.responseError(code), RangeError);
    }
  });
});
