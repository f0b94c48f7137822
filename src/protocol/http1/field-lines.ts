/**
 * Field lines: `name: value` CRLF, up to the empty line (RFC 9112, section 5). The same loop reads heads and trailers,
 * in place, into a table of offsets. It accepts one way of writing a line and no other: no folding, no bare LF, no
 * space before the colon, no control but HTAB in a value. It gives no meaning to a field; it only notes which known
 * ones it met.
 */
import { fieldIdAt } from "../../core/field-names.ts";
import { type FieldStorage, ROW } from "../../core/fields.ts";
import * as characters from "./characters.ts";
import {
  ERR_BARE_CR,
  ERR_BARE_LF,
  ERR_FIELD_NAME,
  ERR_FIELD_VALUE,
  ERR_OBS_FOLD,
  ERR_SPACE_IN_NAME,
  ERR_TOO_MANY_FIELDS,
} from "./errors.ts";

// A module's own constants are folded into the machine code of its loops; imported ones would be loaded for every byte.
const { COLON, CR, LF, SPACE, TAB, TOKEN } = characters;
const CELLS = ROW;

/** What a parse found out about a section; its rows are in the storage's table. Filled by a successful parse only. */
export class FieldSection {
  rows = 0;
  /** Offset of the first field line. */
  fieldsStart = 0;
  /** Offset behind the last field line, before the empty line. */
  fieldsEnd = 0;
  /** `1 << id` for every number below 32 that occurs, FIELD_OTHER included. */
  seen = 0;
  /** `1 << id` for every number below 32 that has more than one line. */
  repeated = 0;
}

/**
 * Reads the section at `storage.bytes[at, length)`, where `storage.bytes[length]` must be 0: no loop can pass it, so
 * none needs to compare an index. Returns the offset behind the empty line, 0 when the section is incomplete, or an
 * ERR_ code. What it says of the first bytes does not depend on how many more there are.
 */
export function parseFieldLines(
  storage: FieldStorage,
  at: number,
  length: number,
  fieldsMax: number,
  section: FieldSection,
): number {
  const { bytes, view, table } = storage;
  const cellsMax = Math.min(fieldsMax * CELLS, table.length);
  let cell = 0;
  let seen = 0;
  let repeated = 0;
  let i = at;
  for (;;) {
    const name = i;
    if (TOKEN[bytes[i]!] === 0) {
      if (bytes[i] === CR && bytes[i + 1] === LF) break;
      return refuseName(bytes, name, i, length);
    }
    do i++;
    while (TOKEN[bytes[i]!] !== 0);
    if (bytes[i] !== COLON) return refuseName(bytes, name, i, length);
    if (cell === cellsMax) {
      if (cell === fieldsMax * CELLS) return ERR_TOO_MANY_FIELDS;
      // Rare, and so this loop has nothing that changes but its place: all is read once more, with more room.
      storage.growTable();
      return parseFieldLines(storage, at, length, fieldsMax, section);
    }
    const nameEnd = i++;
    while (bytes[i] === SPACE || bytes[i] === TAB) i++;
    const value = i;
    // Four bytes at a time up to the first control. The sentinel is one, and HTAB the only one that may be passed.
    for (;;) {
      let controls = controlsIn(view.getInt32(i, true));
      for (; controls === 0; controls = controlsIn(view.getInt32(i, true))) i += 4;
      i += (31 - Math.clz32(controls & -controls)) >> 3;
      if (bytes[i] !== TAB) break;
      i++;
    }
    if (bytes[i] !== CR || bytes[i + 1] !== LF) return refuseValue(bytes, i, length);
    let valueEnd = i;
    while (valueEnd > value && (bytes[valueEnd - 1] === SPACE || bytes[valueEnd - 1] === TAB)) valueEnd--;
    i += 2;
    const id = fieldIdAt(bytes, name, nameEnd);
    const bit = id < 32 ? 1 << id : 0;
    repeated |= seen & bit;
    seen |= bit;
    // In the order of the ROW_ constants.
    table[cell] = id;
    table[cell + 1] = name;
    table[cell + 2] = nameEnd;
    table[cell + 3] = value;
    table[cell + 4] = valueEnd;
    cell += CELLS;
  }
  section.rows = cell / CELLS;
  section.fieldsStart = at;
  section.fieldsEnd = i;
  section.seen = seen;
  section.repeated = repeated;
  return i + 2;
}

/**
 * The high bits of those of four bytes that are controls: below 0x20, or 0x7f. The first of them, the lowest bit, is
 * certain; behind it a byte may be marked by mistake, since a subtraction borrows.
 */
function controlsIn(four: number): number {
  const notDelete = four ^ 0x7f7f7f7f;
  return (((four - 0x20202020) & ~four) | ((notDelete - 0x01010101) & ~notDelete)) & 0x80808080;
}

/**
 * Why the line that begins at `lineStart` has no name before `at`, where the byte is no part of one; 0: more is needed.
 */
function refuseName(bytes: Uint8Array, lineStart: number, at: number, length: number): number {
  if (at === length) return 0;
  const byte = bytes[at];
  if (byte === LF) return ERR_BARE_LF;
  if (byte === CR && at === lineStart) return at + 1 === length ? 0 : ERR_BARE_CR;
  if (byte === SPACE || byte === TAB) return at === lineStart ? ERR_OBS_FOLD : ERR_SPACE_IN_NAME;
  return ERR_FIELD_NAME;
}

/** Why the value that stopped at `at` is not followed by CRLF there; 0: more is needed. */
function refuseValue(bytes: Uint8Array, at: number, length: number): number {
  if (at === length) return 0;
  if (bytes[at] === LF) return ERR_BARE_LF;
  if (bytes[at] !== CR) return ERR_FIELD_VALUE;
  return at + 1 === length ? 0 : ERR_BARE_CR;
}
