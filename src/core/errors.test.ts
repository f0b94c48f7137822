// The error type: every type that RFC 9209 registers, with a status and a side that make sense.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ERROR_TYPES, type ErrorType, ProxyError } from "./errors.ts";

/** RFC 9209, sections 2.3.1 to 2.3.32: the status that each recommends; null where it names a range. */
const REGISTERED: Readonly<Record<string, number | null>> = {
  dns_timeout: 504,
  dns_error: 502,
  destination_not_found: 500,
  destination_unavailable: 503,
  destination_ip_prohibited: 502,
  destination_ip_unroutable: 502,
  connection_refused: 502,
  connection_terminated: 502,
  connection_timeout: 504,
  connection_read_timeout: 504,
  connection_write_timeout: 504,
  connection_limit_reached: 503,
  tls_protocol_error: 502,
  tls_certificate_error: 502,
  tls_alert_received: 502,
  http_request_error: null,
  http_request_denied: 403,
  http_response_incomplete: 502,
  http_response_header_section_size: 502,
  http_response_header_size: 502,
  http_response_body_size: 502,
  http_response_trailer_section_size: 502,
  http_response_trailer_size: 502,
  http_response_transfer_coding: 502,
  http_response_content_coding: 502,
  http_response_timeout: 504,
  http_upgrade_failed: 502,
  http_protocol_error: 502,
  proxy_internal_response: null,
  proxy_internal_error: 500,
  proxy_configuration_error: 500,
  proxy_loop_detected: 502,
};

const types = Object.keys(ERROR_TYPES) as ErrorType[];

describe("error types", () => {
  it("are those of RFC 9209, all of them and no other, in its order", () => {
    assert.deepEqual(types, Object.keys(REGISTERED));
  });

  it("have the status that the RFC recommends", () => {
    for (const type of types) {
      const { status } = ERROR_TYPES[type];
      assert.ok(status >= 400 && status <= 599, type);
      const recommended = REGISTERED[type];
      if (recommended !== null) assert.equal(status, recommended, type);
    }
  });

  it("blame the client for 4xx only, and nobody else for them", () => {
    for (const type of types) {
      const { status, side } = ERROR_TYPES[type];
      assert.equal(side === "client", status < 500, type);
    }
  });

  it("let nothing be tried again that was the client's fault, or that another attempt cannot mend", () => {
    for (const type of types) {
      const { retryable, side } = ERROR_TYPES[type];
      if (side !== "upstream") assert.equal(retryable, false, type);
      // An answer had begun, or the certificate is wrong: the request may have been served, or will fail again.
      if (type.startsWith("http_response_") || type === "tls_certificate_error") assert.equal(retryable, false, type);
    }
  });
});

describe("ProxyError", () => {
  it("takes the facts of its type unless told otherwise", () => {
    const error = new ProxyError("connection_refused", "origin:80 refused");
    assert.deepEqual(
      [error.type, error.status, error.side, error.retryable, error.message, error.name],
      ["connection_refused", 502, "upstream", true, "origin:80 refused", "ProxyError"],
    );
    const special = new ProxyError("http_request_error", "too large", { status: 413, side: "proxy", retryable: true });
    assert.deepEqual([special.status, special.side, special.retryable], [413, "proxy", true]);
  });

  it("is not made with a status that no error has", () => {
    for (const status of [0, 100, 200, 399, 600, 1000, Number.NaN]) {
      assert.throws(() => new ProxyError("http_request_denied", "no", { status }), RangeError);
    }
  });

  it("keeps its cause for the log, and has none when there is none", () => {
    const cause = new Error("ECONNREFUSED");
    assert.equal(new ProxyError("connection_refused", "x", { cause }).cause, cause);
    assert.equal("cause" in new ProxyError("connection_refused", "x"), false);
  });

  it("is made of whatever a hook throws, and of itself unchanged", () => {
    const own = new ProxyError("http_request_denied", "no");
    assert.equal(ProxyError.from(own), own);
    for (const [thrown, message] of [
      [new TypeError("broken hook"), "broken hook"],
      ["a string", "a string"],
      [undefined, "undefined"],
      [null, "null"],
      [Symbol("s"), "Symbol(s)"],
    ] as const) {
      const error = ProxyError.from(thrown);
      assert.deepEqual([error.type, error.status, error.side], ["proxy_internal_error", 500, "proxy"]);
      assert.equal(error.message, message);
      if (thrown !== undefined) assert.equal(error.cause, thrown);
    }
  });

  it("is made even of what cannot be turned into text", () => {
    const unprintable = Object.create(null) as unknown;
    const hostile = {
      toString() {
        throw new Error("not even this");
      },
    };
    const nameless = Object.defineProperty(new Error(), "message", { get: hostile.toString });
    for (const thrown of [unprintable, hostile, nameless]) assert.equal(ProxyError.from(thrown).cause, thrown);
  });
});
