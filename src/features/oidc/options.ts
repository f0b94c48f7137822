/**
 * Options of `oidc`: the issuer and who we are to it, the paths that belong to the login, where sessions lie and how
 * long they last, what the upstream is told of the user, and who may pass.
 */
import { z } from "zod";
import { FAILED_ATTEMPTS_MAX } from "../../core/limits.ts";
import { normalisedPath } from "../../core/option-addresses.ts";
import { certificatesFile, encryptionKey, secret } from "../../core/option-files.ts";
import { duration, settableFieldName, textKind } from "../../core/option-types.ts";
import { failedAttempts } from "../../identity/options.ts";
import { storeReference } from "../../identity/stores/options.ts";

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/** Whether what is said to this host never leaves the machine. */
export function isLoopback(hostname: string): boolean {
  return LOOPBACK.test(hostname);
}

const issuerUrl = textKind<string>({
  id: "issuerUrl",
  expected: "the URL of an issuer such as https://login.example.org/realms/staff",
  description: "The URL of an OpenID provider, exactly as it calls itself: its metadata is below it.",
  parse: (text) => {
    const url = URL.parse(text);
    if (url === null || !/^https?:$/.test(url.protocol)) return null;
    return url.username === "" && url.password === "" && url.search === "" && url.hash === "" ? text : null;
  },
  explain: (text) =>
    URL.parse(text) !== null && /[?#@]/.test(text) ? "an issuer has no user name, query or fragment" : null,
});

const ownPath = textKind<string>({
  id: "exactPath",
  expected: "a path such as /oauth2/callback",
  description: "One path of this host, such as `/oauth2/callback`, without a query.",
  parse: (text) => (text.includes("*") || text === "/" ? null : normalisedPath(text)),
});

/** Where a browser is sent: a path of the same host, or another site. */
const redirectTarget = textKind<string>({
  id: "afterLogout",
  expected: "a path such as /bye or an https URL",
  description: "A path of this host, or a whole `https://` URL.",
  parse: (text) => {
    if (!/^[\x21-\x7e]+$/.test(text) || text.includes("\\")) return null;
    if (/^\/(?!\/)/.test(text)) return text;
    return /^https?:$/.test(URL.parse(text)?.protocol ?? "") ? text : null;
  },
});

const hiddenText = textKind<string>({
  id: "clientSecret",
  expected: "a secret without spaces at its ends",
  description: "The secret of a client.",
  isSecret: true,
  parse: (text) => (text !== "" && text === text.trim() ? text : null),
});

/** scope-token of RFC 6749 section 3.3. */
const scope = textKind<string>({
  id: "scope",
  expected: "a scope such as email",
  description: "One scope, without spaces.",
  parse: (text) => (/^[\x21\x23-\x5b\x5d-\x7e]+$/.test(text) ? text : null),
});

/** cookie-name of RFC 6265 without what has a meaning of its own there or here. */
const cookieName = textKind<string>({
  id: "loginCookieName",
  expected: "the name of a cookie: letters, digits, - and _",
  description: "The name of a cookie: letters, digits, `-` and `_`, without a `__Host-` or `__Secure-` in front.",
  parse: (text) => (/^[A-Za-z0-9_-]{1,64}$/.test(text) && !text.startsWith("__") ? text : null),
  explain: (text) =>
    text.startsWith("__") ? "the prefix of the name is put there where the cookie's attributes allow it" : null,
});

const cookieDomain = textKind<string>({
  id: "cookieDomain",
  expected: "a domain such as example.org",
  description: "A domain, without a dot at its beginning.",
  parse: (text) => (/^[a-z0-9-]+(\.[a-z0-9-]+)+$/i.test(text) ? text.toLowerCase() : null),
});

const cookiePath = textKind<string>({
  id: "cookiePath",
  expected: "a path such as /app",
  description: "The path below which a cookie is sent.",
  parse: (text) => (text.includes(";") ? null : normalisedPath(text)),
});

const claimPath = z
  .string()
  .min(1)
  .max(256)
  .meta({ id: "claimPath", description: "The name of a claim; `realm_access.roles` is a claim within a claim." });

const claimValue = z.union([z.string(), z.number(), z.boolean()]);

const cookie = z.strictObject({
  name: cookieName()
    .prefault("headgate")
    .describe(
      "The name. Over HTTPS `__Host-` comes in front, so that no other host can set it; `__Secure-` where `domain` or `path` forbid that.",
    ),
  domain: cookieDomain()
    .optional()
    .describe("The domain whose hosts share the login. Left out, the host that was asked alone."),
  path: cookiePath().prefault("/").describe("The path below which browsers send it. `redirectPath` must be below it."),
  sameSite: z
    .enum(["lax", "strict", "none"])
    .default("lax")
    .describe(
      "Whether other sites' requests bear it: `lax` with links only, `strict` never, `none` always, which invites forged requests.",
    ),
  secure: z
    .union([z.literal("auto"), z.boolean()])
    .default("auto")
    .describe("Whether it is for HTTPS only. `auto`: when the request came by HTTPS, here or at a trusted proxy."),
  maxAge: z
    .union([z.literal("browser"), duration()])
    .optional()
    .describe(
      "How long browsers keep it: a duration, or `browser`: until it is closed. Left out, as long as the session.",
    ),
});

const RESERVED_PARAMETERS = new Set([
  "client_id",
  "client_secret",
  "code_challenge",
  "code_challenge_method",
  "nonce",
  "redirect_uri",
  "request",
  "request_uri",
  "response_mode",
  "response_type",
  "scope",
  "state",
]);

const off = z.literal("off").transform((): null => null);

const fields = z.strictObject({
  issuer: issuerUrl().describe(
    "The issuer. `http://` is taken on loopback addresses only, and elsewhere with `insecure: true`.",
  ),
  clientId: z.string().min(1).max(256).describe("The name under which the issuer knows us."),
  clientSecret: secret(hiddenText())
    .optional()
    .describe("The secret that the issuer gave us, or `{ file: path }`. Left out, we are a public client: PKCE alone."),
  clientAuthentication: z
    .enum(["auto", "basic", "post"])
    .default("auto")
    .describe("How the secret is shown: `basic`, `post`, or `auto`: as the issuer says that it takes it."),
  scopes: z
    .array(scope())
    .default(["openid", "profile", "email"])
    .describe("What is asked for. `openid` always is; some issuers give refresh tokens only for `offline_access`."),
  parameters: z
    .record(
      z.string().refine((name) => !RESERVED_PARAMETERS.has(name), { error: "is set by the login itself" }),
      z.string(),
    )
    .prefault({})
    .describe("Further parameters of the authorization request, such as `audience`, `prompt` or `kc_idp_hint`."),
  redirectPath: ownPath()
    .prefault("/oauth2/callback")
    .describe(
      "Where the issuer sends the browser back to, on the host that was asked. Register `https://HOST` and this path with the issuer.",
    ),
  loginPath: ownPath()
    .optional()
    .describe(
      "A path that begins a login; `?rd=/path` says where to go then. For pages that get 401 from their scripts.",
    ),
  logoutPath: ownPath()
    .prefault("/oauth2/logout")
    .describe("A path that ends the session here and at the issuer, by GET or POST from the same site."),
  postLogoutRedirect: redirectTarget()
    .optional()
    .describe(
      "Where the browser goes after that. Register it with the issuer. Left out, the issuer's own page, or a plain one.",
    ),
  backchannelLogoutPath: ownPath()
    .optional()
    .describe(
      "Where the issuer tells of logouts elsewhere (OpenID Connect Back-Channel Logout). Needs `session: { store: ... }`.",
    ),
  session: z
    .union([
      z.literal("cookie").transform((): null => null),
      z.strictObject({
        store: storeReference().describe(
          "The store of the sessions: a name in `stores`, or a URL. The browser gets a random id alone.",
        ),
      }),
    ])
    .prefault("cookie")
    .describe(
      "Where sessions lie, always encrypted: `cookie`, in the browser itself; or `{ store: NAME }`, where they can be ended from elsewhere.",
    ),
  cookie: cookie.prefault({}).describe("The cookie of the session."),
  key: z
    .union([
      encryptionKey().transform((key): string[] => [key]),
      z
        .array(encryptionKey())
        .min(1)
        .refine((keys) => new Set(keys).size === keys.length, { error: "the same key stands in the list twice" }),
    ])
    .describe(
      "The key that encrypts cookies and sessions, 256 bits, or `{ file: path }` of it; or a list, of which the first encrypts and all decrypt.",
    ),
  lifetime: duration().prefault("12h").describe("How long a session lasts, whatever happens."),
  idle: z
    .union([off, duration()])
    .prefault("2h")
    .describe("How long a session lasts without a request. `off`: no limit."),
  refresh: z
    .union([off, duration()])
    .prefault("1m")
    .describe(
      "How long before its end the access token is refreshed, where the issuer gave a refresh token. `off`: never.",
    ),
  forward: z
    .enum(["none", "accessToken", "idToken"])
    .default("none")
    .describe("What the upstream gets as `Authorization: Bearer`, in place of the client's own."),
  claims: z
    .record(settableFieldName(), claimPath)
    .prefault({})
    .describe(
      "Header fields for the upstream, each with the claim that is its value; a list is joined by commas. The client's own are always removed.",
    ),
  require: z
    .record(claimPath, z.union([claimValue.transform((value) => [value]), z.array(claimValue).min(1)]))
    .prefault({})
    .describe(
      "Claims that a user must have, each with a value or a list of which one is enough; of a claim that is a list, one element must be among them. Others get 403.",
    ),
  userInfo: z
    .boolean()
    .default(false)
    .describe(
      "Whether the claims of the issuer's userinfo endpoint are asked for too, at login and at each refresh. They add to those of the ID token, which are signed, and never replace or hide one.",
    ),
  unauthenticated: z
    .union([z.literal("redirect"), z.literal(401).transform(() => "refuse" as const)])
    .prefault("redirect")
    .describe(
      "What becomes of requests without a session: `redirect` sends navigations of browsers to the login and answers 401 to all else; `401` always.",
    ),
  ca: certificatesFile()
    .optional()
    .describe("A PEM file of the authorities to trust for the issuer, in place of the system's."),
  allowedSkew: duration().prefault("30s").describe("How far the issuer's clock may be from ours."),
  failedAttempts: failedAttempts(),
  insecure: z
    .boolean()
    .default(false)
    .describe("`true` takes an `http://` issuer: whoever is on the way to it can then log in as anybody. For tests."),
});

export const oidcOptions = fields
  .check((context) => {
    for (const [field, message] of misfits(context.value)) {
      context.issues.push({ code: "custom", message, path: [field], input: context.value });
    }
  })
  .transform((options) => ({
    ...options,
    clientSecret: options.clientSecret ?? null,
    scopes: [...new Set(["openid", ...options.scopes])],
    loginPath: options.loginPath ?? null,
    postLogoutRedirect: options.postLogoutRedirect ?? null,
    backchannelLogoutPath: options.backchannelLogoutPath ?? null,
    cookie: { ...options.cookie, domain: options.cookie.domain ?? null, maxAge: options.cookie.maxAge ?? null },
    ca: options.ca ?? null,
    // `null` is "off".
    failedAttempts: options.failedAttempts === undefined ? FAILED_ATTEMPTS_MAX : options.failedAttempts,
  }))
  .describe("Login by OpenID Connect in front of a route: browsers are sent to the issuer, and come back as somebody.");

/** What does not fit together, each with the field to blame. */
function misfits(options: z.output<typeof fields>): readonly (readonly [field: string, message: string])[] {
  const found: [string, string][] = [];
  const issuer = new URL(options.issuer);
  if (issuer.protocol === "http:" && !isLoopback(issuer.hostname) && !options.insecure) {
    found.push(["issuer", 'an issuer on another machine is asked by https:// (or, for tests, with "insecure: true")']);
  }
  if (options.backchannelLogoutPath !== undefined && options.session === null) {
    const why = "a session that lies in the browser's cookie cannot be ended from elsewhere";
    found.push(["backchannelLogoutPath", `needs "session: { store: ... }": ${why}`]);
  }
  const { cookie, redirectPath, loginPath, logoutPath, backchannelLogoutPath } = options;
  const own = [redirectPath, loginPath, logoutPath, backchannelLogoutPath].filter((path) => path !== undefined);
  if (new Set(own).size < own.length) found.push(["redirectPath", "each path of the login must be another one"]);
  if (!isBelow(redirectPath, cookie.path))
    found.push(["cookie", 'with this "path" the cookie is not sent to "redirectPath"']);
  if (cookie.sameSite === "none" && cookie.secure === false) {
    found.push(["cookie", 'browsers take "sameSite: none" only with "secure"']);
  }
  if (options.clientSecret === undefined && options.clientAuthentication !== "auto") {
    found.push(["clientAuthentication", 'only has a meaning with "clientSecret"']);
  }
  return found;
}

/** Whether a cookie of `folder` is sent with requests of `path` (RFC 6265 section 5.1.4). */
function isBelow(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith("/") ? folder : `${folder}/`);
}

export type OidcOptions = z.output<typeof oidcOptions>;
