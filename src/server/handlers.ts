/**
 * How a route ends that sends nothing to an upstream: `respond`, `redirect`, `handle`. What is the same for every request is
 * made once.
 */
import type { ActionConfig } from "../config/config.ts";
import { ProxyError } from "../core/errors.ts";
import type { RequestMessage } from "../core/message.ts";
import { type RequestTemplate, type UrlPart, urlPartOf } from "../core/request-template.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import type { Handler } from "../pipeline/site.ts";

type ActionOf<Kind extends ActionConfig["kind"]> = Extract<ActionConfig, { kind: Kind }>;

export function respondHandler({ status, headers, body }: ActionOf<"respond">): Handler {
  const answer = { status, fields: headers, body: body === null ? null : Buffer.from(body) };
  return (exchange) => {
    exchange.respond(answer);
  };
}

/**
 * Location is made of the request's own parts. A part that the request does not have is empty; a request that names no
 * host, which only HTTP/1.0 allows, cannot be sent to one.
 */
export function redirectHandler({ to, status }: ActionOf<"redirect">): Handler {
  const needsHost = to.some((part) => typeof part !== "string" && part.part === "host");
  return (exchange) => {
    if (needsHost && exchange.request.host === "") {
      exchange.fail(new ProxyError("http_request_error", "the request names no host to redirect to"));
      return;
    }
    exchange.respond({ status, fields: [["Location", locationOf(to, exchange.request)]] });
  };
}

function locationOf(template: RequestTemplate<UrlPart>, request: RequestMessage): string {
  let location = "";
  for (const part of template) location += typeof part === "string" ? part : urlPartOf(request, part.part);
  return location;
}

/** A program's own function. Whatever it returns besides a promise means nothing: `(exchange) => exchange.respond(...)`. */
export function functionHandler({ handle }: ActionOf<"handle">): Handler {
  const call = handle as (exchange: Exchange) => unknown;
  return (exchange) => {
    const returned = call(exchange);
    return returned instanceof Promise ? returned : undefined;
  };
}
