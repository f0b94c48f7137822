/**
 * A field by which the upstream learns who asks. What the client sent under that name is removed before it is set: under any
 * spelling that an upstream may take for it. CGI and its heirs (WSGI, PHP, Rack) read `X_User` and `X-User` as one name.
 */
import { LOWER } from "../core/field-names.ts";
import { EncodedName, type FieldBlock, REMOVED, ROW, ROW_NAME, ROW_NAME_END } from "../core/fields.ts";

const HYPHEN = 0x2d;
const UNDERSCORE = 0x5f;

/** A byte of a name without what spellings differ in. */
const FOLDED = LOWER.map((byte) => (byte === UNDERSCORE ? HYPHEN : byte));

export class IdentityField {
  readonly name: string;
  readonly #folded: Uint8Array;

  /** Throws TypeError on an invalid name. */
  constructor(name: string) {
    this.name = name;
    this.#folded = new EncodedName(name).bytes.subarray(0, name.length).map((byte) => FOLDED[byte]!);
  }

  /** Removes every line that could be taken for this field. */
  remove(fields: FieldBlock): void {
    const { bytes, table, rowCount } = fields;
    const folded = this.#folded;
    next: for (let row = 0, at = 0; row < rowCount; row++, at += ROW) {
      if (table[at] === REMOVED) continue;
      const name = table[at + ROW_NAME]!;
      if (table[at + ROW_NAME_END]! - name !== folded.length) continue;
      for (let i = 0; i < folded.length; i++) if (FOLDED[bytes[name + i]!] !== folded[i]) continue next;
      fields.removeRow(row);
    }
  }

  /** Adds the line. `value` is safe for a field: who made it has seen to that. */
  add(fields: FieldBlock, value: string): void {
    fields.append(this.name, value);
  }
}

/** Text as the bytes of its UTF-8, each a character: how a field can hold it (RFC 9110 section 5.5, obs-text). */
export function fieldText(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}
