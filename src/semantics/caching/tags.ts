/**
 * What a stored answer can be invalidated by beside its URL: surrogate keys, from the fields that a configuration names, and cache groups
 * (RFC 9875). A group means something within one origin only, so the origin is part of its tag; a surrogate key has no space in
 * it, so the two cannot be taken for each other.
 */
import type { FieldBlock } from "../../core/fields.ts";
import { parseStructuredList } from "./structured-fields.ts";

/** Tags of one answer. RFC 9875 asks for 32 groups at least; Fastly takes as many keys as fit in 16 KiB. */
export const TAGS_MAX = 256;
/** Characters of one tag. RFC 9875 asks for 32 at least; Fastly takes 1024. */
export const TAG_CHARACTERS_MAX = 1024;

/** "https://host" or with a port, as the URL has it: of a key's URL, which is normal already. */
export function originOf(url: string): string {
  const end = url.indexOf("/", url.indexOf("//") + 2);
  return end < 0 ? url : url.slice(0, end);
}

/** Under which tag the answers of a cache group are found; `origin` is "https://host" or with a port. */
export function groupTag(origin: string, group: string): string {
  return `${origin} ${group}`;
}

/**
 * `tagFields`: lower-case names of fields with surrogate keys, separated by spaces or commas. null when there are too many or too long ones:
 * an answer that a purge could miss must not be stored.
 */
export function tagsOf(response: FieldBlock, origin: string, tagFields: readonly string[]): readonly string[] | null {
  const tags = new Set<string>();
  for (const name of tagFields) {
    for (const line of response.getAll(name)) {
      for (const key of line.split(/[\s,]+/)) if (key !== "") tags.add(key);
    }
  }
  for (const group of groupsOf(response, "cache-groups")) tags.add(groupTag(origin, group));
  for (const tag of tags) if (tag.length > TAG_CHARACTERS_MAX) return null;
  return tags.size > TAGS_MAX ? null : [...tags];
}

/** The strings of such a field; none when it is broken or has something else in it. */
export function groupsOf(
  response: FieldBlock,
  fieldName: "cache-groups" | "cache-group-invalidation",
): readonly string[] {
  const value = response.get(fieldName);
  const members = value === null ? null : parseStructuredList(value);
  if (members === null) return [];
  const groups: string[] = [];
  for (const member of members) {
    if (member.type !== "string") return [];
    groups.push(member.value);
  }
  return groups;
}
