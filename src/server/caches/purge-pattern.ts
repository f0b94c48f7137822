/**
 * What an operator writes, in the form in which keys are written: scheme and host in lower case and in ASCII, without a port that goes
 * without saying; what is not ASCII in a path as UTF-8, percent-encoded. Routes keep paths as they are normalised, a forward proxy as
 * clients write them: where the two differ, both are meant. What could never match anything is refused, so that a slip of the keyboard
 * does not look like a purge that found nothing.
 */
import { domainToASCII } from "node:url";
import type { PurgePattern } from "../../caching/cache.ts";
import { canonicalAddress } from "../../semantics/cidr.ts";
import { normalisePath, parseAuthority } from "../../semantics/uri.ts";

const KINDS = ["url", "prefix", "host", "wildcard", "tag"] as const satisfies readonly PurgePattern["kind"][];

const URL_PARTS = /^(https?):\/\/([^/?#]*)([^?#]*)(\?[^#]*)?(#.*)?$/i;
/** Up to `://`, up to the first slash, up to the query. */
const WILDCARD_PARTS = /^((?:[a-z*]*:\/\/)?)([^/?]*)([^?]*)(.*)$/is;
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
      return wildcardPattern(text);
    case "tag":
      return { ok: true, patterns: [{ kind: known, text }] };
    case "host":
      return hostPattern(text);
    case "url":
    case "prefix":
      return urlPattern(known, text);
  }
}

function hostPattern(text: string): ReadPattern {
  const host = asciiHost(canonicalAddress(text)?.includes(":") === true ? `[${text}]` : text);
  const authority = parseAuthority(host);
  if (authority === null) {
    const advice = text.includes("*") ? WILDCARD_ADVICE : "";
    return refused(`host: expected a host such as mirror.example.org, got ${shown(text)}${advice}`);
  }
  const patterns: PurgePattern[] = [{ kind: "host", text: host }];
  // Keys do not have the port that goes without saying.
  const scheme = authority.port === 443 ? "https" : authority.port === 80 ? "http" : null;
  if (scheme !== null) patterns.push({ kind: "prefix", text: `${scheme}://${authority.host}/` });
  return { ok: true, patterns };
}

function urlPattern(kind: "url" | "prefix", text: string): ReadPattern {
  const [, scheme = "", authority = "", path = "", query = ""] = URL_PARTS.exec(text) ?? [];
  const host = hostInKeys(scheme, authority);
  const written = asciiText(path);
  const normal = path === "" ? "/" : normalisePath(written);
  const isUrl = scheme !== "" && parseAuthority(host) !== null && normal !== null;
  if (!isUrl || text.endsWith("*")) {
    const advice = text.includes("*")
      ? WILDCARD_ADVICE
      : scheme === "" && isUrlWithoutScheme(text)
        ? "; it begins with https:// or http://"
        : "";
    return refused(`${kind}: expected a URL such as https://mirror.example.org/pool/, got ${shown(text)}${advice}`);
  }
  const texts = new Set(
    [written, normal].map((one) => `${scheme.toLowerCase()}://${host}${one || "/"}${asciiText(query)}`),
  );
  return { ok: true, patterns: [...texts].map((one) => ({ kind, text: one })) };
}

/**
 * Before the first asterisk a host is known for one; behind it, up to the first slash, there may be the end of a host or a piece of a
 * path: as it is written, and as a host is written, are both meant.
 */
function wildcardPattern(text: string): ReadPattern {
  const [, prefix = "", authority = "", path = "", query = ""] = WILDCARD_PARTS.exec(text)!;
  const scheme = prefix.toLowerCase();
  if (!isWildcardOfUrls(scheme + authority + path)) {
    return refused(
      `wildcard: expected one that URLs can match, such as https://*.example.org/*.deb, got ${shown(text)}`,
    );
  }
  const star = authority.indexOf("*");
  const known = asciiHost(star < 0 ? authority : authority.slice(0, star));
  const hosts = [
    known + (star < 0 ? "" : asciiText(authority.slice(star))),
    hostInKeys(scheme.slice(0, -3), authority),
  ];
  const written = asciiText(path);
  const paths = [written, normalisePath(written) ?? written];
  const rest = asciiText(query);
  const texts = new Set(hosts.flatMap((host) => paths.map((one) => scheme + host + one + rest)));
  return { ok: true, patterns: [...texts].map((one) => ({ kind: "wildcard", text: one })) };
}

/** What stands before its first asterisk is the beginning of a URL. */
function isWildcardOfUrls(text: string): boolean {
  const star = text.indexOf("*");
  const head = star < 0 ? text : text.slice(0, star);
  return ["http://", "https://"].some((scheme) => head.startsWith(scheme) || (star >= 0 && scheme.startsWith(head)));
}

function isUrlWithoutScheme(text: string): boolean {
  return parseAuthority(asciiHost(text.replace(/[/?#].*$/s, ""))) !== null;
}

/** An authority as keys have it. */
function hostInKeys(scheme: string, authority: string): string {
  const host = asciiHost(authority);
  const port = scheme.toLowerCase() === "https" ? ":443" : scheme.toLowerCase() === "http" ? ":80" : null;
  return port !== null && host.endsWith(port) ? host.slice(0, -port.length) : host;
}

/** In lower case, each label as DNS has it; what is no label stays, and is found to be wrong by who looks at it. */
function asciiHost(text: string): string {
  return text.toLowerCase().replace(/[^.:*[\]]+/g, (label) => {
    return /[^\x00-\x7f]/.test(label) ? domainToASCII(label) || label : label;
  });
}

function asciiText(text: string): string {
  return text.toWellFormed().replace(/[^\x00-\x7f]+/g, encodeURIComponent);
}

/** What was written, for an error's message: without a password. */
function shown(text: string): string {
  const url = text.replace(/^((?:[a-z]+:\/\/)?)[^/?#]*@/i, "$1...@");
  return JSON.stringify(url.length > 200 ? `${url.slice(0, 200)}...` : url);
}

const WILDCARD_ADVICE = "; for what has a * in it there is --wildcard 'https://*.example.org/pool/*'";

function refused(reason: string): ReadPattern {
  return { ok: false, reason };
}
