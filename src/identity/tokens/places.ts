/**
 * Where a request's token is, and how it is taken away: a cookie, `Authorization: Bearer`, another field, a parameter
 * of the query. It decides which text is the token and never what that is worth.
 *
 * This runs on every request, so it works on the bytes and makes one string, the token's. What could be read in two ways,
 * such as two cookies of one name, is no token but a mistake of the client. So are tokens in two places (RFC 6750
 * section 2): the upstream may read the one that nobody has verified.
 */
import { FIELD_AUTHORIZATION, FIELD_COOKIE } from "../../core/field-names.ts";
import { type FieldBlock, ROW, ROW_VALUE, ROW_VALUE_END } from "../../core/fields.ts";
import { latin1At } from "../../core/latin1.ts";
import type { RequestMessage } from "../../core/message.ts";
import { NameVariants } from "../../semantics/name-variants.ts";
import { parametersOf, withoutParameter } from "../../semantics/query.ts";
import type { TokenPlace } from "./options.ts";

/** The text of a token; null: there is none; undefined: it cannot be said which one is meant. */
export type FoundToken = string | null | undefined;

interface Place {
  /** Tokens here may be wrapped as those of cookies are. */
  readonly isCookie: boolean;
  find(request: RequestMessage): FoundToken;
  /** Removes what `find` has just found. */
  remove(request: RequestMessage): void;
}

/** The places of one route. */
export class TokenPlaces {
  readonly #places: readonly Place[];
  readonly #forward: boolean;
  /** Of the token that was taken last. */
  isCookie = false;

  /** `forward`: the token stays in the request. */
  constructor(places: readonly TokenPlace[], forward: boolean) {
    this.#places = places.map(placeOf);
    this.#forward = forward;
  }

  /** The only token that there is; unless it is forwarded, it is gone from the request then. */
  take(request: RequestMessage): FoundToken {
    let taken: string | null = null;
    let at: Place | null = null;
    for (const place of this.#places) {
      const found = place.find(request);
      if (found === null) continue;
      if (found === undefined || at !== null) return undefined;
      taken = found;
      at = place;
    }
    if (at === null) return null;
    this.isCookie = at.isCookie;
    if (!this.#forward) at.remove(request);
    return taken;
  }
}

function placeOf(place: TokenPlace): Place {
  switch (place.kind) {
    case "bearer":
      return new BearerPlace();
    case "header":
      return new HeaderPlace(place.name);
    case "cookie":
      return new CookiePlace(place.name);
    case "query":
      return new QueryPlace(place.name);
  }
}

const SPACE = 0x20;
const TAB = 0x09;
const SEMICOLON = 0x3b;
const EQUALS = 0x3d;
const QUOTE = 0x22;

/** In lower case, which is what the bytes are with their sixth bit set. */
const BEARER = Buffer.from("bearer");

/**
 * credentials = "Bearer" 1*SP b64token (RFC 6750 section 2.1). Another scheme is no token. Two lines are a mistake,
 * whatever they say, and so is a tab behind the scheme, which lenient servers take for the space.
 */
class BearerPlace implements Place {
  readonly isCookie = false;

  find({ fields }: RequestMessage): FoundToken {
    const row = fields.rowOfId(FIELD_AUTHORIZATION);
    if (row < 0) return null;
    if (fields.rowOfId(FIELD_AUTHORIZATION, row + 1) >= 0) return undefined;
    const { bytes, table } = fields;
    const end = table[row * ROW + ROW_VALUE_END]!;
    let at = table[row * ROW + ROW_VALUE]!;
    if (end - at <= BEARER.length) return null;
    for (let i = 0; i < BEARER.length; i++) if ((bytes[at + i]! | 0x20) !== BEARER[i]) return null;
    at += BEARER.length;
    if (bytes[at] === TAB) return undefined;
    if (bytes[at] !== SPACE) return null;
    while (bytes[at] === SPACE) at++;
    if (bytes[at] === TAB) return undefined;
    return at < end ? latin1At(bytes, at, end) : null;
  }

  remove({ fields }: RequestMessage): void {
    fields.deleteId(FIELD_AUTHORIZATION);
  }
}

/** A field. Another spelling of its name, which an upstream may take for it (`X_Token`), is a second line, or a mistake. */
class HeaderPlace implements Place {
  readonly isCookie = false;
  readonly #name: string;
  readonly #variants: NameVariants;

  constructor(name: string) {
    this.#name = name;
    this.#variants = new NameVariants([name]);
  }

  find({ fields }: RequestMessage): FoundToken {
    const row = this.#variants.rowIn(fields);
    if (row < 0) return null;
    if (this.#variants.rowIn(fields, row + 1) >= 0 || fields.rowOf(this.#name) < 0) return undefined;
    return fields.valueAt(row) || null;
  }

  remove({ fields }: RequestMessage): void {
    fields.delete(this.#name);
  }
}

/**
 * A cookie (RFC 6265 section 4.2.1), found as lenient servers find it: white space around its name counts for nothing,
 * so that no spelling passes unseen to an upstream which reads it all the same.
 */
class CookiePlace implements Place {
  readonly isCookie = true;
  readonly #name: Buffer;
  /** Where the pair was found: its line, and what to cut so that the others stay byte for byte. */
  #row = -1;
  #cutStart = 0;
  #cutEnd = 0;
  #valueStart = 0;
  #valueEnd = 0;

  constructor(name: string) {
    this.#name = Buffer.from(name, "latin1");
  }

  find({ fields }: RequestMessage): FoundToken {
    let row = fields.rowOfId(FIELD_COOKIE);
    if (row < 0) return null;
    this.#row = -1;
    for (; row >= 0; row = fields.rowOfId(FIELD_COOKIE, row + 1)) if (!this.#findIn(fields, row)) return undefined;
    if (this.#row < 0) return null;
    const { bytes } = fields;
    let start = this.#valueStart;
    let end = this.#valueEnd;
    while (end > start && isSpace(bytes[end - 1]!)) end--;
    while (start < end && isSpace(bytes[start]!)) start++;
    if (end - start >= 2 && bytes[start] === QUOTE && bytes[end - 1] === QUOTE) {
      start++;
      end--;
    }
    return end > start ? latin1At(bytes, start, end) : null;
  }

  /** Notes where the cookie is in this line; false when it was found before. */
  #findIn(fields: FieldBlock, row: number): boolean {
    const { bytes, table } = fields;
    const name = this.#name;
    const { length } = name;
    const lineEnd = table[row * ROW + ROW_VALUE_END]!;
    let at = table[row * ROW + ROW_VALUE]!;
    // Where the semicolon behind the pair before this one is.
    let pairBefore = -1;
    while (at < lineEnd) {
      if (isSpace(bytes[at]!) || bytes[at] === SEMICOLON) {
        at++;
        continue;
      }
      const pairStart = at;
      // Behind the line there is CR, which is in no name.
      while (at - pairStart < length && bytes[at] === name[at - pairStart]) at++;
      const isNamed = at - pairStart === length;
      if (isNamed) while (isSpace(bytes[at]!)) at++;
      const isFound = isNamed && bytes[at] === EQUALS;
      const valueStart = at + 1;
      at = semicolonAt(fields, at, lineEnd);
      if (isFound) {
        if (this.#row >= 0) return false;
        this.#row = row;
        this.#valueStart = valueStart;
        this.#valueEnd = at;
        this.#cutStart = at < lineEnd || pairBefore < 0 ? pairStart : pairBefore;
        this.#cutEnd = at;
        while (this.#cutEnd < lineEnd && (bytes[this.#cutEnd] === SEMICOLON || isSpace(bytes[this.#cutEnd]!)))
          this.#cutEnd++;
      }
      pairBefore = at;
    }
    return true;
  }

  remove({ fields }: RequestMessage): void {
    const at = this.#row * ROW;
    const isWhole =
      fields.table[at + ROW_VALUE] === this.#cutStart && fields.table[at + ROW_VALUE_END] === this.#cutEnd;
    if (isWhole) fields.removeRow(this.#row);
    else fields.cutValue(this.#row, this.#cutStart, this.#cutEnd);
  }
}

/**
 * The offset of the next semicolon, or `end`. Four bytes at a time: what is looked through is mostly one long token.
 */
function semicolonAt({ bytes, view }: FieldBlock, at: number, end: number): number {
  for (; at + 4 <= end; at += 4) {
    // A byte of `difference` is zero where there is a semicolon; the classic test for a zero byte in a word.
    const difference = view.getInt32(at, true) ^ 0x3b3b3b3b;
    if (((difference - 0x01010101) & ~difference & 0x80808080) !== 0) break;
  }
  while (at < end && bytes[at] !== SEMICOLON) at++;
  return at;
}

function isSpace(byte: number): boolean {
  return byte === SPACE || byte === TAB;
}

/** A parameter of the query (RFC 6750 section 2.3), by its decoded name: an upstream decodes it too. */
class QueryPlace implements Place {
  readonly isCookie = false;
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  find({ query }: RequestMessage): FoundToken {
    if (query === null) return null;
    const [value, second] = parametersOf(query, this.#name);
    return second === undefined ? value || null : undefined;
  }

  remove(request: RequestMessage): void {
    request.setTarget(request.path, withoutParameter(request.query, this.#name));
  }
}
