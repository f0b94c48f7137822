/**
 * What an operator writes, in the form in which keys are written: scheme and host in lower case, without a port that goes without
 * saying. Routes keep paths as they are normalised, a forward proxy as clients write them: where the two differ, both are meant.
 * What could never match anything is refused, so that a slip of the keyboard does not look like a purge that found nothing.
 */
import type { PurgePattern } from "../../caching/cache.ts";
import { normalisePath, parseAuthority } from "../../semantics/uri.ts";

const KINDS = ["url", "prefix", "host", "wildcard", "tag"] as const satisfies readonly PurgePattern["kind"][];

const URL_PARTS = /^(https?):\/\/([^/?#]*)([^?#]*)(\?[^#]*)?(#.*)?$/i;
/** Longer is no URL that a request could have. */
const TEXT_CHARACTERS_MAX = 16_384;

export type ReadPattern =
  /** What matches one of them is meant. */
  { readonly ok: true; readonly patterns: readonly PurgePattern[] } | { readonly ok: false; readonly reason: string };

export function purgePatternsOf(kind: string, text: string): ReadPattern {
  const known = KINDS.find((one) => one === kind);
  if (known === undefined) return refused(`what is purged is one of ${KINDS.join(", ")}`);
  if (text === "" || text.length > TEXT_CHARACTERS_MAX || /[\x00-\x20\x7f]/.test(text)) {
    return refused(
      `${kind}: expected text without spaces, got ${text === "" ? "nothing" : JSON.stringify(text.slice(0, 60))}`,
    );
  }
  switch (known) {
    case "wildcard":
      if (!isWildcardOfUrls(text)) {
        return refused(
          `wildcard: expected one that URLs can match, such as https://*.example.org/*.deb, got ${JSON.stringify(text)}`,
        );
      }
      return { ok: true, patterns: [{ kind: known, text }] };
    case "tag":
      return { ok: true, patterns: [{ kind: known, text }] };
    case "host": {
      const authority = parseAuthority(text.toLowerCase());
      if (authority === null)
        return refused(`host: expected a host such as mirror.example.org, got ${JSON.stringify(text)}`);
      return { ok: true, patterns: [{ kind: "host", text: text.toLowerCase() }] };
    }
    case "url":
    case "prefix":
      return urlPattern(known, text);
  }
}

function urlPattern(kind: "url" | "prefix", text: string): ReadPattern {
  const [, scheme = "", authority = "", path = "", query = ""] = URL_PARTS.exec(text) ?? [];
  const parsed = scheme === "" ? null : parseAuthority(authority.toLowerCase());
  const normal = path === "" ? "/" : normalisePath(path);
  if (parsed === null || normal === null) {
    return refused(`${kind}: expected a URL such as https://mirror.example.org/pool/, got ${JSON.stringify(text)}`);
  }
  const usual = scheme.toLowerCase() === "https" ? 443 : 80;
  const host = authority.toLowerCase().replace(new RegExp(`:${usual}$`), "");
  const texts = new Set([path, normal].map((one) => `${scheme.toLowerCase()}://${host}${one || "/"}${query}`));
  return { ok: true, patterns: [...texts].map((one) => ({ kind, text: one })) };
}

/** What stands before its first asterisk is the beginning of a URL. */
function isWildcardOfUrls(text: string): boolean {
  const star = text.indexOf("*");
  const head = star < 0 ? text : text.slice(0, star);
  return ["http://", "https://"].some((scheme) => head.startsWith(scheme) || (star >= 0 && scheme.startsWith(head)));
}

function refused(reason: string): ReadPattern {
  return { ok: false, reason };
}
