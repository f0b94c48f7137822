/**
 * How the body of a message is framed: one decision for requests, one for responses, in the order of RFC 9112 section
 * 6.3. Stricter than the RFC wherever two servers could find two ends of one message: such a message has none, it is
 * refused.
 */
import { FIELD_BIT, FIELD_CONTENT_LENGTH, FIELD_TRANSFER_ENCODING, LOWER } from "../../core/field-names.ts";
import { type FieldBlock, ROW, ROW_VALUE, ROW_VALUE_END } from "../../core/fields.ts";
import {
  ERR_CODING_IN_HTTP10,
  ERR_CODING_REPEATED,
  ERR_CODING_UNKNOWN,
  ERR_CONNECT_WITH_BODY,
  ERR_LENGTH_AND_CODING,
  ERR_LENGTH_INVALID,
  ERR_LENGTH_REPEATED,
} from "./errors.ts";
import type { FieldSection } from "./field-lines.ts";
import type { RequestHead } from "./request-head.ts";
import type { ResponseHead } from "./response-head.ts";

/** No body: the next message begins behind the head. After CONNECT (2xx) and 101 no message does, but a tunnel. */
export const FRAMING_NONE = 0;
/** `length` bytes, perhaps 0. */
export const FRAMING_LENGTH = 1;
export const FRAMING_CHUNKED = 2;
/** Everything until the connection ends; of responses only. */
export const FRAMING_CLOSE = 3;

/** A decision; used again for any number of messages. */
export class BodyFraming {
  kind = FRAMING_NONE;
  /** Bytes of the body for FRAMING_LENGTH, otherwise 0. */
  length = 0;
}

const CODING_BIT = FIELD_BIT[FIELD_TRANSFER_ENCODING]!;
const LENGTH_BIT = FIELD_BIT[FIELD_CONTENT_LENGTH]!;

/** Decides on a request just parsed: `fields` has adopted what `head` describes. Returns 0 or an ERR_ code. */
export function requestFraming(head: RequestHead, fields: FieldBlock, out: BodyFraming): number {
  out.kind = FRAMING_NONE;
  out.length = 0;
  // Most requests have neither field: no body (rule 7).
  if ((head.seen & (CODING_BIT | LENGTH_BIT)) === 0) return 0;
  // What follows a CONNECT is a tunnel's, whatever its fields say (RFC 9110, section 9.3.6): whoever reads a body there
  // reads something else than who does not.
  if (head.method === "CONNECT") return ERR_CONNECT_WITH_BODY;
  return framingByFields(head, head.minor, fields, out);
}

/** Decides on a response just parsed, to a request with this method. Returns 0 or an ERR_ code. */
export function responseFraming(
  head: ResponseHead,
  fields: FieldBlock,
  requestMethod: string,
  out: BodyFraming,
): number {
  const { status } = head;
  out.kind = FRAMING_NONE;
  out.length = 0;
  // Rule 2: a tunnel begins; both fields are to be ignored.
  if (requestMethod === "CONNECT" && status >= 200 && status < 300) return 0;
  if ((head.seen & (CODING_BIT | LENGTH_BIT)) === 0)
    out.kind = FRAMING_CLOSE; // Rule 8.
  else {
    // Before rule 1: fields that contradict each other are not to be trusted where they frame nothing either; they
    // would be forwarded, and kept by caches.
    const refused = framingByFields(head, head.minor, fields, out);
    if (refused !== 0) return refused;
  }
  // Rule 1: these have no body, whatever the fields say.
  if (requestMethod === "HEAD" || status < 200 || status === 204 || status === 304) {
    out.kind = FRAMING_NONE;
    out.length = 0;
  }
  return 0;
}

/** Rules 3 to 6, for a message that has one of the two fields. */
function framingByFields(section: FieldSection, minor: number, fields: FieldBlock, out: BodyFraming): number {
  const { seen, repeated } = section;
  if ((seen & CODING_BIT) !== 0) {
    // Rule 3 would let Transfer-Encoding win; a server in front of us or behind us may think otherwise.
    if ((seen & LENGTH_BIT) !== 0) return ERR_LENGTH_AND_CODING;
    // RFC 9112, section 6.1: "the message framing is faulty"; an HTTP/1.0 recipient does not know the field.
    if (minor === 0) return ERR_CODING_IN_HTTP10;
    if ((repeated & CODING_BIT) !== 0) return ERR_CODING_REPEATED;
    // Rule 4, and other codings, which we did not ask for and do not decode: the value is "chunked" and nothing else.
    // Not even a list with empty members, which are legal (RFC 9110, section 5.6.1.2) and read in different ways.
    if (!isChunked(fields)) return ERR_CODING_UNKNOWN;
    out.kind = FRAMING_CHUNKED;
    return 0;
  }
  // Rule 5 lets identical lengths pass as one; they come from a broken sender or from one that hopes to meet a server
  // that takes the first and another that takes the last.
  if ((repeated & LENGTH_BIT) !== 0) return ERR_LENGTH_REPEATED;
  const length = lengthOf(fields);
  if (length < 0) return ERR_LENGTH_INVALID;
  out.kind = FRAMING_LENGTH;
  out.length = length;
  return 0;
}

const CHUNKED = Uint8Array.from("chunked", (character) => character.charCodeAt(0));

function isChunked(fields: FieldBlock): boolean {
  const { bytes, table } = fields;
  const at = fields.rowOfId(FIELD_TRANSFER_ENCODING) * ROW;
  const value = table[at + ROW_VALUE]!;
  if (table[at + ROW_VALUE_END]! - value !== CHUNKED.length) return false;
  for (let i = 0; i < CHUNKED.length; i++) {
    if (LOWER[bytes[value + i]!] !== CHUNKED[i]) return false;
  }
  return true;
}

/** Just below a petabyte; any number of this many digits is exact. */
const LENGTH_DIGITS_MAX = 15;

/** The value of Content-Length, -1 when it is none. No sign, no list, and no leading zero, which some read as octal. */
function lengthOf(fields: FieldBlock): number {
  const { bytes, table } = fields;
  const at = fields.rowOfId(FIELD_CONTENT_LENGTH) * ROW;
  const value = table[at + ROW_VALUE]!;
  const valueEnd = table[at + ROW_VALUE_END]!;
  const digits = valueEnd - value;
  if (digits < 1 || digits > LENGTH_DIGITS_MAX || (digits > 1 && bytes[value] === 0x30)) return -1;
  let length = 0;
  for (let i = value; i < valueEnd; i++) {
    const digit = bytes[i]! ^ 0x30;
    if (digit > 9) return -1;
    length = length * 10 + digit;
  }
  return length;
}

/** A 204 has no body (RFC 9110, section 8.6); from a server that announces one, it may follow all the same. */
export function announcesBodyOf204({ status }: ResponseHead, fields: FieldBlock): boolean {
  if (status !== 204) return false;
  return fields.has("transfer-encoding") || (fields.get("content-length") ?? "0") !== "0";
}
