/**
 * The small language in which `jwt` says what an identity must have: a closed grammar over claims, compiled to a tree
 * and walked, with no access to anything but the claims.
 *
 *     rule   = and *( "or" and )
 *     and    = not *( "and" not )
 *     not    = [ "not" ] ( "(" rule ")" / test )
 *     test   = value ( "in" / "not in" ) claim     a list has the value, or text has it among its words
 *            / claim ( "==" / "!=" ) value         the same type, the same value
 *            / claim                               is there, and neither false nor null
 *     claim  = name *( "." name )                  dots lead into objects
 *     name   = 1*( letter / digit / "_" / "-" ), or any text in backquotes
 *     value  = text in double quotes as in JSON / number / "true" / "false"
 *
 * A claim that is missing equals nothing, so that `!=` holds for it. Words of text are parted by spaces, as those of
 * `scope` are.
 */
import { isJsonObject, type JsonObject, memberOf } from "../../identity/tokens/json.ts";

/** Longer ones belong into the issuer. */
const CHARACTERS_MAX = 2048;
const DEPTH_MAX = 32;

type Value = string | number | boolean;
type Path = readonly string[];

export type Rule =
  | { readonly kind: "or" | "and"; readonly rules: readonly Rule[] }
  | { readonly kind: "not"; readonly rule: Rule }
  | { readonly kind: "equals" | "in"; readonly path: Path; readonly value: Value }
  | { readonly kind: "present"; readonly path: Path };

/** What is wrong with a rule, and where. */
export class RuleError extends Error {
  /** Of the first character that cannot be read. */
  readonly offset: number;

  constructor(expected: string, offset: number) {
    super(`expected ${expected} at character ${offset + 1}`);
    this.offset = offset;
  }
}

/** @throws RuleError */
export function parseRule(text: string): Rule {
  if (text.length > CHARACTERS_MAX) throw new RuleError("no more than 2048 characters", CHARACTERS_MAX);
  return new Parser(text).whole();
}

/** Whether the claims fulfil the rule. */
export function holds(rule: Rule, claims: JsonObject): boolean {
  switch (rule.kind) {
    case "or":
      return rule.rules.some((one) => holds(one, claims));
    case "and":
      return rule.rules.every((one) => holds(one, claims));
    case "not":
      return !holds(rule.rule, claims);
    case "equals":
      return claimOf(claims, rule.path) === rule.value;
    case "in":
      return contains(claimOf(claims, rule.path), rule.value);
    case "present": {
      const value = claimOf(claims, rule.path);
      return value !== undefined && value !== null && value !== false;
    }
  }
}

function claimOf(claims: JsonObject, path: Path): unknown {
  let value: unknown = claims;
  for (const name of path) {
    if (!isJsonObject(value)) return undefined;
    value = memberOf(value, name);
  }
  return value;
}

function contains(claim: unknown, value: Value): boolean {
  if (Array.isArray(claim)) return claim.includes(value);
  return typeof claim === "string" && typeof value === "string" && claim.split(" ").includes(value);
}

const SPACE = /\s*/y;
const OPERATOR = /==|!=|\(|\)|\./y;
const WORD = /[A-Za-z0-9_-]+/y;
const BACKQUOTED = /`([^`]+)`/y;
const TEXT = /"(?:[^"\\\0-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?![\w.-])/y;
const KEYWORDS: ReadonlySet<string> = new Set(["and", "or", "not", "in", "true", "false"]);

/** Reads from left to right and never goes back further than one word. */
class Parser {
  readonly #text: string;
  #offset = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  whole(): Rule {
    const rule = this.#or();
    this.#take(SPACE);
    if (this.#offset < this.#text.length) throw this.#error('"and", "or" or the end');
    return rule;
  }

  #or(): Rule {
    const rules = [this.#and()];
    while (this.#keyword("or")) rules.push(this.#and());
    return rules.length === 1 ? rules[0]! : { kind: "or", rules };
  }

  #and(): Rule {
    const rules = [this.#not()];
    while (this.#keyword("and")) rules.push(this.#not());
    return rules.length === 1 ? rules[0]! : { kind: "and", rules };
  }

  #not(): Rule {
    if (this.#keyword("not")) return { kind: "not", rule: this.#group() };
    return this.#group();
  }

  #group(): Rule {
    if (!this.#operator("(")) return this.#test();
    if (++this.#depth > DEPTH_MAX) throw this.#error(`no more than ${DEPTH_MAX} parentheses inside each other`);
    const rule = this.#or();
    if (!this.#operator(")")) throw this.#error('")"');
    this.#depth--;
    return rule;
  }

  #test(): Rule {
    const value = this.#value();
    if (value !== null) {
      const isNegated = this.#keyword("not");
      if (!this.#keyword("in")) throw this.#error('"in"');
      const rule: Rule = { kind: "in", path: this.#path(), value };
      return isNegated ? { kind: "not", rule } : rule;
    }
    const path = this.#path();
    const isEqual = this.#operator("==");
    const isUnequal = !isEqual && this.#operator("!=");
    if (!isEqual && !isUnequal) return { kind: "present", path };
    const compared = this.#value();
    if (compared === null) throw this.#error("text in double quotes, a number, true or false");
    const rule: Rule = { kind: "equals", path, value: compared };
    return isUnequal ? { kind: "not", rule } : rule;
  }

  #path(): Path {
    const path = [this.#name()];
    while (this.#operator(".")) path.push(this.#name());
    return path;
  }

  #name(): string {
    this.#take(SPACE);
    const quoted = this.#take(BACKQUOTED);
    if (quoted !== null) return quoted.slice(1, -1);
    const start = this.#offset;
    const word = this.#take(WORD);
    if (word !== null && !KEYWORDS.has(word)) return word;
    this.#offset = start;
    throw this.#error("the name of a claim");
  }

  /** null: there is none here. */
  #value(): Value | null {
    this.#take(SPACE);
    const text = this.#take(TEXT) ?? this.#take(NUMBER);
    if (text !== null) return JSON.parse(text) as Value;
    if (this.#keyword("true")) return true;
    return this.#keyword("false") ? false : null;
  }

  #keyword(word: string): boolean {
    return this.#takeWhen(WORD, word);
  }

  #operator(operator: string): boolean {
    return this.#takeWhen(OPERATOR, operator);
  }

  #takeWhen(pattern: RegExp, wanted: string): boolean {
    const start = this.#offset;
    this.#take(SPACE);
    if (this.#take(pattern) === wanted) return true;
    this.#offset = start;
    return false;
  }

  #take(pattern: RegExp): string | null {
    pattern.lastIndex = this.#offset;
    const match = pattern.exec(this.#text);
    if (match === null) return null;
    this.#offset = pattern.lastIndex;
    return match[0];
  }

  #error(expected: string): RuleError {
    this.#take(SPACE);
    return new RuleError(expected, this.#offset);
  }
}
