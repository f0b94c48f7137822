/**
 * Comma-separated lists, the form of most field values (RFC 9110, section 5.6.1). It splits them where every reader
 * must: a comma inside a quoted string separates nothing. What an element means is decided by who asked.
 */

/** The elements without surrounding whitespace; empty ones are left out, as recipients must. */
export function splitList(value: string): string[] {
  return splitOutsideQuotes(value, ",");
}

/** An element's parts: what stands before the first ";", then its parameters. */
export function splitParameters(element: string): string[] {
  return splitOutsideQuotes(element, ";");
}

/** Whether the list has this element (in lower case), compared without case and with nothing beside it. */
export function listHas(value: string, lowerElement: string): boolean {
  if (value.length < lowerElement.length) return false;
  return splitList(value).some((element) => element.toLowerCase() === lowerElement);
}

/**
 * Without optional whitespace, OWS = *( SP / HTAB ), around it: what else JavaScript takes for space may be a part of what is said.
 * No pattern: one that looks for a run of spaces at the end reads each run within the text once for each of its spaces.
 */
export function withoutOuterSpace(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isSpace(text.charCodeAt(start))) start++;
  while (end > start && isSpace(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isSpace(character: number): boolean {
  return character === 0x20 || character === 0x09;
}

/** weight = OWS ";" OWS "q=" qvalue (RFC 9110, section 12.4.2): at most three digits behind the dot. */
const QVALUE = /^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/;

/** The weight among an element's parameters: 1 when it has none, NaN when it is broken. */
export function weightOf(parameters: readonly string[]): number {
  const weight = parameters.find((parameter) => /^q\s*=/i.test(parameter));
  if (weight === undefined) return 1;
  const text = weight.slice(weight.indexOf("=") + 1).trim();
  return QVALUE.test(text) ? Number(text) : Number.NaN;
}

function splitOutsideQuotes(text: string, separator: "," | ";"): string[] {
  if (!text.includes('"')) return text.split(separator).flatMap(trimmed);
  const parts: string[] = [];
  let start = 0;
  let isQuoted = false;
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    if (isQuoted && character === "\\") i++;
    else if (character === '"') isQuoted = !isQuoted;
    else if (character === separator && !isQuoted) {
      parts.push(text.slice(start, i));
      start = i + 1;
    }
  }
  parts.push(text.slice(start));
  return parts.flatMap(trimmed);
}

function trimmed(part: string): string[] {
  const text = part.trim();
  return text === "" ? [] : [text];
}
