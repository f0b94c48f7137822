/**
 * Values as they may stand in a line of the access log. Whatever a client sends, a line stays one line, a field stays one
 * field, and a terminal that shows it does nothing else: quotes, backslashes, controls and everything beyond ASCII are
 * escaped. Most values need nothing of it, and are only looked at.
 */

/** A value longer than this is cut: a line must not grow with what a client sends. Longest useful ones are URLs. */
export const VALUE_CHARACTERS_MAX = 2048;
/** Stands behind a value that was cut. */
export const CUT_MARK = "...";

/** Visible ASCII and space, without the quote and the backslash. */
const PLAIN = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;
/** What JSON.stringify leaves as it is, and a reader of lines may still stumble over: DEL, C1, line and paragraph separators. */
const LEFT_BY_JSON = /[\x7f-\x9f\u2028\u2029]/g;
const NEEDS_ESCAPE = /[\x00-\x1f"\\\x7f-\uffff]/g;

/** A JSON string, quotes included. */
export function jsonText(value: string): string {
  return wholeJsonText(value.length > VALUE_CHARACTERS_MAX ? value.slice(0, VALUE_CHARACTERS_MAX) + CUT_MARK : value);
}

/** The same, however long it is: for what has a bound of its own. */
export function wholeJsonText(text: string): string {
  if (PLAIN.test(text)) return `"${text}"`;
  return JSON.stringify(text).replace(LEFT_BY_JSON, unicodeEscape);
}

/** For `combined`: as Apache escapes, `\"`, `\\` and `\xHH`. Characters beyond U+00FF become `\uHHHH`. */
export function lineText(value: string): string {
  return escaped(value, lineEscape);
}

/** For templates: what stands between the quotes of a JSON string, since many a template is an object of JSON. */
export function templateText(value: string): string {
  return escaped(value, stringEscape);
}

function escaped(value: string, write: (character: string) => string): string {
  const text = value.length > VALUE_CHARACTERS_MAX ? value.slice(0, VALUE_CHARACTERS_MAX) + CUT_MARK : value;
  return PLAIN.test(text) ? text : text.replace(NEEDS_ESCAPE, write);
}

function unicodeEscape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

function stringEscape(character: string): string {
  return character === '"' || character === "\\" ? `\\${character}` : unicodeEscape(character);
}

function lineEscape(character: string): string {
  const code = character.charCodeAt(0);
  if (code > 0xff || character === '"' || character === "\\") return stringEscape(character);
  return `\\x${code.toString(16).padStart(2, "0")}`;
}
