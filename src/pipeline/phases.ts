/**
 * The phases of an exchange, as hooks that features and users' plugins implement. A hook that is absent costs one compare.
 *
 * Request phases run in the order of `use`, response phases in the reverse order. A hook that need not wait returns
 * nothing; one that must, returns a promise, and the exchange goes on when it resolves. A hook that throws or rejects
 * fails the exchange: the client gets 500, or the status of the ProxyError that was thrown.
 *
 * An exchange can end (the client left, a deadline passed) while a hook waits: check `exchange.ended` after an await
 * before doing anything costly. Changing an ended exchange does nothing.
 */
import type { ProxyError } from "../core/errors.ts";
import type { FieldBlock } from "../core/fields.ts";
import { HOOK_NAMES } from "../core/hook-names.ts";
import type { ResponseMessage } from "../core/message.ts";
import type { BodySink, BodySource, BodyTransform } from "./body.ts";
import type { Exchange } from "./exchange.ts";

export type { BodySink, BodySource, BodyTransform };

/** Nothing, or a promise to wait for. */
export type Waiting = void | Promise<void>;

export interface Feature {
  /** The feature's name as the configuration spells it, or the plugin's own; for logs and `explain`. */
  readonly name: string;

  /**
   * The request has arrived (its head; the body may still be on its way) and its route is known. May change it
   * (`exchange.request`), answer it (`exchange.respond`) or refuse it (`exchange.fail`); after an answer no later
   * request hook runs. Fields that later become part of the upstream request are those of `exchange.request.fields`;
   * hop-by-hop fields are still there.
   */
  request?(exchange: Exchange): Waiting;

  /**
   * Asked once when the request has a body, before its first byte is passed on. Return a transform to see or change the
   * bytes, null to leave them alone; it writes nothing before it is given something. One that changes the length says so before,
   * in `request`, by `exchange.request.bodyBytes = BODY_UNTIL_END`; the body is then sent chunked.
   */
  requestBody?(exchange: Exchange, next: BodySink, source: BodySource): BodyTransform | null;

  /** Chooses where the request goes by setting `exchange.upstream`; the route's own choice is already there. */
  selectUpstream?(exchange: Exchange): Waiting;

  /** A connection to the upstream is there (new or reused); `exchange.upstreamAddress` says where. Once per attempt. */
  upstreamConnected?(exchange: Exchange): void;

  /**
   * The request as it will be sent: hop-by-hop fields are gone, forwarding fields are set. The last place to change it.
   * Runs once per attempt on the same fields: set, do not append.
   */
  upstreamRequest?(exchange: Exchange): Waiting;

  /** An interim response (103, or 100) of the upstream; false keeps it from the client. */
  upstreamInformational?(exchange: Exchange, response: ResponseMessage): boolean;

  /** The upstream's answer as it came, hop-by-hop fields removed, before any `response` hook: what a cache would store. */
  upstreamResponse?(exchange: Exchange, response: ResponseMessage): Waiting;

  /** Like `requestBody`, for the body of the upstream's answer as it came. */
  upstreamResponseBody?(exchange: Exchange, next: BodySink, source: BodySource): BodyTransform | null;

  /**
   * The answer that the client will get, from the upstream or from a feature behind this one. May change status and
   * fields. To change the body's length, set `response.bodyBytes = BODY_UNTIL_END`; Content-Length is then left out.
   */
  response?(exchange: Exchange, response: ResponseMessage): Waiting;

  /** Asked once when the answer has a body, after all `response` hooks. */
  responseBody?(exchange: Exchange, next: BodySink, source: BodySource): BodyTransform | null;

  /** The trailer section of the answer, before it is sent on. */
  trailers?(exchange: Exchange, fields: FieldBlock): void;

  /** The upstream agreed to switch protocols (101): from here on bytes pass both ways until either side ends. */
  upgrade?(exchange: Exchange): void;

  /** An attempt to reach the upstream failed; another one may follow. `exchange.attempts` counts them. */
  connectError?(exchange: Exchange, error: ProxyError): void;

  /** The exchange failed and no byte of an answer was sent: may answer in its own way by `exchange.respond`. */
  proxyError?(exchange: Exchange, error: ProxyError): void;

  /** The exchange is over, well or not. Nothing can be changed any more. */
  log?(exchange: Exchange): void;
}

/** Those that there are: the reference and a test go through them. */
export const PHASES = HOOK_NAMES satisfies readonly Exclude<keyof Feature, "name">[];

export type PhaseName = (typeof PHASES)[number];
