/**
 * Cache-Control (RFC 9111, section 5.2), Pragma (5.4), Age (5.1), and cache control that is meant for caches like ours
 * (RFC 9213): from field lines to directives. What is broken is read in the way that stores and reuses less: a lifetime that is no number is
 * none, a list of field names that cannot be read is all fields, an unfinished quoted string hides no directive behind it.
 * Of a directive that is given twice the first one counts (section 4.2.1).
 */
import type { FieldBlock } from "../../core/fields.ts";
import { isToken } from "../../core/fields.ts";
import { splitList } from "../field-list.ts";
import { parseDictionary, type StructuredItem } from "./structured-fields.ts";

/** Of a directive that was not given. */
export const ABSENT = -1;

/** delta-seconds beyond it mean it (RFC 9111, section 1.2.2). */
const DELTA_SECONDS_MAX = 2 ** 31;

/** What an answer says. Times are milliseconds, ABSENT when not given. */
export interface ResponseDirectives {
  readonly noStore: boolean;
  /** Without field names. */
  readonly noCache: boolean;
  /** Lower-case names that no-cache is limited to. */
  readonly noCacheFields: readonly string[];
  /** Without field names. */
  readonly isPrivate: boolean;
  readonly privateFields: readonly string[];
  readonly isPublic: boolean;
  readonly mustRevalidate: boolean;
  readonly proxyRevalidate: boolean;
  readonly mustUnderstand: boolean;
  readonly noTransform: boolean;
  readonly immutable: boolean;
  readonly maxAgeMs: number;
  readonly sMaxageMs: number;
  readonly staleWhileRevalidateMs: number;
  readonly staleIfErrorMs: number;
}

/** What a request says. */
export interface RequestDirectives {
  readonly noStore: boolean;
  readonly noCache: boolean;
  readonly onlyIfCached: boolean;
  readonly noTransform: boolean;
  readonly maxAgeMs: number;
  readonly minFreshMs: number;
  /** Infinity: however stale. */
  readonly maxStaleMs: number;
  /** RFC 5861, section 4. */
  readonly staleIfErrorMs: number;
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/** While they are read: names are added to lists of its own. */
interface ReadDirectives extends Mutable<ResponseDirectives> {
  readonly noCacheFields: string[];
  readonly privateFields: string[];
}

/** Of an answer that says nothing, or is not listened to. */
export const NO_RESPONSE_DIRECTIVES: ResponseDirectives = {
  noStore: false,
  noCache: false,
  noCacheFields: [],
  isPrivate: false,
  privateFields: [],
  isPublic: false,
  mustRevalidate: false,
  proxyRevalidate: false,
  mustUnderstand: false,
  noTransform: false,
  immutable: false,
  maxAgeMs: ABSENT,
  sMaxageMs: ABSENT,
  staleWhileRevalidateMs: ABSENT,
  staleIfErrorMs: ABSENT,
};

/** Of a request that says nothing: one object for all of them. */
export const NO_REQUEST_DIRECTIVES: RequestDirectives = {
  noStore: false,
  noCache: false,
  onlyIfCached: false,
  noTransform: false,
  maxAgeMs: ABSENT,
  minFreshMs: ABSENT,
  maxStaleMs: ABSENT,
  staleIfErrorMs: ABSENT,
};

/** One directive: its name in lower case, its argument without quotes; null when it has none. */
interface Directive {
  readonly name: string;
  readonly argument: string | null;
}

/** Cache-Control of an answer. */
export function responseDirectives(fields: FieldBlock): ResponseDirectives {
  if (!fields.has("cache-control")) return NO_RESPONSE_DIRECTIVES;
  const directives = beginReading();
  for (const line of fields.getAll("cache-control")) {
    for (const element of elementsOf(line)) {
      const { name, argument } = directiveOf(element);
      applyToResponse(directives, name, argument);
    }
    // What stands behind a quote that never ends is read, but no lifetime in such a line can be relied upon.
    if (!isQuotingWhole(line)) directives.maxAgeMs = directives.sMaxageMs = 0;
  }
  return directives;
}

/** Cache-Control of a request, or Pragma in its place. */
export function requestDirectives(fields: FieldBlock): RequestDirectives {
  if (!fields.has("cache-control")) {
    return fields.has("pragma") && fields.getAll("pragma").some(isPragmaNoCache)
      ? { ...NO_REQUEST_DIRECTIVES, noCache: true }
      : NO_REQUEST_DIRECTIVES;
  }
  const directives: Mutable<RequestDirectives> = { ...NO_REQUEST_DIRECTIVES };
  for (const line of fields.getAll("cache-control")) {
    for (const element of elementsOf(line)) {
      const { name, argument } = directiveOf(element);
      applyToRequest(directives, name, argument);
    }
  }
  return directives;
}

/**
 * The directives of the first of these fields (lower-case names, most specific first) that is there and valid; null when none is,
 * and Cache-Control and Expires count (RFC 9213, section 2.2).
 */
export function targetedDirectives(fields: FieldBlock, names: readonly string[]): ResponseDirectives | null {
  for (const name of names) {
    const value = fields.get(name);
    const members = value === null ? null : parseDictionary(value);
    // An empty one is ignored like a broken one.
    if (members === null || members.size === 0) continue;
    const directives = beginReading();
    let isValid = true;
    for (const [directive, item] of members) isValid &&= applyMember(directives, directive, item);
    if (isValid) return directives;
  }
  return null;
}

/**
 * Age in milliseconds; 0 when it is absent or no number. Of several values the first one counts (RFC 9111, section 5.1).
 */
export function ageField(fields: FieldBlock): number {
  const [line] = fields.getAll("age");
  const seconds = line === undefined ? null : deltaSeconds(line.split(",", 1)[0]!.trim());
  return seconds === null ? 0 : seconds * 1000;
}

/** delta-seconds = 1*DIGIT; null when it is something else. */
export function deltaSeconds(text: string): number | null {
  return /^\d+$/.test(text) ? Math.min(Number(text), DELTA_SECONDS_MAX) : null;
}

function beginReading(): ReadDirectives {
  return { ...NO_RESPONSE_DIRECTIVES, noCacheFields: [], privateFields: [] };
}

function applyToResponse(directives: ReadDirectives, name: string, argument: string | null): void {
  switch (name) {
    case "no-store":
      directives.noStore = true;
      break;
    case "no-cache": {
      const names = fieldNames(argument);
      if (names === null) directives.noCache = true;
      else directives.noCacheFields.push(...names);
      break;
    }
    case "private": {
      const names = fieldNames(argument);
      if (names === null) directives.isPrivate = true;
      else directives.privateFields.push(...names);
      break;
    }
    case "public":
      directives.isPublic = true;
      break;
    case "must-revalidate":
      directives.mustRevalidate = true;
      break;
    case "proxy-revalidate":
      directives.proxyRevalidate = true;
      break;
    case "must-understand":
      directives.mustUnderstand = true;
      break;
    case "no-transform":
      directives.noTransform = true;
      break;
    case "immutable":
      directives.immutable = true;
      break;
    case "max-age":
      if (directives.maxAgeMs === ABSENT) directives.maxAgeMs = lifetimeMs(argument);
      break;
    case "s-maxage":
      if (directives.sMaxageMs === ABSENT) directives.sMaxageMs = lifetimeMs(argument);
      break;
    case "stale-while-revalidate":
      if (directives.staleWhileRevalidateMs === ABSENT) directives.staleWhileRevalidateMs = lifetimeMs(argument);
      break;
    case "stale-if-error":
      if (directives.staleIfErrorMs === ABSENT) directives.staleIfErrorMs = lifetimeMs(argument);
      break;
    default:
    // Unknown ones are ignored (section 5.2.3).
  }
}

function applyToRequest(directives: Mutable<RequestDirectives>, name: string, argument: string | null): void {
  switch (name) {
    case "no-store":
      directives.noStore = true;
      break;
    case "no-cache":
      directives.noCache = true;
      break;
    case "only-if-cached":
      directives.onlyIfCached = true;
      break;
    case "no-transform":
      directives.noTransform = true;
      break;
    case "max-age":
      if (directives.maxAgeMs === ABSENT) directives.maxAgeMs = lifetimeMs(argument);
      break;
    case "min-fresh":
      if (directives.minFreshMs === ABSENT) directives.minFreshMs = millisecondsOf(argument);
      break;
    case "max-stale":
      // Without an argument the client takes it however stale; a broken one allows nothing.
      if (directives.maxStaleMs === ABSENT) {
        directives.maxStaleMs = argument === null ? Number.POSITIVE_INFINITY : millisecondsOf(argument);
      }
      break;
    case "stale-if-error":
      if (directives.staleIfErrorMs === ABSENT) directives.staleIfErrorMs = millisecondsOf(argument);
      break;
    default:
  }
}

/** Which type a directive must have in a targeted field; what is not listed is unknown, and passes. */
const TARGETED_NUMBERS = new Set(["max-age", "s-maxage", "stale-while-revalidate", "stale-if-error"]);
const TARGETED_FLAGS = new Set([
  "no-store",
  "public",
  "must-revalidate",
  "proxy-revalidate",
  "must-understand",
  "no-transform",
  "immutable",
]);

/** False when the directive is known and of a wrong type, so that the field is not to be relied upon. */
function applyMember(directives: ReadDirectives, name: string, item: StructuredItem): boolean {
  if (TARGETED_NUMBERS.has(name)) {
    if (item.type !== "integer" || item.value < 0) return false;
    applyToResponse(directives, name, String(item.value));
  } else if (TARGETED_FLAGS.has(name)) {
    if (item.type !== "boolean") return false;
    if (item.value) applyToResponse(directives, name, null);
  } else if (name === "no-cache" || name === "private") {
    if (item.type === "boolean") {
      if (item.value) applyToResponse(directives, name, null);
    } else if (item.type === "string" || item.type === "token") applyToResponse(directives, name, item.value);
    else return false;
  }
  return true;
}

/** A lifetime that cannot be read is over (section 4.2.1). */
function lifetimeMs(argument: string | null): number {
  return Math.max(millisecondsOf(argument), 0);
}

/** ABSENT when it is no number. */
function millisecondsOf(argument: string | null): number {
  const seconds = argument === null ? null : deltaSeconds(argument);
  return seconds === null ? ABSENT : seconds * 1000;
}

/** #field-name in lower case; null when there is none, or something else. */
function fieldNames(argument: string | null): readonly string[] | null {
  if (argument === null) return null;
  const names = splitList(argument);
  return names.length > 0 && names.every(isToken) ? names.map((name) => name.toLowerCase()) : null;
}

function isPragmaNoCache(line: string): boolean {
  return splitList(line).some((directive) => directive.toLowerCase() === "no-cache");
}

/**
 * cache-directive = token [ "=" ( token / quoted-string ) ]. Space around "=" is not allowed: the name is recognised all the same, so
 * that nothing restrictive is overlooked, and the argument keeps its space, so that it is no number.
 */
function directiveOf(element: string): Directive {
  const text = element.trim();
  const equals = text.indexOf("=");
  if (equals < 0) return { name: text.toLowerCase(), argument: null };
  const spelled = text.slice(0, equals);
  const name = spelled.trimEnd();
  const raw = text.slice(equals + 1);
  const argument = name !== spelled ? ` ${raw}` : raw.startsWith('"') ? unquoted(raw) : raw;
  return { name: name.toLowerCase(), argument };
}

/** The directives of a line, not yet read; behind a quote that never ends, each comma separates. */
function elementsOf(line: string): readonly string[] {
  return line.includes('"') && isQuotingWhole(line) ? splitList(line) : line.split(",");
}

function unquoted(argument: string): string {
  const match = /^"((?:[^"\\]|\\.)*)"$/.exec(argument);
  return match === null ? argument : match[1]!.replace(/\\(.)/g, "$1");
}

/** Every quoted string that begins in the line ends in it. */
function isQuotingWhole(line: string): boolean {
  if (!line.includes('"')) return true;
  let isQuoted = false;
  for (let i = 0; i < line.length; i++) {
    if (isQuoted && line[i] === "\\") i++;
    else if (line[i] === '"') isQuoted = !isQuoted;
  }
  return !isQuoted;
}
