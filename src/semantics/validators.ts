/**
 * Entity tags (RFC 9110, section 8.8.3): what becomes of one when the bytes of a representation change on the way.
 */
import { splitList } from "./field-list.ts";

/**
 * The weak form of an entity tag: bytes that were encoded on the way are no longer those that the strong one promises.
 * null when it is weak already, or no entity tag at all.
 */
export function weakened(etag: string): string | null {
  return /^"[\x21\x23-\x7e\x80-\xff]*"$/.test(etag) ? `W/${etag}` : null;
}

/** Whether a list of entity tags (If-None-Match) has exactly this one; "*" names none. */
export function namesEntityTag(list: string, etag: string): boolean {
  return splitList(list).includes(etag);
}
