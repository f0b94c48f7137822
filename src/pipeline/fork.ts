/**
 * A request of a feature's own, sent beside the exchange that it works for: it passes the features behind that one, goes where the
 * exchange would go, and lives on when the exchange has ended. A shared cache fetches with it what many wait for.
 *
 * It is an exchange like any other to the features that it passes, with the client, the identity and the destination of the one
 * that it came from; its answer goes to the handler and to no client. No access log tells of it.
 */
import type { ProxyError } from "../core/errors.ts";
import type { FieldBlock } from "../core/fields.ts";
import type { RequestMessage, ResponseMessage } from "../core/message.ts";

/** Is told of the answer: onHead, onBody*, then onEnd; or onFailed, at any time, and nothing after it. */
export interface ForkHandler {
  /** An interim response (103). */
  onInformational(response: ResponseMessage): void;
  /**
   * The head of the answer, hop-by-hop fields removed; it stays valid until the end. `isForwarded`: it came from the upstream, not
   * from a feature.
   */
  onHead(response: ResponseMessage, isForwarded: boolean): void;
  /** Valid during the call only. */
  onBody(bytes: Buffer, start: number, end: number): void;
  onEnd(trailers: FieldBlock | null): void;
  /** Before the head: nothing answered, for this reason. Behind it: the body broke off. */
  onFailed(error: ProxyError): void;
}

export interface Fork {
  /** "address:port" of the upstream's connection; null before there is one. */
  readonly upstreamAddress: string | null;
  /** The body's flow. */
  pause(): void;
  resume(): void;
  /** Gives up; the handler is told nothing more. */
  abort(): void;
  /** Sends another one from the same place, also when the exchange has ended. The request belongs to the fork from here on. */
  again(request: RequestMessage, handler: ForkHandler): Fork;
}
