/**
 * The vocabulary of options: durations, sizes, networks, names and secrets as zod types, so that every options file says
 * `duration()` and none parses text itself. An options file imports this and zod, nothing else.
 *
 * A type here takes what a person writes and gives what the program works with: milliseconds, bytes, canonical networks.
 * It decides whether one value is possible; whether values fit each other is decided by config/.
 */
import { z } from "zod";
import { parseRequestText, type RequestPart, type RequestTemplate } from "./request-template.ts";
import { formatSize, parseSize } from "./sizes.ts";

export { formatSize, parseSize };

/** How a value is named in a message: strings in quotes and cut, never a whole block, nor the credentials of a URL. */
export function describeValue(value: unknown): string {
  if (value === undefined || value === null) return "nothing";
  if (typeof value === "string") {
    // Also of a password with a slash in it, behind which the host seems to end.
    const text = value.replace(/:\/\/.*@/s, "://[hidden]@");
    return JSON.stringify(text.length > 60 ? `${text.slice(0, 57)}...` : text);
  }
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a mapping";
  if (typeof value === "function") return "a function";
  return String(value);
}

/** Text of one kind, for more than one field: `parse` gives the value, or null when the text is not of that kind. */
interface TextKind<T> {
  /** The name in the JSON Schema's `$defs`; also the anchor in the reference. */
  readonly id: string;
  /** Completes "expected ...": "a duration such as 30s". */
  readonly expected: string;
  readonly description: string;
  readonly pattern?: string;
  /** The value may be a secret: messages never show it. */
  readonly isSecret?: boolean;
  readonly parse: (text: string) => T | null;
  /** Says more than "expected ..." about a text that does not parse, or null. Of a secret it shows no part that may be secret. */
  readonly explain?: (text: string) => string | null;
  /** The text that was probably meant. */
  readonly suggest?: (text: string) => string | null;
}

export function textKind<T>(kind: TextKind<T>) {
  const { id, expected, description, pattern } = kind;
  const error = (issue: { readonly input?: unknown }) => {
    const { input } = issue;
    const isText = typeof input === "string";
    if (kind.isSecret !== true || (!isText && typeof input !== "number")) {
      return `expected ${expected}, got ${describeValue(input)}`;
    }
    return `expected ${expected}, got ${isText ? "other text" : "a number: put it in quotes"}`;
  };
  const text = z.string({ error }).meta({ id, description, ...(pattern === undefined ? {} : { pattern }) });
  return () =>
    text.transform((value, context): T => {
      const parsed = kind.parse(value);
      if (parsed !== null) return parsed;
      const suggestion = kind.suggest?.(value) ?? null;
      const params = suggestion === null ? {} : { suggestion };
      const message = kind.explain?.(value) ?? error({ input: value });
      context.addIssue({ code: "custom", message, params });
      return z.NEVER;
    });
}

const DURATION = /^(\d{1,12})(ms|s|m|h|d)$/;
const MS_OF_UNIT: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
/** Ten years. Longer is a slip of the keyboard, and sums of two such times are still exact. */
const DURATION_MS_MAX = 3_650 * 86_400_000;

/** Milliseconds of "30s", or null. */
export function parseDuration(text: string): number | null {
  const match = DURATION.exec(text);
  if (match === null) return null;
  const ms = Number(match[1]) * (MS_OF_UNIT[match[2] ?? ""] ?? 0);
  return ms <= DURATION_MS_MAX ? ms : null;
}

/** "30s" of 30000: the largest unit that gives a whole number. */
export function formatDuration(ms: number): string {
  for (const unit of ["d", "h", "m", "s"]) {
    const size = MS_OF_UNIT[unit] ?? 1;
    if (ms >= size && ms % size === 0) return `${ms / size}${unit}`;
  }
  return `${ms}ms`;
}

/** "30 s", "30sec", "5 min", "1w" and a bare "30" are what people write instead. */
function suggestDuration(text: string): string | null {
  const match = /^\s*(\d{1,9})\s*([a-z]*)\s*$/i.exec(text);
  if (match === null) return null;
  const word = (match[2] ?? "").toLowerCase();
  const unit = word === "" ? "s" : /^m(s|illi)/.test(word) ? "ms" : word.slice(0, 1);
  const isWeeks = /^w(eeks?|ks?)?$/.test(word);
  const suggestion = isWeeks ? `${7 * Number(match[1])}d` : `${match[1]}${unit}`;
  return suggestion !== text && parseDuration(suggestion) !== null ? suggestion : null;
}

/** `500ms`, `30s`, `5m`, `2h`, `7d`; gives milliseconds, never 0. */
export const duration = textKind<number>({
  id: "duration",
  expected: "a duration such as 30s",
  description: "A whole number and its unit: `500ms`, `30s`, `5m`, `2h`, `7d`. More than zero, at most ten years.",
  pattern: "^[0-9]{1,12}(ms|s|m|h|d)$",
  parse: (text) => parseDuration(text) || null,
  suggest: suggestDuration,
});

/** "64k", "64 KB" and "64kib" are what people write instead. */
function suggestSize(text: string): string | null {
  const match = /^\s*(\d{1,12})\s*([kmgt])?i?b?\s*$/i.exec(text);
  if (match === null) return null;
  const suggestion = match[2] === undefined ? `${match[1]}` : `${match[1]}${match[2].toUpperCase()}iB`;
  return suggestion !== text ? suggestion : null;
}

const SIZE_EXPECTED = "a size such as 64KiB";

const sizeText = textKind<number>({
  id: "sizeText",
  expected: SIZE_EXPECTED,
  description: "A whole number and its unit, or bytes.",
  pattern: "^[0-9]{1,16}(B|KiB|MiB|GiB|TiB)?$",
  parse: parseSize,
  suggest: suggestSize,
});

const sizeError = (issue: { readonly input?: unknown }) =>
  `expected ${SIZE_EXPECTED}, got ${describeValue(issue.input)}`;

/** What is no size at all is not also one outside of its bounds. */
const NO_SIZE = { error: sizeError, abort: true };

const sizeUnion = z.union([sizeText(), z.number({ error: sizeError }).int(NO_SIZE).min(0, NO_SIZE)]).meta({
  id: "size",
  description: "Bytes, or a whole number and its unit: `4096`, `64KiB`, `100MiB`, `50GiB`, `1TiB`.",
});

/** `64KiB`, `50GiB`, or plain bytes as a number; gives bytes. */
export function size() {
  return sizeUnion;
}

/** A size within bounds, both included, in bytes. */
export function sizeBetween(bytesMin: number, bytesMax: number) {
  return size().refine((bytes) => bytes >= bytesMin && bytes <= bytesMax, {
    error: (issue) =>
      `expected a size from ${formatSize(bytesMin)} to ${formatSize(bytesMax)}, got ${formatSize(Number(issue.input))}`,
  });
}

/** A method, a field name, an upgrade protocol: token of RFC 9110, section 5.6.2. */
export const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** The name of a header field; gives it in lower case. */
export const fieldName = textKind<string>({
  id: "fieldName",
  expected: "the name of a header field",
  description: "The name of a header field, in upper or lower case.",
  pattern: TOKEN.source,
  parse: (text) => (TOKEN.test(text) ? text.toLowerCase() : null),
  suggest: (text) => (TOKEN.test(text.trim().replace(/:$/, "")) ? text.trim().replace(/:$/, "") : null),
});

/** Fields that frame a message or belong to one connection: the proxy alone sets them (RFC 9110, section 7.6.1). */
const FIELDS_OF_THE_PROXY = new Set([
  "connection",
  "content-length",
  "host",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** The name of a field that a configuration may set or remove; gives it in lower case. */
export const settableFieldName = textKind<string>({
  id: "settableFieldName",
  expected: "the name of a header field",
  description:
    "The name of a header field, in upper or lower case; not one that the proxy itself sets: Host, Content-Length, Transfer-Encoding, Connection and its company.",
  pattern: TOKEN.source,
  parse: (text) => (TOKEN.test(text) && !FIELDS_OF_THE_PROXY.has(text.toLowerCase()) ? text.toLowerCase() : null),
  explain: (text) => {
    const name = text.toLowerCase();
    if (name === "host") return 'the Host of the upstream request is set by "host" beside "to" in "proxy"';
    return FIELDS_OF_THE_PROXY.has(name) ? `${name} is set by the proxy itself` : null;
  },
});

/** RFC 9110, section 5.5, without obs-text: what everybody reads in one way. */
const FIELD_VALUE = /^[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?$|^$/;
const FIELD_VALUE_EXPECTED = "the value of a header field (visible ASCII, no line break, no space at either end)";

/** The value of a header field: visible ASCII, spaces and tabs inside. */
export const fieldValue = textKind<string>({
  id: "fieldValue",
  expected: FIELD_VALUE_EXPECTED,
  description: "The value of a header field: visible ASCII, with spaces and tabs inside only.",
  isSecret: true,
  parse: (text) => (FIELD_VALUE.test(text) ? text : null),
});

/** The same with parts of the request in it; text where there are none. */
export const fieldTemplate = textKind<string | RequestTemplate<RequestPart>>({
  id: "fieldTemplate",
  expected: FIELD_VALUE_EXPECTED,
  description:
    "The value of a header field, in which `{client}` is the address of the client, and `{scheme}`, `{host}` (without port), `{path}`, `{query}` (without question mark) and `{uri}` (path and query) are those of the request. Other braces are text; `{{client}}` is the text `{client}`.",
  isSecret: true,
  parse: (text) => (FIELD_VALUE.test(text) ? parseRequestText(text) : null),
});

/** A regular expression that compiles with the `u` flag; stays text, for the thread that compiles it. */
export const regex = textKind<string>({
  id: "regex",
  expected: "a regular expression",
  description:
    "A regular expression of JavaScript, compiled with the `u` flag. It matches anywhere in the text unless `^` and `$` say otherwise.",
  parse: (text) => (regexError(text) === null ? text : null),
  explain: (text) => `not a regular expression: ${regexError(text)}`,
});

/** What is wrong with a regular expression; null when nothing is. */
export function regexError(text: string): string | null {
  try {
    new RegExp(text, "u");
    return null;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return message.replace(/^Invalid regular expression: (\/.*\/u: )?/s, "").toLowerCase();
  }
}

/** One item or a list of at least one; gives the list. */
export function oneOrMore<T extends z.ZodType>(item: T) {
  return z.union([
    item.transform((value): [z.output<T>, ...z.output<T>[]] => [value as z.output<T>]),
    z.array(item).min(1),
  ]);
}

/**
 * A field that may be left out, because it has this value then or because an outer block gives it. `text` is the default as
 * a person would write it, for the JSON Schema and the reference; who resolves the block applies it.
 */
export function defaultsTo<T extends z.ZodType>(text: z.input<T>, type: T) {
  return type.optional().meta({ fileDefault: text });
}

/** TLS versions that are left: 1.0 and 1.1 are forbidden by RFC 8996. `1.2` without quotes is a number in YAML. */
export function tlsVersion() {
  return z
    .literal(["1.2", "1.3", 1.2, 1.3])
    .transform((version): "TLSv1.2" | "TLSv1.3" => (String(version) === "1.2" ? "TLSv1.2" : "TLSv1.3"));
}

const INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2})$/;

/** A moment in time, with its zone; gives milliseconds of the wall clock. */
export const instant = textKind<number>({
  id: "instant",
  expected: "a time such as 2026-12-01T18:00Z",
  description: "A moment as ISO 8601, with its time zone: `2026-12-01T18:00Z`, `2026-12-01T18:00:00+01:00`.",
  pattern: INSTANT.source,
  parse: (text) => {
    const ms = INSTANT.test(text) ? Date.parse(text) : Number.NaN;
    return Number.isNaN(ms) ? null : ms;
  },
  suggest: (text) => (INSTANT.test(`${text}Z`) ? `${text}Z` : null),
});

/** The name of a cookie (RFC 6265 section 4.1.1). */
export const cookieName = textKind<string>({
  id: "cookieName",
  expected: "the name of a cookie",
  description: "The name of a cookie; upper and lower case differ.",
  pattern: TOKEN.source,
  parse: (text) => (TOKEN.test(text) ? text : null),
});

/** Of no request: what browsers take away around a value, and where it ends. */
const NO_COOKIE_VALUE = /^[ \t]|[ \t]$|;|[^\x20-\x7e\t]/;

/** The value of a cookie, as a request may have it. */
export const cookieValue = textKind<string>({
  id: "cookieValue",
  expected: "the value of a cookie (visible ASCII without semicolons, no space at either end)",
  description: "The value of a cookie: visible ASCII without semicolons, with spaces inside only.",
  isSecret: true,
  parse: (text) => (NO_COOKIE_VALUE.test(text) ? null : text),
});
