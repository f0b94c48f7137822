/**
 * Options that say where: networks, hosts, servers, listening addresses, paths. Each gives one canonical form, so that what
 * is equal for the network is equal as text.
 */
import { judgeCidr } from "./cidr.ts";
import { resolveOptionPath } from "./option-files.ts";
import { textKind } from "./option-types.ts";

function cidrOf(text: string): string | null {
  const verdict = judgeCidr(text);
  return verdict.kind === "network" ? verdict.cidr : null;
}

/** A network or one address; gives the canonical form with its prefix: "127.0.0.1/32". */
export const cidr = textKind<string>({
  id: "cidr",
  expected: "a network such as 10.0.0.0/8 or an address",
  description: "A network such as `10.0.0.0/8` or `fd00::/8`, or one address. Bits beyond the prefix must be zero.",
  parse: cidrOf,
  suggest: (text) => {
    const verdict = judgeCidr(text.trim().replace(/^\[(.*)\]/, "$1"));
    if (verdict.kind === "invalid") return null;
    return verdict.kind === "network" ? verdict.cidr : verdict.meant;
  },
});

/**
 * A host name or IP address in the form in which requests name it: lower case, IDNA as ASCII, IPv6 in brackets; null when
 * it is none. Short and octal forms of IPv4 are refused: two programs could read two addresses in them.
 */
export function canonicalHost(text: string): string | null {
  if (!/^(\[[0-9a-f:.]+\]|[^\s/?#@:\\%[\]*]+)$/i.test(text)) return null;
  const host = URL.parse(`http://${text}/`)?.hostname ?? null;
  if (host === null || host === "" || /[^a-z0-9._:[\]-]/.test(host) || host.length > 253) return null;
  // No request names a host that lacks a label at its beginning or in its midst.
  if (/^\.|\.\./.test(host)) return null;
  return /^[\d.]+$/.test(host) && host !== text ? null : host;
}

/** The host of what was probably meant: without scheme, port and path. */
function suggestHost(text: string): string | null {
  const bare = text.replace(/^[a-z]+:\/\//i, "").replace(/(:\d+)?(\/.*)?$/, "");
  return bare !== text ? canonicalHost(bare) : null;
}

/** A host name or an IP address, without a port; gives it in lower case and as ASCII. */
export const hostName = textKind<string>({
  id: "hostName",
  expected: "a host name without scheme and port",
  description: "A host name or an IP address (IPv6 in brackets), without scheme and port.",
  parse: canonicalHost,
  suggest: suggestHost,
});

/** A host as routes match it: exact, or `*.example.org` for all names below. Lower case, ASCII, without a dot at the end. */
export const hostPattern = textKind<string>({
  id: "hostPattern",
  expected: "a host such as app.example.org or *.example.org, without port",
  description: "A host name, or `*.example.org` for every name below `example.org`, at any depth. Without a port.",
  parse: (text) => {
    const bare = text.replace(/\.$/, "");
    if (!text.startsWith("*.")) return canonicalHost(bare);
    const suffix = canonicalHost(bare.slice(2));
    return suffix === null || suffix.startsWith("[") ? null : `*.${suffix}`;
  },
  // In nginx and Squid it is both.
  explain: (text) => {
    const name = /^\.([^.*].*)$/.exec(text)?.[1];
    return name === undefined || canonicalHost(name) === null
      ? null
      : `a host begins with no dot: write ${name}, "*.${name}", or both in a list`;
  },
  suggest: suggestHost,
});

/**
 * A host with or without a port, as the Host field carries it. A bare word is refused, since it is more often a misspelled
 * keyword than a host; with its port it is taken.
 */
export const authority = textKind<string>({
  id: "authority",
  expected: "preserve, upstream, or a host (a name without a dot with its port, as in app:80)",
  description: "A host, with a port when it is not the scheme's own; a name without a dot always with its port.",
  parse: (text) => {
    const match = /^(.*?)(?::(\d{1,5}))?$/s.exec(text);
    const host = canonicalHost(match?.[1] ?? "");
    const port = match?.[2];
    if (host === null || Number(port ?? 0) > 65_535) return null;
    if (port === undefined && host !== "localhost" && !/[.:]/.test(host)) return null;
    return port === undefined ? host : `${host}:${Number(port)}`;
  },
});

/** Where a server of an upstream is. */
export interface ServerAddress {
  /** Canonical: "http://127.0.0.1:3000", "https://app.internal", "unix:/run/app.sock". */
  readonly url: string;
  readonly scheme: "http" | "https";
  /** A name or an address without brackets; the path of a unix socket. */
  readonly host: string;
  /** 0 for a unix socket. */
  readonly port: number;
  /** The Host of requests when the server's own is asked for; "localhost" for a unix socket. */
  readonly authority: string;
}

function parseServerUrl(text: string): ServerAddress | null {
  if (/^unix:./.test(text) && !text.includes("\0")) {
    const path = resolveOptionPath(text.slice("unix:".length));
    return { url: `unix:${path}`, scheme: "http", host: path, port: 0, authority: "localhost" };
  }
  const match = /^(https?):\/\/([^/?#]*)\/?$/i.exec(text);
  const url = match === null ? null : URL.parse(text);
  if (url === null || url.username !== "" || url.password !== "") return null;
  if (canonicalHost((match?.[2] ?? "").replace(/:\d*$/, "")) === null) return null;
  const scheme = url.protocol === "https:" ? "https" : "http";
  const port = url.port === "" ? (scheme === "https" ? 443 : 80) : Number(url.port);
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  return port === 0 ? null : { url: url.origin, scheme, host, port, authority: url.host };
}

/** What else is wrong with a server's URL, where the plain message would not help. */
function explainServerUrl(text: string): string | null {
  const socket = /^https?:\/\/unix:(\/[^:]+)/i.exec(text)?.[1];
  if (socket !== undefined) return `a unix socket is written unix:${socket}`;
  if (/^wss?:\/\//i.test(text))
    return "a server's URL begins with http:// or https://: upgrades to WebSocket pass on it";
  const url = /^https?:\/\//i.test(text) ? URL.parse(text) : null;
  if (url === null) {
    const port = /:(\d+)\/?$/.exec(text)?.[1];
    return port !== undefined && Number(port) > 65_535 ? `the port is ${port}, the highest one is 65535` : null;
  }
  if (url.username !== "" || url.password !== "") {
    return "a server's URL carries no credentials: set the authorization field with the feature `headers`";
  }
  if (url.port === "0") return "the port is 0, which no server listens on";
  if (url.pathname !== "/" || url.search !== "" || url.hash !== "") {
    return `a server's URL ends after the host and port: change the path with the feature \`rewrite\`, and write ${url.origin}`;
  }
  return null;
}

/** A server of an upstream: scheme, host and port, or a unix socket. */
export const serverUrl = textKind<ServerAddress>({
  id: "serverUrl",
  expected: "a URL such as http://127.0.0.1:3000",
  description: "Scheme, host and port such as `http://127.0.0.1:3000`, without path; or `unix:/run/app.sock`.",
  parse: parseServerUrl,
  explain: explainServerUrl,
  suggest: (text) => {
    if (/^wss?:\/\//i.test(text)) return text.replace(/^ws/i, "http");
    return /^[a-z0-9.-]+:\d{1,5}\/?$/i.test(text) && parseServerUrl(`http://${text}`) !== null
      ? `http://${text}`
      : null;
  },
});

/** A document that a service answers with: at a server of its own, or at an upstream of the configuration. */
export interface ServiceAddress {
  readonly at: { readonly server: ServerAddress } | { readonly name: string };
  /** Path and query. */
  readonly target: string;
}

function parseServiceAddress(text: string): ServiceAddress | null {
  const match = /^((?:https?:\/\/)?[^/?#]+)((?:[/?][^#]*)?)$/i.exec(text);
  if (match === null || /[^\x21-\x7e]/.test(text)) return null;
  const [, where = "", rest = ""] = match;
  const target = rest.startsWith("/") ? rest : `/${rest}`;
  if (/["<>\\^`{|}]/.test(target)) return null;
  if (!where.includes("://")) return /[:@]/.test(where) ? null : { at: { name: where }, target };
  const server = parseServerUrl(where);
  return server === null ? null : { at: { server }, target };
}

/** A URL with its path and query, or the name of an upstream with them. */
export const serviceAddress = textKind<ServiceAddress>({
  id: "serviceAddress",
  expected: "a URL such as http://127.0.0.1:4181/verify, or an upstream and a path such as auth/verify",
  description:
    "A URL with its path and query, such as `http://127.0.0.1:4181/verify`; or the name of an upstream in place of scheme and host: `auth/verify`.",
  parse: parseServiceAddress,
  explain: (text) => {
    if (text.startsWith("unix:"))
      return "a unix socket is named by an upstream: servers: [unix:/run/auth.sock], then NAME/path";
    const origin = /^https?:\/\/[^/?#]+/i.exec(text)?.[0];
    return origin === undefined ? null : explainServerUrl(origin);
  },
  suggest: (text) =>
    /^[a-z0-9.-]+:\d{1,5}(\/|$)/i.test(text) && parseServiceAddress(`http://${text}`) ? `http://${text}` : null,
});

/** Where to listen. */
export type ListenAddress =
  | {
      readonly kind: "tcp" /** null: every address of both families. */;
      readonly host: string | null;
      readonly port: number;
    }
  | { readonly kind: "unix"; readonly path: string };

function parseListenAddress(text: string): ListenAddress | null {
  if (/^unix:./.test(text) && !text.includes("\0")) {
    return { kind: "unix", path: resolveOptionPath(text.slice("unix:".length)) };
  }
  const match = /^(.*):(\d{1,5})$/s.exec(text);
  const port = Number(match?.[2]);
  if (match === null || port > 65_535) return null;
  if (match[1] === "") return { kind: "tcp", host: null, port };
  const host = canonicalHost(match[1] ?? "");
  return host === null ? null : { kind: "tcp", host: host.replace(/^\[(.*)\]$/, "$1"), port };
}

/** The text of an address, from which it parses again. */
export function formatListenAddress(address: ListenAddress): string {
  if (address.kind === "unix") return `unix:${address.path}`;
  if (address.host === null) return `:${address.port}`;
  return `${address.host.includes(":") ? `[${address.host}]` : address.host}:${address.port}`;
}

/**
 * Whether no two sockets can listen there, or, where systems let them, nobody would know which one a client meets. What a name stands
 * for is not known here: it is among all addresses, and otherwise itself alone.
 */
export function doOverlap(one: ListenAddress, other: ListenAddress): boolean {
  if (one.kind === "unix" || other.kind === "unix") return formatListenAddress(one) === formatListenAddress(other);
  if (one.port !== other.port) return false;
  return one.host === other.host || isAmong(one.host, other.host) || isAmong(other.host, one.host);
}

function isAmong(host: string | null, all: string | null): boolean {
  if (host === null || all === null) return all === null;
  if (all === "0.0.0.0") return /^[\d.]+$/.test(host);
  return all === "::" && host.includes(":");
}

/** `:8080` for both families, `127.0.0.1:8080`, `[::1]:8080`, `unix:/run/headgate.sock`. Port 0 lets the system choose. */
export const listenAddress = textKind<ListenAddress>({
  id: "listenAddress",
  expected: "an address such as :8080, 127.0.0.1:8080 or unix:/run/web.sock",
  description:
    "`:8080` (every address, both families), `127.0.0.1:8080`, `[::1]:8080`, or `unix:/run/web.sock`. `0.0.0.0:8080` is every address of IPv4, `[::]:8080` every one of IPv6, without those of IPv4. Port 0 lets the system choose one.",
  parse: parseListenAddress,
  explain: (text) => {
    const port = /:(\d+)$/.exec(text)?.[1];
    return port !== undefined && Number(port) > 65_535 ? `the port is ${port}, the highest one is 65535` : null;
  },
  suggest: (text) => {
    if (/^\d{1,5}$/.test(text)) return `:${text}`;
    const suggestion = text
      .replace(/^https?:\/\//i, "")
      .replace(/\/+$/, "")
      .replace(/^\*:/, ":")
      .replace(/^([0-9a-f]*:[0-9a-f:]*):(\d{1,5})$/i, "[$1]:$2");
    return suggestion !== text && parseListenAddress(suggestion) !== null ? suggestion : null;
  },
});

const UNRESERVED = /^[A-Za-z0-9._~-]$/;

/**
 * A path of the configuration in the form in which requests' paths are compared: unreserved characters decoded, what is
 * not visible ASCII percent-encoded, hexadecimal digits in upper case (RFC 3986, section 6.2.2).
 * null: it does not begin with "/", or has dot segments, empty segments, a query, a backslash or a broken percent-encoding,
 * and so could never equal the path of a request.
 */
export function normalisedPath(text: string): string | null {
  if (!text.startsWith("/") || /[?#\\\0]|%00|%(?![0-9A-Fa-f]{2})|\/\/|\/\.{1,2}(\/|$)/.test(text)) return null;
  if (!text.isWellFormed()) return null;
  const decoded = text.replace(/%[0-9A-Fa-f]{2}/g, (encoded) => {
    const character = String.fromCharCode(Number.parseInt(encoded.slice(1), 16));
    return UNRESERVED.test(character) ? character : encoded.toUpperCase();
  });
  if (/\/\.{1,2}(\/|$)/.test(decoded)) return null;
  return decoded.replace(/[^\x21-\x7e]/gu, (character) => encodeURIComponent(character));
}

/** The beginning of paths: "/app". Gives it normalised, without a slash at the end. */
export const pathPrefix = textKind<string>({
  id: "pathPrefix",
  expected: "a path such as /app",
  description: "The beginning of a path, such as `/app`: it begins with `/` and does not end with one.",
  parse: (text) => {
    const path = normalisedPath(text);
    return path === null || path.endsWith("/") || path.includes("*") ? null : path;
  },
  suggest: (text) => {
    const path = `/${text.replace(/^\/+|(\/\*?)+$/g, "")}`;
    return path !== "/" && path !== text && normalisedPath(path) !== null ? path : null;
  },
});

/** A path as routes match it: `/up` exactly, `/jmap/*` for `/jmap` and all below it, `/*` for all. Normalised. */
export const pathPattern = textKind<string>({
  id: "pathPattern",
  expected: "a path such as /up or /jmap/*",
  description: "`/up` is that path alone; `/jmap/*` is `/jmap`, `/jmap/` and all below; `/*` is every path.",
  parse: (text) => {
    const path = normalisedPath(text.replace(/\/\*$/, "/"));
    return path === null || path.includes("*") ? null : text.endsWith("/*") ? `${path}*` : path;
  },
  explain: (text) => {
    if (text.slice(0, -1).includes("*")) return "a path has its only `*` at the end";
    return text.startsWith("/") && text.endsWith("*") && !text.endsWith("/*")
      ? `\`*\` stands behind a slash, as in ${text.slice(0, -1)}/*`
      : null;
  },
  suggest: (text) =>
    text !== "" && !/^[/*^]|\s/.test(text) && normalisedPath(`/${text}`) !== null ? `/${text}` : null,
});
