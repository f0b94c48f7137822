/**
 * What tells answers apart, as text: scheme, authority, path and query in the first line, which is a URL; what else counts in lines
 * behind it. Two requests have the same key only if one may get the other's answer:
 *
 * - Scheme and authority are always there (CVE-2026-2836): on routes those under which the browser asked, in `forward` those of the
 *   destination.
 * - What the upstream is told of the client's own URL by a trusted proxy in front (X-Forwarded-Host and its like) is there when it
 *   says something else: applications make links and redirects of it.
 * - In `forward`, to which addresses the rules let the request go is there unless it is to all that are public: what is found in the
 *   cache is connected to nowhere, and a name may lead to an address that is refused to others.
 * - The scope tells apart what one URL leads to on different routes.
 *
 * No part can pass for another one: none has a line break in it, and each line begins with what it is and says whether there is a
 * value. Nothing is decoded: two spellings of one URL may be kept twice, but two URLs never once.
 */
import {
  FIELD_FORWARDED,
  FIELD_X_FORWARDED_HOST,
  FIELD_X_FORWARDED_PORT,
  FIELD_X_FORWARDED_PREFIX,
  FIELD_X_FORWARDED_PROTO,
} from "../../core/field-names.ts";
import { type FieldBlock, ROW, ROW_VALUE, ROW_VALUE_END } from "../../core/fields.ts";
import type { RequestMessage } from "../../core/message.ts";
import type { Exchange, Identity } from "../../pipeline/exchange.ts";
import type { Destination } from "../../pipeline/forwarding.ts";
import { cookieValues } from "../../semantics/cookies.ts";
import { decodeFormText } from "../../semantics/query.ts";
import { normalisePath } from "../../semantics/uri.ts";
import type { CacheOptions, QueryKey } from "./options.ts";

/** A key longer than this is not kept: the longest URL that is served is shorter, what makes it longer are cookies and fields. */
export const KEY_LENGTH_MAX = 32 * 1024;

export class CacheKeys {
  readonly #query: QueryNames | null;
  readonly #hasNoQuery: boolean;
  readonly #headers: readonly string[];
  readonly #cookies: readonly string[];
  readonly #hasIdentity: boolean;
  /** Its line; "" without one. */
  readonly #scope: string;
  /** Nothing but the URL counts. */
  readonly #isPlain: boolean;

  // The last destination of `forward` and what its keys begin with: requests of one connection have the same object.
  #destination: Destination | null = null;
  #destinationOrigin = "";
  // The same for the last authority of a route: one site has most of a thread's requests.
  #authority = "";
  #scheme: "http" | "https" = "http";
  #origin: string | null = null;

  /** `scope`: equal texts where equal URLs lead to equal answers. */
  constructor({ query, headers, cookies, identity }: CacheOptions["key"], scope: string) {
    if (scope.includes("\n")) throw new TypeError("a scope has no line break");
    this.#hasNoQuery = query.kind === "none";
    this.#query = query.kind === "none" || (query.kind === "all" && !query.isSorted) ? null : new QueryNames(query);
    this.#headers = headers;
    this.#cookies = cookies;
    this.#hasIdentity = identity;
    this.#scope = scope === "" ? "" : `\n#${scope}`;
    this.#isPlain = headers.length === 0 && cookies.length === 0 && !identity;
  }

  /** null: the request names no host, or its key would be too long. */
  of(exchange: Exchange): string | null {
    const { request, forward } = exchange;
    const scheme = forward === null ? toldScheme(request) : null;
    const origin =
      forward === null ? this.#routedOrigin(request, scheme ?? request.scheme) : this.#originOf(forward.destination);
    if (origin === null) return null;
    let key = origin + this.#targetOf(request) + this.#scope;
    if (forward === null) {
      const front = frontOf(request, scheme === null);
      if (front !== "") key += front;
    } else {
      const reach = forward.access?.reach ?? "";
      if (reach !== "") key += `\n>${reach}`;
    }
    if (!this.#isPlain) key += this.#linesOf(exchange);
    return key.length <= KEY_LENGTH_MAX ? key : null;
  }

  /**
   * The key under which another URL stands, for a request that has this key but for its URL; null: no request can have it. For what
   * a request that changes things names in Location and Content-Location. `isRouted`: the paths of requests are normalised.
   */
  ofUrl(key: string, url: string, isRouted: boolean): string | null {
    const { origin, pathname, search } = new URL(url);
    const path = isRouted ? normalisePath(pathname) : pathname;
    if (path === null) return null;
    const other = origin + this.#target(path, search === "" ? null : search.slice(1));
    return other + key.slice(urlOf(key).length);
  }

  #targetOf(request: RequestMessage): string {
    if (this.#hasNoQuery) return request.path;
    if (this.#query === null) return request.target;
    return this.#target(request.path, request.query);
  }

  #target(path: string, query: string | null): string {
    if (this.#hasNoQuery || query === null) return path;
    const kept = this.#query === null ? query : this.#query.of(query);
    // A bare "?" means something to some servers; where parameters are chosen, none of them is none.
    return kept === "" && this.#query !== null ? path : `${path}?${kept}`;
  }

  #routedOrigin({ authority }: RequestMessage, scheme: "http" | "https"): string | null {
    if (authority !== this.#authority || scheme !== this.#scheme) {
      this.#authority = authority;
      this.#scheme = scheme;
      this.#origin = authority === "" ? null : `${scheme}://${withoutDefaultPort(authority, scheme)}`;
    }
    return this.#origin;
  }

  #originOf(destination: Destination): string | null {
    if (destination === this.#destination) return this.#destinationOrigin;
    const { kind, host, port } = destination;
    if (kind === "tunnel" || host === "") return null;
    const name = host.includes(":") ? `[${host}]` : host;
    const origin = `${kind}://${name}${port === DEFAULT_PORTS[kind] ? "" : `:${port}`}`;
    this.#destination = destination;
    this.#destinationOrigin = origin;
    return origin;
  }

  #linesOf({ request, identity }: Exchange): string {
    let lines = "";
    for (const name of this.#headers) {
      const values = request.fields.getAll(name);
      // Some servers read the first line alone: two lines are not one with a comma in it.
      lines += values.length === 0 ? `\nh ${name}` : `\nh ${name}:${values.join("\n ")}`;
    }
    for (const name of this.#cookies) {
      const values = cookieValues(request.fields, name);
      lines += values === null ? `\nc ${name}` : `\nc ${name}=${values}`;
    }
    if (this.#hasIdentity) {
      // A subject is whatever the feature that proved it says: encoded, it has no line break.
      if (identity === null) lines += "\n@";
      for (let one: Identity | undefined = identity ?? undefined; one !== undefined; one = one.besides) {
        lines += `\n@${one.by} ${encoded(one.subject)}${one.qualifier === undefined ? "" : ` ${encoded(one.qualifier)}`}`;
      }
    }
    return lines;
  }
}

function encoded(text: string): string {
  return encodeURIComponent(text.toWellFormed());
}

/** The part of a key that is a URL. */
export function urlOf(key: string): string {
  const end = key.indexOf("\n");
  return end < 0 ? key : key.slice(0, end);
}

/** The part of it that says whose URL it is: as the origin is to be asked, however the client has spelled it. */
export function authorityOf(key: string): string {
  const start = key.indexOf("//") + 2;
  return key.slice(start, key.indexOf("/", start));
}

const DEFAULT_PORTS = { http: 80, https: 443 } as const;

/**
 * Of a route: the scheme that the browser has used, also where a trusted proxy in front ends TLS, so that operators name the URL as they
 * know it. null: what is said of it is something else.
 */
function toldScheme({ fields, scheme }: RequestMessage): "http" | "https" | null {
  const row = fields.rowOfId(FIELD_X_FORWARDED_PROTO);
  if (row < 0 || isSameText(fields, row, scheme)) return scheme;
  const other = scheme === "http" ? "https" : "http";
  return isSameText(fields, row, other) ? other : null;
}

function withoutDefaultPort(authority: string, scheme: "http" | "https"): string {
  // Most names do not end in a digit that these ports end in.
  const last = authority.charCodeAt(authority.length - 1);
  if (scheme === "http" ? last !== ZERO : last !== THREE) return last === COLON ? authority.slice(0, -1) : authority;
  const port = scheme === "http" ? ":80" : ":443";
  return authority.endsWith(port) ? authority.slice(0, -port.length) : authority;
}

const ZERO = 0x30;
const THREE = 0x33;
const COLON = 0x3a;

/**
 * What the forwarding fields say of the URL under which the client asked, where that is not what we know ourselves: a trusted proxy
 * has said it, or a feature in front of the cache. "": nothing. `hasScheme`: what they say of the scheme, too.
 */
function frontOf(request: RequestMessage, hasScheme: boolean): string {
  const { fields } = request;
  let front = hasScheme ? `\n<proto:${fields.get("x-forwarded-proto")}` : "";
  const host = fields.rowOfId(FIELD_X_FORWARDED_HOST);
  if (host >= 0 && !isSameText(fields, host, request.authority)) front += `\n<host:${fields.get("x-forwarded-host")}`;
  if (fields.rowOfId(FIELD_X_FORWARDED_PREFIX) >= 0) front += `\n<prefix:${fields.get("x-forwarded-prefix")}`;
  if (fields.rowOfId(FIELD_X_FORWARDED_PORT) >= 0) front += `\n<port:${fields.get("x-forwarded-port")}`;
  if (fields.rowOfId(FIELD_FORWARDED) >= 0) front += forwardedHosts(fields.get("forwarded") ?? "");
  return front;
}

/** Of Forwarded (RFC 7239) what is about the URL; who the client is differs with every one. */
function forwardedHosts(value: string): string {
  const parts = value.match(/(?:^|[;,]\s*)(?:host|proto)=(?:"(?:[^"\\]|\\.)*"|[^;,]*)/gi);
  return parts === null ? "" : `\n<forwarded:${parts.map((part) => part.replace(/^[;,]\s*/, "")).join(";")}`;
}

/** Whether this row, and no other of its name, says exactly this. */
function isSameText(fields: FieldBlock, row: number, text: string): boolean {
  const { bytes, table } = fields;
  const at = row * ROW;
  const start = table[at + ROW_VALUE]!;
  if (table[at + ROW_VALUE_END]! - start !== text.length) return false;
  for (let i = 0; i < text.length; i++) if (bytes[start + i] !== text.charCodeAt(i)) return false;
  return fields.rowOfId(table[at]!, row + 1) < 0;
}

/** Which parameters count, and in which order. */
class QueryNames {
  readonly #isIncluding: boolean;
  readonly #names: ReadonlySet<string>;
  readonly #prefixes: readonly string[];
  readonly #isSorted: boolean;

  constructor({ kind, names, isSorted }: QueryKey) {
    this.#isIncluding = kind === "include";
    this.#names = new Set(names.filter((name) => !name.endsWith("*")));
    this.#prefixes = names.filter((name) => name.endsWith("*")).map((name) => name.slice(0, -1));
    this.#isSorted = isSorted;
  }

  /** What is left of a query; each pair byte for byte. */
  of(query: string): string {
    const pairs = query.split("&").filter((pair) => this.#counts(pair));
    if (!this.#isSorted) return pairs.join("&");
    // Those of one name stay in their order, which servers see.
    const named = pairs.map((pair) => ({ pair, name: nameOf(pair) }));
    named.sort((one, other) => (one.name < other.name ? -1 : one.name > other.name ? 1 : 0));
    return named.map(({ pair }) => pair).join("&");
  }

  #counts(pair: string): boolean {
    // Some servers read ";" as "&": behind a parameter that does not count, one could hide that does.
    if (pair.includes(";")) return true;
    const name = nameOf(pair);
    const isNamed = this.#names.has(name) || this.#prefixes.some((prefix) => name.startsWith(prefix));
    return isNamed === this.#isIncluding;
  }
}

function nameOf(pair: string): string {
  const equals = pair.indexOf("=");
  return decodeFormText(equals < 0 ? pair : pair.slice(0, equals));
}
