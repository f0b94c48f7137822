/**
 * What a request to kisscache's interface asks for, read from its path and query. The paths and the parameters are kisscache's
 * (`/api/v1/fetch`), and the form that has a whole URL, percent-encoded, for its path. Nothing is decided here about whether it may
 * be fetched.
 */
import { parametersOf } from "../../semantics/query.ts";

export type Wish =
  | { readonly kind: "download"; readonly download: Download }
  | { readonly kind: "health" | "status" | "help" | "unknown" }
  /** It means a download, and says it wrongly: a sentence. */
  | { readonly kind: "wrong"; readonly message: string };

export interface Download {
  /** http or https, as the URL standard writes it; without user and fragment. */
  readonly url: URL;
  /** How it is called for the client; "": nothing says it. */
  readonly name: string;
  /** What the request says itself; null: nothing. */
  readonly ttl: { readonly text: string; readonly seconds: number } | null;
  /** Lower case; null: it does not say it. */
  readonly passHeaders: readonly string[] | null;
  /** Whether the URL is the path. */
  readonly isEncodedPath: boolean;
}

const FETCH = /^\/api\/v1\/fetch(?:\/([^/]*))?$/;
const ENCODED_URL = /^\/(https?(?::|%3a)(?:\/|%2f){2}[^/]+)$/i;
const TTL = /^([0-9]{1,9})([dhms])$/;
const SECONDS = { d: 86_400, h: 3_600, m: 60, s: 1 } as const;

/** `path` is normalised; `query` stands behind the question mark, not decoded. */
export function wishOf(path: string, query: string | null): Wish {
  switch (path) {
    case "/":
    case "/help":
    case "/help/":
      return { kind: "help" };
    case "/api/v1/health":
    case "/api/v1/health/":
      return { kind: "health" };
    case "/api/v1/status":
    case "/api/v1/status/":
      return { kind: "status" };
  }
  const encoded = ENCODED_URL.exec(path)?.[1];
  if (encoded !== undefined) {
    // What stands behind the question mark was meant for the origin, and whoever forgot to encode it would get something else.
    if (query !== null) return wrong("the URL must be percent-encoded whole, its query too");
    return downloadOf(decoded(encoded), null, null, null, true);
  }
  const fetch = FETCH.exec(path);
  if (fetch === null) return { kind: "unknown" };
  const [url] = parametersOf(query, "url");
  if (url === undefined || url === "") return wrong("'url' should be specified");
  const [ttl = null] = parametersOf(query, "ttl");
  const [passHeaders = null] = parametersOf(query, "passheaders");
  return downloadOf(url, fetch[1] ?? null, ttl, passHeaders, false);
}

function downloadOf(
  text: string | null,
  encodedName: string | null,
  ttl: string | null,
  passHeaders: string | null,
  isEncodedPath: boolean,
): Wish {
  const url = text === null || !URL.canParse(text) ? null : new URL(text);
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:") || url.hostname === "") {
    return wrong("'url' is no URL of http or https");
  }
  // They would stand in logs and in lists of what is kept.
  if (url.username !== "" || url.password !== "") return wrong("'url' must not hold credentials: send them in a field");
  url.hash = "";
  const time = ttl === null ? null : TTL.exec(ttl);
  const seconds = time === null ? 0 : Number(time[1]) * SECONDS[time[2] as keyof typeof SECONDS];
  if (ttl !== null && (seconds <= 0 || !Number.isSafeInteger(seconds))) return wrong("Invalid 'ttl' value");
  const download: Download = {
    url,
    name: encodedName === null ? lastSegment(url) : (decoded(encodedName) ?? encodedName),
    ttl: ttl === null ? null : { text: ttl, seconds },
    passHeaders: passHeaders === null ? null : namesIn(passHeaders),
    isEncodedPath,
  };
  return { kind: "download", download };
}

function wrong(message: string): Wish {
  return { kind: "wrong", message };
}

function namesIn(list: string): readonly string[] {
  return list
    .split(",")
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== "");
}

function lastSegment({ pathname }: URL): string {
  const segment = pathname.slice(pathname.lastIndexOf("/") + 1);
  return decoded(segment) ?? segment;
}

/** null: it is no percent-encoding. A "+" is one, in a path. */
function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

/**
 * Where a client finds what a redirect leads to, relative to where it asked. To another origin nothing is passed that was meant for
 * the first one. null: it leads where nothing can be fetched from, or says it wrongly.
 */
export function redirected(download: Download, location: string): string | null {
  if (!URL.canParse(location, download.url)) return null;
  const target = new URL(location, download.url);
  if (target.protocol !== "http:" && target.protocol !== "https:") return null;
  // A user name in it would be refused behind it; the fragment is for the client alone, and it has none to open.
  if (target.username !== "" || target.password !== "") return null;
  target.hash = "";
  const isSameOrigin = target.origin === download.url.origin;
  const encoded = encodeURIComponent(target.href);
  if (download.isEncodedPath && isSameOrigin) return encoded;
  const parameters = [`url=${encoded}`];
  if (download.ttl !== null) parameters.push(`ttl=${download.ttl.text}`);
  if (!isSameOrigin) parameters.push("passheaders=");
  else if (download.passHeaders !== null) {
    parameters.push(`passheaders=${encodeURIComponent(download.passHeaders.join(","))}`);
  }
  // A reference of nothing but a query keeps the path, and with it the name that the client asked for.
  return `${download.isEncodedPath ? "api/v1/fetch" : ""}?${parameters.join("&")}`;
}
