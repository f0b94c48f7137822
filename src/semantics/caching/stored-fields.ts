/**
 * Which fields of an answer are stored (RFC 9111, section 3.1), which are for nobody but the client that asked, and what an answer without
 * content changes in stored ones (section 3.2). Content-Length is never stored: the length of what is stored says it.
 */
import { EncodedLines, FieldBlock } from "../../core/fields.ts";
import { formatHttpDate } from "./dates.ts";

/** About one connection, about a client's proxy, about the transfer; Age is counted anew. */
const NEVER_STORED = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "proxy-authenticate",
  "proxy-authentication-info",
  "proxy-authorization",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "content-length",
  "age",
]);

/** What describes the bytes that are stored: another answer cannot change it without them. */
const NEVER_UPDATED = new Set(["content-encoding", "content-range"]);

/** Without these an answer would be another one: a list of fields that may not be stored cannot take them out. */
const INDISPENSABLE = new Set(["content-type", "content-encoding", "cache-control", "vary", "date"]);

type Line = readonly [name: string, value: string];

export interface SortedFields {
  readonly stored: EncodedLines;
  /** What may be given to the client that asked and to no other; null: nothing. */
  readonly onlyForAsker: EncodedLines | null;
}

/** Whether an answer is still itself without these fields (lower-case names). */
export function canDoWithout(names: readonly string[]): boolean {
  return !names.some((name) => INDISPENSABLE.has(name));
}

/**
 * What an answer consists of beside its transfer. One without Date gets that of its arrival (RFC 9110, section 6.6.1).
 */
export function storableLines(response: FieldBlock, receivedMs: number): readonly Line[] {
  const lines: Line[] = [];
  for (const line of response.entries()) if (!NEVER_STORED.has(line[0].toLowerCase())) lines.push(line);
  if (!response.has("date")) lines.push(["Date", formatHttpDate(receivedMs)]);
  return lines;
}

/** `withheld`: lower-case names of what is for the client alone. `dropped`: one more name that is for nobody; "": none. */
export function sortFields(
  response: FieldBlock,
  withheld: ReadonlySet<string>,
  receivedMs: number,
  dropped: string,
): SortedFields {
  const stored: Line[] = [];
  const onlyForAsker: Line[] = [];
  for (const line of storableLines(response, receivedMs)) {
    const name = line[0].toLowerCase();
    if (name !== dropped) (withheld.has(name) ? onlyForAsker : stored).push(line);
  }
  return {
    stored: new EncodedLines(stored),
    onlyForAsker: onlyForAsker.length === 0 ? null : new EncodedLines(onlyForAsker),
  };
}

/**
 * The stored fields with those of a newer answer in their place (RFC 9111, section 3.2), as a block that belongs to the caller. What the
 * newer one does not name stays as it was. Age comes along, for the age of the result.
 */
export function updatedFields(stored: EncodedLines, newer: FieldBlock): FieldBlock {
  const fields = new FieldBlock();
  // A confirmation without Date is as old as its arrival, and not as old as what it confirms.
  const replaced = new Set<string>(["date"]);
  for (const [name] of newer.entries()) {
    const lower = name.toLowerCase();
    if (!isLeftAlone(lower)) replaced.add(lower);
  }
  for (const [name, value] of stored.entries()) {
    if (!replaced.has(name.toLowerCase())) fields.append(name, value);
  }
  for (const [name, value] of newer.entries()) {
    if (replaced.has(name.toLowerCase())) fields.append(name, value);
  }
  return fields;
}

function isLeftAlone(lowerName: string): boolean {
  return (NEVER_STORED.has(lowerName) && lowerName !== "age") || NEVER_UPDATED.has(lowerName);
}
