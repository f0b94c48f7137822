/**
 * Options of tokens, for the features that take them: where the token is, whose it may be, and what its claims must be.
 * It decides that a key and its algorithm fit each other, so that no key is ever used for what it was not made for; the
 * resolved form is plain data.
 */
import { z } from "zod";
import { certificatesFile, secretBytes } from "../../core/option-files.ts";
import { cookieName, defaultsTo, duration, fieldName, oneOrMore, textKind } from "../../core/option-types.ts";
import { parseJsonObject } from "./json.ts";
import { keysOfJwkSet, PUBLIC_ALGORITHMS, publicKeyOfPem, SECRET_ALGORITHMS, secretOfJwk } from "./keys.ts";

/** Keys of an issuer are asked for again after this time. jose and others: 10 minutes. */
const JWKS_MAX_AGE = "10m";
/**
 * While the issuer cannot be asked, its keys are believed for so long: an outage of it must not become one of ours at
 * once.
 */
const JWKS_STALE = "1h";
/**
 * 128 bits: below that a secret can be guessed from one token. RFC 7518 section 3.2 asks for as many as the hash has.
 */
const SECRET_BYTES_MIN = 16;

const ALGORITHMS: readonly string[] = [...SECRET_ALGORITHMS, ...PUBLIC_ALGORITHMS];

const algorithm = textKind<string>({
  id: "tokenAlgorithm",
  expected: "an algorithm such as HS256 or RS256",
  description: `How tokens are signed. With a shared secret: ${SECRET_ALGORITHMS.join(", ")}. With a key pair: ${PUBLIC_ALGORITHMS.join(", ")}.`,
  parse: (text) => (ALGORITHMS.includes(text) ? text : null),
  explain: (text) => (text.toLowerCase() === "none" ? "a token without a signature is no token" : null),
  suggest: (text) => ALGORITHMS.find((name) => name.toLowerCase() === text.toLowerCase()) ?? null,
});

/** Text that no message shows. */
const keyText = textKind<string>({
  id: "tokenKey",
  expected: "a secret, a public key as PEM, or a JWK",
  description: "A shared secret, a public key or certificate as PEM text, or a JWK or JWK Set as JSON.",
  isSecret: true,
  parse: (text) => (text === "" ? null : text),
});

const jwksUrl = textKind<string>({
  id: "jwksUrl",
  expected: "a URL such as https://login.example.org/.well-known/jwks.json",
  description: "An `https://` URL; `http://` only on this machine, or with `insecure: true`.",
  parse: (text) => (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol) ? new URL(text).href : null),
});

const jwksLongForm = z
  .strictObject({
    url: jwksUrl().describe("Where the issuer publishes its keys."),
    maxAge: duration().prefault(JWKS_MAX_AGE).describe("After this time the keys are asked for again."),
    stale: duration()
      .prefault(JWKS_STALE)
      .describe(
        "For so long beyond `maxAge` the keys are believed while the issuer cannot be asked. After it, tokens get 503.",
      ),
    ca: certificatesFile().optional().describe("PEM file of the authorities to trust, in place of the system's."),
    insecure: z
      .boolean()
      .default(false)
      .describe("`true`: keys may come by `http://`, where anybody between may forge them."),
  })
  .meta({ id: "jwks" });

const jwks = z
  .union([
    jwksUrl()
      .transform((url): z.input<typeof jwksLongForm> => ({ url }))
      .pipe(jwksLongForm),
    jwksLongForm,
  ])
  .check((context) => {
    const { url, insecure } = context.value;
    if (insecure || url.startsWith("https:") || isLoopback(new URL(url).hostname)) return;
    const message = "must begin with https://, or have insecure: true beside it";
    context.issues.push({ code: "custom", message, path: [], input: url });
  });

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "[::1]" || /^127\./.test(host);
}

const keyFields = {
  id: z
    .string()
    .min(1)
    .optional()
    .describe("The key's id: only tokens whose `kid` is this one, or that have none, are verified by it."),
  algorithm: oneOrMore(algorithm())
    .optional()
    .describe("The algorithm that the key is for. With `jwks`, or a JWK, one or several: those that are allowed."),
  key: secretBytes(keyText())
    .optional()
    .describe("The secret, or the public key as PEM or JWK; or `{ file: path }` of it."),
  jwks: jwks.optional().describe("Where the issuer publishes its keys, in place of `key`."),
};

type KeyBlock = z.output<z.ZodObject<typeof keyFields>>;

/** A key, and whose tokens it may sign. */
export interface TokenKeyOptions {
  readonly source: KeySource;
  /** null: those of any issuer that is taken at all. */
  readonly issuers: readonly string[] | null;
}

/** A key as plain data: a secret in base64, a public key as PEM, a JWK Set as JSON, or where to get one. */
export type KeySource =
  | { readonly kind: "secret"; readonly id: string | null; readonly algorithm: string; readonly secret: string }
  | { readonly kind: "pem"; readonly id: string | null; readonly algorithm: string; readonly pem: string }
  | { readonly kind: "set"; readonly id: string | null; readonly algorithms: readonly string[]; readonly set: string }
  | RemoteKeysOptions;

export interface RemoteKeysOptions {
  readonly kind: "jwks";
  readonly algorithms: readonly string[];
  readonly url: string;
  readonly maxAgeMs: number;
  readonly staleMs: number;
  /** PEM text of the authorities to trust; null: the system's. */
  readonly ca: string | null;
}

class Misfit extends Error {
  readonly field: string;

  constructor(field: string, message: string) {
    super(message);
    this.field = field;
  }
}

/** The key of a block, or a Misfit. No message shows what the key is. */
function keyOf(block: KeyBlock): KeySource {
  const { algorithm: algorithms, key, jwks } = block;
  const id = block.id ?? null;
  if (algorithms === undefined)
    throw new Misfit("algorithm", "is missing: a key is for one algorithm, and a token cannot choose it");
  if ((key === undefined) === (jwks === undefined)) throw new Misfit("key", 'needs "key" or "jwks", and not both');
  const secrets = algorithms.filter((name) => name.startsWith("HS"));
  if (secrets.length > 0 && algorithms.length > 1) {
    throw new Misfit("algorithm", `${secrets[0]} is for a shared secret, which is for no other algorithm`);
  }
  if (jwks !== undefined) {
    if (secrets.length > 0) throw new Misfit("algorithm", "the keys that an issuer publishes are no secrets");
    const { url, maxAge, stale, ca } = jwks;
    return { kind: "jwks", algorithms, url, maxAgeMs: maxAge, staleMs: stale, ca: ca ?? null };
  }
  const isSecret = secrets.length > 0;
  return isSecret ? secretIn(id, algorithms[0], key!) : publicKeyIn(id, algorithms, key!);
}

function secretIn(id: string | null, algorithm: string, key: Buffer): KeySource {
  if (key.includes("-----BEGIN "))
    throw new Misfit("key", `is PEM, and ${algorithm} needs a secret: a public key is none`);
  const json = parseJsonObject(key);
  const secret = json === null ? key : secretOfJwk(json);
  if (secret === null) throw new Misfit("key", `is JSON but no JWK with a secret, which ${algorithm} needs`);
  if (secret.length < SECRET_BYTES_MIN)
    throw new Misfit("key", `has less than ${SECRET_BYTES_MIN} bytes and could be guessed`);
  return { kind: "secret", id, algorithm, secret: secret.toString("base64") };
}

function publicKeyIn(id: string | null, algorithms: readonly string[], key: Buffer): KeySource {
  const text = key.toString("latin1");
  if (text.includes("PRIVATE KEY-----"))
    throw new Misfit("key", "is a private key, which belongs to the issuer alone: take its public key");
  if (text.includes("-----BEGIN ")) {
    const [algorithm = ""] = algorithms;
    if (algorithms.length > 1) throw new Misfit("algorithm", "a PEM key is for one algorithm");
    if (publicKeyOfPem(text, algorithm) === null) throw new Misfit("key", `is no public key for ${algorithm}`);
    return { kind: "pem", id, algorithm, pem: text };
  }
  const json = parseJsonObject(key);
  if (json === null) throw new Misfit("key", `is neither PEM nor a JWK, and ${algorithms[0]} needs a public key`);
  const set = Array.isArray(json.keys) ? json : { keys: [json] };
  if (keysOfJwkSet(set, algorithms).length === 0)
    throw new Misfit("key", `has no public key for ${algorithms.join(" or ")}`);
  return { kind: "set", id, algorithms, set: JSON.stringify(set) };
}

function keyOrIssue(block: KeyBlock, context: z.RefinementCtx): KeySource {
  try {
    return keyOf(block);
  } catch (error) {
    if (!(error instanceof Misfit)) throw error;
    context.addIssue({ code: "custom", message: error.message, path: [error.field] });
    return z.NEVER;
  }
}

const keyEntry = z
  .strictObject({
    ...keyFields,
    issuer: oneOrMore(z.string().min(1))
      .optional()
      .describe(
        "Whose tokens the key may sign: one `iss`, or a list. By default those of every issuer: where there are several, name each one's keys.",
      ),
  })
  .meta({ id: "tokenKeyEntry" })
  .transform((block, context) => ({ source: keyOrIssue(block, context), issuers: block.issuer ?? null }));

const claimValue = z.union([z.string(), z.number(), z.boolean()]);

/** `true`, a value or a list, by the name of the claim. */
export function requiredClaims() {
  const present = z.literal(true).transform((): null => null);
  const values = z.union([present, z.array(claimValue).min(1), claimValue.transform((value) => [value])]);
  return z
    .record(z.string().min(1), values)
    .transform((record) => Object.entries(record).map(([name, values]): RequiredClaim => ({ name, values })));
}

export interface RequiredClaim {
  readonly name: string;
  /** null: any but `false`. */
  readonly values: readonly (string | number | boolean)[] | null;
}

/** Where tokens may be. */
export type TokenPlace =
  | { readonly kind: "bearer" }
  | { readonly kind: "header"; readonly name: string }
  | { readonly kind: "cookie"; readonly name: string }
  | { readonly kind: "query"; readonly name: string };

/** The fields of a block that describes tokens; `resolveTokens` makes TokenOptions of them. */
export function tokenFields(forwardDefault: boolean) {
  return {
    bearer: z
      .literal(true)
      .optional()
      .describe("`true`: the token is in `Authorization: Bearer`. So it is when no place is named."),
    header: fieldName().optional().describe("The field that the token is in."),
    cookie: cookieName()
      .optional()
      .describe("The cookie that the token is in: as it is, as base64, or as base64 of the token in double quotes."),
    query: z.string().min(1).optional().describe("The parameter of the query that the token is in."),
    forward: z
      .boolean()
      .default(forwardDefault)
      .describe(
        "`true`: the upstream gets the token too. `false`: it is taken out of the request; other cookies and parameters stay.",
      ),
    ...keyFields,
    keys: z
      .array(keyEntry)
      .min(1)
      .optional()
      .describe("Several keys, in place of `algorithm` and `key`: tokens of any of them are taken."),
    issuer: oneOrMore(z.string().min(1))
      .optional()
      .describe("What `iss` must be: one value, or one of a list. By default anything."),
    audience: oneOrMore(z.string().min(1))
      .optional()
      .describe(
        "What `aud` must be or contain: one value, or one of a list. By default anything: name yours where one issuer serves many.",
      ),
    claims: requiredClaims()
      .prefault({})
      .describe(
        "Claims that a token must have to be one for us: `{ name: value }`, a list of values, or `true` for any but `false`. Otherwise 401.",
      ),
    leeway: defaultsTo("off", z.union([z.literal("off").transform(() => 0), duration()])).describe(
      "By how much clocks may differ when `exp` and `nbf` are judged. `off`: not at all.",
    ),
    requireExp: z.boolean().default(true).describe("`false`: tokens without `exp` are taken, and never expire."),
  };
}

type TokenBlock = z.output<z.ZodObject<ReturnType<typeof tokenFields>>>;

export interface TokenOptions {
  readonly places: readonly TokenPlace[];
  readonly forward: boolean;
  readonly keys: readonly TokenKeyOptions[];
  /** null: any. */
  readonly issuers: readonly string[] | null;
  readonly audiences: readonly string[] | null;
  readonly claims: readonly RequiredClaim[];
  readonly leewayMs: number;
  readonly isExpRequired: boolean;
}

/** For the transform of a block with `tokenFields`. */
export function resolveTokens(block: TokenBlock, context: z.RefinementCtx): TokenOptions {
  const { bearer, header, cookie, query } = block;
  const places: TokenPlace[] = [];
  if (bearer) places.push({ kind: "bearer" });
  if (header !== undefined) places.push({ kind: "header", name: header });
  if (cookie !== undefined) places.push({ kind: "cookie", name: cookie });
  if (query !== undefined) places.push({ kind: "query", name: query });
  if (places.length === 0) places.push({ kind: "bearer" });
  const hasOwnKey = (["id", "algorithm", "key", "jwks"] as const).find((name) => block[name] !== undefined);
  if (block.keys !== undefined && hasOwnKey !== undefined) {
    context.addIssue({ code: "custom", message: 'cannot stand beside "keys"', path: [hasOwnKey] });
    return z.NEVER;
  }
  for (const [index, { issuers }] of (block.keys ?? []).entries()) {
    const stranger = issuers?.find((issuer) => block.issuer !== undefined && !block.issuer.includes(issuer));
    if (stranger === undefined) continue;
    const message = `${stranger} is not among those of "issuer", so that its tokens are refused`;
    context.addIssue({ code: "custom", message, path: ["keys", index, "issuer"] });
  }
  const keyless = block.issuer?.find((one) => block.keys?.every(({ issuers }) => issuers?.includes(one) === false));
  if (keyless !== undefined) {
    context.addIssue({ code: "custom", message: `no key is for ${keyless}: its tokens are refused`, path: ["issuer"] });
  }
  return {
    places,
    forward: block.forward,
    keys: block.keys ?? [{ source: keyOrIssue(block, context), issuers: null }],
    issuers: block.issuer ?? null,
    audiences: block.audience ?? null,
    claims: block.claims,
    leewayMs: block.leeway ?? 0,
    isExpRequired: block.requireExp,
  };
}
