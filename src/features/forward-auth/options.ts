/**
 * Options of `forwardAuth`: the service that is asked, what it is told, and what of its answer counts. How connections
 * to it are made is an upstream's matter: config/ adds those keys.
 */
import { z } from "zod";
import type { HeaderPattern } from "../../core/header-patterns.ts";
import { serviceAddress } from "../../core/option-addresses.ts";
import {
  cookieName,
  duration,
  fieldName,
  regexError,
  settableFieldName,
  size,
  sizeBetween,
  TOKEN,
  textKind,
} from "../../core/option-types.ts";

const KiB = 1024;
const MiB = 1024 * KiB;

/**
 * For one check, all attempts together. Traefik has 30 s, which is as long as every request then hangs while the
 * service does.
 */
const TIMEOUT_MS = 5_000;
/** A body that is held for the check. nginx holds 16 KiB, Envoy's ext_authz asks for a number. */
const BODY_BYTES_MAX = 64 * KiB;
/** Each check that waits may hold as much. */
const BODY_BYTES_LIMIT = 64 * MiB;
/** A page that asks to log in, with its pictures inside. Traefik has no limit. */
const ANSWER_BYTES_MAX = 1 * MiB;

function parseHeaderPattern(text: string): HeaderPattern | null {
  const regex = /^\/(.+)\/$/s.exec(text)?.[1];
  if (regex !== undefined) return regexError(regex) === null ? { regex } : null;
  const name = settableFieldName().safeParse(text);
  return name.success ? { name: name.data } : null;
}

const headerPattern = textKind<HeaderPattern>({
  id: "headerPattern",
  expected: "the name of a header field, or /a regular expression/",
  description:
    "The name of a header field in upper or lower case, or a regular expression between slashes such as `/^x-auth-/`, which is found anywhere in a name unless `^` and `$` say otherwise.",
  parse: parseHeaderPattern,
  explain: (text) => {
    const regex = /^\/(.+)\/$/s.exec(text)?.[1];
    if (regex !== undefined) return `not a regular expression: ${regexError(regex)}`;
    return settableFieldName().safeParse(text).error?.issues[0]?.message ?? null;
  },
});

/** Text with one `{url}` or none, which stands behind the host. */
const signInUrl = textKind<string>({
  id: "signInUrl",
  expected: "a URL such as https://auth.example.org/start?rd={url}, or a path",
  description:
    "A URL or a path of visible ASCII. `{url}` is the URL that was asked for, percent-encoded; it cannot be a part of the host.",
  parse: (text) => {
    const isTarget = /^(https?:\/\/[^/?#{}]+([/?#]|$)|\/(?!\/))[\x21-\x7e]*$/i.test(text);
    return isTarget && !/[{}]/.test(text.replaceAll("{url}", "")) ? text : null;
  },
});

/** What a decision depends on. */
export type DecisionPart =
  | { readonly kind: "header"; readonly name: string }
  | { readonly kind: "cookie"; readonly name: string }
  | { readonly kind: "client" };

const decisionPart = textKind<DecisionPart>({
  id: "decisionPart",
  expected: "header:NAME, cookie:NAME or client",
  description: "`header:NAME` or `cookie:NAME`, or `client`, the client's address.",
  parse: (text) => {
    if (text === "client") return { kind: "client" };
    const [, kind, name = ""] = /^(header|cookie):(.*)$/s.exec(text) ?? [];
    if (kind === undefined || !TOKEN.test(name)) return null;
    return kind === "header" ? { kind, name: name.toLowerCase() } : { kind: "cookie", name };
  },
});

const decisions = z
  .strictObject({
    for: duration().describe(
      "How long the service need not be asked again. `Cache-Control: max-age` of its answer makes it shorter; with `no-store`, `no-cache` or a cookie of `responseCookies` the answer is not kept.",
    ),
    by: z
      .array(decisionPart())
      .min(1)
      .optional()
      .describe(
        "What the answer depends on: `header:NAME`, `cookie:NAME`, `client`. A request that has none of these headers and cookies is always asked about. Left out, it depends on everything that the service is sent, and requests without `Authorization` and `Cookie` are always asked about.",
      ),
    each: z
      .enum(["request", "caller"])
      .default("request")
      .describe(
        "`request`: method, scheme, host, path and query are part of what the answer depends on. `caller`: they are not, for services that look at the caller alone; needs `by`.",
      ),
  })
  .check((context) => {
    const { by, each } = context.value;
    if (each === "request" || by?.some(({ kind }) => kind !== "client") === true) return;
    const message = '"each: caller" needs a header or a cookie in "by": what tells callers apart';
    context.issues.push({ code: "custom", message, path: ["each"], input: context.value });
  });

const body = z.strictObject({
  forward: z.boolean().default(false).describe("Whether the body is sent along."),
  max: sizeBetween(0, BODY_BYTES_LIMIT)
    .prefault(`${BODY_BYTES_MAX / KiB}KiB`)
    .describe("A longer body is answered with 413. It is held in memory while the service is asked."),
});

export const forwardAuthOptions = z.strictObject({
  address: serviceAddress().describe(
    "The service: a URL such as `http://127.0.0.1:4181/verify`, or the name of an upstream and a path, `auth/verify`.",
  ),
  timeout: duration()
    .prefault(`${TIMEOUT_MS / 1000}s`)
    .describe("For a whole check, the connection included. After it the client gets 503."),
  method: z
    .enum(["GET", "preserve"])
    .default("GET")
    .describe("How the service is asked: by GET, or by the method of the request."),
  requestHeaders: z
    .array(settableFieldName())
    .optional()
    .describe(
      "Fields of the request that the service is sent, besides `X-Forwarded-Method`, `-Proto`, `-Host`, `-Uri` and `-For`. Left out: all but those of the connection, of the body, of conditions and of ranges.",
    ),
  responseHeaders: z
    .array(headerPattern())
    .prefault([])
    .describe(
      "Fields of the service's answer that the upstream is sent: names, or `/regular expressions/`. What the client sent under such a name never reaches the upstream.",
    ),
  responseCookies: z
    .array(cookieName())
    .prefault([])
    .describe("Cookies that the client gets when the service's answer sets them and the request goes on."),
  identityHeader: fieldName()
    .optional()
    .describe("The field of the service's answer that says who the client is, for logs and for features behind."),
  signIn: signInUrl()
    .optional()
    .describe(
      "Where browsers are redirected (302) when the service answers 401: a URL or a path, in which `{url}` is the one that was asked for.",
    ),
  body: body.prefault({}).describe("Whether the service sees the body of the request."),
  maxResponseBody: size()
    .prefault(`${ANSWER_BYTES_MAX / MiB}MiB`)
    .describe("The body of the service's answer at most. With a longer one the client gets 503."),
  decisions: decisions
    .optional()
    .describe("Keeps positive answers for a while. Without it each request is asked about."),
});

export type ForwardAuthOptions = z.output<typeof forwardAuthOptions>;
export type DecisionOptions = z.output<typeof decisions>;
