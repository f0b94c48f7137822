/**
 * The head of a response: status line and fields (RFC 9112, sections 4 and 5). As strict about lines as the head of a
 * request, since both frame a message; the one thing it lets pass is a status line without the space behind its code,
 * which many servers send and which can be read in no second way.
 *
 *     status-line = HTTP-version SP status-code SP [ reason-phrase ] CRLF
 */
import type { FieldStorage } from "../../core/fields.ts";
import * as characters from "./characters.ts";
import { ERR_BARE_CR, ERR_BARE_LF, ERR_HEAD_TOO_LARGE, ERR_STATUS_LINE, ERR_VERSION_UNSUPPORTED } from "./errors.ts";
import { FieldSection, parseFieldLines } from "./field-lines.ts";
import { copyHead, HEAD_BYTES_USUAL, type HeadLimits } from "./head.ts";

// A module's own constants are folded into the machine code of its loops; imported ones would be loaded for every byte.
const { CR, LF, SPACE, VALUE } = characters;

/**
 * Filled by a successful parse, for any number of heads one after the other. Offsets count from the first byte of the
 * head.
 */
export class ResponseHead extends FieldSection {
  /**
   * 100 to 999: three digits, the first not 0. What is above 599 is for the recipient to judge (RFC 9110, section 15).
   */
  status = 0;
  /** Of HTTP/1.x; a higher one than 1 counts as 1 (RFC 9110, section 2.5). */
  minor: 0 | 1 = 1;
  reasonStart = 0;
  reasonEnd = 0;
  /** The status line may be sent on as it is: "HTTP/1.1", and the space behind the code is there. */
  plainLine = false;
}

/**
 * Reads a head at `buffer[start, end)`. Returns how many bytes it has, 0 when more are needed, or an ERR_ code. When it
 * was found, `storage.bytes` has a copy of it from offset 0, and `storage.table` its fields.
 */
export function parseResponseHead(
  buffer: Buffer,
  start: number,
  end: number,
  storage: FieldStorage,
  limits: HeadLimits,
  head: ResponseHead,
): number {
  let length = copyHead(buffer, start, end, storage, Math.min(HEAD_BYTES_USUAL, limits.headBytesMax));
  let headEnd = parseHere(storage, length, limits, head);
  if (headEnd === 0 && length < end - start && length < limits.headBytesMax) {
    length = copyHead(buffer, start, end, storage, limits.headBytesMax);
    headEnd = parseHere(storage, length, limits, head);
  }
  return headEnd === 0 && length === limits.headBytesMax ? ERR_HEAD_TOO_LARGE : headEnd;
}

/** Offset of the status code: behind "HTTP/1.1 ". */
const STATUS = 9;

/** Reads the head at `storage.bytes[0, length)`, where `storage.bytes[length]` is 0. */
function parseHere(storage: FieldStorage, length: number, limits: HeadLimits, head: ResponseHead): number {
  const { bytes } = storage;
  if (!hasVersionAndStatus(bytes)) return refuseStart(bytes, length);
  let i = STATUS + 3;
  const spaced = bytes[i] === SPACE;
  if (spaced) i++;
  const reason = i;
  if (spaced) while (VALUE[bytes[i]!] !== 0) i++;
  if (bytes[i] !== CR || bytes[i + 1] !== LF) return refuseLineEnd(bytes, i, length);
  head.status = (bytes[STATUS]! - 0x30) * 100 + (bytes[STATUS + 1]! - 0x30) * 10 + (bytes[STATUS + 2]! - 0x30);
  head.minor = bytes[7] === 0x30 ? 0 : 1;
  head.reasonStart = reason;
  head.reasonEnd = i;
  head.plainLine = spaced && bytes[7] === 0x31;
  return parseFieldLines(storage, i + 2, length, limits.fieldsMax, head);
}

/** "HTTP/1." DIGIT SP, a digit that is not 0, and two more. */
function hasVersionAndStatus(bytes: Uint8Array): boolean {
  // In this order: a byte behind the sentinel is never read.
  return (
    bytes[0] === 0x48 &&
    bytes[1] === 0x54 &&
    bytes[2] === 0x54 &&
    bytes[3] === 0x50 &&
    bytes[4] === 0x2f &&
    bytes[5] === 0x31 &&
    bytes[6] === 0x2e &&
    isDigit(bytes[7]!) &&
    bytes[8] === SPACE &&
    isDigit(bytes[9]!) &&
    bytes[9] !== 0x30 &&
    isDigit(bytes[10]!) &&
    isDigit(bytes[11]!)
  );
}

function isDigit(byte: number): boolean {
  return (byte ^ 0x30) <= 9;
}

/** Which byte of the version or the status code is not as it should be; 0: more is needed. */
function refuseStart(bytes: Uint8Array, length: number): number {
  const name = "HTTP/";
  let i = 0;
  while (i < 5 && bytes[i] === name.charCodeAt(i)) i++;
  if (i === 5) {
    if (bytes[5] === 0x31) i++;
    else if (isDigit(bytes[5]!)) return ERR_VERSION_UNSUPPORTED;
  }
  if (i === 6 && bytes[6] === 0x2e) i++;
  if (i === 7 && isDigit(bytes[7]!)) i++;
  if (i === 8 && bytes[8] === SPACE) i++;
  if (i === 9 && isDigit(bytes[9]!) && bytes[9] !== 0x30) i++;
  while (i > 9 && i < 12 && isDigit(bytes[i]!)) i++;
  return i === length ? 0 : ERR_STATUS_LINE;
}

/** Why the line that stopped at `at`, behind the status code, does not end there with CRLF; 0: more is needed. */
function refuseLineEnd(bytes: Uint8Array, at: number, length: number): number {
  if (at === length) return 0;
  if (bytes[at] === LF) return ERR_BARE_LF;
  if (bytes[at] !== CR) return ERR_STATUS_LINE;
  return at + 1 === length ? 0 : ERR_BARE_CR;
}
