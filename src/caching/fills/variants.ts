/** By which fields the answers of a key vary, and under which id a request's variant is fetched: one place, for all that compare them. */
import type { FieldBlock } from "../../core/fields.ts";
import { variantOf } from "../../semantics/caching/vary.ts";
import { entryIdOf } from "../keeping/entry-id.ts";
import type { EntryId } from "../ports.ts";

export const NO_NAMES: readonly string[] = [];

/** In order, without duplicates. */
export function unitedNames(known: readonly string[], further: readonly string[]): readonly string[] {
  if (further.every((name) => known.includes(name))) return known;
  return [...new Set([...known, ...further])].sort();
}

/** What a request has in each of the fields, normalised. */
export function valuesOf(request: FieldBlock, names: readonly string[]): readonly string[] {
  return names.map((name) => variantOf(request, [name]));
}

/** Under which it is fetched: the names stand in it too, so that only those join who know of the same ones. */
export function fetchIdOf(key: string, request: FieldBlock, names: readonly string[]): EntryId {
  return entryIdOf(key, names.length === 0 ? "" : variantOf(request, names));
}
