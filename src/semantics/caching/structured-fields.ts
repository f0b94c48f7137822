/**
 * Structured field values (RFC 9651), parsed as strictly as it says: one mistake, and the whole field counts as absent. Only what
 * caching needs of it is kept: parameters are checked and dropped (RFC 9213, section 2.1: they are ignored).
 */

export type StructuredItem =
  | { readonly type: "integer" | "decimal" | "date"; readonly value: number }
  | { readonly type: "string" | "token" | "bytes" | "display"; readonly value: string }
  | { readonly type: "boolean"; readonly value: boolean }
  | { readonly type: "inner-list"; readonly value: readonly StructuredItem[] };

const KEY = /[a-z*][a-z0-9_\-.*]*/y;
const NUMBER = /(-?)(\d{1,15})(?:\.(\d{1,3}))?(?![\d.])/y;
const DATE = /@(-?\d{1,15})(?![\d.])/y;
const STRING = /"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"/y;
const TOKEN = /[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*/y;
const BYTES = /:([A-Za-z0-9+/=]*):/y;
const BOOLEAN = /\?([01])/y;
const DISPLAY = /%"((?:[\x20\x21\x23\x24\x26-\x7e]|%[0-9a-f]{2})*)"/y;
const SPACES = / */y;
const OPTIONAL_WHITESPACE = /[ \t]*/y;

/** A decimal has at most 12 digits before the dot (RFC 9651, section 4.2.4). */
const DECIMAL_DIGITS_MAX = 12;
/** A token or string that needs no quotes, and what may stand between them. */
const WHOLE_TOKEN = /^[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*$/;
const PRINTABLE = /^[\x20-\x7e]*$/;

/** The members of a dictionary, the last one of each key; null when the value is broken. `value` joins all lines with ", ". */
export function parseDictionary(value: string): ReadonlyMap<string, StructuredItem> | null {
  const parser = new Parser(value);
  const members = new Map<string, StructuredItem>();
  const isWhole = parser.members(() => {
    const key = parser.match(KEY);
    if (key === null) return false;
    const item: StructuredItem | null = parser.takes("=") ? parser.member() : { type: "boolean", value: true };
    if (item === null || !parser.parameters()) return false;
    members.delete(key[0]);
    members.set(key[0], item);
    return true;
  });
  return isWhole ? members : null;
}

/** The members of a list; null when the value is broken. */
export function parseStructuredList(value: string): readonly StructuredItem[] | null {
  const parser = new Parser(value);
  const members: StructuredItem[] = [];
  const isWhole = parser.members(() => {
    const item = parser.member();
    if (item === null || !parser.parameters()) return false;
    members.push(item);
    return true;
  });
  return isWhole ? members : null;
}

/** The text as a token where it is one, or as a string; what no string can hold becomes "?". */
export function structuredName(text: string): string {
  return WHOLE_TOKEN.test(text) ? text : structuredString(text);
}

/** The text as a string; what no string can hold becomes "?". */
export function structuredString(text: string): string {
  const printable = PRINTABLE.test(text) ? text : text.replace(/[^\x20-\x7e]/g, "?");
  return `"${printable.replace(/["\\]/g, "\\$&")}"`;
}

class Parser {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** Members with commas between them, from the first space to the end; false when something else stands there. */
  members(member: () => boolean): boolean {
    this.match(SPACES);
    if (this.#isAtEnd) return true;
    for (;;) {
      if (!member()) return false;
      this.match(OPTIONAL_WHITESPACE);
      if (this.#isAtEnd) return true;
      if (!this.takes(",")) return false;
      this.match(OPTIONAL_WHITESPACE);
      if (this.#isAtEnd) return false;
    }
  }

  member(): StructuredItem | null {
    return this.#text[this.#at] === "(" ? this.#innerList() : this.#bareItem();
  }

  #innerList(): StructuredItem | null {
    this.#at++;
    const value: StructuredItem[] = [];
    for (;;) {
      this.match(SPACES);
      if (this.takes(")")) return { type: "inner-list", value };
      const item = this.#bareItem();
      if (item === null || !this.parameters()) return null;
      value.push(item);
      const next = this.#text[this.#at];
      if (next !== " " && next !== ")") return null;
    }
  }

  #bareItem(): StructuredItem | null {
    const first = this.#text[this.#at] ?? "";
    if (first === '"') {
      const match = this.match(STRING);
      return match && { type: "string", value: match[1]!.replace(/\\(.)/g, "$1") };
    }
    if (first === ":") return textItem("bytes", this.match(BYTES));
    if (first === "%") return textItem("display", this.match(DISPLAY));
    if (first === "?") {
      const match = this.match(BOOLEAN);
      return match && { type: "boolean", value: match[1] === "1" };
    }
    if (first === "@") {
      const match = this.match(DATE);
      return match && { type: "date", value: Number(match[1]) };
    }
    if (/[-\d]/.test(first)) return this.#number();
    return textItem("token", this.match(TOKEN));
  }

  #number(): StructuredItem | null {
    const match = this.match(NUMBER);
    if (match === null) return null;
    if (match[3] === undefined) return { type: "integer", value: Number(match[0]) };
    return match[2]!.length > DECIMAL_DIGITS_MAX ? null : { type: "decimal", value: Number(match[0]) };
  }

  /** *( ";" *SP key [ "=" bare-item ] ), checked and dropped. */
  parameters(): boolean {
    while (this.takes(";")) {
      this.match(SPACES);
      if (this.match(KEY) === null) return false;
      if (this.takes("=") && this.#bareItem() === null) return false;
    }
    return true;
  }

  match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text);
    if (match !== null) this.#at += match[0].length;
    return match;
  }

  takes(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  /** Spaces at the end are discarded (RFC 9651, section 4.2). */
  get #isAtEnd(): boolean {
    for (let at = this.#at; at < this.#text.length; at++) if (this.#text[at] !== " ") return false;
    return true;
  }
}

function textItem(type: "token" | "bytes" | "display", match: RegExpExecArray | null): StructuredItem | null {
  return match && { type, value: match[1] ?? match[0] };
}
