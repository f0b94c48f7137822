/**
 * What an exchange needs to know of the configuration, compiled: the site that took the request and the route that it
 * met. Made by server/ from the configuration, never changed: an exchange keeps the site that it began with, a reload makes
 * new ones.
 */
import type { DeadlineWheel } from "../core/deadlines.ts";
import type { ProxyError } from "../core/errors.ts";
import type { Clock } from "../core/ports.ts";
import type { CidrSet } from "../semantics/cidr.ts";
import type { Chain } from "./chain.ts";
import type { Exchange, Identity } from "./exchange.ts";
import type { Forks } from "./forked.ts";
import type { Waiting } from "./phases.ts";
import type { ViaLines } from "./prepare.ts";
import type { Upstream, UpstreamUse } from "./upstream.ts";

/** Ends a route that answers itself: calls `exchange.respond` or `exchange.fail` before it returns or resolves. */
export type Handler = (exchange: Exchange) => Waiting;

export interface RouteLimits {
  /** A request's body; null: no limit. More is 413. */
  readonly bodyBytesMax: number | null;
  /** No byte of the request's body came, or of the answer was taken, in this time. */
  readonly bodyTimeoutMs: number;
  /** A tunnel without a byte either way. */
  readonly tunnelIdleMs: number;
  /** A tunnel's whole life; null: no limit. */
  readonly tunnelLifetimeMs: number | null;
}

export interface Route {
  /** Where it stands in the configuration, such as "web.routes[2]". */
  readonly name: string;
  /** The features of `use`, compiled. */
  readonly chain: Chain;
  /** Where to proxy to; null when `handler` answers. Exactly one of the two is set. */
  readonly upstream: Upstream | null;
  readonly handler: Handler | null;
  /** How requests go there, also when a feature chooses another upstream. */
  readonly use: UpstreamUse;
  /** Protocols, lower case, that a client may switch to; empty: none. */
  readonly upgrade: readonly string[];
  readonly limits: RouteLimits;
}

/** Who it is, or why nobody believes it. */
export type LoginVerdict = Identity | ProxyError;

/** Whom clients may say that they are before they send a request: in the handshake of SOCKS. */
export interface Logins {
  /** false: who says nothing is let in, and rules decide how far. */
  readonly isRequired: boolean;
  /** `address` is the client's, "" when it has none. The promise comes only where the verdict must be waited for. */
  check(user: string, password: Buffer, address: string): LoginVerdict | Promise<LoginVerdict>;
}

/** What requests meet that go where their client says. */
export interface ForwardRoute extends Route {
  /** null: nobody is asked who it is. */
  readonly logins: Logins | null;
}

export interface Router {
  /** The first route that matches; null: 404. */
  find(exchange: Exchange): Route | null;
}

/** Limits that hold before a route is known. */
export interface ConnectionLimits {
  readonly headBytesMax: number;
  readonly requestLineBytesMax: number;
  readonly fieldsMax: number;
  readonly headTimeoutMs: number;
  readonly idleTimeoutMs: number;
}

/** Is told of every exchange that ended: the access log, metrics. */
export interface ExchangeObserver {
  onExchangeEnd(exchange: Exchange): void;
  /** What nothing waits for has failed at the end of the exchange, or behind it, when its fields are released: an `async` hook, a transform. */
  onLateFault?(exchange: Exchange, error: ProxyError): void;
}

export interface Site {
  /** The server's name in the configuration. */
  readonly name: string;
  readonly router: Router;
  /** What requests meet that go where their client says: CONNECT, the absolute form. null: none do, routes take them all. */
  readonly forward: ForwardRoute | null;
  readonly limits: ConnectionLimits;
  /** A client that sends FIN may still wait for its answer; false: it is taken to have left. */
  readonly halfClose: boolean;
  /** Peers whose forwarding fields are believed; null: none. */
  readonly trustedProxies: CidrSet | null;
  /** Our pseudonym in Via, and what a loop is recognised by; null: no Via, no loop detection. */
  readonly via: ViaLines | null;
  readonly observer: ExchangeObserver | null;
  /** Requests of features' own that are under way: the same through all reloads. */
  readonly forks: Forks;
  readonly clock: Clock;
  readonly deadlines: DeadlineWheel;
}
