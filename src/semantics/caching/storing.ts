/**
 * May a shared cache store this answer, and what is then true of it (RFC 9111, section 3)? The questions stand in the order of the RFC; the
 * first that is answered with no decides, and its name is the reason. What an operator says (rules) may stand in for what an answer
 * says, or keep it from being listened to; no rule shares what was answered to somebody who said who he is.
 */
import type { EncodedLines, FieldBlock } from "../../core/fields.ts";
import { type AnswerHead, HEAD_FLAGS } from "./answer-head.ts";
import {
  ABSENT,
  NO_RESPONSE_DIRECTIVES,
  type ResponseDirectives,
  responseDirectives,
  targetedDirectives,
} from "./cache-control.ts";
import {
  explicitLifetime,
  initialAge,
  isHeuristicallyCacheable,
  type LifetimeRules,
  type LifetimeSource,
  lifetimeOf,
} from "./freshness.ts";
import { type AnswerPart, partOf } from "./parts.ts";
import { canDoWithout, sortFields } from "./stored-fields.ts";
import { originOf, tagsOf } from "./tags.ts";
import { varyOf } from "./vary.ts";

/** Why an answer is not stored. */
export type NotStoredReason =
  /** The method's answers are nothing for others: all but GET, and POST with explicit freshness and its own Content-Location. */
  | "method"
  /** The client asked for it (Cache-Control: no-store). */
  | "request-no-store"
  /** Not final, not understood, or about this one request. */
  | "status"
  /** A part that cannot be kept: of several ranges, of an unknown unit, or not what it says. */
  | "partial"
  | "no-store"
  | "private"
  /** The request bore an identity, and nothing in the answer says that it is for everybody (section 3.5). */
  | "authorization"
  /** Vary has "*", a broken name, or too many. */
  | "vary"
  | "set-cookie"
  /** More tags than are kept: a purge could miss it. */
  | "tags"
  /** Neither fresh, nor can it be validated, nor may it be given stale. */
  | "not-reusable";

/** What becomes of answers with Set-Cookie. */
export type SetCookiePolicy =
  /** Stored whole when the answer itself says how long it is fresh, or that it is public. */
  | "explicit"
  /** Stored without the cookies, which go to nobody but the client that asked. */
  | "strip"
  /** Not stored. */
  | "never";

/** What a configuration says of the answers to one request, or of this answer. */
export interface StoringRules extends LifetimeRules {
  /** For answers that do not say it themselves and may be given stale. */
  readonly staleWhileRevalidateMs: number;
  readonly staleIfErrorMs: number;
  /** Lower-case names of fields of the answer that are not listened to. Cookies that are not are not stored either. */
  readonly ignored: ReadonlySet<string>;
  readonly setCookie: SetCookiePolicy;
  /** Lower-case names of targeted fields, most specific first (RFC 9213). */
  readonly targetedFields: readonly string[];
  /** Lower-case names of fields with surrogate keys. */
  readonly tagFields: readonly string[];
  /** 206 is stored, as a part of a whole one. */
  readonly storesParts: boolean;
}

/** What a cache does when nothing is configured. */
export const DEFAULT_STORING_RULES: StoringRules = {
  lifetimeMs: null,
  defaultLifetimeMs: null,
  lifetimeMinMs: null,
  lifetimeMaxMs: null,
  heuristic: null,
  staleWhileRevalidateMs: 0,
  staleIfErrorMs: 0,
  ignored: new Set(),
  setCookie: "explicit",
  targetedFields: ["cdn-cache-control"],
  tagFields: [],
  storesParts: false,
};

/** The request as far as it matters, and when it was sent. */
export interface AnsweredRequest {
  readonly method: string;
  readonly fields: FieldBlock;
  /** Absolute, normalised, as the key has it. */
  readonly url: string;
  /** Somebody established who asks, by Authorization or otherwise, and the key does not say who. */
  readonly isIdentified: boolean;
  /** Its Cache-Control has no-store. */
  readonly noStore: boolean;
  /** On the wall clock. */
  readonly requestedMs: number;
}

export interface Answer {
  readonly status: number;
  readonly fields: FieldBlock;
  /** Of the content; -1: its end will tell. */
  readonly bodyBytes: number;
  readonly receivedMs: number;
}

export type StoringVerdict =
  | {
      readonly isStored: true;
      readonly head: AnswerHead;
      /** Lines of the answer that may go to the client that asked, and to no other; null: none. */
      readonly onlyForAsker: EncodedLines | null;
      /** Which part of the representation the content is; null: all of it. The head is that of the whole: 200, without Content-Range. */
      readonly part: AnswerPart | null;
    }
  | { readonly isStored: false; readonly reason: NotStoredReason };

/**
 * Statuses that are about the request that was sent, its conditions, its connection or its sender, and not about the resource. 428,
 * 429, 431 and 511 must not be stored (RFC 6585). 206 is looked at by itself, 304 is never an answer of its own. What 226 has is a
 * change to what its client has already (RFC 3229, section 10.4.1), and nothing to whom did not ask for that.
 */
const ABOUT_THE_REQUEST = new Set([226, 304, 407, 408, 412, 413, 415, 416, 417, 421, 425, 426, 428, 429, 431, 511]);
/** What is above is no status (RFC 9110, section 15). */
const STATUS_MAX = 599;
/** An answer to who has not said who he is would keep out who does: it is stored only when it says so itself. */
const UNAUTHORIZED = 401;
/** Whose caching RFC 9110 describes and this cache follows: what must-understand asks for (section 5.2.2.3). */
const UNDERSTOOD = new Set([
  200, 201, 202, 203, 204, 205, 206, 300, 301, 302, 303, 307, 308, 400, 401, 402, 403, 404, 405, 406, 409, 410, 411,
  414, 422, 451, 500, 501, 502, 503, 504, 505,
]);

export function mayStore(request: AnsweredRequest, answer: Answer, rules: StoringRules): StoringVerdict {
  const { status, fields: response, receivedMs } = answer;
  if (request.noStore) return notStored("request-no-store");
  if (request.method !== "GET" && request.method !== "POST") return notStored("method");
  if (status < 200 || status > STATUS_MAX || ABOUT_THE_REQUEST.has(status)) return notStored("status");

  const targeted = targetedDirectives(
    response,
    rules.targetedFields.filter((name) => !rules.ignored.has(name)),
  );
  const directives = targeted ?? listenedTo(response, rules);
  const hasExpires = targeted === null && !rules.ignored.has("expires");
  const explicitMs = explicitLifetime(directives, response, receivedMs, hasExpires);
  if (request.method === "POST" && !isForLaterGet(request.url, response, explicitMs)) return notStored("method");

  const part = status === 206 ? partOf(response, answer.bodyBytes) : null;
  if (status === 206 && (part === null || !rules.storesParts)) return notStored("partial");

  // Who understands the status may overlook no-store, which is there for those who do not.
  if (directives.mustUnderstand ? !UNDERSTOOD.has(status) : directives.noStore) return notStored("no-store");
  if (directives.isPrivate || !canDoWithout(directives.privateFields)) return notStored("private");
  if (request.isIdentified && !isForEverybody(directives)) return notStored("authorization");

  const isExplicit = explicitMs !== null || directives.isPublic;
  if (!isExplicit && status === UNAUTHORIZED) return notStored("status");
  const hasRule = rules.lifetimeMs !== null || rules.defaultLifetimeMs !== null;
  if (!isExplicit && !hasRule && !isHeuristicallyCacheable(status)) return notStored("status");

  // A list of names with one of these in it cannot be followed: the answer is then validated each time.
  const canOmit = canDoWithout(directives.noCacheFields);
  const withheld = new Set([...directives.privateFields, ...(canOmit ? directives.noCacheFields : [])]);
  if (hasCookies(response) && !withheld.has("set-cookie")) {
    if (rules.setCookie === "strip" || rules.ignored.has("set-cookie")) withheld.add("set-cookie").add("set-cookie2");
    else if (rules.setCookie === "never" || !isExplicit) return notStored("set-cookie");
  }

  const vary = rules.ignored.has("vary") ? [] : varyOf(response);
  if (vary === "*") return notStored("vary");
  const tags = tagsOf(response, originOf(request.url), rules.tagFields);
  if (tags === null) return notStored("tags");

  const ageMs = initialAge(response, request.requestedMs, receivedMs);
  // What was answered to somebody's cookies and says nothing is not guessed to be for others.
  const mayGuess = directives.isPublic || (isHeuristicallyCacheable(status) && !request.fields.has("cookie"));
  const lifetime = lifetimeOf(explicitMs, response, ageMs, receivedMs, rules, mayGuess);
  const isForOthers = lifetime.ms > ageMs || vary.includes("cookie") || !isForCookiesAlone(request, directives);
  const noCache = directives.noCache || !canOmit || !isForOthers;
  const stale = staleWindows(directives, noCache, rules);
  const head: Omit<AnswerHead, "fields"> = {
    status: part === null ? status : 200,
    requestedMs: request.requestedMs,
    receivedMs,
    initialAgeMs: ageMs,
    freshMs: lifetime.ms,
    staleWhileRevalidateMs: stale.whileRevalidateMs,
    staleIfErrorMs: stale.ifErrorMs,
    flags: flagsOf(directives, noCache, lifetime.source, mayGuess),
    vary,
    tags,
    bodyBytes: part === null ? answer.bodyBytes : part.completeBytes,
  };
  const isUsable = lifetime.ms > ageMs || stale.isAllowedByAnswer;
  if ((noCache || !isUsable) && !hasValidator(response)) return notStored("not-reusable");
  const sorted = sortFields(response, withheld, receivedMs, part === null ? "" : "content-range");
  return { isStored: true, head: { ...head, fields: sorted.stored }, onlyForAsker: sorted.onlyForAsker, part };
}

/**
 * Whether requests that came while it was fetched may be answered with it too: it may be given without validation, or it says nothing
 * of its lifetime, which then is as long as it takes to fetch it (section 4.2.2). The others fetch for themselves, or validate.
 */
export function mayBeShared(head: AnswerHead): boolean {
  if ((head.flags & HEAD_FLAGS.noCache) !== 0) return false;
  if ((head.flags & HEAD_FLAGS.heuristic) !== 0) return true;
  return head.freshMs > head.initialAgeMs || head.staleWhileRevalidateMs > 0;
}

function notStored(reason: NotStoredReason): StoringVerdict {
  return { isStored: false, reason };
}

function listenedTo(response: FieldBlock, rules: StoringRules): ResponseDirectives {
  return rules.ignored.has("cache-control") ? NO_RESPONSE_DIRECTIVES : responseDirectives(response);
}

/**
 * A POST's answer may be given to a later GET when it says for how long, and that it is what GET would get (RFC 9110, section 9.3.3).
 */
function isForLaterGet(url: string, response: FieldBlock, explicitMs: number | null): boolean {
  const location = response.get("content-location");
  if (explicitMs === null || location === null || !URL.canParse(location, url)) return false;
  return new URL(location, url).href === new URL(url).href;
}

/** RFC 9111, section 3.5. */
function isForEverybody(directives: ResponseDirectives): boolean {
  return directives.isPublic || directives.mustRevalidate || directives.sMaxageMs !== ABSENT;
}

/**
 * It was answered to somebody's cookies, and does not say that it is for others or may be given stale. Unless it is fresh, or told apart
 * by them, nobody is given it for whom the origin does not confirm it, whatever a client (max-stale) or a rule would take.
 */
function isForCookiesAlone(request: AnsweredRequest, directives: ResponseDirectives): boolean {
  if (isForEverybody(directives) || !request.fields.has("cookie")) return false;
  return directives.staleWhileRevalidateMs <= 0 && directives.staleIfErrorMs <= 0;
}

function hasCookies(response: FieldBlock): boolean {
  return response.has("set-cookie") || response.has("set-cookie2");
}

function hasValidator(response: FieldBlock): boolean {
  return response.has("etag") || response.has("last-modified");
}

interface StaleWindows {
  readonly whileRevalidateMs: number;
  readonly ifErrorMs: number;
  /** The answer itself allows it. */
  readonly isAllowedByAnswer: boolean;
}

/**
 * How long it may be given stale (RFC 9111 section 4.2.4, RFC 5861). s-maxage forbids it as proxy-revalidate does (section 5.2.2.10), so a
 * rule cannot allow it; an answer that says both has allowed it itself.
 */
function staleWindows(directives: ResponseDirectives, noCache: boolean, rules: StoringRules): StaleWindows {
  if (noCache || directives.mustRevalidate || directives.proxyRevalidate) {
    return { whileRevalidateMs: 0, ifErrorMs: 0, isAllowedByAnswer: false };
  }
  const { staleWhileRevalidateMs, staleIfErrorMs } = directives;
  const isForbidden = directives.sMaxageMs !== ABSENT;
  return {
    whileRevalidateMs:
      staleWhileRevalidateMs !== ABSENT ? staleWhileRevalidateMs : isForbidden ? 0 : rules.staleWhileRevalidateMs,
    ifErrorMs: staleIfErrorMs !== ABSENT ? staleIfErrorMs : isForbidden ? 0 : rules.staleIfErrorMs,
    isAllowedByAnswer: staleWhileRevalidateMs > 0 || staleIfErrorMs > 0,
  };
}

function flagsOf(directives: ResponseDirectives, noCache: boolean, source: LifetimeSource, mayGuess: boolean): number {
  const mustRevalidate =
    directives.mustRevalidate ||
    directives.proxyRevalidate ||
    directives.sMaxageMs !== ABSENT ||
    // It says nothing: that one client would take it stale does not make it an answer for others.
    source === "none";
  const isGuess = source === "guess" || (source === "none" && mayGuess);
  return (
    (mustRevalidate ? HEAD_FLAGS.mustRevalidate : 0) |
    (noCache ? HEAD_FLAGS.noCache : 0) |
    (directives.immutable ? HEAD_FLAGS.immutable : 0) |
    (isGuess ? HEAD_FLAGS.heuristic : 0)
  );
}
