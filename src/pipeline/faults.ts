/** What ends an exchange on the client's side, in the words and with the status that all drivers have for it. */
import { ProxyError } from "../core/errors.ts";

const LEFT = "the client closed the connection";

/** The client's connection is gone, or half of it that is needed. `error`: by which it was lost; what the proxy itself has cut keeps its own. */
export function clientGone(error: ProxyError | null = null): ProxyError {
  if (error?.side === "proxy") return error;
  return new ProxyError("http_request_error", error?.message ?? LEFT, {
    status: 499,
    ...(error !== null && { cause: error }),
  });
}

/** It has asked for an answer, and takes none of it. */
export function clientDoesNotRead(): ProxyError {
  return new ProxyError("connection_write_timeout", "the client does not read its answer", {
    side: "client",
    status: 499,
  });
}

export function requestBodyLate(): ProxyError {
  return new ProxyError("http_request_error", "the request body did not go on in time", { status: 408 });
}

/** With Expect: 100-continue it is the upstream that has to speak first (RFC 9110 section 10.1.1). */
export function requestBodyNotAskedFor(): ProxyError {
  return new ProxyError("http_response_timeout", "the upstream did not ask for the request body in time");
}

/** Of an answer of ours, or of an upstream that lies about it. */
export function wrongLength(how: "longer" | "shorter"): ProxyError {
  return new ProxyError("proxy_internal_error", `the body is ${how} than the length that was announced`);
}

/** Whoever closes the proxy gave it no more time. */
export function proxyClosed(): ProxyError {
  return new ProxyError("connection_terminated", "the proxy was closed", { side: "proxy", retryable: false });
}
