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

/** Why a forward proxy answers 404 to what should have been asked of a server. */
export const ASKED_AS_SERVER = "asked_as_server";
/** What may be told of a request that is for nobody else, or not in a way that could be understood, or that asks for it. */
const TOLD_TO_ALL: readonly string[] = [ASKED_AS_SERVER, "proxy_loop_detected", "only_if_cached"];

export function failureAnswer(exchange: Exchange, error: ProxyError): Answer {
  const why = error.reason ?? error.type;
  const because = exchange.forward === null && !TOLD_TO_ALL.includes(why) ? null : why;
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
