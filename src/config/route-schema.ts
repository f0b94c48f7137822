/**
 * The blocks of a route: what it matches, which features it uses, how it ends. That a route ends in exactly one way, and
 * that what it names exists, is checked by checks.ts over the whole file.
 */
import { z } from "zod";
import { RESPONSE_TIMEOUT_MS } from "../core/limits.ts";
import { cidr, hostPattern, pathPattern, serverUrl } from "../core/option-addresses.ts";
import {
  cookieName,
  cookieValue,
  defaultsTo,
  describeValue,
  duration,
  fieldName,
  fieldValue,
  formatDuration,
  oneOrMore,
  regex,
  settableFieldName,
  TOKEN,
  textKind,
} from "../core/option-types.ts";
import { type RequestTemplate, URL_PARTS, type UrlPart } from "../core/request-template.ts";
import { apiKeyOptions } from "../features/api-key/options.ts";
import { basicAuthOptions } from "../features/basic-auth/options.ts";
import { cacheOptions } from "../features/cache/options.ts";
import { clientCertificateOptions } from "../features/client-certificate/options.ts";
import { compressOptions } from "../features/compress/options.ts";
import { credentialsOptions } from "../features/credentials/options.ts";
import { forwardAuthOptions } from "../features/forward-auth/options.ts";
import { headersOptions } from "../features/headers/options.ts";
import { ipAllowOptions } from "../features/ip-allow/options.ts";
import { jwtOptions } from "../features/jwt/options.ts";
import { kisscacheBlock } from "../features/kisscache/options.ts";
import { oidcOptions } from "../features/oidc/options.ts";
import { rewriteOptions } from "../features/rewrite/options.ts";
import { stripPrefixOptions } from "../features/strip-prefix/options.ts";
import { ANSWER_PROGRESS_TIMEOUT_MS, upstreamFields } from "../upstreams/options.ts";
import { type HandleFunction, isMeantAsPlugin, type PluginObject } from "./code.ts";
import type { MatchConfig, NamedValues, UseConfig } from "./config.ts";
import { foreignIn, suggestRedirect } from "./foreign-placeholders.ts";
import { routeLimits } from "./limits-schema.ts";
import { routeLog } from "./log-schema.ts";

const method = textKind<string>({
  id: "method",
  expected: "a method such as GET",
  description: "A method, in upper case: `GET`, `POST`.",
  parse: (text) => (TOKEN.test(text) && text === text.toUpperCase() ? text : null),
  suggest: (text) => (TOKEN.test(text) ? text.toUpperCase() : null),
});

/** `true`, one value or a list, by name. */
function namedValues(name: z.ZodType<string, string>, value: z.ZodType<string, string>) {
  const present = z.literal(true).transform((): null => null);
  return z
    .record(name, z.union([present, oneOrMore(value)]))
    .transform((record): NamedValues[] => Object.entries(record).map(([name, values]) => ({ name, values })));
}

const match = z
  .strictObject({
    host: oneOrMore(hostPattern())
      .optional()
      .describe("The host that was asked for, without port: exact, or `*.example.org` for every name below."),
    path: oneOrMore(pathPattern())
      .optional()
      .describe("The normalised path: `/up` exactly; `/jmap/*` for `/jmap`, `/jmap/` and all below."),
    pathRegex: oneOrMore(regex())
      .optional()
      .describe(
        "A regular expression over the normalised path, found anywhere in it unless `^` and `$` say otherwise.",
      ),
    method: oneOrMore(method()).optional().describe("The method, in upper case."),
    header: namedValues(fieldName(), fieldValue())
      .optional()
      .describe(
        "Header fields that the request has: `{ name: value }`, a list of values, or `true` for any value. All of them must match.",
      ),
    cookie: namedValues(cookieName(), cookieValue())
      .optional()
      .describe(
        "Cookies that the request has: `{ name: value }`, a list of values, or `true` for any value. All of them must match.",
      ),
    query: namedValues(z.string().min(1), z.string())
      .optional()
      .describe(
        "Parameters of the query: `{ name: value }`, a list of values, or `true` for any value. All of them must match.",
      ),
    client: oneOrMore(cidr()).optional().describe("Networks that the client's address is in."),
    websocket: z
      .boolean()
      .optional()
      .describe("`true`: only requests that ask for an upgrade to WebSocket; `false`: only those that do not."),
    scheme: z.enum(["http", "https"]).optional().describe("How the client reached us."),
  })
  .transform(
    (keys): MatchConfig => ({
      host: keys.host ?? null,
      path: keys.path ?? null,
      pathRegex: keys.pathRegex ?? null,
      method: keys.method ?? null,
      header: keys.header ?? null,
      cookie: keys.cookie ?? null,
      query: keys.query ?? null,
      client: keys.client ?? null,
      websocket: keys.websocket ?? null,
      scheme: keys.scheme ?? null,
    }),
  );

export const MATCH_ALL: MatchConfig = match.parse({});

/** With what an upstream has beside its servers, as far as it makes sense for a service that one feature asks. */
const forwardAuth = forwardAuthOptions
  .extend({ tls: upstreamFields.tls, maxConnections: upstreamFields.maxConnections })
  .describe(
    "Asks an HTTP service about each request: an answer of 2xx lets it go on, any other one is the client's answer.",
  );

/** An item of `use` as the file has it: which pools and which cache it needs is decided by resolve.ts. */
export type UseBlock =
  | Exclude<UseConfig, { readonly feature: "forwardAuth" | "cache" }>
  | { readonly feature: "cache"; readonly options: z.output<typeof cacheOptions> }
  | { readonly feature: "forwardAuth"; readonly options: z.output<typeof forwardAuth> };

/** The features by their names in the file. Each item of `use` has exactly one of them; checks.ts counts. */
export const featureFields = {
  headers: headersOptions.optional(),
  stripPrefix: stripPrefixOptions.optional(),
  rewrite: rewriteOptions.optional(),
  ipAllow: ipAllowOptions.optional(),
  compress: compressOptions.optional(),
  credentials: credentialsOptions.optional(),
  jwt: jwtOptions.optional(),
  basicAuth: basicAuthOptions.optional(),
  apiKey: apiKeyOptions.optional(),
  clientCertificate: clientCertificateOptions.optional(),
  forwardAuth: forwardAuth.optional(),
  oidc: oidcOptions.optional(),
  cache: cacheOptions.optional(),
};

/** A value that only a program can hold: no text of a file is one, and the JSON Schema leaves it out. */
function codeOnly<T>(check: (value: unknown) => boolean, expected: string) {
  return z
    .custom<T>(check, {
      error: (issue) => `expected ${expected}, got ${describeValue(issue.input)}`,
      params: { otherKind: true },
    })
    .meta({ codeOnly: true });
}

const useItem = z.union([
  codeOnly<PluginObject>(isMeantAsPlugin, "a plugin").transform((plugin): UseBlock => ({ feature: "plugin", plugin })),
  z
    .strictObject(featureFields)
    .meta({ id: "feature", minProperties: 1, maxProperties: 1 })
    .transform((item): UseBlock => {
      const [feature, options] = Object.entries(item).find(([, options]) => options !== undefined) ?? [];
      return { feature, options } as UseBlock;
    }),
]);

/** The name of an upstream, or the URL of a server. Which names exist is known to checks.ts. */
const target = z.union([
  z
    .string()
    .refine((text) => !isServerUrl(text), { params: { otherKind: true } })
    .transform((name) => ({ name })),
  serverUrl().transform((server) => ({ server })),
]);

/** Whether the target of `proxy` is meant as a URL: names have neither "://" nor the scheme of unix sockets. */
export function isServerUrl(text: string): boolean {
  return text.includes("://") || text.startsWith("unix:");
}

const proxy = z.union([
  target.transform((to) => ({ to })),
  z
    .strictObject({
      to: target.describe("A URL such as `http://127.0.0.1:3000`, or the name of an upstream."),
      ...upstreamFields,
    })
    .meta({ id: "proxy" }),
]);

const respondLongForm = z
  .strictObject({
    status: z.int().min(200).max(599).default(200).describe("The status, 200 to 599."),
    headers: z
      .record(settableFieldName(), oneOrMore(fieldValue()))
      .prefault({})
      .describe("Header fields, each with one value or a list of them."),
    body: z.string().optional().describe("The body, sent as UTF-8. Not with 204, 205 and 304."),
    contentType: fieldValue()
      .optional()
      .describe("The `Content-Type` of the body. By default `text/plain; charset=utf-8`."),
  })
  .meta({ id: "respond" });

const respond = z.union([
  z
    .int()
    .min(200)
    .max(599)
    .transform((status): z.output<typeof respondLongForm> => ({ status, headers: {} })),
  respondLongForm,
]);

const REDIRECT_PART = new RegExp(`\\{(${URL_PARTS.join("|")})\\}`);
const REDIRECT_START = /^((https?|\{scheme\}):\/\/([^/?#{]|\{host\})|\/(?!\/)|\{(uri|path)\})/;

/** What begins like a target, with whatever placeholders. */
const REDIRECT_LIKE = /^((https?|\{[^}]*\}|\$\w+):\/\/|\/(?!\/)|[{$%])/;

/** What a request may have there. */
const EXAMPLE_PARTS: Readonly<Record<UrlPart, string>> = {
  scheme: "http",
  host: "example.org",
  path: "/path",
  query: "query",
  uri: "/path?query",
};

/**
 * What is wrong with a target that begins like one. What comes from the request may not continue the authority, nor make a
 * path begin with two slashes: either would let the maker of a link choose where our redirect leads. `{host}` may: it is
 * the host that the client itself asked for.
 */
function explainRedirect(text: string): string | null {
  if (!/^[\x21-\x7e]*$/.test(text)) return "a redirect's target has visible ASCII only: percent-encode the rest";
  const unknown = /\{[^}]*\}?|\}/.exec(text.replaceAll(new RegExp(REDIRECT_PART, "g"), ""))?.[0];
  // A path may have a dollar sign in it, and so may a password in front of a host; the host has none.
  const start = /^(?:(?:https?|\{scheme\}):\/\/)?[^/?#]*/.exec(text)?.[0] ?? "";
  const foreign = /[$%]/.test(start) ? foreignIn(text) : null;
  const inHost = start.includes("@") ? undefined : /\$\w*/.exec(start)?.[0];
  const none = foreign ?? inHost ?? unknown;
  if (none !== undefined) return `${none} is none of {scheme}, {host}, {path}, {query} and {uri}`;
  if (/^\/\{(path|uri)\}/.test(text)) return "{path} and {uri} begin with a slash themselves: leave yours out";
  // A path may be nothing but its slash, and a query may begin with one, or with the backslash that browsers take for one.
  if (/^(?:\/|\{(?:path|uri)\})+\{query\}/.test(text))
    return "{query} may begin with a slash, and what follows it would be taken for a host: put something before it";
  const authority = /:\/\/((?:[^/?#{]|\{(?:scheme|host|query)\})*)/.exec(text)?.[1] ?? "";
  if (/\{(query|scheme)\}/.test(authority)) return "what comes from the request would become part of the host";
  const filled = text.replaceAll(new RegExp(REDIRECT_PART, "g"), (_, part: UrlPart) => EXAMPLE_PARTS[part]);
  if (!URL.canParse(filled, "http://example.org")) return `${describeValue(text)} is no URL, whatever is filled in`;
  return null;
}

const redirectTarget = textKind<RequestTemplate<UrlPart>>({
  id: "redirectTarget",
  expected: "a URL such as https://example.org{uri}, or a path",
  description:
    "A URL or a path. `{scheme}`, `{host}` (without port), `{path}`, `{query}` (without question mark) and `{uri}` (path and query) are those of the request.",
  parse: (text) => {
    if (!REDIRECT_START.test(text) || explainRedirect(text) !== null) return null;
    return text
      .split(REDIRECT_PART)
      .map((part, index) => (index % 2 === 0 ? part : { part: part as UrlPart }))
      .filter((part) => part !== "");
  },
  explain: (text) => (REDIRECT_LIKE.test(text) ? explainRedirect(text) : null),
  suggest: suggestRedirect,
});

const redirectStatus = z.literal([301, 302, 303, 307, 308]);

const redirect = z.union([
  redirectTarget().transform((to) => ({ to, status: 308 as z.output<typeof redirectStatus> })),
  z
    .strictObject({
      to: redirectTarget().describe(
        "Where to: a URL or a path, with `{scheme}`, `{host}`, `{path}`, `{query}`, `{uri}` of the request.",
      ),
      status: redirectStatus
        .default(308)
        .describe("The status. Browsers remember 301 and 308: use 307 while you try things out."),
    })
    .meta({ id: "redirect" }),
]);

const handle = z.union([
  codeOnly<HandleFunction>((value) => typeof value === "function", "a function, which only headgate.ts can hold"),
  z.literal("kisscache").transform(() => ({ kisscache: kisscacheBlock.parse({}) })),
  z
    .strictObject({
      kisscache: kisscacheBlock.describe(
        "The interface of kisscache: downloads of URLs that requests name, through a shared cache, by the rules of the server's `forward`.",
      ),
    })
    .meta({ id: "handle" }),
]);

const upgradeToken = textKind<string>({
  id: "upgradeToken",
  expected: "the name of a protocol such as websocket",
  description: "The name of a protocol to upgrade to, such as `websocket`.",
  pattern: TOKEN.source,
  parse: (text) => (TOKEN.test(text) ? text.toLowerCase() : null),
});

/** What a route may have besides `match`; a server with one route has them itself. */
export const routeFields = {
  use: z
    .array(useItem)
    .optional()
    .describe(
      "The features that requests pass, in this order, and answers in the reverse one. Each item has one name.",
    ),
  proxy: proxy
    .optional()
    .describe(
      "Sends the requests to an upstream: its name or a URL; or a block with `to` and the keys of an upstream.",
    ),
  respond: respond.optional().describe("Answers at once. A number is short for `{ status: NUMBER }`."),
  redirect: redirect.optional().describe("Redirects. A URL is short for `{ to: URL }`."),
  handle: handle
    .optional()
    .describe(
      "What answers the requests: `kisscache`, or a block with its options, which downloads for its clients; in `headgate.ts`, a function.",
    ),
  upgrade: defaultsTo(["websocket"], z.array(upgradeToken())).describe(
    "Protocols whose upgrades pass. `[]` forbids them all. Only beside `proxy`.",
  ),
  timeouts: z
    .strictObject({
      response: duration()
        .optional()
        .describe(
          `From the end of the request to the first byte of the answer. By default the upstream's, ${formatDuration(RESPONSE_TIMEOUT_MS)}.`,
        ),
      body: duration()
        .optional()
        .describe(
          `Without a byte of the answer's body. By default the upstream's, ${formatDuration(ANSWER_PROGRESS_TIMEOUT_MS)}.`,
        ),
    })
    .optional()
    .describe("Timeouts of this route; they win over those of the upstream. Only beside `proxy`."),
  log: routeLog.optional().describe("What the access log says about these requests."),
};

export const route = z.strictObject({
  match: match
    .optional()
    .describe("Which requests this route takes. All keys must match; of a list, one item. Without it: all requests."),
  ...routeFields,
  limits: routeLimits.optional().describe("Limits of this route; they win over those of the server."),
});

export type RouteBlock = z.output<typeof route>;
export type ProxyBlock = z.output<typeof proxy>;
