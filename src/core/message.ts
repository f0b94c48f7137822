/**
 * A request and a response as the pipeline and its features see them, whatever protocol brought them: a start line in
 * parts, and a field section. Strings are made on demand and kept; what nobody asks for is never made.
 */
import { copyBytes } from "./copy-bytes.ts";
import {
  FIELD_CONTENT_LENGTH,
  FIELD_EXPECT,
  FIELD_HOST,
  FIELD_TRAILER,
  FIELD_TRANSFER_ENCODING,
} from "./field-names.ts";
import { FieldBlock, isToken, ROW, ROW_VALUE, ROW_VALUE_END } from "./fields.ts";
import { latin1At, putLatin1 } from "./latin1.ts";

/** RFC 9112 section 3.2: how the request target was written. */
export type TargetForm = "origin" | "absolute" | "authority" | "asterisk";

/** `bodyBytes` of a message whose body ends with its transfer, not after a known length. */
export const BODY_UNTIL_END = -1;

export class RequestMessage {
  #method = "GET";
  #startLine = false;
  form: TargetForm = "origin";
  /** 10, 11 or 20: major times ten plus minor. */
  httpVersion = 11;
  scheme: "http" | "https" = "http";
  readonly fields: FieldBlock;
  /** Length of the body: 0 none, BODY_UNTIL_END when only its end will tell. */
  bodyBytes = 0;
  /** The protocol that the client asks to switch to (Upgrade), lower case; null when it asks for none. */
  upgrade: string | null = null;
  /** The client takes trailers (TE: trailers). */
  wantsTrailers = false;
  /** Origin form whose path is known to be normal already: no "%", "//", "/." or backslash in it. */
  plainPath = false;

  // The target as it came: offsets into fields.bytes. pathEnd is that of "?" or of the target.
  #targetStart = 0;
  /** Where the target begins that is passed on: behind the authority of an absolute form that was taken apart. */
  #sentStart = 0;
  /** Of an absolute form; both 0 otherwise. */
  #authorityStart = 0;
  #authorityEnd = 0;
  #pathEnd = 0;
  #targetEnd = 0;
  /** Set when the target was replaced: path and query, "?" included. */
  #rewritten: string | null = null;
  /** What a driver without bytes of a request line set first. */
  #received: string | null = null;
  #queryHidden = false;
  #path: string | null = null;
  #authority: string | null = null;
  /** Where Host stood when the authority was settled; both 0 before that, or when there was none. */
  #hostStart = 0;
  #hostEnd = 0;

  constructor(fields: FieldBlock = new FieldBlock()) {
    this.fields = fields;
  }

  /**
   * A request of its own that asks for the same, without a body or an upgrade: rows of the fields keep their numbers. Whoever gets
   * it releases its fields.
   */
  copyWithoutBody(): RequestMessage {
    const copy = new RequestMessage(FieldBlock.copyOf(this.fields));
    const { fields } = copy;
    for (const id of OF_A_BODY) fields.deleteId(id);
    copy.#method = this.#method;
    copy.#startLine = this.#startLine;
    copy.form = this.form;
    copy.httpVersion = this.httpVersion;
    copy.scheme = this.scheme;
    copy.wantsTrailers = this.wantsTrailers;
    copy.plainPath = this.plainPath;
    copy.#targetStart = this.#targetStart;
    copy.#sentStart = this.#sentStart;
    copy.#authorityStart = this.#authorityStart;
    copy.#authorityEnd = this.#authorityEnd;
    copy.#pathEnd = this.#pathEnd;
    copy.#targetEnd = this.#targetEnd;
    copy.#rewritten = this.#rewritten;
    copy.#received = this.#received;
    copy.#queryHidden = this.#queryHidden;
    copy.#path = this.#path;
    copy.#authority = this.#authority;
    copy.#hostStart = this.#hostStart;
    copy.#hostEnd = this.#hostEnd;
    return copy;
  }

  get method(): string {
    return this.#method;
  }

  /** Throws TypeError when it is no token: it could say more in a request line than a method. */
  set method(method: string) {
    if (method !== "GET" && !isToken(method)) throw new TypeError(`invalid method ${JSON.stringify(method)}`);
    if (method !== this.#method) this.#startLine = false;
    this.#method = method;
  }

  /** For drivers, when all else of the request is set: "METHOD target HTTP/1.1" came with the fields, in the bytes before them. */
  keepStartLine(): void {
    this.#startLine = true;
  }

  /** The request line may be passed on as it came. */
  get startLineKept(): boolean {
    return this.#startLine;
  }

  /** For drivers: where the path and the query stand in `fields.bytes`. `pathEnd` is the offset of "?", or `targetEnd`. */
  setTargetRange(targetStart: number, pathEnd: number, targetEnd: number): void {
    this.#targetStart = this.#sentStart = targetStart;
    this.#pathEnd = pathEnd;
    this.#targetEnd = targetEnd;
    this.#startLine = false;
    this.#rewritten = null;
    this.#path = null;
  }

  /** For drivers, behind `setTargetRange`: where the authority of an absolute form stands. */
  setAuthorityRange(authorityStart: number, authorityEnd: number): void {
    this.#authorityStart = authorityStart;
    this.#authorityEnd = authorityEnd;
  }

  /** The scheme of the absolute form, which is http or https. */
  get absoluteScheme(): "http" | "https" {
    return this.fields.bytes[this.#targetStart + 4] === 0x3a ? "http" : "https";
  }

  /** The authority of the absolute form as it came; "" when there is none. */
  get absoluteAuthority(): string {
    return latin1At(this.fields.bytes, this.#authorityStart, this.#authorityEnd);
  }

  /** The absolute form has neither path nor query. */
  get absoluteIsBare(): boolean {
    return this.#authorityEnd === this.#targetEnd;
  }

  /** Whether `Host` says the authority of the absolute form, letter by letter but for case. */
  get hostIsAbsoluteAuthority(): boolean {
    const row = this.fields.rowOfId(FIELD_HOST);
    if (row < 0) return false;
    const { bytes, table } = this.fields;
    const start = table[row * ROW + ROW_VALUE]!;
    const length = this.#authorityEnd - this.#authorityStart;
    if (table[row * ROW + ROW_VALUE_END]! - start !== length) return false;
    for (let i = 0; i < length; i++) {
      const one = bytes[start + i]!;
      const other = bytes[this.#authorityStart + i]!;
      // Both are authorities already: no two of their characters but letters differ by this bit alone.
      if (one !== other && (one | 0x20) !== (other | 0x20)) return false;
    }
    return true;
  }

  /** From now on the target that is passed on has no scheme and no authority; "/" when nothing else was there. */
  dropAbsoluteAuthority(): void {
    if (this.#pathEnd > this.#authorityEnd) this.#sentStart = this.#authorityEnd;
    else this.setTarget("/", this.query);
  }

  /** Path and query as the upstream will get them; "*" for the asterisk form. */
  get target(): string {
    return this.#rewritten ?? latin1At(this.fields.bytes, this.#sentStart, this.#targetEnd);
  }

  /** The target as the client sent it, whatever became of it since. For logs, until the fields are released. */
  get receivedTarget(): string {
    if (this.#targetEnd === 0) {
      const received = this.#received ?? "";
      return this.#queryHidden ? received.replace(/\?.*/s, "") : received;
    }
    return latin1At(this.fields.bytes, this.#targetStart, this.#queryHidden ? this.#pathEnd : this.#targetEnd);
  }

  /** From now on the target as it was received has no query: for who has found a secret in it. */
  hideReceivedQuery(): void {
    this.#queryHidden = true;
  }

  /** The path, normalised (RFC 3986 section 6.2.2), with its leading "/". */
  get path(): string {
    if (this.#path === null) {
      if (this.#rewritten === null) this.#path = latin1At(this.fields.bytes, this.#sentStart, this.#pathEnd);
      else {
        const query = this.#rewritten.indexOf("?");
        this.#path = query < 0 ? this.#rewritten : this.#rewritten.slice(0, query);
      }
    }
    return this.#path;
  }

  /** What stands behind "?", never decoded; null when there is no "?". */
  get query(): string | null {
    if (this.#rewritten === null) {
      return this.#pathEnd === this.#targetEnd ? null : latin1At(this.fields.bytes, this.#pathEnd + 1, this.#targetEnd);
    }
    const query = this.#rewritten.indexOf("?");
    return query < 0 ? null : this.#rewritten.slice(query + 1);
  }

  /** Replaces the path and the query that are forwarded. Throws TypeError when they could not stand in a request line. */
  setTarget(path: string, query: string | null): void {
    const target = query === null ? path : `${path}?${query}`;
    if (!TARGET.test(target) || path.includes("?"))
      throw new TypeError(`invalid request target ${JSON.stringify(target)}`);
    if (this.#targetEnd === 0) this.#received ??= target;
    this.#startLine = false;
    this.#rewritten = target;
    this.#path = path;
  }

  /**
   * For drivers without bytes of a request line: a tunnel to "host:port" is asked for. Throws TypeError when that could not
   * stand in a request line.
   */
  setTunnelTarget(authority: string): void {
    if (!AUTHORITY.test(authority)) throw new TypeError(`invalid authority ${JSON.stringify(authority)}`);
    this.method = "CONNECT";
    this.form = "authority";
    this.#received = this.#rewritten = authority;
    this.#path = null;
  }

  /** The host and port that the client addressed, lower case, as in `Host`; "" when an HTTP/1.0 client named none. */
  get authority(): string {
    if (this.#authority === null) {
      if (this.#hostEnd === 0) this.settleAuthority();
      this.#authority =
        this.#hostEnd === 0 ? "" : latin1At(this.fields.bytes, this.#hostStart, this.#hostEnd).toLowerCase();
    }
    return this.#authority;
  }

  /** From now on the authority is what `Host` says, whatever becomes of that field. */
  settleAuthority(): void {
    const row = this.fields.rowOfId(FIELD_HOST);
    if (row < 0) return;
    const { table } = this.fields;
    this.#hostStart = table[row * ROW + ROW_VALUE]!;
    this.#hostEnd = table[row * ROW + ROW_VALUE_END]!;
  }

  set authority(authority: string) {
    this.#authority = authority;
  }

  /** The authority without its port; an IPv6 address keeps its brackets. */
  get host(): string {
    const { authority } = this;
    const colon = authority.lastIndexOf(":");
    return colon < 0 || authority.endsWith("]") ? authority : authority.slice(0, colon);
  }

  /** Bytes that `encodeTarget` writes at most. */
  get targetBytesMax(): number {
    return this.#rewritten === null ? this.#targetEnd - this.#sentStart : this.#rewritten.length;
  }

  /** Writes the target and returns the offset behind it. */
  encodeTarget(into: Buffer, view: DataView, offset: number): number {
    if (this.#rewritten !== null) return putLatin1(into, offset, this.#rewritten);
    const { fields } = this;
    return copyBytes(into, view, offset, fields.bytes, fields.view, this.#sentStart, this.#targetEnd);
  }
}

/** What a request without a body does not say. Expect asks for nothing then (RFC 9110 section 10.1.1). */
const OF_A_BODY = [FIELD_CONTENT_LENGTH, FIELD_TRANSFER_ENCODING, FIELD_TRAILER, FIELD_EXPECT];

/** "*", or a path with an optional query, of visible ASCII without "#". */
const TARGET = /^(?:\*|\/[\x21\x22\x24-\x7e]*)$/;

/** Visible ASCII without what ends an authority (RFC 3986 section 3.2). */
const AUTHORITY = /^[\x21\x22\x24-\x2e\x30-\x3e\x40-\x5b\x5d-\x7e]+$/;

export class ResponseMessage {
  /** 10, 11 or 20, as the upstream spoke; our own answers are 11. */
  httpVersion = 11;
  readonly fields: FieldBlock = new FieldBlock();
  /** Length of the body: 0 none, BODY_UNTIL_END when only its end will tell. */
  bodyBytes = 0;
  /**
   * Its body ends with a connection under TLS, of which it cannot be told whether the upstream ended it or somebody on the way cut it: a
   * half may look like the whole (RFC 9112, section 9.8).
   */
  endIsUnsure = false;
  /** The start line stands before the fields in their bytes, and may be passed on as it came. */
  #startLine = false;
  #status: number;

  constructor(status = 200) {
    this.#status = status;
  }

  get status(): number {
    return this.#status;
  }

  /** A changed status takes its standard reason phrase. Throws RangeError outside 200 to 599. */
  set status(status: number) {
    if (!(Number.isInteger(status) && status >= 200 && status <= 599)) throw new RangeError(`invalid status ${status}`);
    if (status !== this.#status) this.#startLine = false;
    this.#status = status;
  }

  /** For drivers: an HTTP/1.1 status line came with the fields, in the bytes before them. */
  keepStartLine(): void {
    this.#startLine = true;
  }

  get startLineKept(): boolean {
    return this.#startLine;
  }
}

/** RFC 9110 section 15 and the registry behind it. */
export const REASON_PHRASES: Readonly<Record<number, string>> = {
  100: "Continue",
  101: "Switching Protocols",
  102: "Processing",
  103: "Early Hints",
  200: "OK",
  201: "Created",
  202: "Accepted",
  203: "Non-Authoritative Information",
  204: "No Content",
  205: "Reset Content",
  206: "Partial Content",
  207: "Multi-Status",
  208: "Already Reported",
  226: "IM Used",
  300: "Multiple Choices",
  301: "Moved Permanently",
  302: "Found",
  303: "See Other",
  304: "Not Modified",
  305: "Use Proxy",
  307: "Temporary Redirect",
  308: "Permanent Redirect",
  400: "Bad Request",
  401: "Unauthorized",
  402: "Payment Required",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  406: "Not Acceptable",
  407: "Proxy Authentication Required",
  408: "Request Timeout",
  409: "Conflict",
  410: "Gone",
  411: "Length Required",
  412: "Precondition Failed",
  413: "Content Too Large",
  414: "URI Too Long",
  415: "Unsupported Media Type",
  416: "Range Not Satisfiable",
  417: "Expectation Failed",
  421: "Misdirected Request",
  422: "Unprocessable Content",
  423: "Locked",
  424: "Failed Dependency",
  425: "Too Early",
  426: "Upgrade Required",
  428: "Precondition Required",
  429: "Too Many Requests",
  431: "Request Header Fields Too Large",
  451: "Unavailable For Legal Reasons",
  500: "Internal Server Error",
  501: "Not Implemented",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
  505: "HTTP Version Not Supported",
  506: "Variant Also Negotiates",
  507: "Insufficient Storage",
  508: "Loop Detected",
  510: "Not Extended",
  511: "Network Authentication Required",
};
