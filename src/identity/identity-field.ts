/**
 * A field by which the upstream learns who asks. What the client sent under that name, in any spelling that an upstream may take for
 * it, is removed before it is set.
 */
import { type FieldBlock, isToken } from "../core/fields.ts";
import { NameVariants } from "../semantics/name-variants.ts";

export class IdentityField {
  readonly name: string;
  readonly #variants: NameVariants;

  /** Throws TypeError on an invalid name. */
  constructor(name: string) {
    if (!isToken(name)) throw new TypeError(`invalid field name ${JSON.stringify(name)}`);
    this.name = name;
    this.#variants = new NameVariants([name]);
  }

  /** Removes every line that could be taken for this field. */
  remove(fields: FieldBlock): void {
    this.#variants.removeFrom(fields);
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
