/**
 * What an answer tells of the cache: Age (RFC 9111, section 5.1) and Cache-Status (RFC 9211). For hits, which are most answers, the
 * lines are kept encoded: many entries have the same in one second, and one entry has them for a second.
 */
import { EncodedLines } from "../../core/fields.ts";
import { type AnswerHead, ageOf, ageValue } from "../../semantics/caching/answer-head.ts";
import { type CacheStatus, cacheStatusValue, wholeSeconds } from "../../semantics/caching/cache-status.ts";

/** How this cache calls itself, as in Proxy-Status. */
const CACHE_NAME = "headgate";

/** Lines that are kept: a power of two. At 100 bytes each less than 64 KiB, and enough for the entries of a second. */
const LINES_KEPT = 512;

const NOTHING_SAID: CacheStatus = {
  hit: false,
  forward: null,
  forwardStatus: 0,
  stored: false,
  collapsed: false,
  ttlMs: null,
  key: null,
  detail: null,
};

/** The value of Cache-Status, of what is said of it. */
export function statusOf(said: Partial<CacheStatus>): string {
  return cacheStatusValue(CACHE_NAME, { ...NOTHING_SAID, ...said });
}

/** Time that is left until it is stale; below zero when it is. */
export function ttlOf(head: AnswerHead, nowMs: number): number {
  return head.freshMs - ageOf(head, nowMs);
}

/** The lines of hits: of what is given without asking anybody. */
export class HitLines {
  readonly #tellsStatus: boolean;
  readonly #lines = new Array<EncodedLines | null>(LINES_KEPT).fill(null);
  readonly #ages = new Float64Array(LINES_KEPT);
  readonly #ttls = new Float64Array(LINES_KEPT);

  constructor(tellsStatus: boolean) {
    this.#tellsStatus = tellsStatus;
  }

  of(ageMs: number, freshMs: number): EncodedLines {
    const age = Math.floor(ageMs / 1000);
    const ttl = this.#tellsStatus ? wholeSeconds(freshMs - ageMs) : 0;
    const place = (age * 31 + ttl) & (LINES_KEPT - 1);
    const kept = this.#lines[place]!;
    if (kept !== null && this.#ages[place] === age && this.#ttls[place] === ttl) return kept;
    const status = this.#tellsStatus ? [["Cache-Status", statusOf({ hit: true, ttlMs: ttl * 1000 })] as const] : [];
    const lines = new EncodedLines([["Age", ageValue(ageMs)], ...status]);
    this.#lines[place] = lines;
    this.#ages[place] = age;
    this.#ttls[place] = ttl;
    return lines;
  }
}
