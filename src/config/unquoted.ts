/**
 * Text of a YAML file that its author has put in no quotes, and that means something else to YAML: `[::]:8080`, `{host}/a`, `%h %l`. The
 * parser complains of whatever comes behind what it took for a list or a block; here it is told where such a text begins. It is never
 * shown: it may be a password.
 */
import type { Finding } from "./problems.ts";

/** What is said of a text that begins with this character. */
const BEGINNINGS: Readonly<Record<string, string>> = {
  "[": 'put quotes around a text that begins with [, as in "[::1]:8080"',
  "{": 'put quotes around a text that begins with {, as in "{host}"',
  "%": "put quotes around a text that begins with %",
  "@": "put quotes around a text that begins with @",
  "`": "put quotes around a text that begins with `",
};

const INSIDE = 'put quotes around a text with { or [ in it, as in "https://example.org{uri}"';
const TWO_KEYS = "this line has two keys: put { } around the second one and its value, or quotes around what is text";

/** What to say of a key that is a list or a block. */
export function adviceOnKey(isList: boolean): string {
  return BEGINNINGS[isList ? "[" : "{"] ?? "";
}

/** The finding for a mistake that the parser has found at an offset; null: no text without its quotes is to be seen there. */
export function unquotedAt(text: string, offset: number, code: string): Finding | null {
  const lineStart = text.lastIndexOf("\n", offset - 1) + 1;
  const lineEnd = text.indexOf("\n", offset);
  const line = text.slice(lineStart, lineEnd < 0 ? text.length : lineEnd);
  const at = offset - lineStart;
  const found = (start: number, message: string): Finding => ({
    path: [],
    at: "value",
    message,
    offset: lineStart + start,
  });
  const start = valueStart(line, at);
  if (code === "BAD_SCALAR_START") {
    const message = BEGINNINGS[line.charAt(at)];
    return message === undefined ? null : found(at, message);
  }
  if (code === "BLOCK_AS_IMPLICIT_KEY")
    return /^[^[{"'&*!|>]*: /.test(line.slice(start)) ? found(start, TWO_KEYS) : null;
  if (code !== "UNEXPECTED_TOKEN" && code !== "MISSING_CHAR") return null;
  const first = line.charAt(start);
  if (first === "[" || first === "{") {
    const end = endOfBrackets(line, start);
    // What is empty, or has fields or items in it, is a list or a block indeed.
    const isOneWord = /^.[^\s,]+.$/.test(line.slice(start, end));
    const isText = end > 0 && isOneWord && line.slice(end, at).trim() === "" && !/[\]}]/.test(line.charAt(at));
    return isText ? found(start, BEGINNINGS[first] ?? "") : null;
  }
  return /["'&*!|>]/.test(first) || !/[[{]/.test(line.slice(start, at + 1)) ? null : found(start, INSIDE);
}

/** Where the value begins that has this place of a line in it: behind its key, a comma, a bracket or the hyphen of an item. */
function valueStart(line: string, at: number): number {
  let start = /^\s*/.exec(line)?.[0].length ?? 0;
  for (const match of line.matchAll(/(?:[:,[{]|^\s*-|- -)\s+/g)) {
    const end = match.index + match[0].length;
    if (end <= at) start = end;
  }
  return start;
}

/** The offset behind the bracket that closes the one at `start`; 0: the line has none. */
function endOfBrackets(line: string, start: number): number {
  let depth = 0;
  for (let at = start; at < line.length; at++) {
    if (line[at] === "[" || line[at] === "{") depth++;
    else if ((line[at] === "]" || line[at] === "}") && --depth === 0) return at + 1;
  }
  return 0;
}
