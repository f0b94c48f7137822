/**
 * Fields by which the proxy tells an upstream who asks. Whatever the client has sent under such a name is removed first, and under
 * every name that an upstream may take for it: CGI, WSGI and PHP read `X_User` as `X-User`.
 */
import { FIELD_OTHER, fieldIdOf, LOWER } from "../core/field-names.ts";
import { type FieldBlock, ROW, ROW_ID, ROW_NAME, ROW_NAME_END } from "../core/fields.ts";

const HYPHEN = 0x2d;
const UNDERSCORE = 0x5f;
/** A name's byte in lower case, with "_" taken for "-". */
const FOLDED = LOWER.map((byte) => (byte === UNDERSCORE ? HYPHEN : byte));

export class AssertedFields {
  readonly #ids: readonly number[];
  readonly #names: readonly Buffer[];

  /** In any case. */
  constructor(names: readonly string[]) {
    const lower = names.map((name) => name.toLowerCase());
    this.#ids = lower.map(fieldIdOf).filter((id) => id !== FIELD_OTHER);
    // A name that the proxy knows has no underscore; a spelling of it with one is any other name.
    const others = lower.filter((name) => fieldIdOf(name) === FIELD_OTHER || name.includes("-"));
    this.#names = others.map((name) => Buffer.from(name, "latin1").map((byte) => FOLDED[byte]!) as Buffer);
  }

  removeFrom(fields: FieldBlock): void {
    for (const id of this.#ids) fields.deleteId(id);
    if (this.#names.length === 0) return;
    const { table, rowCount } = fields;
    for (let row = 0, at = 0; row < rowCount; row++, at += ROW) {
      if (table[at + ROW_ID] === FIELD_OTHER && this.#isAsserted(fields, at)) fields.removeRow(row);
    }
  }

  #isAsserted({ bytes, table }: FieldBlock, at: number): boolean {
    const start = table[at + ROW_NAME]!;
    const length = table[at + ROW_NAME_END]! - start;
    next: for (const name of this.#names) {
      if (name.length !== length) continue;
      for (let i = 0; i < length; i++) if (FOLDED[bytes[start + i]!] !== name[i]) continue next;
      return true;
    }
    return false;
  }
}
