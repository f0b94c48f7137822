/**
 * Conditional requests (RFC 9110, section 13; RFC 9111, section 4.3): what a stored answer says to a client's conditions, with which of its
 * own it is validated, and whether it is the one that a 304 confirms. If-Match and If-Unmodified-Since guard changes and are for the
 * origin to judge: a request with them that a stored answer would not satisfy is asked of the origin.
 */
import type { EncodedLines, FieldBlock } from "../../core/fields.ts";
import { splitList } from "../field-list.ts";
import type { AnswerHead } from "./answer-head.ts";
import { parseHttpDate } from "./dates.ts";

/** What tells one state of a representation from another. Times are milliseconds, null when absent or broken. */
export interface Validators {
  readonly etag: string | null;
  readonly lastModifiedMs: number | null;
  readonly dateMs: number | null;
  /** It has a content coding. */
  readonly isEncoded: boolean;
}

/** Of a stored answer. A broken Last-Modified is none. */
export function validatorsOf(fields: EncodedLines | FieldBlock, receivedMs: number): Validators {
  return {
    etag: fields.get("etag"),
    lastModifiedMs: dateField(fields, "last-modified", receivedMs),
    dateMs: dateField(fields, "date", receivedMs),
    isEncoded: fields.get("content-encoding") !== null,
  };
}

/** The whole answer, 304, or the origin's own judgement. */
export type ConditionVerdict = "give" | "not-modified" | "ask-origin";

/**
 * What becomes of a GET or HEAD with conditions when this answer would be given (RFC 9110, section 13.2.2). `hasFields` is a quick look for
 * the many requests that have none.
 */
export function evaluateConditions(request: FieldBlock, head: AnswerHead): ConditionVerdict {
  // Conditions say nothing to an answer that is no representation of the resource (section 13.2.1).
  if (!hasConditions(request) || head.status < 200 || head.status > 299) return "give";
  if (!isPreconditionMet(request, head)) return "ask-origin";
  const ifNoneMatch = request.get("if-none-match");
  if (ifNoneMatch !== null) return matchesWeakly(ifNoneMatch, head.fields.get("etag")) ? "not-modified" : "give";
  const since = dateField(request, "if-modified-since", head.receivedMs);
  if (since === null) return "give";
  return lastChange(validatorsOf(head.fields, head.receivedMs), head) <= since ? "not-modified" : "give";
}

/** Whether a request has conditions other than If-Range. */
export function hasConditions(request: FieldBlock): boolean {
  return CONDITIONS.some((name) => request.has(name));
}

/**
 * Whether Range counts: there is no If-Range, or it names the stored answer by a strong validator (RFC 9110, section 13.1.5). A date is
 * one when the answer was made at least a second later than it was changed (section 8.8.2.2).
 */
export function rangeApplies(request: FieldBlock, head: AnswerHead): boolean {
  const ifRange = request.get("if-range");
  if (ifRange === null) return true;
  const validators = validatorsOf(head.fields, head.receivedMs);
  if (ifRange.startsWith('"') || ifRange.startsWith("W/")) {
    return isStrong(validators.etag) && validators.etag === ifRange;
  }
  return isStrongDate(validators) && parseHttpDate(ifRange, head.receivedMs) === validators.lastModifiedMs;
}

/**
 * Makes of a client's request the one that validates a stored answer (RFC 9111, section 4.3.1): its own conditions and ranges are taken out,
 * and are judged by what comes back. False: there is nothing to validate with, and the request asks for all of it.
 */
export function makeValidating(request: FieldBlock, head: AnswerHead): boolean {
  removeConditions(request);
  const etag = head.fields.get("etag");
  const lastModified = head.fields.get("last-modified");
  if (etag !== null) request.append("If-None-Match", etag);
  if (lastModified !== null) request.append("If-Modified-Since", lastModified);
  return etag !== null || lastModified !== null;
}

/** Takes a client's conditions and ranges out of a request whose answer is for many. */
export function removeConditions(request: FieldBlock): void {
  for (const name of CONDITIONS) request.delete(name);
  request.delete("if-range");
  request.delete("range");
}

/**
 * Makes of a request without conditions one for the rest of a stored part, or of an answer that broke off. False: it has no strong validator, so
 * that what comes could not be joined to it.
 */
export function makeResuming(request: FieldBlock, head: AnswerHead, start: number, end: number): boolean {
  const validators = validatorsOf(head.fields, head.receivedMs);
  const validator = isStrong(validators.etag)
    ? validators.etag
    : isStrongDate(validators)
      ? head.fields.get("last-modified")
      : null;
  if (validator === null) return false;
  request.append("Range", `bytes=${start}-${end < 0 ? "" : end - 1}`);
  request.append("If-Range", validator);
  return true;
}

/**
 * Whether a 304 is about this stored answer, which it was asked with (RFC 9111, section 4.3.4). When it is not, the request is sent
 * again without conditions.
 */
export function isConfirmedBy(head: AnswerHead, notModified: FieldBlock): boolean {
  const stored = validatorsOf(head.fields, head.receivedMs);
  const etag = notModified.get("etag");
  if (etag !== null)
    return isStrong(etag) ? etag === stored.etag : stored.etag !== null && opaqueTag(etag) === opaqueTag(stored.etag);
  const modified = dateField(notModified, "last-modified", head.receivedMs);
  return modified === null || stored.lastModifiedMs === null || modified === stored.lastModifiedMs;
}

/** What an answer to HEAD says of a stored answer to GET (RFC 9111, section 4.3.5). */
export type HeadVerdict = "freshens" | "stale" | "nothing";

/** `contentLength`: of the answer to HEAD, -1 when it says none. */
export function judgeByHead(
  head: AnswerHead,
  status: number,
  response: FieldBlock,
  contentLength: number,
): HeadVerdict {
  // Gone is gone, whatever method found out.
  if (status === 404 || status === 410) return head.status === status ? "nothing" : "stale";
  if (status !== 200 || head.status !== 200) return "nothing";
  const etag = response.get("etag");
  if (etag !== null && etag !== head.fields.get("etag")) return "stale";
  const lastModified = response.get("last-modified");
  if (lastModified !== null && lastModified !== head.fields.get("last-modified")) return "stale";
  return contentLength >= 0 && head.bodyBytes >= 0 && contentLength !== head.bodyBytes ? "stale" : "freshens";
}

/** What describes content, which a 304 does not have (RFC 9110, section 15.4.5). The client's own copy has it. */
const OF_CONTENT = new Set([
  "content-digest",
  "content-encoding",
  "content-language",
  "content-length",
  "content-md5",
  "content-range",
  "content-type",
  "digest",
  "repr-digest",
]);

/** Whether a field of a stored answer goes into a 304: all do that a client may have to update its copy with. */
export function isForNotModified(lowerName: string): boolean {
  return !OF_CONTENT.has(lowerName);
}

/** Two entity tags, or two dates, that promise the same bytes. */
export function isSameStrong(one: Validators, other: Validators): boolean {
  if (one.etag !== null || other.etag !== null) return isStrong(one.etag) && one.etag === other.etag;
  return isStrongDate(one) && isStrongDate(other) && one.lastModifiedMs === other.lastModifiedMs;
}

const CONDITIONS = ["if-none-match", "if-modified-since", "if-match", "if-unmodified-since"] as const;

/** If-Match compares strongly; If-Unmodified-Since counts only without it (section 13.2.2). */
function isPreconditionMet(request: FieldBlock, head: AnswerHead): boolean {
  const ifMatch = request.get("if-match");
  if (ifMatch !== null) {
    const etag = head.fields.get("etag");
    return ifMatch.trim() === "*" || (isStrong(etag) && splitList(ifMatch).includes(etag));
  }
  if (!request.has("if-unmodified-since")) return true;
  const unmodified = dateField(request, "if-unmodified-since", head.receivedMs);
  const { lastModifiedMs } = validatorsOf(head.fields, head.receivedMs);
  return unmodified === null || (lastModifiedMs !== null && lastModifiedMs <= unmodified);
}

/** Without Last-Modified, Date counts, and without that the time it was received (RFC 9111, section 4.3.2). */
function lastChange(validators: Validators, head: AnswerHead): number {
  const ms = validators.lastModifiedMs ?? validators.dateMs ?? head.receivedMs;
  // Dates have seconds.
  return Math.floor(ms / 1000) * 1000;
}

/** Weak comparison (section 8.8.3.2). What is written without quotes is compared as it is written. */
function matchesWeakly(list: string, etag: string | null): boolean {
  if (list.trim() === "*") return true;
  if (etag === null) return false;
  const opaque = opaqueTag(etag);
  return splitList(list).some((tag) => opaqueTag(tag) === opaque);
}

function opaqueTag(etag: string): string {
  return etag.startsWith("W/") ? etag.slice(2) : etag;
}

function isStrong(etag: string | null): etag is string {
  return etag?.startsWith('"') === true && etag.length > 1 && etag.endsWith('"');
}

/**
 * The date is that of the content: whoever encodes on the way, the origin or `compress` behind the cache, makes other bytes of it each
 * time (section 8.8.1), as flushes fall.
 */
function isStrongDate({ lastModifiedMs, dateMs, isEncoded }: Validators): boolean {
  return !isEncoded && lastModifiedMs !== null && dateMs !== null && dateMs - lastModifiedMs >= 1000;
}

function dateField(fields: EncodedLines | FieldBlock, name: string, nowMs: number): number | null {
  const text = fields.get(name);
  return text === null ? null : parseHttpDate(text, nowMs);
}
