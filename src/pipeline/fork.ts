/**
 * A request of a feature's own, sent beside the exchange that it works for: it passes the features behind that one, goes where the
 * exchange would go, and lives on when the exchange has ended. A shared cache fetches with it what many wait for.
 *
 * It is an exchange like any other to the features that it passes, with the client, the identity and the destination of the one
 * that it came from; all of their hooks run, `log` too, which is where some put away what they hold. Its answer goes to the handler
 * and to no client. Whoever observes exchanges (the access log, the counts of requests) is told nothing of it: what it cost is told
 * of the exchange that waited for it.
 *
 * It has no body, never switches protocols, and never goes over a connection on which its client was authenticated for good
 * (NTLM): a request that needs that goes the usual way. What its upstream does is bounded by the route's deadlines; while it is
 * paused nothing bounds it, as that is the handler's doing.
 */
import type { ProxyError } from "../core/errors.ts";
import type { FieldBlock } from "../core/fields.ts";
import type { RequestMessage, ResponseMessage } from "../core/message.ts";

/** Is told of the answer: onHead, onBody*, then onEnd; or onFailed, at any time, and nothing after it. */
export interface ForkHandler {
  /** An interim response (103), valid during the call only. */
  onInformational(response: ResponseMessage): void;
  /**
   * The head of the answer as a client would get it: Date and Via are there, hop-by-hop fields are not, `bodyBytes` says how long
   * the body is. It stays valid until the end. `isForwarded`: it came from the upstream, not from a feature.
   */
  onHead(response: ResponseMessage, isForwarded: boolean): void;
  /** Valid during the call only. */
  onBody(bytes: Buffer, start: number, end: number): void;
  /** The trailers are valid during the call only. */
  onEnd(trailers: FieldBlock | null): void;
  /** Before the head: nothing answered, for this reason. Behind it: the body broke off. */
  onFailed(error: ProxyError): void;
}

/** From where a feature sends requests of its own: behind itself, on the route that its exchange has met. */
export interface ForkPoint {
  /**
   * Sends one, also when the exchange has ended. The request belongs to the fork from here on; `copyWithoutBody` of a request makes
   * one. Never calls the handler before it returns.
   */
  fork(request: RequestMessage, handler: ForkHandler): Fork;
}

export interface Fork {
  /** "address:port" of the upstream's connection; null before there is one. */
  readonly upstreamAddress: string | null;
  /** A feature that it has passed has found out who asks, which the exchange that it comes from does not know. */
  readonly isIdentified: boolean;
  /** The body's flow. A few calls of onBody may still come after `pause`. */
  pause(): void;
  resume(): void;
  /** Gives up; the handler is told nothing more. */
  abort(): void;
  /** Sends another one from the same place, also when the exchange has ended. The request belongs to the fork from here on. */
  again(request: RequestMessage, handler: ForkHandler): Fork;
}
