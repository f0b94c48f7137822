/**
 * The fields of an answer in the forms in which Node takes them. Node throws for some of what other servers send: what it would not
 * take is written in another way, or left out where that changes nothing, so that no answer is lost by its fields.
 */
import type { FieldBlock } from "../../../core/fields.ts";

/** Names of which Node takes one line at most in HTTP/2, its kSingleValueFields; those that only requests have stand behind the others. */
const ONCE_IN_HTTP2: ReadonlySet<string> = new Set([
  ...["access-control-allow-credentials", "access-control-max-age", "age", "content-encoding", "content-language"],
  ...["content-length", "content-location", "content-md5", "content-range", "content-type", "date", "dnt", "etag"],
  ...["expires", "last-modified", "location", "retry-after", "tk", "x-content-type-options"],
  ...["access-control-request-method", "authorization", "from", "host", "if-match", "if-modified-since"],
  ...["if-none-match", "if-range", "if-unmodified-since", "max-forwards", "proxy-authorization", "range", "referer"],
  ...["upgrade-insecure-requests", "user-agent"],
]);

/** Of a connection that HTTP/2 has none of, in Node's view; all others of them never come here. */
const NOT_IN_HTTP2 = "http2-settings";

/** The values of each name, in the order and spelling in which it came first. Lines that Node takes once are joined to a list (RFC 9110, 5.3). */
export function linesByName(fields: FieldBlock, isHttp2: boolean): Map<string, string | string[]> {
  return gather(fields, (lower) => isHttp2 && ONCE_IN_HTTP2.has(lower), isHttp2);
}

/** The same for the interfaces that take an object. */
export function objectOf(fields: FieldBlock, isHttp2: boolean): Record<string, string | string[]> {
  return toObject(linesByName(fields, isHttp2));
}

/** Where HTTP/2 is spoken Node looks at trailers in an event of its own: what it threw there would end the program. So each is one line. */
export function trailersOf(fields: FieldBlock, isHttp2: boolean): Record<string, string | string[]> {
  return toObject(gather(fields, () => isHttp2, isHttp2));
}

function gather(
  fields: FieldBlock,
  isOneLine: (lower: string) => boolean,
  isHttp2: boolean,
): Map<string, string | string[]> {
  const lines = new Map<string, string | string[]>();
  const met = new Set<string>();
  for (const [name] of fields.entries()) {
    const lower = name.toLowerCase();
    if (met.has(lower) || (isHttp2 && lower === NOT_IN_HTTP2)) continue;
    met.add(lower);
    const values = fields.getAll(name);
    lines.set(name, values.length === 1 || isOneLine(lower) ? values.join(", ") : values);
  }
  return lines;
}

function toObject(lines: Map<string, string | string[]>): Record<string, string | string[]> {
  const object: Record<string, string | string[]> = Object.create(null);
  for (const [name, value] of lines) object[name] = value;
  return object;
}
