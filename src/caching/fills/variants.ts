/** By which fields the answers of a key vary, and under which id a request's variant is fetched: one place, for all that compare them. */
import type { FieldBlock } from "../../core/fields.ts";
import { VARY_NAMES_MAX, variantOf } from "../../semantics/caching/vary.ts";
import { entryIdOf } from "../keeping/entry-id.ts";
import type { EntryId } from "../ports.ts";

export const NO_NAMES: readonly string[] = [];

/**
 * Every request for the key pays for each of them, and an origin could name new ones in each answer: twice what one answer may name.
 */
export const NAMES_UNITED_MAX = 2 * VARY_NAMES_MAX;

/**
 * In order, without duplicates. Where that would be too many, those of the new answer alone: what is told apart by less than what is
 * known is given to who waits for it, and not stored.
 */
export function unitedNames(known: readonly string[], further: readonly string[]): readonly string[] {
  if (further.every((name) => known.includes(name))) return known;
  const united = new Set([...known, ...further]);
  return united.size > NAMES_UNITED_MAX ? further : [...united].sort();
}

/** What a request has in each of the fields, normalised. */
export function valuesOf(request: FieldBlock, names: readonly string[]): readonly string[] {
  return names.map((name) => variantOf(request, [name]));
}

/** Under which it is fetched: the names stand in it too, so that only those join who know of the same ones. */
export function fetchIdOf(key: string, request: FieldBlock, names: readonly string[]): EntryId {
  return entryIdOf(key, names.length === 0 ? "" : variantOf(request, names));
}
