/**
 * Vary (RFC 9111, section 4.1): by which fields of a request the answers of one URL differ, and what of their values makes a variant.
 * Two requests get the same variant when their values say the same: on other lines, and where the grammar of the field allows it with
 * other spaces, in another order or in other letters. It never decides that two different wishes are one.
 */
import { type FieldBlock, isToken } from "../../core/fields.ts";
import { splitList, splitParameters, withoutOuterSpace } from "../field-list.ts";

/** More names than this are a mistake, and each request would pay for them. Fastly and Varnish see three at most in practice. */
export const VARY_NAMES_MAX = 32;

/** Lists of weighted elements whose order says nothing. */
const WEIGHTED = new Set(["accept", "accept-charset", "accept-encoding", "accept-language"]);
/**
 * Other lists: spaces beside their commas say nothing. What is not known to be one is text, in which a comma may be anything, and a
 * space too (section 4.1 lets go of whitespace "where allowed in the header field's syntax").
 */
const LISTS = new Set([
  ...["access-control-request-headers", "cache-control", "content-encoding", "content-language", "expect", "forwarded"],
  ...["if-match", "if-none-match", "pragma", "prefer", "sec-ch-ua", "sec-ch-ua-full-version-list", "te", "via"],
  "x-forwarded-for",
]);

/** The names of Vary, in lower case and order, without duplicates; "*" when only the origin can tell. */
export function varyOf(response: FieldBlock): readonly string[] | "*" {
  const names = new Set<string>();
  for (const line of response.getAll("vary")) {
    for (const name of splitList(line)) {
      // What is no name cannot be compared, so the answer may differ by anything.
      if (name === "*" || !isToken(name)) return "*";
      names.add(name.toLowerCase());
    }
  }
  return names.size > VARY_NAMES_MAX ? "*" : [...names].sort();
}

/**
 * What tells the variant of a request from others: a line for each name (lower case), with the value's normal form. A field that is absent
 * is not one that is empty. It runs for each hit of what varies: the usual values, on one line and without weights, take a short way.
 */
export function variantOf(request: FieldBlock, names: readonly string[]): string {
  let variant = "";
  for (const name of names) {
    const row = request.rowOf(name);
    if (row < 0) variant += `${name}\n`;
    else {
      const isOneLine = request.rowOf(name, row + 1) < 0;
      variant += `${name}=${isOneLine ? normalisedLine(name, request.valueAt(row)) : normalisedLines(name, request.getAll(name))}\n`;
    }
  }
  return variant;
}

function normalisedLine(name: string, line: string): string {
  const isWeighted = WEIGHTED.has(name);
  if (!isWeighted && !LISTS.has(name)) return withoutOuterSpace(line);
  if (line.includes('"') || line.includes(";")) return normalisedLines(name, [line]);
  if (!isWeighted) return elementsOf(line).join(",");
  const lower = line.toLowerCase();
  const elements = elementsOf(name === "accept-encoding" && lower.includes("x-gzip") ? withoutOldNames(lower) : lower);
  return elements.length < 2 ? elements.join("") : joined(elements);
}

/** Without quotes, and without anything but commas and spaces between them. */
function elementsOf(line: string): string[] {
  const elements = line.split(",");
  let count = 0;
  for (const element of elements) {
    const text = element.trim();
    if (text !== "") elements[count++] = text;
  }
  elements.length = count;
  return elements;
}

/** So many are sorted in place without a call for each comparison. Browsers accept five codings and a handful of languages. */
const FEW_ELEMENTS = 12;

/** Sorted, and each once: what is said twice is said. */
function joined(elements: string[]): string {
  if (elements.length > FEW_ELEMENTS) elements.sort();
  else {
    for (let i = 1; i < elements.length; i++) {
      const element = elements[i]!;
      let place = i;
      for (; place > 0 && elements[place - 1]! > element; place--) elements[place] = elements[place - 1]!;
      elements[place] = element;
    }
  }
  let text = elements[0]!;
  for (let i = 1; i < elements.length; i++) if (elements[i] !== elements[i - 1]) text += `,${elements[i]}`;
  return text;
}

function normalisedLines(name: string, lines: readonly string[]): string {
  const isWeighted = WEIGHTED.has(name);
  // Lines of one field may be combined, whatever it is.
  if (!isWeighted && !LISTS.has(name)) return lines.map(withoutOuterSpace).join(name === "cookie" ? "; " : ", ");
  const elements = lines.flatMap(splitList);
  if (!isWeighted) return elements.join(",");
  const normal = elements.map((element) =>
    name === "accept" ? normalisedRange(element) : normalisedElement(name, element),
  );
  return normal.length === 0 ? "" : joined(normal);
}

/** A coding, a language or a charset with its weight: all are compared without case. */
function normalisedElement(fieldName: string, element: string): string {
  const [first = "", ...parameters] = splitParameters(element);
  const name = first.toLowerCase();
  const normal = fieldName === "accept-encoding" ? withoutOldNames(name) : name;
  return [normal, ...parameters.flatMap(normalisedWeight)].join(";");
}

/** "x-gzip" is gzip (RFC 9110, section 8.4.1.3). */
function withoutOldNames(codings: string): string {
  return codings.replace(/(^|[\s,])x-gzip(?=$|[\s,])/g, "$1gzip");
}

/** A media range: its type and the names of its parameters are compared without case, their values are not (RFC 9110, section 8.3.1). */
function normalisedRange(element: string): string {
  const [range = "", ...parameters] = splitParameters(element);
  return [range.toLowerCase(), ...parameters.flatMap(normalisedWeight)].join(";");
}

/** "q=0.50" is "q=0.5", "q=1" says nothing. Another parameter keeps its value. */
function normalisedWeight(parameter: string): string[] {
  const equals = parameter.indexOf("=");
  const name = (equals < 0 ? parameter : parameter.slice(0, equals)).trim().toLowerCase();
  const value = equals < 0 ? "" : parameter.slice(equals + 1).trim();
  if (name !== "q") return [equals < 0 ? name : `${name}=${value}`];
  if (!/^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/.test(value)) return [`q=${value}`];
  return Number(value) === 1 ? [] : [`q=${Number(value)}`];
}
