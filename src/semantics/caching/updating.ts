/**
 * What becomes of a stored answer when a newer one without content confirms it: a 304, or an answer to HEAD (RFC 9111, sections
 * 3.2, 4.3.4 and 4.3.5). Its fields are updated, and by them it is judged anew: the newer one may forbid to keep it.
 */
import { EncodedLines, type FieldBlock } from "../../core/fields.ts";
import { type AnswerHead, HEAD_FLAGS } from "./answer-head.ts";
import { initialAge } from "./freshness.ts";
import { storableLines, updatedFields } from "./stored-fields.ts";
import {
  type Answer,
  type AnsweredRequest,
  mayStore,
  type NotStoredReason,
  type StoringRules,
  type StoringVerdict,
} from "./storing.ts";

export type UpdateVerdict =
  | (StoringVerdict & { readonly isStored: true })
  /** `head`: what may be given to the client that asked, once; it has been confirmed for that client. */
  | { readonly isStored: false; readonly reason: NotStoredReason; readonly head: AnswerHead };

/** `newer`: the 304 or the answer to HEAD. The verdict's head has the status and the length of the stored answer. */
export function updated(
  stored: AnswerHead,
  request: AnsweredRequest,
  newer: Omit<Answer, "status" | "bodyBytes">,
  rules: StoringRules,
): UpdateVerdict {
  const { receivedMs } = newer;
  const fields = updatedFields(stored.fields, newer.fields);
  try {
    const answer = { status: stored.status, fields, bodyBytes: stored.bodyBytes, receivedMs };
    const verdict = mayStore({ ...request, method: "GET", noStore: false }, answer, rules);
    // It stands under what was known by then: by what it varies from now on, it could not be told apart there.
    const isToldApart = verdict.isStored && verdict.head.vary.every((name) => stored.vary.includes(name));
    if (isToldApart) return verdict;
    const reason = verdict.isStored ? "vary" : verdict.reason;
    return { isStored: false, reason, head: onceHead(stored, request, fields, receivedMs) };
  } finally {
    fields.release();
  }
}

/** What may be given to the client that asked, once, where nobody is to be given it from the cache any more. */
export function confirmedOnce(
  stored: AnswerHead,
  request: AnsweredRequest,
  newer: Omit<Answer, "status" | "bodyBytes">,
): AnswerHead {
  const fields = updatedFields(stored.fields, newer.fields);
  try {
    return onceHead(stored, request, fields, newer.receivedMs);
  } finally {
    fields.release();
  }
}

function onceHead(stored: AnswerHead, request: AnsweredRequest, fields: FieldBlock, receivedMs: number): AnswerHead {
  return {
    ...stored,
    fields: new EncodedLines(storableLines(fields, receivedMs)),
    requestedMs: request.requestedMs,
    receivedMs,
    initialAgeMs: initialAge(fields, request.requestedMs, receivedMs),
    freshMs: 0,
    staleWhileRevalidateMs: 0,
    staleIfErrorMs: 0,
    flags: HEAD_FLAGS.noCache,
  };
}

/** The same answer, as a soft purge leaves it, or an answer to HEAD that contradicts it: to be validated. */
export function turnedStale(stored: AnswerHead): AnswerHead {
  return { ...stored, flags: stored.flags | HEAD_FLAGS.purgedSoftly };
}
