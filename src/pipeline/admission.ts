/**
 * The checks at the door, before any route is looked at: what every request must pass whatever the configuration says. The
 * codec has already refused what breaks the syntax or the framing of a message.
 */
import { ProxyError } from "../core/errors.ts";
import { FIELD_HOST, FIELD_MAX_FORWARDS } from "../core/field-names.ts";
import type { RequestMessage } from "../core/message.ts";
import { clientAddress, setForwarded } from "../semantics/forwarded.ts";
import { normalisePath, splitAbsoluteForm } from "../semantics/uri.ts";
import type { Exchange } from "./exchange.ts";
import { admitForward, isForElsewhere } from "./forward-admission.ts";
import { loopOf } from "./loop.ts";
import type { Site } from "./site.ts";

/** Settles what the request means (authority, path, client), and says why it is refused; null when it may go on. */
export function admit(exchange: Exchange, site: Site): ProxyError | null {
  const { request } = exchange;
  if (isForElsewhere(exchange, site)) return admitForward(exchange, site);
  if (request.form === "absolute") {
    const refused = takeAbsoluteForm(request);
    if (refused !== null) return refused;
  }
  if (!request.plainPath) {
    const refused = takeNormalPath(request);
    if (refused !== null) return refused;
  }
  // TRACE would show the client the fields that were added for the upstream; CONNECT is for forward proxies.
  if (request.method === "TRACE" || request.method === "CONNECT") {
    return new ProxyError("http_request_error", `method ${request.method} is not served here`, { status: 405 });
  }
  request.settleAuthority();
  takeForwarded(exchange, site);
  return loopOf(request, site);
}

/**
 * Who the client is, and what the fields say of it from here on: before any feature looks at them, so that none believes
 * what a client made up.
 */
function takeForwarded(exchange: Exchange, site: Site): void {
  const { request, connection } = exchange;
  const remoteAddress = connection.remote.address;
  const trusted = site.trustedProxies?.has(remoteAddress) ?? false;
  if (trusted) exchange.clientAddress = clientAddress(request.fields, remoteAddress, site.trustedProxies);
  if (!trusted && connection.forwardedLines !== undefined && request.form !== "absolute") {
    connection.forwardedLines.apply(request, remoteAddress);
  } else setForwarded(request, { remoteAddress, trusted, scheme: request.scheme, authority: request.authority });
}

const NO_PATH = /^[a-z]+:\/\/[^/?]*$/i;

/** RFC 9112 section 3.2.2: the target's authority replaces Host. Where the two differ, servers disagree: refused. */
function takeAbsoluteForm(request: RequestMessage): ProxyError | null {
  const parts = splitAbsoluteForm(request.target);
  if (parts === null)
    return new ProxyError("http_request_error", "the absolute request target is not a valid http URL");
  if (request.fields.rowOfId(FIELD_HOST) >= 0 && request.authority !== parts.authority) {
    return new ProxyError("http_request_error", `Host ${request.authority} is not the target's ${parts.authority}`);
  }
  if (request.authority === "") request.fields.set("Host", parts.authority);
  request.authority = parts.authority;
  if (request.method === "OPTIONS" && NO_PATH.test(request.target)) {
    // RFC 9112 section 3.2.4: it asks about the server as a whole, and the last proxy says so.
    request.form = "asterisk";
    request.setTarget("*", null);
  } else request.setTarget(parts.path, parts.query);
  return null;
}

function takeNormalPath(request: RequestMessage): ProxyError | null {
  if (request.form === "asterisk" || request.form === "authority") return null;
  const path = request.path;
  const normal = normalisePath(path);
  if (normal === null) return new ProxyError("http_request_error", "the path holds an invalid or unsafe encoding");
  if (normal !== path) request.setTarget(normal, request.query);
  return null;
}

/**
 * RFC 9110 section 7.6.2, for OPTIONS (TRACE is refused above): true when this server is the last that may answer. Otherwise
 * the number goes down by one.
 */
export function isLastRecipient(request: RequestMessage): boolean {
  if (request.method !== "OPTIONS" || request.fields.rowOfId(FIELD_MAX_FORWARDS) < 0) return false;
  const value = request.fields.get("max-forwards") ?? "";
  if (!/^\d{1,9}$/.test(value)) return false;
  if (Number(value) === 0) return true;
  request.fields.set("Max-Forwards", String(Number(value) - 1));
  return false;
}
