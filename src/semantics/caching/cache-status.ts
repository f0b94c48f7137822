/**
 * Cache-Status (RFC 9211): what this cache did with a request, as one member of a list behind those of the caches that the answer passed
 * before. It tells no key unless it is asked to: keys have URLs and identities in them.
 */
import { structuredName, structuredString } from "./structured-fields.ts";

/** Why a request went on (section 2.2). */
export type ForwardReason = "bypass" | "method" | "uri-miss" | "vary-miss" | "miss" | "request" | "stale" | "partial";

export interface CacheStatus {
  /** Answered from what is stored; with a `forward` this is not said. */
  readonly hit: boolean;
  readonly forward: ForwardReason | null;
  /** What the next hop answered; 0: nothing, or the same as the answer. */
  readonly forwardStatus: number;
  readonly stored: boolean;
  readonly collapsed: boolean;
  /** Freshness that is left, below zero when stale; null: unknown. */
  readonly ttlMs: number | null;
  /** Told only when a configuration wants it. */
  readonly key: string | null;
  /** A word of our own on the why. */
  readonly detail: string | null;
}

/** Towards zero: what is fresh, or stale, for less than a second is neither for a whole one. */
export function wholeSeconds(ms: number): number {
  return Math.trunc(ms / 1000) + 0;
}

/** The member for Cache-Status; `cacheName` is how this cache calls itself. */
export function cacheStatusValue(cacheName: string, status: CacheStatus): string {
  let value = structuredName(cacheName);
  if (status.hit && status.forward === null) value += "; hit";
  if (status.forward !== null) {
    value += `; fwd=${status.forward}`;
    if (status.forwardStatus > 0) value += `; fwd-status=${status.forwardStatus}`;
    if (status.stored) value += "; stored";
    if (status.collapsed) value += "; collapsed";
  }
  if (status.ttlMs !== null) value += `; ttl=${wholeSeconds(status.ttlMs)}`;
  if (status.key !== null) value += `; key=${structuredString(status.key)}`;
  if (status.detail !== null) value += `; detail=${structuredName(status.detail)}`;
  return value;
}
