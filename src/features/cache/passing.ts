/**
 * Requests that go their usual way, past the cache: what is remembered of them until their answer is there, and what that answer then
 * does to what is stored. An answer to a request that changes things makes obsolete what it is about (RFC 9111, section 4.4; RFC 9875);
 * one to HEAD confirms it, or shows that it is not good any more (section 4.3.5).
 */
import type { CachedAnswer } from "../../caching/cache.ts";
import { FIELD_CONTENT_LENGTH } from "../../core/field-names.ts";
import type { ResponseMessage } from "../../core/message.ts";
import type { CacheNote, Exchange } from "../../pipeline/exchange.ts";
import type { Waiting } from "../../pipeline/phases.ts";
import type { ForwardReason } from "../../semantics/caching/cache-status.ts";
import { judgeByHead } from "../../semantics/caching/conditionals.ts";
import { invalidatedBy } from "../../semantics/caching/invalidation.ts";
import { turnedStale, updated } from "../../semantics/caching/updating.ts";
import type { CacheContext } from "./context.ts";
import { urlOf } from "./keys.ts";
import type { Reason } from "./reasons.ts";
import { statusOf } from "./status.ts";

/** What an answer to HEAD is compared with. */
export interface HeadFacts {
  readonly key: string;
  readonly path: string;
  readonly stored: CachedAnswer;
  readonly isIdentified: boolean;
  readonly requestedMs: number;
}

export class PassNote implements CacheNote {
  readonly outcome = "pass";
  readonly reason: Reason;
  readonly forward: ForwardReason;
  /** Of a request that may change things: under which its URL is stored; null: it may not, or it has no key. */
  readonly changedKey: string | null;
  /** Of HEAD, when its GET is stored. */
  readonly head: HeadFacts | null;

  constructor(reason: Reason, forward: ForwardReason, changedKey: string | null = null, head: HeadFacts | null = null) {
    this.reason = reason;
    this.forward = forward;
    this.changedKey = changedKey;
    this.head = head;
  }
}

/** The answer of a request that went past the cache, on its way to the client. */
export function onPassedAnswer(
  context: CacheContext,
  exchange: Exchange,
  response: ResponseMessage,
  note: PassNote,
): Waiting {
  // Before Cache-Status is there, which is told of this answer and of no other.
  if (note.head !== null) compareWithHead(context, exchange, response, note.head);
  if (context.options.statusHeader && response.status >= 200) {
    const { forward, reason } = note;
    response.fields.append("Cache-Status", statusOf({ forward, forwardStatus: response.status, detail: reason }));
  }
  if (note.changedKey !== null) return invalidate(context, exchange, response, note.changedKey);
}

/** The client may rely upon it: what it reads next, from whichever thread, is not what was there before. */
function invalidate(context: CacheContext, exchange: Exchange, response: ResponseMessage, key: string): Waiting {
  const own = urlOf(key);
  const { urls, tags } = invalidatedBy(exchange.request.method, own, response.status, response.fields);
  if (urls.length === 0) return;
  const { cache, keys } = context;
  const isRouted = exchange.forward === null;
  const waiting: Promise<void>[] = tags.map((tag) => cache.invalidateTag(tag));
  for (const url of urls) {
    const changed = url === own ? key : keys.ofUrl(key, url, isRouted);
    if (changed !== null) waiting.push(cache.invalidate(changed));
  }
  // A store that fails says so itself, and gives nothing until it works again.
  return Promise.allSettled(waiting).then(() => {});
}

function compareWithHead(
  context: CacheContext,
  exchange: Exchange,
  { status, fields }: ResponseMessage,
  { key, path, stored, isIdentified, requestedMs }: HeadFacts,
): void {
  const length = fields.rowOfId(FIELD_CONTENT_LENGTH);
  const verdict = judgeByHead(stored.head, status, fields, length < 0 ? -1 : Number(fields.valueAt(length)));
  if (verdict === "nothing") return;
  const { cache, clock, rules } = context;
  const { request } = exchange;
  if (verdict === "stale") return cache.refresh(key, request.fields, stored, turnedStale(stored.head));
  const found = rules.for(path, status, fields.get("content-type"));
  if (found === null) return;
  const answered = {
    method: "GET",
    fields: request.fields,
    url: urlOf(key),
    isIdentified,
    noStore: false,
    requestedMs,
  };
  const next = updated(stored.head, answered, { fields, receivedMs: clock.wallMs() }, found);
  if (next.isStored) cache.refresh(key, request.fields, stored, next.head);
  // By what it says now it is not to be kept; that it bears an identity says nothing of what others were answered.
  else if (next.reason !== "authorization") context.invalidate(key);
}
