/**
 * Writes heads and framing. What is forwarded unchanged is copied as ranges of bytes; only what the proxy itself decides
 * (the start line where it changed, framing, connection options) is written anew. All of it goes where it will leave from: a
 * function here asks for room and says how much of it was used.
 */
import { copyBytes, viewOf } from "../../core/copy-bytes.ts";
import { FIELD_CONTENT_LENGTH, FIELD_TRANSFER_ENCODING } from "../../core/field-names.ts";
import { type FieldBlock, ROW, ROW_VALUE, ROW_VALUE_END } from "../../core/fields.ts";
import { putLatin1 } from "../../core/latin1.ts";
import { BODY_UNTIL_END, REASON_PHRASES, type RequestMessage, type ResponseMessage } from "../../core/message.ts";
import type { Connection } from "../../core/ports.ts";

/** Whatever gives room to write to. */
export type HeadTaker = Pick<Connection, "reserve" | "commit">;

/** What an encoder adds at most beyond the fields and the target: start line, framing, connection options. */
const FRAMING_BYTES_MAX = 512;

/** Ends a head and returns the offset behind it. */
function putCrlf(into: Buffer, at: number): number {
  into[at] = 0x0d;
  into[at + 1] = 0x0a;
  return at + 2;
}

/** The request goes to a proxy, which sends it on (RFC 9112 section 3.2.2). */
export interface ThroughProxy {
  /** Scheme and authority, such as "http://a.example:8080". */
  readonly origin: string;
  /** One more line of the head, with its line break; "": none. */
  readonly line: string;
}

/**
 * The head of a request to an HTTP/1.1 server. Host must already be among the fields, hop-by-hop fields must be gone.
 * `upgrade` is the protocol to ask for, null for none.
 */
export function encodeRequestHead(
  to: HeadTaker,
  request: RequestMessage,
  upgrade: string | null,
  wantsTrailers: boolean,
  through: ThroughProxy | null = null,
): void {
  const { fields } = request;
  frameByFields(fields, request.bodyBytes, false);
  let extra = upgrade === null ? 0 : upgrade.length;
  if (through !== null) extra += through.origin.length + through.line.length;
  const bytesMax = fields.end + request.method.length + request.targetBytesMax + extra + FRAMING_BYTES_MAX;
  const { bytes: into, view, start } = to.reserve(bytesMax);
  let at: number;
  if (request.startLineKept && through === null) at = fields.encode(into, view, start, true);
  else {
    at = putLatin1(into, start, request.method);
    into[at++] = 0x20;
    if (through !== null) at = putLatin1(into, at, through.origin);
    // About the server as a whole is asked with no path behind its authority (RFC 9112 section 3.2.4).
    if (through === null || request.target !== "*") at = request.encodeTarget(into, view, at);
    at = putLatin1(into, at, " HTTP/1.1\r\n");
    at = fields.encode(into, view, at);
    if (through !== null) at = putLatin1(into, at, through.line);
  }
  if (request.bodyBytes === BODY_UNTIL_END) at = putLatin1(into, at, "Transfer-Encoding: chunked\r\n");
  if (upgrade !== null) at = putLatin1(into, at, `Connection: Upgrade\r\nUpgrade: ${upgrade}\r\n`);
  else if (wantsTrailers) at = putLatin1(into, at, "TE: trailers\r\nConnection: TE\r\n");
  to.commit(putCrlf(into, at));
}

/** How the body of a response is framed for the client. */
export const SEND_NO_BODY = 0;
export const SEND_LENGTH = 1;
export const SEND_CHUNKED = 2;
export const SEND_UNTIL_CLOSE = 3;

/** What to say about the connection behind a response. */
export const SAY_NOTHING = "";
export const SAY_CLOSE = "Connection: close\r\n";
export const SAY_KEEP_ALIVE = "Connection: keep-alive\r\n";

/**
 * The head of a response. Hop-by-hop fields must be gone. `framing` is one of the SEND_ constants; for SEND_NO_BODY a
 * Content-Length that describes the representation (HEAD, 304) stays. `connection` is a line of its own, or "".
 */
export function encodeResponseHead(
  to: HeadTaker,
  response: ResponseMessage,
  framing: number,
  connection: string,
): void {
  const { fields } = response;
  // Without a length a response lasts until the connection ends (RFC 9112, section 6.3, rule 8), so 0 is said too.
  if (framing === SEND_LENGTH) frameByFields(fields, response.bodyBytes, true);
  else if (framing !== SEND_NO_BODY || response.status === 204 || response.status < 200) {
    fields.deleteId(FIELD_CONTENT_LENGTH);
  }
  const { bytes: into, view, start } = to.reserve(fields.end + connection.length + FRAMING_BYTES_MAX);
  let at: number;
  if (response.startLineKept) at = fields.encode(into, view, start, true);
  else {
    const line = statusLine(response.status);
    at = copyBytes(into, view, start, line.bytes, line.view, 0, line.bytes.length);
    at = fields.encode(into, view, at);
  }
  if (framing === SEND_CHUNKED) at = putLatin1(into, at, "Transfer-Encoding: chunked\r\n");
  if (connection !== SAY_NOTHING) at = putLatin1(into, at, connection);
  to.commit(putCrlf(into, at));
}

/** The trailer section behind the last chunk, and that chunk: "0 CRLF trailers CRLF". */
export function encodeLastChunk(to: HeadTaker, trailers: FieldBlock | null): void {
  const { bytes: into, view, start } = to.reserve((trailers === null ? 0 : trailers.end) + FRAMING_BYTES_MAX);
  let at = putLatin1(into, start, "0\r\n");
  if (trailers !== null) at = trailers.encode(into, view, at);
  to.commit(putCrlf(into, at));
}

interface StatusLine {
  readonly bytes: Buffer;
  readonly view: DataView;
}

/** By status, which has three digits; made when one is said for the first time. */
const statusLines = new Array<StatusLine | null>(1000).fill(null);

function statusLine(status: number): StatusLine {
  const known = statusLines[status] ?? null;
  if (known !== null) return known;
  // The space behind the code is there even when no phrase is known (RFC 9112, section 4).
  const bytes = Buffer.from(`HTTP/1.1 ${status} ${REASON_PHRASES[status] ?? ""}\r\n`, "latin1");
  const line = { bytes, view: viewOf(bytes) };
  statusLines[status] = line;
  return line;
}

/**
 * Makes Content-Length say `bodyBytes`: kept as it came where it already does, written anew or removed where not. A length of
 * 0 that nothing says yet is only said when `zero`.
 */
function frameByFields(fields: FieldBlock, bodyBytes: number, zero: boolean): void {
  fields.deleteId(FIELD_TRANSFER_ENCODING);
  const row = fields.rowOfId(FIELD_CONTENT_LENGTH);
  if (bodyBytes === BODY_UNTIL_END) {
    if (row >= 0) fields.deleteId(FIELD_CONTENT_LENGTH);
  } else if (row >= 0) {
    if (decimalAt(fields, row) !== bodyBytes) fields.set("Content-Length", String(bodyBytes));
  } else if (bodyBytes > 0 || zero) fields.appendTrusted("Content-Length", String(bodyBytes));
}

/** -1 when it is no number: features can set any value. */
function decimalAt(fields: FieldBlock, row: number): number {
  const { bytes, table } = fields;
  const end = table[row * ROW + ROW_VALUE_END]!;
  let value = 0;
  for (let i = table[row * ROW + ROW_VALUE]!; i < end; i++) {
    const digit = bytes[i]! ^ 0x30;
    if (digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}
