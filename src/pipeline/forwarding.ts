/**
 * What is known of a request that goes where its client says, not where a route says: a forward proxy's. Where it wants to go is
 * settled at the door (forward-admission.ts); who asks, and what is allowed, is settled by forward/.
 */
import type { ProxyError } from "../core/errors.ts";
import type { AddressFilter, Connection } from "../core/ports.ts";
import type { TakenOver } from "./downstream.ts";
import type { Exchange, Identity } from "./exchange.ts";
import type { UpstreamHandler } from "./upstream.ts";

/** Where a client wants to go. */
export interface Destination {
  /** How: by a tunnel, or by a request in one of the schemes. */
  readonly kind: "tunnel" | "http" | "https";
  /** A name in lower case, without a dot at its end; or an address, canonical and without brackets. */
  readonly host: string;
  readonly isAddress: boolean;
  readonly port: number;
  /** What the client's traffic was headed for when it was redirected here: connected to in place of the host's own; else null. */
  readonly address: string | null;
}

/** To which addresses a request may go, and which rule says so. Requests with the same access may share connections. */
export interface DestinationAccess extends AddressFilter {
  /** Equal texts, equal access. */
  readonly key: string;
  /** The name of the rule that lets this address pass, or the host whatever its address is (null); null: none does. */
  ruleOf(address: string | null): string | null;
}

/** Takes a client's connection over once the client was told that it has its tunnel. */
export interface ConnectionTaker {
  take(exchange: Exchange, client: TakenOver, taken: TakenHandler): TakenConnection;
}

/** One of the two is called, once. */
export interface TakenHandler {
  /** The connection is no matter of the exchange any more; with an error when it went wrong. */
  onReleased(error: ProxyError | null): void;
  /** It is a tunnel to this connection after all. `client.early` is what the client has sent. */
  onTunnel(client: TakenOver, upstream: Connection, upstreamEarly: Buffer): void;
}

export interface TakenConnection {
  /** Closes what there is. */
  destroy(error: ProxyError): void;
}

/**
 * What is known of a connection before its first request: it came out of a tunnel, or was redirected here by the system.
 * Every request on it goes there.
 */
export interface ConnectionOrigin {
  readonly kind: "http" | "https";
  /** null: each request names it by its Host. */
  readonly host: string | null;
  readonly port: number;
  /** What is connected to in place of the host's own: the address that the client named or was headed for; else null. */
  readonly address: string | null;
  /** The name that the client asked TLS for; null: none, or there was no TLS. */
  readonly serverName: string | null;
  /** Who was let into the tunnel; null: nobody had to say. */
  readonly user: Identity | null;
}

/** Gives up waiting: no call follows. */
export interface Lessor {
  cancel(handler: UpstreamHandler): void;
}

/** Of one exchange. */
export class Forwarding {
  readonly destination: Destination;
  /** Who uses the proxy, as it has proved to it; null: nobody has. No Authorization: the origin knows nothing of it. */
  user: Identity | null;
  /** Set when it is allowed; without it nothing is connected to. */
  access: DestinationAccess | null = null;
  /** Whom a connection was asked of: for who gives up waiting. */
  lessor: Lessor | null = null;
  /** The proxy that it goes through, without credentials: "http://proxy.example.org:3128"; null: it goes direct. */
  via: string | null = null;
  /** What becomes of a tunnel in place of one to the destination; null: that one. */
  taker: ConnectionTaker | null = null;

  constructor(destination: Destination, user: Identity | null) {
    this.destination = destination;
    this.user = user;
  }
}
