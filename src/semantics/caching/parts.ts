/**
 * Parts of a representation (RFC 9111, sections 3.3 and 3.4; RFC 9110, section 15.3.7.3): which part an answer with 206 is, whether two parts
 * are of the same bytes, and what is missing. Parts are joined only by a strong validator: nothing else promises that they belong
 * together.
 */
import type { FieldBlock } from "../../core/fields.ts";
import { isSameStrong, type Validators } from "./conditionals.ts";
import { type ByteRange, parseContentRange, selectRanges } from "./ranges.ts";

/** Bytes [start, end) of a representation of `completeBytes`; -1: nobody knows how long it is. */
export interface AnswerPart extends ByteRange {
  readonly completeBytes: number;
}

/**
 * Which part an answer with status 206 has; null when it has several, says nothing that can be relied upon, or its content is of another
 * length than it says. `bodyBytes`: of its content, -1: unknown.
 */
export function partOf(response: FieldBlock, bodyBytes: number): AnswerPart | null {
  const values = response.getAll("content-range");
  const parsed = values.length === 1 ? parseContentRange(values[0]!) : null;
  if (parsed === null || /^multipart\/byteranges\b/i.test(response.get("content-type") ?? "")) return null;
  const { range, completeBytes } = parsed;
  return bodyBytes >= 0 && bodyBytes !== range.end - range.start ? null : { ...range, completeBytes };
}

/** Whether two parts may be joined: the same strong validator, the same length as far as it is known, no gap between them. */
export function mayJoin(
  one: AnswerPart,
  oneValidators: Validators,
  other: AnswerPart,
  otherValidators: Validators,
): boolean {
  const isSameLength = one.completeBytes < 0 || other.completeBytes < 0 || one.completeBytes === other.completeBytes;
  return (
    isSameLength && one.start <= other.end && other.start <= one.end && isSameStrong(oneValidators, otherValidators)
  );
}

/**
 * What a request with this Range can be given of the part: the ranges, or null when it has not all of them, or it cannot be known. Without
 * Range (null) all of it is wanted.
 */
export function rangesFromPart(part: AnswerPart, range: string | null): readonly ByteRange[] | null {
  const { start, end, completeBytes } = part;
  if (completeBytes < 0) return null;
  const selected = range === null ? "whole" : selectRanges(range, completeBytes);
  if (selected === "unsatisfiable") return null;
  const ranges = selected === "whole" ? [{ start: 0, end: completeBytes }] : selected;
  return ranges.every((wanted) => wanted.start >= start && wanted.end <= end) ? ranges : null;
}
