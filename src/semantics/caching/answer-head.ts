/**
 * What is kept of a stored answer beside its body, in the terms of RFC 9111. The rules make it of an answer, decide by it whether it
 * may be given again, and make the next one of it when the origin confirms it; nobody changes one.
 */
import type { EncodedLines } from "../../core/fields.ts";

/** All that is kept of an answer but its body. Never changed: what replaces it is another one. */
export interface AnswerHead {
  readonly status: number;
  /** Without hop-by-hop fields, framing, Age, and what may not be stored. */
  readonly fields: EncodedLines;
  /** On the wall clock: request_time and response_time of RFC 9111 section 4.2.3. */
  readonly requestedMs: number;
  readonly receivedMs: number;
  /** corrected_initial_age of RFC 9111 section 4.2.3. */
  readonly initialAgeMs: number;
  /** How long it is fresh, counted in its age; 0: it has to be validated each time. */
  readonly freshMs: number;
  /** Beyond that, how long it may be given while it is fetched anew, and when that fails (RFC 5861). */
  readonly staleWhileRevalidateMs: number;
  readonly staleIfErrorMs: number;
  /** Bits of HEAD_FLAGS. */
  readonly flags: number;
  /** Lower-case names of fields in Vary; "*" is not stored. */
  readonly vary: readonly string[];
  /** What it can be purged by: surrogate keys, cache groups. */
  readonly tags: readonly string[];
  /** Length of the whole representation; -1: nobody knows yet. */
  readonly bodyBytes: number;
}

/** What is true of a stored answer, beyond its times. */
export const HEAD_FLAGS = {
  /** must-revalidate, proxy-revalidate, s-maxage, or nothing at all: never given stale because a client would take it. */
  mustRevalidate: 1,
  /** no-cache: validated each time, however fresh. */
  noCache: 2,
  /** RFC 8246. */
  immutable: 4,
  /** It said nothing: its freshness, if there is any, is a guess. */
  heuristic: 8,
  /** A purge has turned it stale: it is validated before it is given, or given as stale where that is allowed. */
  purgedSoftly: 16,
} as const;

export function hasFlag(head: AnswerHead, flag: keyof typeof HEAD_FLAGS): boolean {
  return (head.flags & HEAD_FLAGS[flag]) !== 0;
}

/**
 * current_age of RFC 9111 section 4.2.3. A clock that was set back makes nothing younger than it was; by more than a moment, it does not
 * tell any more how long ago something was stored, which would otherwise stay as young as it was until the clock is there again.
 */
export function ageOf(head: AnswerHead, nowMs: number): number {
  const storedMs = nowMs - head.receivedMs;
  return storedMs < -CLOCK_BACK_MS_MAX ? UNKNOWN_AGE_MS : head.initialAgeMs + Math.max(storedMs, 0);
}

/** By so much clocks are put right now and then, and nobody is given anything that is staler than that. */
const CLOCK_BACK_MS_MAX = 60_000;

/** The value of Age (RFC 9111, section 5.1). */
export function ageValue(ageMs: number): string {
  return String(Math.min(Math.floor(ageMs / 1000), AGE_SECONDS_MAX));
}

/** Larger ones mean it (section 1.2.2). */
const AGE_SECONDS_MAX = 2 ** 31;
/** Older than anything may be fresh. */
const UNKNOWN_AGE_MS = 2 * AGE_SECONDS_MAX * 1000;
