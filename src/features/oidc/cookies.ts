/**
 * The cookies of the login: found among the others of a request and taken out of it, and made for answers. One value
 * may lie in several cookies, since browsers keep none above 4 KiB: "headgate", "headgate.1", "headgate.2", the first
 * of which says how many there are. They are told apart from other people's cookies by their names alone; what they
 * hold is another file's business.
 *
 * A session that comes twice with two values is none: the cookie of another host of the domain may not stand in for
 * ours (RFC 6265 section 8.6).
 */
import { FIELD_COOKIE } from "../../core/field-names.ts";
import type { FieldBlock } from "../../core/fields.ts";
import { withoutOuterSpace } from "../../semantics/field-list.ts";

/** Name, "=" and value of one cookie. RFC 6265 section 6.1 asks browsers for 4096; some count the attributes too. */
export const COOKIE_BYTES_MAX = 3900;
/** Parts of a value: with the rest of a head they must pass other servers' limits, which begin at 8 and 16 KiB. */
export const COOKIE_PARTS_MAX = 4;

export interface CookieAttributes {
  readonly domain: string | null;
  readonly path: string;
  readonly sameSite: "lax" | "strict" | "none";
  readonly secure: boolean;
}

/**
 * The name as browsers get it: with a prefix that makes them refuse it from anyone but this host, or from plain HTTP.
 */
export function prefixedName(name: string, { domain, path, secure }: CookieAttributes): string {
  if (!secure) return name;
  return domain === null && path === "/" ? `__Host-${name}` : `__Secure-${name}`;
}

const PREFIX = /^__(?:Host|Secure)-/;
/** Between a cookie's name and the id of a login attempt. */
const ATTEMPT = "-login-";

/** The cookies of a request that are ours. */
export interface TakenCookies {
  /** The session's value, put together from its parts; null: there is none, or it is not whole. */
  readonly session: string | null;
  /** Names of all cookies of the session that came, whole or not: what is to be removed when it ends. */
  readonly sessionNames: readonly string[];
  /** Login attempts by their ids. */
  readonly attempts: ReadonlyMap<string, string>;
}

const NONE: TakenCookies = { session: null, sessionNames: [], attempts: new Map() };

/**
 * Takes all cookies of the base name `name` out of a request. `sessionName` is the prefixed name under which a session
 * counts; others are removed and not believed.
 */
export function takeCookies(fields: FieldBlock, name: string, sessionName: string): TakenCookies {
  if (fields.rowOfId(FIELD_COOKIE) < 0) return NONE;
  const header = fields.get("cookie")!;
  const first = header.indexOf(name);
  if (first < 0) return NONE;
  const only = takeOnly(fields, header, first, name, sessionName);
  if (only !== null) return only;
  const collected = new Collected(sessionName);
  let rest = "";
  for (let start = 0; start < header.length; ) {
    let end = header.indexOf(";", start);
    if (end < 0) end = header.length;
    // What else JavaScript takes for space may be a part of somebody's value, such as the last byte of "à".
    const pair = withoutOuterSpace(header.slice(start, end));
    start = end + 1;
    if (pair === "") continue;
    if (!collected.take(pair, name)) rest = rest === "" ? pair : `${rest}; ${pair}`;
  }
  if (!collected.tookAny) return NONE;
  fields.deleteId(FIELD_COOKIE);
  if (rest !== "") fields.appendTrusted("Cookie", rest);
  return collected;
}

/**
 * What most requests have: one whole session in one cookie, and nothing else that looks like ours. null: something
 * else.
 */
function takeOnly(
  fields: FieldBlock,
  header: string,
  first: number,
  name: string,
  sessionName: string,
): TakenCookies | null {
  const start = first - (sessionName.length - name.length);
  const value = start + sessionName.length + 3;
  if (start > 0 && (start < 2 || header[start - 1] !== " " || header[start - 2] !== ";")) return null;
  if (!header.startsWith(sessionName, start) || !header.startsWith("=1.", value - 3)) return null;
  if (header.indexOf(name, value) >= 0) return null;
  const semicolon = header.indexOf("; ", value);
  const end = semicolon < 0 ? header.length : semicolon;
  const session = header.slice(value, end);
  // Values of base64url: whatever else it is, the longer way judges it.
  if (session === "" || session.includes(";") || withoutOuterSpace(session) !== session) return null;
  fields.deleteId(FIELD_COOKIE);
  const before = start === 0 ? "" : header.slice(0, start - 2);
  const after = semicolon < 0 ? "" : header.slice(semicolon + 2);
  const rest = before === "" ? after : after === "" ? before : `${before}; ${after}`;
  if (rest !== "") fields.appendTrusted("Cookie", rest);
  return { session, sessionNames: [sessionName], attempts: NONE.attempts };
}

class Collected implements TakenCookies {
  readonly sessionNames: string[] = [];
  readonly attempts = new Map<string, string>();
  tookAny = false;
  readonly #sessionName: string;
  readonly #attemptName: string;
  /** By their number; undefined: not there. */
  readonly #parts: (string | undefined)[] = [];
  #isAmbiguous = false;

  constructor(sessionName: string) {
    this.#sessionName = sessionName;
    this.#attemptName = attemptNameOf(sessionName);
  }

  /** Whether the pair was one of ours. */
  take(pair: string, name: string): boolean {
    const equals = pair.indexOf("=");
    if (equals < 0) return false;
    const fullName = pair.slice(0, equals);
    const bare = fullName.replace(PREFIX, "");
    if (!bare.startsWith(name)) return false;
    const tail = bare.slice(name.length);
    const isPart = tail === "" || /^\.[1-9]$/.test(tail);
    if (!isPart && !tail.startsWith(ATTEMPT)) return false;
    this.tookAny = true;
    const value = pair.slice(equals + 1);
    if (!isPart) this.#takeAttempt(fullName, value);
    else if (fullName === this.#sessionName + tail) this.#takePart(fullName, tail, value);
    return true;
  }

  #takePart(fullName: string, tail: string, value: string): void {
    const number = tail === "" ? 0 : Number(tail.slice(1));
    const known = this.#parts[number];
    if (known !== undefined && known !== value) this.#isAmbiguous = true;
    if (known === undefined) this.sessionNames.push(fullName);
    this.#parts[number] = value;
  }

  /** Attempts are never shared with other hosts, so that theirs have another prefix than a session of a domain. */
  #takeAttempt(fullName: string, value: string): void {
    if (!fullName.startsWith(this.#attemptName)) return;
    const id = fullName.slice(this.#attemptName.length);
    this.attempts.set(id, this.attempts.has(id) && this.attempts.get(id) !== value ? "" : value);
  }

  get session(): string | null {
    const first = this.#parts[0];
    if (first === undefined || this.#isAmbiguous) return null;
    const count = first.charCodeAt(0) - 0x30;
    if (!(count >= 1 && count <= COOKIE_PARTS_MAX) || first[1] !== ".") return null;
    let value = first.slice(2);
    for (let number = 1; number < count; number++) {
      const part = this.#parts[number];
      if (part === undefined) return null;
      value += part;
    }
    return value;
  }
}

/** What the name of an attempt begins with: of the host alone, whatever the session's cookie is shared with. */
function attemptNameOf(sessionName: string): string {
  const bare = sessionName.replace(PREFIX, "");
  return `${bare === sessionName ? "" : "__Host-"}${bare}${ATTEMPT}`;
}

export function attemptCookieName(sessionName: string, id: string): string {
  return attemptNameOf(sessionName) + id;
}

/** The cookies that hold `value` (characters of base64url); null when it is too long for them. */
export function splitValue(name: string, value: string): readonly (readonly [name: string, value: string])[] | null {
  const parts: string[] = [];
  // "=" and the count in front of the first part; ".1" behind the names of the others.
  const room = COOKIE_BYTES_MAX - name.length - 3;
  for (let start = 0; start < value.length || parts.length === 0; start += room) {
    parts.push(value.slice(start, start + room));
  }
  if (parts.length > COOKIE_PARTS_MAX || room <= 0) return null;
  return parts.map((part, number) =>
    number === 0 ? [name, `${parts.length}.${part}`] : ([`${name}.${number}`, part] as const),
  );
}

/** A Set-Cookie. `maxAgeSeconds: null`: until the browser is closed; 0 removes it. */
export function setCookie(
  name: string,
  value: string,
  { domain, path, sameSite, secure }: CookieAttributes,
  maxAgeSeconds: number | null,
): string {
  const age = maxAgeSeconds === null ? "" : `; Max-Age=${maxAgeSeconds}`;
  const where = domain === null ? "" : `; Domain=${domain}`;
  const site = { lax: "Lax", strict: "Strict", none: "None" }[sameSite];
  return `${name}=${value}${where}; Path=${path}${age}; HttpOnly${secure ? "; Secure" : ""}; SameSite=${site}`;
}
