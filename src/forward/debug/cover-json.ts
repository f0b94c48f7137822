/**
 * JSON without its secrets: the text as it came, in which the values of members with the names of secrets are covered, and strings
 * that look like secrets. It is read by its grammar (RFC 8259), once, from left to right, and nothing is shown that was not
 * understood: what is no JSON, and whatever comes behind it, is left out. So a text may be cut anywhere, names may be written
 * in escapes or twice, and values may be nested: what is covered goes as a whole.
 *
 * A list of pairs, as `{ "name": "password", "value": "..." }` or `["password", "..."]`, is covered with the object or list that
 * holds the name.
 */
import type { SecretNames } from "../../semantics/secret-names.ts";

export interface Covered {
  readonly text: string;
  /** All of it was shown, or covered. */
  readonly isWhole: boolean;
}

export const COVER = "[redacted]";
const COVERED_VALUE = `"${COVER}"`;

/** Members whose value is the name of another member's value. */
const NAMING: ReadonlySet<string> = new Set([
  "name",
  "key",
  "k",
  "field",
  "header",
  "id",
  "label",
  "param",
  "property",
]);
const NAMED: ReadonlySet<string> = new Set(["value", "val", "v"]);
/** A longer text is no name. */
const NAME_CHARACTERS_MAX = 64;

/** White space, and what stands before texts and between them: a byte order mark, a record separator (RFC 7464). */
const SPACE = /[ \t\r\n\ufeff\x1e]*/y;
const SCALAR = /(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?![\w.+-])/y;
const SCALAR_CUT = /[\w.+-]*$/y;

/** Several texts, one behind the other, are covered each. */
export function coverJson(text: string, names: SecretNames): Covered {
  return new JsonCover(text, names).run();
}

/** An object or a list that is open. */
interface Container {
  readonly isObject: boolean;
  /** Where it begins in what was written. */
  readonly partStart: number;
  key: string;
  isNaming: boolean;
  isNamed: boolean;
}

/** What comes next. FIRST_* may also be the end of its container. */
const VALUE = 0;
const FIRST_VALUE = 1;
const KEY = 2;
const FIRST_KEY = 3;
const COLON = 4;
const SEPARATOR = 5;

class JsonCover {
  readonly #text: string;
  readonly #names: SecretNames;
  readonly #open: Container[] = [];
  readonly #parts: string[] = [];
  #at = 0;
  #next = VALUE;

  constructor(text: string, names: SecretNames) {
    this.#text = text;
    this.#names = names;
  }

  run(): Covered {
    let isUnderstood = true;
    while (isUnderstood) {
      this.#space();
      if (this.#at >= this.#text.length) break;
      isUnderstood = this.#step();
    }
    const isWhole = isUnderstood && this.#open.length === 0;
    if (!isWhole) this.#dropUnnamed();
    return { text: this.#parts.join(""), isWhole };
  }

  #step(): boolean {
    switch (this.#next) {
      case KEY:
      case FIRST_KEY:
        if (this.#char === "}" && this.#next === FIRST_KEY) return this.#close();
        return this.#key();
      case COLON:
        if (this.#char !== ":") return false;
        this.#write(this.#at, ++this.#at);
        this.#next = VALUE;
        return true;
      case SEPARATOR:
        return this.#separator();
      default:
        if (this.#char === "]" && this.#next === FIRST_VALUE) return this.#close();
        return this.#value();
    }
  }

  get #char(): string {
    return this.#text.charAt(this.#at);
  }

  get #container(): Container | undefined {
    return this.#open.at(-1);
  }

  #write(start: number, end: number): void {
    this.#parts.push(this.#text.slice(start, end));
  }

  #space(): void {
    SPACE.lastIndex = this.#at;
    SPACE.test(this.#text);
    if (SPACE.lastIndex > this.#at) this.#write(this.#at, SPACE.lastIndex);
    this.#at = SPACE.lastIndex;
  }

  #separator(): boolean {
    const container = this.#container;
    if (container === undefined) {
      this.#next = VALUE;
      return true;
    }
    if (this.#char === ",") {
      this.#write(this.#at, ++this.#at);
      this.#next = container.isObject ? KEY : VALUE;
      return true;
    }
    return this.#char === (container.isObject ? "}" : "]") && this.#close();
  }

  #close(): true {
    this.#write(this.#at, ++this.#at);
    this.#open.pop();
    this.#next = SEPARATOR;
    return true;
  }

  #key(): boolean {
    const start = this.#at;
    const key = this.#char === '"' && this.#skipString() ? decoded(this.#text.slice(start, this.#at)) : null;
    if (key === null) return false;
    this.#write(start, this.#at);
    const container = this.#container!;
    container.key = key;
    if (NAMED.has(key.toLowerCase())) container.isNamed = true;
    this.#next = COLON;
    return true;
  }

  #value(): boolean {
    const container = this.#container;
    if (container?.isObject === true && this.#names.has(container.key)) {
      this.#parts.push(COVERED_VALUE);
      return this.#skipValue("");
    }
    const char = this.#char;
    if (char === "{" || char === "[") return this.#begin(char === "{");
    if (char === '"') return this.#string();
    SCALAR.lastIndex = this.#at;
    if (!SCALAR.test(this.#text)) return this.#cutScalar();
    this.#write(this.#at, SCALAR.lastIndex);
    this.#at = SCALAR.lastIndex;
    this.#next = SEPARATOR;
    return true;
  }

  #begin(isObject: boolean): true {
    this.#open.push({ isObject, partStart: this.#parts.length, key: "", isNaming: false, isNamed: false });
    this.#write(this.#at, ++this.#at);
    this.#next = isObject ? FIRST_KEY : FIRST_VALUE;
    return true;
  }

  /** A number or word that ends with the text may have been cut: it is shown, for it has no name of a secret. */
  #cutScalar(): false {
    SCALAR_CUT.lastIndex = this.#at;
    if (SCALAR_CUT.test(this.#text)) this.#write(this.#at, this.#text.length);
    return false;
  }

  #string(): boolean {
    const start = this.#at;
    const isClosed = this.#skipString();
    const raw = this.#text.slice(start, this.#at);
    const value = decoded(isClosed ? raw : `${raw.replace(/\\(?:u[0-9a-f]{0,3})?$/i, "")}"`);
    if (value === null) return false;
    if (isClosed && this.#isNameOfSecret(value)) return this.#coverContainer();
    this.#parts.push(this.#names.isToldBy(value) ? COVERED_VALUE : raw);
    this.#next = SEPARATOR;
    return isClosed;
  }

  /** It says that something beside it is a secret. */
  #isNameOfSecret(value: string): boolean {
    const container = this.#container;
    if (container === undefined) return false;
    if (container.isObject) {
      if (!NAMING.has(container.key.toLowerCase())) return false;
      container.isNaming = true;
    }
    return value.length <= NAME_CHARACTERS_MAX && this.#names.has(value);
  }

  #coverContainer(): boolean {
    const { partStart, isObject } = this.#open.pop()!;
    this.#parts.length = partStart;
    this.#parts.push(COVERED_VALUE);
    return this.#skipValue(isObject ? "}" : "]");
  }

  /** The text ended in an object: what its other members are about may have come behind. */
  #dropUnnamed(): void {
    const unnamed = this.#open.find(({ isNamed, isNaming }) => isNamed && !isNaming);
    if (unnamed === undefined) return;
    this.#parts.length = unnamed.partStart;
    this.#parts.push(COVERED_VALUE);
  }

  /** False: it is not closed. */
  #skipString(): boolean {
    const text = this.#text;
    let at = this.#at + 1;
    while (at < text.length) {
      const char = text.charCodeAt(at);
      if (char === 0x22) {
        this.#at = at + 1;
        return true;
      }
      at += char === 0x5c ? 2 : 1;
    }
    this.#at = text.length;
    return false;
  }

  /** Whatever it is, without a look into it; "" or what closes it, when it is open already. */
  #skipValue(closing: string): boolean {
    const text = this.#text;
    const closings = closing === "" ? [] : [closing];
    this.#next = SEPARATOR;
    for (;;) {
      if (this.#at >= text.length) return false;
      const char = this.#char;
      if (char === '"') {
        if (!this.#skipString()) return false;
      } else if (char === "{" || char === "[") {
        closings.push(char === "{" ? "}" : "]");
        this.#at++;
      } else if (char === "}" || char === "]") {
        // Otherwise it is that of the container around it, and there is no value here.
        if (closings.pop() !== char) return false;
        this.#at++;
      } else if (closings.length > 0) {
        this.#at++;
        continue;
      } else {
        SCALAR.lastIndex = this.#at;
        if (!SCALAR.test(text)) return false;
        this.#at = SCALAR.lastIndex;
      }
      if (closings.length === 0) return true;
    }
  }
}

/** null: it is no string of JSON. */
function decoded(token: string): string | null {
  if (!/[\\\x00-\x1f]/.test(token)) return token.slice(1, -1);
  try {
    return JSON.parse(token) as string;
  } catch {
    return null;
  }
}
