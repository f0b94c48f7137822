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
import { parseAuthority } from "../semantics/uri.ts";
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
  exchange.forward = new Forwarding(destination, (origin === null ? connection.user : origin.user) ?? null);
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
  const place = placeOf(request.target);
  if (place === null || place.port === null) return refused("CONNECT names no host and port", 400);
  request.authority = place.authority;
  return place.destination("tunnel");
}

function absoluteDestination(request: RequestMessage): Destination | ProxyError {
  const place = takeAbsoluteForm(request);
  return place instanceof ProxyError ? place : place.destination(request.scheme);
}

/** The target's authority takes the place of Host (RFC 9112 section 3.2.2). Where the two differ, servers disagree: refused. */
function takeAbsoluteForm(request: RequestMessage): Place | ProxyError {
  const place = placeOf(request.absoluteAuthority);
  if (place === null) return refused("the request target names no host", 400);
  const scheme = request.absoluteScheme;
  if (!request.hostIsAbsoluteAuthority) {
    if (request.fields.rowOfId(FIELD_HOST) >= 0) {
      request.settleAuthority();
      const host = placeOf(request.authority);
      if (host === null || host.host !== place.host || host.portFor(scheme) !== place.portFor(scheme)) {
        return refused(`Host ${request.authority} is not the target's ${place.authority}`, 400);
      }
    }
    request.fields.set("Host", place.authority);
  }
  request.authority = place.authority;
  request.scheme = scheme;
  // RFC 9112 section 3.2.4: OPTIONS without a path asks about the server as a whole, and the last proxy says so.
  if (request.method === "OPTIONS" && request.absoluteIsBare) {
    request.form = "asterisk";
    request.setTarget("*", null);
  } else request.dropAbsoluteAuthority();
  return place;
}

/** On a connection whose requests all go to one place: Host must be that place, or the request was sent to the wrong one. */
function destinationAtOrigin(request: RequestMessage, origin: ConnectionOrigin): Destination | ProxyError {
  if (request.form === "absolute") {
    const place = takeAbsoluteForm(request);
    if (place instanceof ProxyError) return place;
    if (request.scheme !== origin.kind)
      return refused(`a request for ${request.scheme} on a connection for ${origin.kind}`, 421);
  } else request.settleAuthority();
  const { address, serverName } = origin;
  if (serverName !== null && serverName !== origin.host) {
    return refused(`TLS was begun for ${serverName} on a connection for ${origin.host}`, 421);
  }
  const place = placeOf(request.authority);
  const { kind, port } = origin;
  if (origin.host === null) {
    // An HTTP/1.0 client may name no host; then the address that it was headed for is all that is known.
    if (request.authority === "") return { kind, host: address ?? "", isAddress: true, port, address };
    if (place === null) return refused("the request's Host is no host", 400);
    return { kind, host: place.host, isAddress: place.isAddress, port, address };
  }
  if (place === null || place.host !== origin.host || place.portFor(kind) !== port) {
    return refused(`Host ${request.authority} is not ${origin.host}:${port}, which the connection is for`, 421);
  }
  return { kind, host: origin.host, isAddress: place.isAddress, port, address };
}

const DEFAULT_PORTS = { http: 80, https: 443, tunnel: 443 } as const;

/** What an authority names. The same object, and the same destinations, for the same authority: they are compared by identity. */
class Place {
  /** Lower case. */
  readonly authority: string;
  readonly host: string;
  readonly isAddress: boolean;
  /** null: the scheme's. */
  readonly port: number | null;
  readonly #destinations: { -readonly [kind in Destination["kind"]]: Destination | null } = {
    http: null,
    https: null,
    tunnel: null,
  };

  constructor(authority: string, host: string, port: number | null) {
    this.authority = authority.toLowerCase();
    this.host = host;
    this.isAddress = canonicalAddress(host) !== null;
    this.port = port;
  }

  portFor(kind: Destination["kind"]): number {
    return this.port ?? DEFAULT_PORTS[kind];
  }

  destination(kind: Destination["kind"]): Destination {
    const { host, isAddress } = this;
    this.#destinations[kind] ??= { kind, host, isAddress, port: this.portFor(kind), address: null };
    return this.#destinations[kind];
  }
}

/** Authorities that were asked for lately; whoever makes up more of them costs the others a parse. */
const PLACES_MAX = 4_096;
const places = new Map<string, Place | null>();

/** null: it names no host. */
function placeOf(authority: string): Place | null {
  const known = places.get(authority);
  if (known !== undefined) return known;
  const parsed = parseAuthority(authority);
  const host = parsed === null ? null : hostOf(parsed.host);
  const place = host === null ? null : new Place(authority, host, parsed!.port);
  if (places.size >= PLACES_MAX) places.clear();
  places.set(authority, place);
  return place;
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
