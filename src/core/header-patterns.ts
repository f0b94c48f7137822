/** Names of header fields, and regular expressions that stand for names: which fields they mean. */

/** A name, or a regular expression over names. */
export type HeaderPattern = { readonly name: string } | { readonly regex: string };

/**
 * What a regular expression never stands for: what frames a message, describes its body, or is a matter of the answer
 * alone.
 */
const NO_PATTERN =
  /^(?:connection|content-.*|host|keep-alive|proxy-.*|set-cookie|te|trailer|transfer-encoding|upgrade)$/;

/** The names for which patterns stand. Names are in lower case. */
export class HeaderPatterns {
  readonly patterns: readonly HeaderPattern[];
  readonly names: readonly string[];
  readonly #expressions: readonly RegExp[];

  /** @throws SyntaxError when an expression does not compile. */
  constructor(patterns: readonly HeaderPattern[]) {
    this.patterns = patterns;
    this.names = patterns.flatMap((pattern) => ("name" in pattern ? [pattern.name] : []));
    this.#expressions = patterns.flatMap((pattern) => ("regex" in pattern ? [new RegExp(pattern.regex, "iu")] : []));
  }

  get hasExpressions(): boolean {
    return this.#expressions.length > 0;
  }

  has(name: string): boolean {
    return this.names.includes(name) || this.matches(name);
  }

  /** Whether one of the expressions stands for it. */
  matches(name: string): boolean {
    return this.#expressions.some((expression) => expression.test(name)) && !NO_PATTERN.test(name);
  }
}
