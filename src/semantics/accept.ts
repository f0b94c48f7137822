/**
 * In which form a client reads an error (RFC 9110, section 12.5.1). Browsers ask for HTML by name, programs for JSON;
 * who takes anything is a person at a terminal or a program that looks at the status alone: text.
 */
import { splitList, splitParameters, weightOf } from "./field-list.ts";

export type ErrorFormat = "html" | "json" | "text";

/** How closely a media range names a format: not at all, any type, its type, the format itself. */
const NOT = 0;
const ANY = 1;
const TYPE = 2;
const EXACT = 3;

/** Between equals that are asked for by name, the earlier one is taken. */
const FORMATS: readonly { readonly format: ErrorFormat; readonly exact: RegExp; readonly type: string }[] = [
  { format: "html", exact: /^text\/html$/, type: "text/*" },
  { format: "json", exact: /^application\/(?:json|[^*;]+\+json)$/, type: "application/*" },
  { format: "text", exact: /^text\/plain$/, type: "text/*" },
];

/** The format that the client wants most; "text" when it does not say. */
export function preferredErrorFormat(accept: string | null): ErrorFormat {
  if (accept === null || accept === "*/*") return "text";
  const ranges = splitList(accept).map((element) => {
    const [range = "", ...parameters] = splitParameters(element);
    return { range: range.toLowerCase(), weight: weightOf(parameters) };
  });
  let best: ErrorFormat = "text";
  let bestWeight = 0;
  let bestCloseness = NOT;
  for (const { format, exact, type } of FORMATS) {
    let weight = 0;
    let closeness = NOT;
    for (const range of ranges) {
      const close = exact.test(range.range) ? EXACT : range.range === type ? TYPE : range.range === "*/*" ? ANY : NOT;
      // The closest range decides; of several that are as close, the most welcome one ("application/x+json").
      if (close > closeness || (close === closeness && close > NOT && range.weight > weight)) {
        closeness = close;
        weight = range.weight;
      }
    }
    if (!(weight > 0)) continue;
    const isBetter = weight > bestWeight || (weight === bestWeight && closeness > bestCloseness);
    const isTextByDefault =
      format === "text" && weight === bestWeight && closeness === bestCloseness && closeness < EXACT;
    if (isBetter || isTextByDefault) {
      best = format;
      bestWeight = weight;
      bestCloseness = closeness;
    }
  }
  return best;
}
