/**
 * What an answer to an unsafe request makes obsolete (RFC 9111 section 4.4, RFC 9875 section 2.2): its URL, those in Location and
 * Content-Location of the same origin, and the groups that it names. Errors make nothing obsolete. Nobody can
 * make another origin's answers obsolete.
 */
import type { FieldBlock } from "../../core/fields.ts";
import { groupsOf, groupTag, originOf, TAG_CHARACTERS_MAX } from "./tags.ts";

/**
 * Groups that one answer makes obsolete; further ones are passed over. RFC 9875 section 2.2.1 asks for 32 at least; each costs a purge,
 * and an origin's answer has room for thousands. Nothing is stored with a longer tag than TAG_CHARACTERS_MAX.
 */
export const GROUPS_INVALIDATED_MAX = 128;

/** Methods that change nothing by their definition (RFC 9110 section 9.2.1, and the registry); any other one may. */
const SAFE = new Set(["GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "REPORT", "SEARCH", "QUERY", "PRI"]);

export function isSafe(method: string): boolean {
  return SAFE.has(method);
}

export interface Invalidation {
  /** Absolute URLs: the request's as it was given, others resolved against it. */
  readonly urls: readonly string[];
  readonly tags: readonly string[];
}

const NOTHING: Invalidation = { urls: [], tags: [] };

/** `url`: of the request, absolute. */
export function invalidatedBy(method: string, url: string, status: number, response: FieldBlock): Invalidation {
  if (isSafe(method) || status < 200 || status > 399) return NOTHING;
  const groups = new Set(groupsOf(response, "cache-group-invalidation"));
  const tags = [...groups]
    .map((group) => groupTag(originOf(url), group))
    .filter(({ length }) => length <= TAG_CHARACTERS_MAX)
    .slice(0, GROUPS_INVALIDATED_MAX);
  // A host that is served may have a name that this parser refuses; nothing is then resolved against it.
  if (!URL.canParse(url)) return { urls: [url], tags };
  const { origin, href } = new URL(url);
  const urls = new Map([[href, url]]);
  for (const name of ["location", "content-location"]) {
    for (const reference of response.getAll(name)) {
      if (!URL.canParse(reference, url)) continue;
      const other = new URL(reference, url);
      other.hash = "";
      if (other.origin === origin && !urls.has(other.href)) urls.set(other.href, other.href);
    }
  }
  return { urls: [...urls.values()], tags };
}
