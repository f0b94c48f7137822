/**
 * May a stored answer be given to this request, now, without asking the origin (RFC 9111, section 4)? It decides by the answer's age and
 * what the client says; it makes no objects, since it runs for each hit.
 */

import { type AnswerHead, HEAD_FLAGS } from "./answer-head.ts";
import { ABSENT, type RequestDirectives } from "./cache-control.ts";

export type Reuse =
  /** Give it. */
  | "fresh"
  /** Give it although it is stale: the client takes it (max-stale). */
  | "stale-accepted"
  /** Give it, and fetch it anew meanwhile (RFC 5861, section 3). */
  | "stale-while-revalidate"
  /** Ask the origin first: it is stale, */
  | "validate-stale"
  /** ... the answer wants it each time (no-cache), */
  | "validate-always"
  /** ... or the client wants it now. */
  | "validate-asked"
  /** The client wants nothing but what is stored, and this is not good enough: 504 (section 5.2.1.7). */
  | "unavailable";

/** Whether what the client says about caching counts, or only what the answers and the configuration say. */
export interface ReuseRules {
  readonly honoursRequest: boolean;
}

/**
 * `isNewer`: the answer was fetched or validated by a request that was sent after this one had arrived, so that a client which wants it
 * validated has what its own request would have brought.
 */
export function mayReuse(
  head: AnswerHead,
  ageMs: number,
  request: RequestDirectives,
  rules: ReuseRules,
  isNewer: boolean,
): Reuse {
  const reuse = judge(head, ageMs, request, rules.honoursRequest, isNewer);
  // only-if-cached is about where answers come from, so it counts even where a client may not ask for fresher ones.
  return request.onlyIfCached && reuse.startsWith("validate") ? "unavailable" : reuse;
}

/** Whether a stale answer may be given because the origin does not answer, or with one of these errors (RFC 5861, section 4). */
export function isErrorForStale(status: number): boolean {
  return status === 500 || status === 502 || status === 503 || status === 504;
}

/** Whether a stored answer may be given in place of an error. */
export function mayGiveOnError(
  head: AnswerHead,
  ageMs: number,
  request: RequestDirectives,
  rules: ReuseRules,
): boolean {
  if ((head.flags & HEAD_FLAGS.noCache) !== 0) return false;
  const staleMs = ageMs - head.freshMs;
  // Validated only because somebody asked for it, or because of a soft purge: it is fresh by what it says itself.
  if (staleMs < 0) return !(rules.honoursRequest && request.noCache);
  if (staleMs < head.staleIfErrorMs || staleMs < head.staleWhileRevalidateMs) return true;
  if (!rules.honoursRequest || (head.flags & HEAD_FLAGS.mustRevalidate) !== 0) return false;
  return staleMs < request.staleIfErrorMs || staleMs <= request.maxStaleMs;
}

function judge(
  head: AnswerHead,
  ageMs: number,
  request: RequestDirectives,
  honoursRequest: boolean,
  isNewer: boolean,
): Reuse {
  const { flags, freshMs } = head;
  if ((flags & HEAD_FLAGS.noCache) !== 0) return "validate-always";
  const isFresh = freshMs > ageMs && (flags & HEAD_FLAGS.purgedSoftly) === 0;
  if (honoursRequest) {
    if (request.noCache && !isNewer) return "validate-asked";
    // A reload says max-age=0; what never changes need not be looked at for it (RFC 8246, section 2).
    const isUnchanging = isFresh && (flags & HEAD_FLAGS.immutable) !== 0;
    // An age that is equal counts as older: max-age=0 asks for validation, also within the same millisecond.
    if (request.maxAgeMs !== ABSENT && ageMs >= request.maxAgeMs && !isUnchanging && !isNewer) return "validate-asked";
    if (request.minFreshMs > 0 && freshMs - ageMs < request.minFreshMs) return "validate-asked";
  }
  if (isFresh) return "fresh";
  // Who limits the age wants nothing stale, unless he says how stale (section 5.2.1.1).
  if (honoursRequest && request.maxAgeMs !== ABSENT && request.maxStaleMs === ABSENT) return "validate-stale";
  const staleMs = Math.max(ageMs - freshMs, 0);
  if (staleMs < head.staleWhileRevalidateMs) return "stale-while-revalidate";
  const isAccepted = honoursRequest && staleMs <= request.maxStaleMs;
  return isAccepted && (flags & (HEAD_FLAGS.mustRevalidate | HEAD_FLAGS.purgedSoftly)) === 0
    ? "stale-accepted"
    : "validate-stale";
}
