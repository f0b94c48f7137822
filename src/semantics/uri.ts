/**
 * What a request target means (RFC 3986, RFC 9110 section 4.2): the one form of a path that routes are matched with and
 * that upstreams get, and the parts of an absolute target. It decides what is refused because two servers could read it
 * in two ways; it never decodes an escaped slash and never touches a query.
 */
import { canonicalAddress } from "./cidr.ts";

const SLASH = 0x2f;
const DOT = 0x2e;
const PERCENT = 0x25;
const BACKSLASH = 0x5c;
const HASH = 0x23;
const QUESTION = 0x3f;

/** unreserved = ALPHA / DIGIT / "-" / "." / "_" / "~" (RFC 3986, section 2.3) */
const UNRESERVED = /^[A-Za-z0-9\-._~]$/;

/**
 * A segment that some servers take for "." or ".." although its text is longer: between escaped slashes or backslashes,
 * or with path parameters behind it ("..%2f", "..;x").
 */
const HIDDEN_DOT_SEGMENT = /(?:\/|%2F|%5C)\.\.?(?=;|%2F|%5C|%3B)|(?:%2F|%5C)\.\.?(?:$|\/)/;

/**
 * The path with dot segments removed, empty segments merged, unreserved characters decoded and the digits of other
 * percent- encodings in upper case (RFC 3986, section 6.2.2). "%2F" and "%5C" stay: they are data within a segment.
 *
 * null, which is answered with 400: it does not begin with "/", or has a byte that is not visible ASCII, a backslash,
 * "#", "?", an encoded NUL or an invalid percent-encoding; or a dot segment hides in it behind an escaped slash or a
 * path parameter, which some servers would go up by. What is returned, normalised again, is itself.
 */
export function normalisePath(path: string): string | null {
  const length = path.length;
  if (length === 0 || path.charCodeAt(0) !== SLASH) return null;
  let isPlain = true;
  let previous = 0;
  for (let i = 0; i < length; i++) {
    const character = path.charCodeAt(i);
    if (character <= 0x20 || character >= 0x7f) return null;
    if (character === BACKSLASH || character === HASH || character === QUESTION) return null;
    // A dot or slash behind a slash may be a dot or empty segment: the slow path looks closer.
    if (character === PERCENT || (previous === SLASH && (character === SLASH || character === DOT))) isPlain = false;
    previous = character;
  }
  if (isPlain) return path;
  const decoded = decodeUnreserved(path);
  if (decoded === null) return null;
  const normal = removeDotSegments(decoded);
  return HIDDEN_DOT_SEGMENT.test(normal) ? null : normal;
}

function decodeUnreserved(path: string): string | null {
  if (!path.includes("%")) return path;
  if (/%(?![0-9A-Fa-f]{2})|%00/.test(path)) return null;
  return path.replace(/%[0-9A-Fa-f]{2}/g, (encoded) => {
    const character = String.fromCharCode(Number.parseInt(encoded.slice(1), 16));
    return UNRESERVED.test(character) ? character : encoded.toUpperCase();
  });
}

/**
 * RFC 3986 section 5.2.4, on a path whose empty segments are taken out first, as file systems and nginx read it:
 * otherwise "/a//.." would be "/a/" here and "/" there.
 */
function removeDotSegments(path: string): string {
  const kept: string[] = [];
  const segments = path.split("/");
  for (const segment of segments) {
    if (segment === "..") kept.pop();
    else if (segment !== "" && segment !== ".") kept.push(segment);
  }
  const last = segments.at(-1);
  const isFolder = last === "" || last === "." || last === "..";
  return kept.length === 0 ? "/" : `/${kept.join("/")}${isFolder ? "/" : ""}`;
}

/** The parts of a target in absolute form. */
export interface AbsoluteForm {
  /** Lower case. */
  readonly scheme: "http" | "https";
  /** host[:port], lower case. */
  readonly authority: string;
  /** As it came, not normalised; "/" when the target has none. */
  readonly path: string;
  /** What stands behind "?"; null when there is no "?". */
  readonly query: string | null;
}

const ABSOLUTE = /^(https?):\/\/([^/?#]*)(\/[^?#]*)?(?:\?([^#]*))?$/i;

/**
 * absolute-form (RFC 9112, section 3.2.2) of an http or https target. null: another scheme, an invalid or empty
 * authority, a user name within it (an error since RFC 9110, section 4.2.4: it is used to hide the true host), or a
 * fragment.
 */
export function splitAbsoluteForm(target: string): AbsoluteForm | null {
  const match = ABSOLUTE.exec(target);
  if (match === null) return null;
  const authority = (match[2] ?? "").toLowerCase();
  if (parseAuthority(authority) === null) return null;
  const scheme = match[1]?.toLowerCase() === "https" ? "https" : "http";
  return { scheme, authority, path: match[3] ?? "/", query: match[4] ?? null };
}

export interface Authority {
  /** Lower case; an IPv6 address keeps its brackets. */
  readonly host: string;
  /** 1 to 65535; null when there is none. */
  readonly port: number | null;
}

/**
 * The characters of names in the DNS, and "_", which many use. Less than a reg-name of RFC 3986 may have: what is left
 * out (commas, semicolons, quotes, percent-encodings) is in no real name and means something else in the fields that
 * repeat a host.
 */
const AUTHORITY = /^([a-z0-9._~-]{1,255}|\[[0-9a-f:.]{2,45}\])(?::([1-9][0-9]{0,4})?)?$/i;

/** host[":" port] (RFC 3986, section 3.2), as in Host. null: empty, or something else. */
export function parseAuthority(text: string): Authority | null {
  const match = AUTHORITY.exec(text);
  if (match === null) return null;
  const host = (match[1] ?? "").toLowerCase();
  if (host.startsWith("[") && (!host.includes(":") || canonicalAddress(host.slice(1, -1)) === null)) return null;
  const port = match[2] === undefined ? null : Number(match[2]);
  return port !== null && port > 65535 ? null : { host, port };
}

/**
 * A host in the one form that equal ones share: lower case, no dot at the end, addresses canonical and without brackets. null: a name whose last label is a number (RFC 3986 section 7.4): some programs read an address in
 * 2130706433, 0x7f.1 or 0177.0.0.1, and others do not.
 */
export function hostOf(text: string): string | null {
  if (text.startsWith("[")) return canonicalAddress(text.slice(1, -1));
  if (text.includes("..")) return null;
  const name = (text.endsWith(".") ? text.slice(0, -1) : text).toLowerCase();
  if (canonicalAddress(name) !== null) return name;
  const label = name.slice(name.lastIndexOf(".") + 1);
  return name === "" || /^(?:\d+|0x[0-9a-f]*)$/.test(label) ? null : name;
}
