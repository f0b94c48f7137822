/**
 * The door for requests that go where their client says: what they ask for is settled here, whichever way they say it: CONNECT,
 * the absolute form, or a connection whose requests all go to one place. Whether they may is decided by forward/.
 *
 * The target's path is passed on as it came (RFC 9110 section 7.7), and forwarding fields are the client's own: an origin is
 * told of us by Via, and of the client by the client.
 */
import { ProxyError } from "../core/errors.ts";
import { FIELD_HOST } from "../core/field-names.ts";
import type { RequestMessage } from "../core/message.ts";
import { canonicalAddress } from "../semantics/cidr.ts";
import { clientAddress, removeForwarded } from "../semantics/forwarded.ts";
import { parseAuthority, splitAbsoluteForm } from "../semantics/uri.ts";
import type { Exchange } from "./exchange.ts";
import { type ConnectionOrigin, type Destination, Forwarding } from "./forwarding.ts";
import { loopOf } from "./loop.ts";
import type { Site } from "./site.ts";

/** Whether a request is for another server: its target says so, or its connection. */
export function isForElsewhere({ request, connection }: Exchange): boolean {
  const { form } = request;
  return form === "authority" || form === "absolute" || (connection.origin ?? null) !== null;
}

/** Settles where the request goes and sets `exchange.forward`; says why it is refused; null when it may go on. */
export function admitForward(exchange: Exchange, site: Site): ProxyError | null {
  const { request, connection } = exchange;
  const origin = connection.origin ?? null;
  // TRACE would show the fields that were added on the way.
  if (request.method === "TRACE") return refused("method TRACE is not served here", 405);
  const destination =
    request.form === "authority"
      ? tunnelDestination(request, origin)
      : origin === null
        ? absoluteDestination(request)
        : destinationAtOrigin(request, origin);
  if (destination instanceof ProxyError) return destination;
  exchange.forward = new Forwarding(destination, origin === null ? null : origin.user);
  const remoteAddress = connection.remote.address;
  if (site.trustedProxies?.has(remoteAddress) === true) {
    // What stands between a client and us says who that is; no origin has to know.
    exchange.clientAddress = clientAddress(request.fields, remoteAddress, site.trustedProxies);
    removeForwarded(request.fields);
  }
  return loopOf(request, site);
}

/** CONNECT host:port (RFC 9110 section 9.3.6). What its Host says has no meaning. */
function tunnelDestination(request: RequestMessage, origin: ConnectionOrigin | null): Destination | ProxyError {
  if (origin !== null) return refused("CONNECT within a tunnel", 405);
  if (request.bodyBytes !== 0) return refused("CONNECT has no body", 400);
  const { target } = request;
  const parsed = parseAuthority(target);
  const host = parsed === null ? null : hostOf(parsed.host);
  if (host === null || parsed!.port === null) return refused("CONNECT names no host and port", 400);
  request.authority = target.toLowerCase();
  return { kind: "tunnel", host, port: parsed!.port, address: null };
}

/** The target's authority takes the place of Host (RFC 9112 section 3.2.2). Where the two differ, servers disagree: refused. */
function absoluteDestination(request: RequestMessage): Destination | ProxyError {
  const parts = splitAbsoluteForm(request.target);
  if (parts === null) return refused("the absolute request target is not a valid http URL", 400);
  const named = placeOf(parts.authority, parts.scheme);
  if (named === null) return refused("the request target names no host", 400);
  if (request.fields.rowOfId(FIELD_HOST) >= 0) {
    request.settleAuthority();
    const host = placeOf(request.authority, parts.scheme);
    if (host === null || host.host !== named.host || host.port !== named.port) {
      return refused(`Host ${request.authority} is not the target's ${parts.authority}`, 400);
    }
  }
  request.fields.set("Host", parts.authority);
  request.authority = parts.authority;
  request.scheme = parts.scheme;
  takeTarget(request, parts.path, parts.query);
  return { kind: parts.scheme, ...named, address: null };
}

/** On a connection whose requests all go to one place: Host must be that place, or the request was sent to the wrong one. */
function destinationAtOrigin(request: RequestMessage, origin: ConnectionOrigin): Destination | ProxyError {
  if (request.form === "absolute") {
    const parts = splitAbsoluteForm(request.target);
    if (parts === null) return refused("the absolute request target is not a valid http URL", 400);
    if (parts.scheme !== origin.kind)
      return refused(`a request for ${parts.scheme} on a connection for ${origin.kind}`, 421);
    request.settleAuthority();
    if (request.authority !== "" && request.authority !== parts.authority) {
      return refused(`Host ${request.authority} is not the target's ${parts.authority}`, 400);
    }
    request.fields.set("Host", parts.authority);
    request.authority = parts.authority;
    takeTarget(request, parts.path, parts.query);
  } else request.settleAuthority();
  const { address, serverName } = origin;
  if (serverName !== null && serverName !== origin.host) {
    return refused(`TLS was begun for ${serverName} on a connection for ${origin.host}`, 421);
  }
  const named = placeOf(request.authority, origin.kind);
  if (origin.host === null) {
    // An HTTP/1.0 client may name no host; then the address that it was headed for is all that is known.
    if (request.authority === "") return { kind: origin.kind, host: address ?? "", port: origin.port, address };
    return named === null
      ? refused("the request's Host is no host", 400)
      : { kind: origin.kind, host: named.host, port: origin.port, address };
  }
  if (named === null || named.host !== origin.host || named.port !== origin.port) {
    return refused(`Host ${request.authority} is not ${origin.host}:${origin.port}, which the connection is for`, 421);
  }
  return { kind: origin.kind, host: origin.host, port: origin.port, address };
}

/** RFC 9112 section 3.2.4: OPTIONS without a path asks about the server as a whole, and the last proxy says so. */
function takeTarget(request: RequestMessage, path: string, query: string | null): void {
  if (request.method === "OPTIONS" && NO_PATH.test(request.target)) {
    request.form = "asterisk";
    request.setTarget("*", null);
  } else request.setTarget(path, query);
}

const NO_PATH = /^[a-z]+:\/\/[^/?]*$/i;

function placeOf(authority: string, scheme: "http" | "https"): { readonly host: string; readonly port: number } | null {
  const parsed = parseAuthority(authority);
  const host = parsed === null ? null : hostOf(parsed.host);
  return host === null ? null : { host, port: parsed!.port ?? (scheme === "https" ? 443 : 80) };
}

/**
 * A host as rules know it. null: a name whose last label is a number (RFC 3986 section 7.4): some programs read an address in
 * 2130706433, 0x7f.1 or 0177.0.0.1, and others do not.
 */
export function hostOf(text: string): string | null {
  if (text.startsWith("[")) return canonicalAddress(text.slice(1, -1));
  const name = (text.endsWith(".") ? text.slice(0, -1) : text).toLowerCase();
  if (canonicalAddress(name) !== null) return name;
  const label = name.slice(name.lastIndexOf(".") + 1);
  return name === "" || name.includes("..") || /^(?:\d+|0x[0-9a-f]*)$/.test(label) ? null : name;
}

function refused(message: string, status: number): ProxyError {
  return new ProxyError("http_request_error", message, { status });
}
