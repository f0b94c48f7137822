/**
 * Vary (RFC 9111, section 4.1): by which fields of a request the answers of one URL differ, and what of their values makes a variant.
 * Two requests get the same variant when their values say the same: other spaces, other lines, and where the grammar of the field
 * allows it another order or other letters. It never decides that two different wishes are one.
 */
import { type FieldBlock, isToken } from "../../core/fields.ts";
import { splitList, splitParameters } from "../field-list.ts";

/** More names than this are a mistake, and each request would pay for them. Fastly and Varnish see three at most in practice. */
export const VARY_NAMES_MAX = 32;

/** How a value is normalised: as a list of weighted elements whose order says nothing, or not at all but for its ends. */
const WEIGHTED = new Set(["accept", "accept-charset", "accept-encoding", "accept-language"]);
/** A comma in these separates nothing. */
const WHOLE = new Set([
  "authorization",
  "cookie",
  "date",
  "from",
  "host",
  "if-modified-since",
  "if-unmodified-since",
  "origin",
  "referer",
  "user-agent",
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
 * is not one that is empty.
 */
export function variantOf(request: FieldBlock, names: readonly string[]): string {
  let variant = "";
  for (const name of names) {
    const value = request.has(name) ? `=${normalisedValue(name, request.getAll(name))}` : "";
    variant += `${name}${value}\n`;
  }
  return variant;
}

function normalisedValue(name: string, lines: readonly string[]): string {
  if (WHOLE.has(name)) return lines.map((line) => line.trim()).join(name === "cookie" ? "; " : ", ");
  const elements = lines.flatMap(splitList);
  if (!WEIGHTED.has(name)) return elements.join(",");
  // Sorted, and each once: what is said twice is said.
  return [...new Set(elements.map(name === "accept" ? normalisedRange : normalisedElement))].sort().join(",");
}

/** A coding, a language or a charset with its weight: all are compared without case. */
function normalisedElement(element: string): string {
  const [first = "", ...parameters] = splitParameters(element);
  const name = first.toLowerCase() === "x-gzip" ? "gzip" : first.toLowerCase();
  return [name, ...parameters.flatMap(normalisedWeight)].join(";");
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
