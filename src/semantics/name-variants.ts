/**
 * Field names that an upstream may take for one another. CGI and what follows it (WSGI, Rack, PHP) make variables of
 * names, in upper case and with "_" for "-", some of them for every character that is no letter and no digit: there
 * "X_User" and "x.user" arrive as X-User does. Who sets a field on which an upstream relies removes every variant that
 * a client may have sent.
 */
import { type FieldBlock, REMOVED, ROW, ROW_NAME, ROW_NAME_END } from "../core/fields.ts";

const HYPHEN = 0x2d;

/** Of each byte of a name: letters in lower case, digits, and "-" for all else. */
export const FOLDED = Uint8Array.from({ length: 256 }, (_, byte) => {
  if (byte >= 0x41 && byte <= 0x5a) return byte + 0x20;
  return (byte >= 0x61 && byte <= 0x7a) || (byte >= 0x30 && byte <= 0x39) ? byte : HYPHEN;
});

/** The one form of all variants of a name. */
export function foldedName(name: string): string {
  let folded = "";
  for (let i = 0; i < name.length; i++) folded += String.fromCharCode(FOLDED[name.charCodeAt(i) & 0xff]!);
  return folded;
}

/** Names, with all their variants. */
export class NameVariants {
  readonly #folded: readonly string[];

  constructor(names: readonly string[]) {
    this.#folded = names.map(foldedName);
  }

  /** Whether there is a line whose name is one of them. Makes no strings. */
  areIn(fields: FieldBlock): boolean {
    return this.rowIn(fields) >= 0;
  }

  /** The first row at or after `from` whose name is one of them; -1 when there is none. Makes no strings. */
  rowIn(fields: FieldBlock, from = 0): number {
    const { bytes, table, rowCount } = fields;
    for (let row = from, at = from * ROW; row < rowCount; row++, at += ROW) {
      if (table[at] === REMOVED) continue;
      const start = table[at + ROW_NAME]!;
      const length = table[at + ROW_NAME_END]! - start;
      for (const name of this.#folded) if (name.length === length && isVariant(bytes, start, name)) return row;
    }
    return -1;
  }

  /** Removes every line whose name is one of them, of the first so many rows. Makes no strings. */
  removeFrom(fields: FieldBlock, rows: number = fields.rowCount): void {
    if (this.#folded.length === 0) return;
    const { bytes, table } = fields;
    for (let row = 0, at = 0; row < rows; row++, at += ROW) {
      if (table[at] === REMOVED) continue;
      const start = table[at + ROW_NAME]!;
      const length = table[at + ROW_NAME_END]! - start;
      for (const name of this.#folded) {
        if (name.length === length && isVariant(bytes, start, name)) {
          fields.removeRow(row);
          break;
        }
      }
    }
  }
}

function isVariant(bytes: Uint8Array, start: number, foldedName: string): boolean {
  for (let i = 0; i < foldedName.length; i++) {
    if (FOLDED[bytes[start + i]!] !== foldedName.charCodeAt(i)) return false;
  }
  return true;
}
