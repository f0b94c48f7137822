/**
 * Takes from a request what stands where the upstream expects somebody else's word: lines under names and regular
 * expressions, in every spelling that an upstream may take for them.
 */
import { type FieldBlock, REMOVED, ROW } from "../../core/fields.ts";
import type { HeaderPatterns } from "../../core/header-patterns.ts";
import { foldedName, NameVariants } from "../../semantics/name-variants.ts";

export class AssertedFields {
  readonly patterns: HeaderPatterns;
  readonly #variants: NameVariants;
  /** In lower case. */
  readonly #spared: ReadonlySet<string>;

  /** `spared`: what the expressions shall not stand for. */
  constructor(patterns: HeaderPatterns, spared: ReadonlySet<string> = new Set()) {
    this.patterns = patterns;
    this.#variants = new NameVariants(patterns.names);
    this.#spared = spared;
  }

  /** Of the first so many rows. */
  removeFrom(fields: FieldBlock, rows: number): void {
    this.#variants.removeFrom(fields, rows);
    if (this.patterns.hasExpressions) this.#removeMatching(fields, rows);
  }

  #removeMatching(fields: FieldBlock, rows: number): void {
    const { patterns } = this;
    for (let row = 0; row < rows; row++) {
      if (fields.table[row * ROW] === REMOVED) continue;
      const name = fields.nameAt(row).toLowerCase();
      if (this.#spared.has(name)) continue;
      if (patterns.matches(name) || patterns.matches(foldedName(name))) fields.removeRow(row);
    }
  }
}
