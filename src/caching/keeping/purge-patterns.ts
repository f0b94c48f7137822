/**
 * What a purge meets: patterns for the URLs of keys, and tags. Linear in the length of the URL, whatever the pattern; and as one answer
 * may be compared with a thousand of them, what all of them want to know of it is made once.
 */
import type { PurgePattern } from "../cache.ts";
import { urlOfKey } from "./entry-id.ts";

/** What patterns are compared with: an answer, stored or on its way. */
export interface PurgeTarget {
  readonly url: string;
  /** Of the URL, in lower case; "": it has none. */
  readonly authority: string;
  readonly tags: ReadonlySet<string>;
}

const NO_TAGS: ReadonlySet<string> = new Set();

export function purgeTarget(key: string, tags: readonly string[]): PurgeTarget {
  const url = urlOfKey(key);
  return { url, authority: authorityOf(url), tags: tags.length === 0 ? NO_TAGS : new Set(tags) };
}

export function isMet({ kind, text }: PurgePattern, { url, authority, tags }: PurgeTarget): boolean {
  switch (kind) {
    case "tag":
      return tags.has(text);
    case "url":
      return url === text;
    case "prefix":
      return url.startsWith(text);
    case "host":
      return isOfHost(authority, text.toLowerCase());
    case "wildcard":
      return matchesWildcard(url, text);
  }
}

function authorityOf(url: string): string {
  const start = url.indexOf("://") + 3;
  if (start < 3) return "";
  const end = url.indexOf("/", start);
  return url.slice(start, end < 0 ? undefined : end).toLowerCase();
}

/** "host" means that host on any port, "host:port" on that one. */
function isOfHost(authority: string, host: string): boolean {
  if (!authority.startsWith(host)) return false;
  return authority.length === host.length || authority.lastIndexOf(":") === host.length;
}

/** `*` stands for any text, also none; everything else for itself. */
function matchesWildcard(url: string, wildcard: string): boolean {
  const star = wildcard.indexOf("*");
  if (star < 0) return url === wildcard;
  // Most are about something else, which shows here.
  const first = wildcard.slice(0, star);
  if (!url.startsWith(first)) return false;
  const parts = wildcard.slice(star + 1).split("*");
  const last = parts.at(-1)!;
  if (!url.endsWith(last) || url.length < first.length + last.length) return false;
  // Each part at its first place: if a match exists at all, one with these exists.
  const end = url.length - last.length;
  let at = first.length;
  for (let index = 0; index < parts.length - 1; index++) {
    const part = parts[index]!;
    const found = url.indexOf(part, at);
    if (found < 0 || found + part.length > end) return false;
    at = found + part.length;
  }
  return true;
}
