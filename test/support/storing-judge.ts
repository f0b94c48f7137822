// An answer, judged for storing: what the tests of that have in common.

import assert from "node:assert/strict";
import { FieldBlock } from "../../src/core/fields.ts";
import type { AnswerHead } from "../../src/semantics/caching/answer-head.ts";
import { formatHttpDate } from "../../src/semantics/caching/dates.ts";
import {
  type AnsweredRequest,
  DEFAULT_STORING_RULES,
  mayStore,
  type NotStoredReason,
  type StoringRules,
  type StoringVerdict,
} from "../../src/semantics/caching/storing.ts";

export type Lines = readonly (readonly [string, string])[];

export interface Case {
  readonly method?: string;
  readonly request?: Lines;
  readonly isIdentified?: boolean;
  readonly noStore?: boolean;
  readonly status?: number;
  readonly bodyBytes?: number;
  readonly delayMs?: number;
  readonly rules?: Partial<StoringRules>;
}

export const NOW = Date.UTC(2026, 10, 26, 12);
/** Of the request. */
export const ASKED_URL = "https://example.org/dir/page?x=1";
export const FRESH = ["Cache-Control", "max-age=60"] as const;
export const CHANGED = ["Last-Modified", date(-86_400)] as const;

export function date(seconds: number): string {
  return formatHttpDate(NOW + seconds * 1000);
}

export function judge(response: Lines, given: Case = {}): StoringVerdict {
  const request: AnsweredRequest = {
    method: given.method ?? "GET",
    fields: FieldBlock.from(given.request ?? []),
    url: ASKED_URL,
    isIdentified: given.isIdentified ?? false,
    noStore: given.noStore ?? false,
    requestedMs: NOW - (given.delayMs ?? 0),
  };
  const { status = 200, bodyBytes = -1 } = given;
  const answer = { status, fields: FieldBlock.from(response), bodyBytes, receivedMs: NOW };
  return mayStore(request, answer, { ...DEFAULT_STORING_RULES, ...given.rules });
}

export function stored(response: Lines, given: Case = {}): AnswerHead {
  const verdict = judge(response, given);
  assert.ok(verdict.isStored, verdict.isStored ? "" : verdict.reason);
  return verdict.head;
}

export function refused(response: Lines, given: Case = {}): NotStoredReason | null {
  const verdict = judge(response, given);
  return verdict.isStored ? null : verdict.reason;
}
