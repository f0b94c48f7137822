/**
 * What a route asks of a request, as data and as conditions. Keys are ANDed, the items of a list are ORed. It decides
 * one match on its own; which of many routes is taken is decided by router.ts.
 */
import type { RequestMessage } from "../../core/message.ts";
import { CidrSet } from "../../semantics/cidr.ts";
import { cookieValues } from "../../semantics/cookies.ts";
import type { Exchange } from "../exchange.ts";
import { queryHas } from "./query.ts";

/** The keys of a match; null: not asked. The configuration gives it in this very shape. */
export interface RouteMatch {
  /** "app.example.org", or "*.example.org" for every name below; lower case, ASCII, without port. */
  readonly host: readonly string[] | null;
  /** Normalised: "/up", or "/jmap/*" for "/jmap", "/jmap/" and all below. */
  readonly path: readonly string[] | null;
  /** Compiled with the flag "u"; searched in the normalised path. */
  readonly pathRegex: readonly string[] | null;
  readonly method: readonly string[] | null;
  /** Each must hold. Names in lower case; a value is compared with the whole field. */
  readonly header: readonly NamedValues[] | null;
  /** Each must hold, for one cookie of that name at least. */
  readonly cookie: readonly NamedValues[] | null;
  /** Each must hold, for one parameter of that name at least; both are compared decoded. */
  readonly query: readonly NamedValues[] | null;
  /** Networks, one of which the client's address is in. */
  readonly client: readonly string[] | null;
  /** Whether the request asks for an upgrade to WebSocket. */
  readonly websocket: boolean | null;
  readonly scheme: "http" | "https" | null;
}

/** One of these values; `values: null` is any. */
export interface NamedValues {
  readonly name: string;
  readonly values: readonly string[] | null;
}

export type MatchKey = keyof RouteMatch;

/** What is matched: an exchange, or what `explain` makes up in its place. */
export type RoutedRequest = Pick<Exchange, "request" | "clientAddress">;

/** One key of one match. */
export interface Condition {
  readonly key: MatchKey;
  holds(subject: RoutedRequest): boolean;
}

/** The conditions of all keys that are asked, the cheapest first. @throws RangeError, SyntaxError on invalid data. */
export function compileMatch(match: RouteMatch): Condition[] {
  return [...hostAndPathConditions(match), ...otherConditions(match)];
}

/** The keys that a router finds by its index. */
function hostAndPathConditions({ host, path }: RouteMatch): Condition[] {
  const conditions: Condition[] = [];
  if (host !== null) {
    conditions.push({ key: "host", holds: ({ request }) => host.some((pattern) => hostMatches(pattern, request)) });
  }
  if (path !== null) {
    conditions.push({
      key: "path",
      holds: ({ request }) => path.some((pattern) => pathMatches(pattern, request.path)),
    });
  }
  return conditions;
}

/** The conditions of all other keys. */
export function otherConditions(match: RouteMatch): Condition[] {
  const { method, scheme, websocket, client, header, cookie, query, pathRegex } = match;
  const conditions: Condition[] = [];
  if (method !== null) conditions.push({ key: "method", holds: ({ request }) => method.includes(request.method) });
  if (scheme !== null) conditions.push({ key: "scheme", holds: ({ request }) => request.scheme === scheme });
  if (websocket !== null) {
    conditions.push({ key: "websocket", holds: ({ request }) => asksForWebSocket(request) === websocket });
  }
  if (client !== null) {
    const networks = CidrSet.parse(client);
    conditions.push({ key: "client", holds: ({ clientAddress }) => networks.has(clientAddress) });
  }
  for (const { name, values } of header ?? []) {
    conditions.push({ key: "header", holds: ({ request }) => fieldMatches(request, name, values) });
  }
  for (const { name, values } of cookie ?? []) {
    conditions.push({ key: "cookie", holds: ({ request }) => cookieMatches(request, name, values) });
  }
  for (const { name, values } of query ?? []) {
    conditions.push({ key: "query", holds: ({ request }) => queryHas(request.query, name, values) });
  }
  if (pathRegex !== null) {
    const patterns = pathRegex.map((pattern) => new RegExp(pattern, "u"));
    conditions.push({ key: "pathRegex", holds: ({ request }) => patterns.some((regex) => regex.test(request.path)) });
  }
  return conditions;
}

/** The host that routes know: without port and without the dot of a fully qualified name. */
export function routedHost(request: RequestMessage): string {
  const { host } = request;
  return host.endsWith(".") ? host.slice(0, -1) : host;
}

function hostMatches(pattern: string, request: RequestMessage): boolean {
  const host = routedHost(request);
  return pattern.startsWith("*.") ? host.endsWith(pattern.slice(1)) : host === pattern;
}

function pathMatches(pattern: string, path: string): boolean {
  if (!pattern.endsWith("/*")) return path === pattern;
  return path === pattern.slice(0, -2) || path.startsWith(pattern.slice(0, -1));
}

function fieldMatches(request: RequestMessage, name: string, values: readonly string[] | null): boolean {
  if (values === null) return request.fields.has(name);
  const value = request.fields.get(name);
  return value !== null && values.includes(value);
}

function cookieMatches(request: RequestMessage, name: string, values: readonly string[] | null): boolean {
  const found = cookieValues(request.fields, name);
  return found !== null && (values === null || found.split(";").some((value) => values.includes(value)));
}

/** RFC 6455 section 4.2.1; the driver has looked at Connection and Upgrade. */
function asksForWebSocket(request: RequestMessage): boolean {
  return request.upgrade === "websocket" && request.method === "GET";
}
