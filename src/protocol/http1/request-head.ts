/**
 * The head of a request: request line and fields (RFC 9112, sections 2 to 5). It decides whether the bytes are one
 * head, written in the one way that every server reads alike, and where its parts stand. It never decides what the
 * request means: paths are normalised, and bodies framed, elsewhere.
 *
 *     request-line = method SP request-target SP HTTP-version CRLF
 *
 * Bytes are judged in their order, each by those before it alone: so a head in pieces gets the verdict that it would
 * get whole, and what is wrong with its beginning is known before its end has come.
 */
import { FIELD_BIT, FIELD_HOST } from "../../core/field-names.ts";
import { type FieldStorage, ROW, ROW_ID, ROW_VALUE, ROW_VALUE_END } from "../../core/fields.ts";
import { latin1At } from "../../core/latin1.ts";
import type { TargetForm } from "../../core/message.ts";
import { isAuthority } from "./authority.ts";
import * as characters from "./characters.ts";
import {
  ERR_BARE_CR,
  ERR_BARE_LF,
  ERR_EMPTY_LINES,
  ERR_HEAD_TOO_LARGE,
  ERR_HOST_INVALID,
  ERR_HOST_MISSING,
  ERR_HOST_REPEATED,
  ERR_METHOD,
  ERR_PROXY_HEADER,
  ERR_REQUEST_LINE_TOO_LONG,
  ERR_SOCKS_ON_HTTP_PORT,
  ERR_TARGET,
  ERR_TARGET_AUTHORITY,
  ERR_TARGET_FORM,
  ERR_TLS_ON_PLAIN_PORT,
  ERR_VERSION,
  ERR_VERSION_UNSUPPORTED,
} from "./errors.ts";
import { FieldSection, parseFieldLines } from "./field-lines.ts";
import { copyHead, HEAD_BYTES_USUAL, type HeadLimits } from "./head.ts";

export { type HeadLimits, headMayBeComplete } from "./head.ts";

// A module's own constants are folded into the machine code of its loops; imported ones would be loaded for every byte.
const { CR, LF, METHOD, PATH, PATH_ENCODED, QUESTION_MARK, SLASH, SPACE, TARGET } = characters;

/** The longest registered method has 17 bytes (UPDATEREDIRECTREF). */
const METHOD_BYTES_MAX = 32;
/** RFC 9112, section 2.2: at least one empty line before a request is ignored; old clients sent one behind a body. */
const EMPTY_LINES_MAX = 4;
/** The first byte of a TLS handshake record (RFC 8446, section 5.1). */
const TLS_HANDSHAKE = 0x16;
/** The first byte of a client that speaks SOCKS4 or SOCKS5. */
const SOCKS_VERSIONS: readonly number[] = [4, 5];
/** What a header of the PROXY protocol, version 2, has behind two empty lines; version 1 is a line with a method of this name. */
const PROXY_SIGNATURE_REST = Buffer.from("\0\r\nQUIT\n", "latin1");
const PROXY_LINE_METHOD = "PROXY";

/**
 * Filled by a successful parse, for any number of heads one after the other. Offsets count from the first byte of the
 * head.
 */
export class RequestHead extends FieldSection {
  method = "GET";
  form: TargetForm = "origin";
  targetStart = 0;
  /** The offset of "?", or `targetEnd`. */
  pathEnd = 0;
  targetEnd = 0;
  /**
   * Of the authority and absolute forms; both 0 otherwise. The path of an absolute form, perhaps empty, begins at its
   * end.
   */
  authorityStart = 0;
  authorityEnd = 0;
  /** Origin form, and normalisation (RFC 3986, section 6.2.2) would leave the path as it is. */
  plainPath = false;
  /** The line is "METHOD /path HTTP/1.1": it can be passed on as it came. */
  plainLine = false;
  /** Of HTTP/1.x; a higher one than 1 counts as 1 (RFC 9110, section 2.5). */
  minor: 0 | 1 = 1;
}

/**
 * Reads a head at `buffer[start, end)`. Returns how many bytes it has, empty lines before it included, 0 when more are
 * needed, or an ERR_ code. When it was found, `storage.bytes` has a copy of it from offset 0, and `storage.table` its
 * fields.
 */
export function parseRequestHead(
  buffer: Buffer,
  start: number,
  end: number,
  storage: FieldStorage,
  limits: HeadLimits,
  head: RequestHead,
): number {
  const first = skipEmptyLines(buffer, start, end);
  if (first < 0) return first;
  let length = copyHead(buffer, first, end, storage, Math.min(HEAD_BYTES_USUAL, limits.headBytesMax));
  let headEnd = parseHere(storage, length, limits, head);
  if (headEnd === 0 && length < end - first && length < limits.headBytesMax) {
    length = copyHead(buffer, first, end, storage, limits.headBytesMax);
    headEnd = parseHere(storage, length, limits, head);
  }
  if (headEnd === 0) return length === limits.headBytesMax ? ERR_HEAD_TOO_LARGE : 0;
  return headEnd < 0 ? headEnd : first - start + headEnd;
}

/** Whether these bytes, of which no head could be read yet, are empty lines and nothing behind them. */
export function isOfEmptyLines(buffer: Buffer, start: number, end: number): boolean {
  return skipEmptyLines(buffer, start, end) === end;
}

/** The offset of the first byte that is not part of an empty line; `end` when none has come. */
function skipEmptyLines(buffer: Buffer, start: number, end: number): number {
  let i = start;
  for (let lines = 0; i < end; lines++, i += 2) {
    if (buffer[i] === LF) return ERR_BARE_LF;
    if (buffer[i] !== CR) return i;
    if (lines === EMPTY_LINES_MAX) return ERR_EMPTY_LINES;
    if (i + 1 === end) return end;
    if (buffer[i + 1] !== LF) return ERR_BARE_CR;
  }
  return i;
}

/** Reads the head at `storage.bytes[0, length)`, where `storage.bytes[length]` is 0. */
function parseHere(storage: FieldStorage, length: number, limits: HeadLimits, head: RequestHead): number {
  const { bytes } = storage;
  const lineBytesMax = limits.requestLineBytesMax;
  let i = 0;
  while (METHOD[bytes[i]!] !== 0) i++;
  if (bytes[i] !== SPACE || i === 0 || i > METHOD_BYTES_MAX) return refuseMethod(bytes, i, length);
  const method = i === 3 && bytes[0] === 0x47 && bytes[1] === 0x45 && bytes[2] === 0x54 ? "GET" : methodOf(bytes, i);

  const target = ++i;
  let plainPath = bytes[i] === SLASH;
  if (plainPath) {
    for (let kind = PATH[bytes[i]!]!; kind !== 0; kind = PATH[bytes[++i]!]!) {
      if (kind !== 1 && (kind === PATH_ENCODED || bytes[i - 1] === SLASH)) plainPath = false;
    }
  }
  const pathEnd = i;
  while (TARGET[bytes[i]!] !== 0) i++;
  if (bytes[i] !== SPACE || i === target) return refusalOfLine(refuseTarget(i, length, lineBytesMax), method);

  const version = i + 1;
  const minor = minorVersionAt(bytes, version);
  if (minor < 0) return refusalOfLine(refuseVersion(bytes, version, length, lineBytesMax), method);
  if (version + 8 > lineBytesMax) return ERR_REQUEST_LINE_TOO_LONG;

  head.method = method;
  head.form = "origin";
  head.targetStart = target;
  head.pathEnd = pathEnd;
  head.targetEnd = i;
  head.authorityStart = head.authorityEnd = 0;
  head.plainPath = plainPath;
  head.minor = minor === 0 ? 0 : 1;
  head.plainLine = minor === 1;
  if (bytes[target] !== SLASH || method === "CONNECT") {
    const refused = readOtherForm(bytes, head);
    if (refused !== 0) return refused;
  }
  const headEnd = parseFieldLines(storage, version + 10, length, limits.fieldsMax, head);
  if (headEnd <= 0) return headEnd;
  return checkHost(storage, head) ?? headEnd;
}

/** The common methods by length, so that they are the same string in every request. */
const METHODS: readonly (readonly string[])[] = Array.from({ length: METHOD_BYTES_MAX + 1 }, (_, length) =>
  [
    ...["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY", "PURGE"],
    ...["PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH", "MKCALENDAR"],
  ].filter((method) => method.length === length),
);

function methodOf(bytes: Buffer, length: number): string {
  const methods = METHODS[length]!;
  next: for (let k = 0; k < methods.length; k++) {
    const method = methods[k]!;
    for (let i = 0; i < length; i++) {
      if (bytes[i] !== method.charCodeAt(i)) continue next;
    }
    return method;
  }
  return latin1At(bytes, 0, length);
}

function refuseMethod(bytes: Uint8Array, at: number, length: number): number {
  if (at > METHOD_BYTES_MAX) return ERR_METHOD;
  if (at === length) return 0;
  if (at > 0) return ERR_METHOD;
  const first = bytes[0]!;
  if (first === TLS_HANDSHAKE) return ERR_TLS_ON_PLAIN_PORT;
  if (first === PROXY_SIGNATURE_REST[0]) return refuseSignature(bytes, length);
  return SOCKS_VERSIONS.includes(first) ? ERR_SOCKS_ON_HTTP_PORT : ERR_METHOD;
}

/** What begins as the signature does, behind its empty lines: it is one, may become one, or is nothing. */
function refuseSignature(bytes: Uint8Array, length: number): number {
  for (let i = 0; i < PROXY_SIGNATURE_REST.length; i++) {
    if (i === length) return 0;
    if (bytes[i] !== PROXY_SIGNATURE_REST[i]) return ERR_METHOD;
  }
  return ERR_PROXY_HEADER;
}

/** A line that would have been refused for its target or its version: perhaps it is none of HTTP. */
function refusalOfLine(code: number, method: string): number {
  return method === PROXY_LINE_METHOD && (code === ERR_TARGET || code === ERR_VERSION) ? ERR_PROXY_HEADER : code;
}

/** What to say of a request line whose target stopped at `at`: too long, incomplete, or wrong there. */
function refuseTarget(at: number, length: number, lineBytesMax: number): number {
  if (at > lineBytesMax) return ERR_REQUEST_LINE_TOO_LONG;
  return at === length ? 0 : ERR_TARGET;
}

/** The minor version of "HTTP/1." DIGIT CRLF at `at`; -1 when that is not there. */
function minorVersionAt(bytes: Uint8Array, at: number): number {
  // In this order: a byte behind the sentinel is never read.
  return bytes[at] === 0x48 &&
    bytes[at + 1] === 0x54 &&
    bytes[at + 2] === 0x54 &&
    bytes[at + 3] === 0x50 &&
    bytes[at + 4] === SLASH &&
    bytes[at + 5] === 0x31 &&
    bytes[at + 6] === 0x2e &&
    isDigit(bytes[at + 7]!) &&
    bytes[at + 8] === CR &&
    bytes[at + 9] === LF
    ? bytes[at + 7]! - 0x30
    : -1;
}

/** HTTP-version = "HTTP/" DIGIT "." DIGIT, in upper case, and CRLF: which byte is not as it should be. */
function refuseVersion(bytes: Uint8Array, at: number, length: number, lineBytesMax: number): number {
  const name = "HTTP/";
  let i = at;
  while (i < at + 5 && bytes[i] === name.charCodeAt(i - at)) i++;
  let code = ERR_VERSION;
  if (i === at + 5) {
    // The preface of HTTP/2, "PRI * HTTP/2.0", ends here too (RFC 9113, section 3.4).
    if (bytes[i] === 0x31) i++;
    else if (isDigit(bytes[i]!)) code = ERR_VERSION_UNSUPPORTED;
  }
  if (i === at + 6 && bytes[i] === 0x2e) i++;
  if (i === at + 7 && isDigit(bytes[i]!)) i++;
  if (i === at + 8) {
    if (bytes[i] === LF) code = ERR_BARE_LF;
    else if (bytes[i] === CR) {
      i++;
      code = ERR_BARE_CR;
    }
  }
  // The line is without its CRLF, so CR itself may stand where the line's limit is.
  if (Math.min(i, at + 8) > lineBytesMax) return ERR_REQUEST_LINE_TOO_LONG;
  return i === length ? 0 : code;
}

function isDigit(byte: number): boolean {
  return (byte ^ 0x30) <= 9;
}

/** The forms that begin without "/", and CONNECT (RFC 9112, section 3.2). Returns 0 or an ERR_ code. */
function readOtherForm(bytes: Buffer, head: RequestHead): number {
  const { targetStart, targetEnd, method } = head;
  head.plainPath = head.plainLine = false;
  if (method === "CONNECT") {
    if (bytes[targetStart] === SLASH) return ERR_TARGET_FORM;
    head.form = "authority";
    return readAuthority(bytes, head, targetStart, targetEnd, true);
  }
  const target = latin1At(bytes, targetStart, targetEnd);
  if (target === "*") {
    head.form = "asterisk";
    return method === "OPTIONS" ? 0 : ERR_TARGET_FORM;
  }
  const scheme = /^https?:\/\//i.exec(target);
  if (scheme === null) return ERR_TARGET_FORM;
  head.form = "absolute";
  const authority = targetStart + scheme[0].length;
  let i = authority;
  while (i < targetEnd && bytes[i] !== SLASH && bytes[i] !== QUESTION_MARK) i++;
  const authorityEnd = i;
  while (i < targetEnd && bytes[i] !== QUESTION_MARK) i++;
  head.pathEnd = i;
  return readAuthority(bytes, head, authority, authorityEnd, false);
}

function readAuthority(bytes: Buffer, head: RequestHead, start: number, end: number, portNeeded: boolean): number {
  head.authorityStart = start;
  head.authorityEnd = end;
  return isAuthority(bytes, start, end, portNeeded) ? 0 : ERR_TARGET_AUTHORITY;
}

/** RFC 9112, section 3.2: one valid Host; HTTP/1.0 may have none. Returns an ERR_ code or null. */
function checkHost(storage: FieldStorage, head: RequestHead): number | null {
  const bit = FIELD_BIT[FIELD_HOST]!;
  if ((head.seen & bit) === 0) return head.minor === 0 ? null : ERR_HOST_MISSING;
  if ((head.repeated & bit) !== 0) return ERR_HOST_REPEATED;
  const { bytes, table } = storage;
  let cell = 0;
  while (table[cell + ROW_ID] !== FIELD_HOST) cell += ROW;
  return isAuthority(bytes, table[cell + ROW_VALUE]!, table[cell + ROW_VALUE_END]!, false) ? null : ERR_HOST_INVALID;
}
