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
import { hostOf, parseAuthority, splitAbsoluteForm } from "../semantics/uri.ts";
import type { Exchange, Identity } from "./exchange.ts";
import { type ConnectionOrigin, type Destination, Forwarding } from "./forwarding.ts";
import { loopOf } from "./loop.ts";
import type { Site } from "./site.ts";

/** Whether a request is for another server: its connection says so, or its target where such requests are served. */
export function isForElsewhere({ request, connection }: Exchange, site: Site): boolean {
  if ((connection.origin ?? null) !== null) return true;
  const { form } = request;
  return site.forward !== null && (form === "authority" || form === "absolute");
}

/** Settles where the request goes and sets `exchange.forward`; says why it is refused; null when it may go on. */
export function admitForward(exchange: Exchange, site: Site): ProxyError | null {
  const { request, connection } = exchange;
  const origin = connection.origin ?? null;
  // What was redirected here was let in by nobody: each of its requests is by itself.
  if (origin?.kind === "https" && origin.upstream !== (site.forward?.upstream ?? null)) {
    return refused("the configuration that let the connection in is gone", 421);
  }
  // TRACE would show the fields that were added on the way.
  if (request.method === "TRACE") return refused("method TRACE is not served here", 405);
  const destination =
    request.form === "authority"
      ? tunnelDestination(request, origin)
      : origin === null
        ? absoluteDestination(request)
        : destinationAtOrigin(request, origin);
  if (destination instanceof ProxyError) return destination;
  exchange.forward = forwardingOf(exchange, destination);
  const remoteAddress = connection.remote.address;
  if (origin !== null) exchange.clientAddress = origin.clientAddress;
  else if (site.trustedProxies?.has(remoteAddress) === true) {
    // What stands between a client and us says who that is; no origin has to know.
    exchange.clientAddress = clientAddress(request.fields, remoteAddress, site.trustedProxies);
    removeForwarded(request.fields);
  }
  return loopOf(request, site);
}

/**
 * Makes a request that was asked of us as a server one for the URL, as if its client had asked a forward proxy for it; `user` is who
 * that client is. For features that stand in front of those of the forward proxy, whose rules decide then. Says why it cannot be.
 */
export function sendElsewhere(exchange: Exchange, url: string, user: Identity | null): ProxyError | null {
  const { request } = exchange;
  const target = splitAbsoluteForm(url);
  const place = target === null ? null : placeOf(target.authority);
  if (target === null || place === null) return notAHost(request, target?.authority ?? "", "the URL names no host");
  request.scheme = target.scheme;
  request.authority = place.authority;
  request.fields.set("Host", place.authority);
  request.setTarget(target.path, target.query);
  exchange.forward = new Forwarding(place.destination(target.scheme), user);
  return null;
}

/**
 * What was redirected here goes to its address, whatever it calls it: that is its host, too, until the claim was looked at. Behind
 * TLS that we have opened the certificate of the origin shows which host it is.
 */
function forwardingOf({ request, connection }: Exchange, destination: Destination): Forwarding {
  const origin = connection.origin ?? null;
  if (origin === null) return new Forwarding(destination, connection.user ?? null);
  const { host, isAddress, address } = destination;
  if (origin.kind === "https" || address === null) return new Forwarding(destination, origin.user);
  const place = origin.kind === "http" ? placeOf(request.authority) : null;
  const port = place === null ? destination.port : place.portFor("http");
  if (host === address && port === destination.port) return new Forwarding(destination, origin.user);
  return new Forwarding({ ...destination, host: address, isAddress: true }, origin.user, { host, isAddress, port });
}

/** CONNECT host:port (RFC 9110 section 9.3.6). What its Host says has no meaning. */
function tunnelDestination(request: RequestMessage, origin: ConnectionOrigin | null): Destination | ProxyError {
  if (origin !== null) {
    if (origin.kind !== "tunnel") return refused("CONNECT within a tunnel", 405);
    const { host, port, address } = origin;
    const isAddress = host === null || canonicalAddress(host) !== null;
    request.authority = request.target;
    return { kind: "tunnel", host: host ?? address ?? "", isAddress, port, address };
  }
  if (request.bodyBytes !== 0) return refused("CONNECT has no body", 400);
  const place = placeOf(request.target);
  if (place === null) return notAHost(request, request.target, "CONNECT names no host and port");
  if (place.port === null) return refused("CONNECT names no host and port", 400);
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
  if (place === null) return notAHost(request, request.absoluteAuthority, "the request target names no host");
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
  const { kind } = origin;
  if (kind === "tunnel") return refused("a request on a connection that is to be a tunnel", 400);
  if (request.form === "absolute") {
    const place = takeAbsoluteForm(request);
    if (place instanceof ProxyError) return place;
    if (request.scheme !== kind) return refused(`a request for ${request.scheme} on a connection for ${kind}`, 421);
  } else request.settleAuthority();
  const { address, serverName } = origin;
  if (serverName !== null && serverName !== origin.host) {
    return refused(`TLS was begun for ${serverName} on a connection for ${origin.host}`, 421);
  }
  const place = placeOf(request.authority);
  const { port } = origin;
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

/** Why a host is refused that looks like an address in a form of its own. */
export const AMBIGUOUS_HOST = "ambiguous_host";

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

/** Authorities that were asked for lately, and as many from before: those that are asked for all the time stay. */
const PLACES_MAX = 2_048;
let places = new Map<string, Place>();
let placesBefore: ReadonlyMap<string, Place> = places;

/** null: it names no host. */
function placeOf(authority: string): Place | null {
  const known = places.get(authority);
  if (known !== undefined) return known;
  const parsed = parseAuthority(authority);
  const host = parsed === null ? null : hostOf(parsed.host);
  if (host === null) return null;
  const place = placesBefore.get(authority) ?? new Place(authority, host, parsed!.port);
  if (places.size >= PLACES_MAX) {
    placesBefore = places;
    places = new Map();
  }
  places.set(authority, place);
  return place;
}

/** A name whose last label is a number is refused by itself: the log says why, and where to. */
function notAHost(request: RequestMessage, authority: string, otherwise: string): ProxyError {
  const parsed = parseAuthority(authority);
  if (parsed === null || !/^[^[].*[^.]$/.test(parsed.host) || parsed.host.includes(".."))
    return refused(otherwise, 400);
  request.authority = authority;
  const message = `${parsed.host} is no host: some programs take it for an address, others for a name`;
  return new ProxyError("http_request_error", message, { reason: AMBIGUOUS_HOST });
}

function refused(message: string, status: number): ProxyError {
  return new ProxyError("http_request_error", message, { status });
}
