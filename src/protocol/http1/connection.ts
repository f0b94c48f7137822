/**
 * What Connection and Expect ask for (RFC 9110, sections 7.6.1 and 10.1.1): their members as bits, without a string; and for how long
 * Keep-Alive says that a connection is kept. It does not remove what Connection names; that is the rule of hop-by-hop fields.
 */
import { FIELD_BIT, FIELD_CONNECTION, FIELD_EXPECT, FIELD_KEEP_ALIVE, LOWER } from "../../core/field-names.ts";
import { type FieldBlock, ROW, ROW_VALUE, ROW_VALUE_END } from "../../core/fields.ts";
import { SPACE, TAB } from "./characters.ts";
import { ERR_EXPECTATION } from "./errors.ts";

export const CONNECTION_CLOSE = 1;
export const CONNECTION_KEEP_ALIVE = 2;
export const CONNECTION_UPGRADE = 4;
/** It names a field that is not one of the three, and which may not be forwarded. */
export const CONNECTION_OTHER = 8;

const CONNECTION_BIT = FIELD_BIT[FIELD_CONNECTION]!;
const EXPECT_BIT = FIELD_BIT[FIELD_EXPECT]!;
const COMMA = 0x2c;

function latin1Bytes(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

const CLOSE = latin1Bytes("close");
const KEEP_ALIVE = latin1Bytes("keep-alive");
const UPGRADE = latin1Bytes("upgrade");
const CONTINUE = latin1Bytes("100-continue");

/**
 * The CONNECTION_ bits of all Connection lines of a message just parsed. An HTTP/1.0 message cannot ask for an upgrade
 * (RFC 9110, section 7.8).
 */
export function connectionOptions(fields: FieldBlock, seen: number, minor: number): number {
  if ((seen & CONNECTION_BIT) === 0) return 0;
  let options = 0;
  for (let row = fields.rowOfId(FIELD_CONNECTION); row >= 0; row = fields.rowOfId(FIELD_CONNECTION, row + 1)) {
    const { bytes, table } = fields;
    // What most servers say is one member, and is told by one comparison.
    const isUsual = equals(bytes, table[row * ROW + ROW_VALUE]!, table[row * ROW + ROW_VALUE_END]!, KEEP_ALIVE);
    options |= isUsual ? CONNECTION_KEEP_ALIVE : eachMember(fields, row, connectionOptionAt);
  }
  return minor === 0 ? options & ~CONNECTION_UPGRADE : options;
}

/** Whether the connection may carry another message after this one (RFC 9112, section 9.3). */
export function isPersistent(options: number, minor: number): boolean {
  if ((options & CONNECTION_CLOSE) !== 0) return false;
  return minor === 1 || (options & CONNECTION_KEEP_ALIVE) !== 0;
}

/**
 * 0: the request expects nothing, 1: 100-continue, ERR_EXPECTATION: anything else. An HTTP/1.0 request cannot expect
 * anything (RFC 9110, section 10.1.1).
 */
export function expectContinue(fields: FieldBlock, seen: number, minor = 1): number {
  if ((seen & EXPECT_BIT) === 0 || minor === 0) return 0;
  let found = 0;
  for (let row = fields.rowOfId(FIELD_EXPECT); row >= 0; row = fields.rowOfId(FIELD_EXPECT, row + 1)) {
    found |= eachMember(fields, row, expectationAt);
  }
  return (found & EXPECTS_OTHER) !== 0 ? ERR_EXPECTATION : found;
}

function connectionOptionAt(bytes: Uint8Array, start: number, end: number): number {
  if (equals(bytes, start, end, KEEP_ALIVE)) return CONNECTION_KEEP_ALIVE;
  if (equals(bytes, start, end, CLOSE)) return CONNECTION_CLOSE;
  return equals(bytes, start, end, UPGRADE) ? CONNECTION_UPGRADE : CONNECTION_OTHER;
}

const EXPECTS_OTHER = 2;

function expectationAt(bytes: Uint8Array, start: number, end: number): number {
  return equals(bytes, start, end, CONTINUE) ? 1 : EXPECTS_OTHER;
}

/**
 * The bits of all members of a row's value, which is a list; empty members count for nothing (RFC 9110, section 5.6.1).
 */
function eachMember(
  fields: FieldBlock,
  row: number,
  bitsAt: (bytes: Uint8Array, start: number, end: number) => number,
): number {
  const { bytes, table } = fields;
  const valueEnd = table[row * ROW + ROW_VALUE_END]!;
  let bits = 0;
  for (let i = table[row * ROW + ROW_VALUE]!; i < valueEnd; i++) {
    if (isWhitespace(bytes[i]!) || bytes[i] === COMMA) continue;
    const start = i;
    while (i < valueEnd && bytes[i] !== COMMA) i++;
    let end = i;
    while (isWhitespace(bytes[end - 1]!)) end--;
    bits |= bitsAt(bytes, start, end);
  }
  return bits;
}

function isWhitespace(byte: number): boolean {
  return byte === SPACE || byte === TAB;
}

function equals(bytes: Uint8Array, start: number, end: number, lower: Uint8Array): boolean {
  if (end - start !== lower.length) return false;
  for (let i = 0; i < lower.length; i++) {
    if (LOWER[bytes[start + i]!] !== lower[i]) return false;
  }
  return true;
}

/** "Keep-Alive: timeout=N" in milliseconds; null when it is not said. */
export function keepAliveMs(fields: FieldBlock): number | null {
  if (fields.rowOfId(FIELD_KEEP_ALIVE) < 0) return null;
  const value = fields.get("keep-alive");
  const match = value === null ? null : /(?:^|[,;\s])timeout\s*=\s*"?(\d{1,6})/i.exec(value);
  return match === null ? null : Number(match[1]) * 1000;
}
