/**
 * What the client reads when an exchange fails: a short page made from the error's type and status alone, and Proxy-Status
 * (RFC 9209). Never a message, an address or a stack: those are for the log.
 */
import type { ProxyError } from "../core/errors.ts";
import { preferredErrorFormat } from "../semantics/accept.ts";
import { errorBody } from "../semantics/error-page.ts";
import { proxyStatus } from "../semantics/proxy-status.ts";
import type { Answer, Exchange } from "./exchange.ts";

/** Seconds after which a client may try again when an upstream was away or full. */
const RETRY_AFTER_SECONDS = "1";

export function failureAnswer(exchange: Exchange, error: ProxyError): Answer {
  const because = exchange.forward === null ? null : (error.reason ?? error.type);
  const format = preferredErrorFormat(exchange.request.fields.get("accept"));
  const { contentType, body } = errorBody(error.status, format, because);
  const fields: [string, string][] = [
    ["Content-Type", contentType],
    ["Cache-Control", "no-store"],
    ["Proxy-Status", proxyStatus(error)],
  ];
  for (const [name, value] of error.fields) fields.push([name, value]);
  const saysWhen = error.fields.some(([name]) => name === "Retry-After");
  if (error.status === 503 && !saysWhen) fields.push(["Retry-After", RETRY_AFTER_SECONDS]);
  return { status: error.status, fields, body };
}
