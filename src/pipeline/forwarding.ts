/**
 * What is known of a request that goes where its client says, not where a route says: a forward proxy's. Where it wants to go is
 * settled at the door (forward-admission.ts); who asks, and what is allowed, is settled by forward/.
 */
import type { ProxyError } from "../core/errors.ts";
import type { Address, AddressFilter, Connection } from "../core/ports.ts";
import type { TakenOver } from "./downstream.ts";
import type { Exchange, Identity } from "./exchange.ts";
import type { Upstream, UpstreamStream } from "./upstream.ts";

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
  /**
   * To which addresses: equal texts, equal ones; "" for all that are public. What was fetched by one reach is nothing to another one,
   * which might have been refused the address that it came from.
   */
  readonly reach: string;
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
  /** It is a tunnel after all, by this stream. `client.early` is what the client has sent. */
  onTunnel(client: TakenOver, upstream: TunnelUpstream): void;
}

/** The stream of a tunnel: holds its place until it is aborted. */
export interface TunnelUpstream extends UpstreamStream {
  /** Gives its connection away, paused, with what has come on it so far. */
  take(): { readonly connection: Connection; readonly early: Buffer };
}

export interface TakenConnection {
  /** Closes what there is. */
  destroy(error: ProxyError): void;
}

/**
 * What is known of a connection before its first request: it came out of a tunnel ("https"), or was redirected here by the system
 * ("http", and "tunnel" when it is to be one, which its driver asks for). Every request on it goes there.
 */
export interface ConnectionOrigin {
  readonly kind: "tunnel" | "http" | "https";
  /** null: each request names it by its Host, or nobody does. */
  readonly host: string | null;
  readonly port: number;
  /** What is connected to in place of the host's own: the address that the client named or was headed for; else null. */
  readonly address: string | null;
  /** The name that the client asked TLS for; null: none, or there was no TLS. */
  readonly serverName: string | null;
  /** Who was let into the tunnel; null: nobody had to say. */
  readonly user: Identity | null;
  /** Whose connection it is: nobody in front of us can write what is said on it. */
  readonly clientAddress: string;
  /** What let it in: once that is another one, its requests must come again. */
  readonly upstream: Upstream | null;
}

/** A body as the log tells of it: its secrets are covered. */
export interface LoggedBody {
  /** Its Content-Type; null: it had none. */
  readonly type: string | null;
  /** Its Content-Encoding; null: none. */
  readonly encoding: string | null;
  /** What passed of it. */
  readonly bytes: number;
  /** null: it is none that is shown. */
  readonly text: string | null;
  /** There was more than the text. */
  readonly isTruncated: boolean;
}

/** What a rule asks the log to tell of an exchange beyond its usual fields. */
export interface DebugNotes {
  readonly headers: boolean;
  readonly requestBody: LoggedBody | null;
  readonly responseBody: LoggedBody | null;
}

/** Kept of an exchange while a rule might ask for it. */
export interface DebugRecord {
  /** Whether the rule that lets this address pass asks for anything. */
  isAskedFor(address: string | null): boolean;
  /** null: it does not. */
  notesFor(address: string | null): DebugNotes | null;
}

/** A tunnel as it is counted. */
export interface OpenTunnel {
  /** It is there: our end of its connection, and the one that it leads to. Once, at most. */
  leadsFrom(end: Address, to: Address): void;
  /** Once, at its end. */
  close(): void;
}

/** What a client says its destination is called. */
export type ClaimedHost = Pick<Destination, "host" | "isAddress" | "port">;

/** Of one exchange. */
export class Forwarding {
  /** With the address for its host where a claim is in doubt. */
  destination: Destination;
  /**
   * The Host, or the name in TLS, of traffic that was headed for an address and was redirected here; null: nothing is in doubt.
   * Whoever can reach an address can claim any host there (CVE-2009-0801).
   */
  readonly claimed: ClaimedHost | null;
  /**
   * The destination is what its host says it is, as far as names and addresses tell. false: its claim was not found to be true.
   * Then the answer is that of the address and of nobody else: nothing of it may be kept, or believed, under the claimed host.
   */
  isHostVerified: boolean;
  /** Why nobody could say whether the claim is true; null: somebody could, or nobody was asked. */
  claimError: ProxyError | null = null;
  /** Who uses the proxy, as it has proved to it; null: nobody has. No Authorization: the origin knows nothing of it. */
  user: Identity | null;
  /** Set when it is allowed; without it nothing is connected to. */
  access: DestinationAccess | null = null;
  /** The proxy that it goes through, without credentials: "http://proxy.example.org:3128"; null: it goes direct. */
  via: string | null = null;
  /** What becomes of a tunnel in place of one to the destination; null: that one. */
  taker: ConnectionTaker | null = null;
  /** The name that TLS was begun for in a tunnel, where somebody has looked; null: none, or nobody has. */
  serverName: string | null = null;
  /** null: no rule asks for more than the usual. */
  debug: DebugRecord | null = null;
  /** Counted from when it is allowed until the exchange ends; null: this is no tunnel, or it was not allowed. */
  tunnel: OpenTunnel | null = null;

  constructor(destination: Destination, user: Identity | null, claimed: ClaimedHost | null = null) {
    this.destination = destination;
    this.user = user;
    this.claimed = claimed;
    this.isHostVerified = claimed === null;
  }

  /** The claimed host leads to the address that the traffic was headed for. */
  believeHost(): void {
    const { host, isAddress } = this.claimed!;
    this.destination = { ...this.destination, host, isAddress };
    this.isHostVerified = true;
  }
}
