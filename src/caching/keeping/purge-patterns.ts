/** What a purge meets: patterns for the URLs of keys, and tags. Linear in the length of the URL, whatever the pattern. */
import type { PurgePattern } from "../cache.ts";
import { urlOfKey } from "./entry-id.ts";

export function isMet(pattern: PurgePattern, key: string, tags: readonly string[]): boolean {
  const { kind, text } = pattern;
  if (kind === "tag") return tags.includes(text);
  const url = urlOfKey(key);
  switch (kind) {
    case "url":
      return url === text;
    case "prefix":
      return url.startsWith(text);
    case "host":
      return isOfHost(url, text.toLowerCase());
    case "wildcard":
      return matchesWildcard(url, text);
  }
}

/** "host" means that host on any port, "host:port" on that one. */
function isOfHost(url: string, host: string): boolean {
  const start = url.indexOf("://") + 3;
  if (start < 3) return false;
  const end = url.indexOf("/", start);
  const authority = url.slice(start, end < 0 ? undefined : end).toLowerCase();
  return authority === host || (authority.startsWith(`${host}:`) && !authority.slice(host.length + 1).includes(":"));
}

/** `*` stands for any text, also none; everything else for itself. */
function matchesWildcard(url: string, wildcard: string): boolean {
  const parts = wildcard.split("*");
  const first = parts[0]!;
  if (parts.length === 1) return url === first;
  const last = parts.at(-1)!;
  if (!url.startsWith(first) || !url.endsWith(last) || url.length < first.length + last.length) return false;
  // Each part at its first place: if a match exists at all, one with these exists.
  const end = url.length - last.length;
  let at = first.length;
  for (let index = 1; index < parts.length - 1; index++) {
    const part = parts[index]!;
    const found = url.indexOf(part, at);
    if (found < 0 || found + part.length > end) return false;
    at = found + part.length;
  }
  return true;
}
