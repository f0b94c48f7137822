/**
 * Byte ranges (RFC 9110, section 14): what of a representation a request asks for, within limits that keep a small request from making
 * a large answer (section 17.15), and the fields of the answer. What is no valid Range is ignored, as the RFC wants it.
 */

/** Bytes [start, end) of a representation. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/**
 * Ranges of one request. Programs that assemble a file from changed blocks (zsync) ask for dozens; Apache allows 200. A request with more
 * gets the whole representation.
 */
export const RANGES_MAX = 100;
/** Ranges with a gap below this are sent as one: the head of a part costs about as much. */
export const GAP_BYTES_MAX = 80;

/** What to answer: ranges to send, or "whole" when Range says nothing here, or "unsatisfiable" for 416. */
export type RangeSelection = readonly ByteRange[] | "whole" | "unsatisfiable";

/** first-pos "-" [ last-pos ], or "-" suffix-length */
const RANGE_SPEC = /^(?:(\d+)-(\d*)|-(\d+))$/;
const UNIT = /^bytes=/i;

/** One range of a request before the length is known: `start` below 0 counts from the end; `end` -1 is the end. */
export interface AskedRange {
  readonly start: number;
  readonly end: number;
}

/**
 * The ranges that a request asks for; null when it asks for none that can be understood. A number with more digits than any length
 * has becomes one that is larger than any length.
 */
export function parseRange(value: string): readonly AskedRange[] | null {
  const unit = UNIT.exec(value);
  if (unit === null) return null;
  const asked: AskedRange[] = [];
  // Empty elements are allowed in lists (section 5.6.1.2); what is left over must be a range each.
  for (const element of value.slice(unit[0].length).split(",")) {
    const spec = element.trim();
    if (spec === "") continue;
    const match = RANGE_SPEC.exec(spec);
    if (match === null || asked.length === RANGES_MAX) return null;
    if (match[3] !== undefined) asked.push({ start: -position(match[3]), end: -1 });
    else {
      const start = position(match[1]!);
      const last = match[2] === "" ? Number.POSITIVE_INFINITY : position(match[2]!);
      if (last < start) return null;
      asked.push({ start, end: match[2] === "" ? -1 : last + 1 });
    }
  }
  return asked.length === 0 ? null : asked;
}

/** What of a representation of `bytes` bytes a Range field selects. Overlapping and neighbouring ranges become one. */
export function selectRanges(value: string, bytes: number): RangeSelection {
  const asked = parseRange(value);
  // Of an empty representation no range can be told in Content-Range; one from the end would be satisfied by it.
  if (asked === null || (bytes === 0 && asked.some((range) => range.start < 0))) return "whole";
  const ranges: ByteRange[] = [];
  for (const { start: from, end: to } of asked) {
    // "-0" asks for nothing, and nothing satisfies it.
    if (Object.is(from, -0)) continue;
    const start = from < 0 ? Math.max(bytes + from, 0) : from;
    const end = from < 0 || to === -1 ? bytes : Math.min(to, bytes);
    if (start < bytes) ranges.push({ start, end });
  }
  return ranges.length === 0 ? "unsatisfiable" : coalesced(ranges);
}

/** In the order of the request, as far as they stay apart (section 15.3.7.2). */
function coalesced(ranges: readonly ByteRange[]): readonly ByteRange[] {
  if (ranges.length === 1) return ranges;
  const sorted = ranges.map((range, place) => ({ ...range, place })).sort((a, b) => a.start - b.start);
  const joined: { start: number; end: number; place: number }[] = [];
  for (const range of sorted) {
    const last = joined.at(-1);
    if (last !== undefined && range.start <= last.end + GAP_BYTES_MAX) {
      last.end = Math.max(last.end, range.end);
      last.place = Math.min(last.place, range.place);
    } else joined.push(range);
  }
  return joined.sort((a, b) => a.place - b.place).map(({ start, end }) => ({ start, end }));
}

/** The value of Content-Range; `completeBytes` -1: nobody knows. */
export function contentRange(range: ByteRange, completeBytes: number): string {
  return `bytes ${range.start}-${range.end - 1}/${completeBytes < 0 ? "*" : completeBytes}`;
}

/** The value of Content-Range in 416. */
export function unsatisfiedRange(completeBytes: number): string {
  return `bytes */${completeBytes}`;
}

const CONTENT_RANGE = /^bytes (\d{1,15})-(\d{1,15})\/(?:(\d{1,15})|\*)$/i;

/** A Content-Range of bytes; null when it is none, or contradicts itself (section 14.4). */
export function parseContentRange(value: string): { readonly range: ByteRange; readonly completeBytes: number } | null {
  const match = CONTENT_RANGE.exec(value);
  if (match === null) return null;
  const range = { start: Number(match[1]), end: Number(match[2]) + 1 };
  const completeBytes = match[3] === undefined ? -1 : Number(match[3]);
  if (range.end <= range.start || (completeBytes >= 0 && range.end > completeBytes)) return null;
  return { range, completeBytes };
}

/** A value of Range for one range; `end` -1: to the end. */
export function rangeValue(start: number, end: number): string {
  return `bytes=${start}-${end < 0 ? "" : end - 1}`;
}

/** Numbers of more than 15 digits are beyond any length, and beyond what is counted exactly. */
function position(digits: string): number {
  return digits.replace(/^0+/, "").length > 15 ? Number.MAX_SAFE_INTEGER - 1 : Number(digits);
}
