/**
 * Options of `cache`: where answers are kept, what tells them apart, which ones are kept and for how long. What an answer says of
 * itself comes first; `rules` say otherwise, and the other times here are for what it leaves open.
 */
import { z } from "zod";
import { cacheReference } from "../../caching/options.ts";
import { pathPattern } from "../../core/option-addresses.ts";
import {
  cookieName,
  cookieValue,
  duration,
  fieldName,
  fieldValue,
  formatSize,
  oneOrMore,
  sizeBetween,
  textKind,
} from "../../core/option-types.ts";

const GiB = 1024 ** 3;

/** Images of machines and of containers are a few GiB; what is longer is mostly a stream that has no end. */
export const OBJECT_BYTES_MAX = 10 * GiB;
/** Lengths of bodies are exact numbers far beyond this; no file system that we know holds more in one file. */
const OBJECT_BYTES_LIMIT = 8 * 1024 * GiB;
/** Uses are counted in a byte. */
const USES_LIMIT = 255;

/** Nothing, where a duration could stand. */
function orOff(what: ReturnType<typeof duration>) {
  return z.union([z.literal("off").transform((): null => null), what]);
}

/** `utm_*` stands for every name that begins so. */
const parameterName = textKind<string>({
  id: "parameterName",
  expected: "the name of a parameter such as page, or utm_* for all that begin so",
  description:
    "The name of a parameter of the query, decoded: upper and lower case differ. With `*` at its end: every name that begins so.",
  pattern: "^[^*]*\\*?$",
  parse: (text) => (text !== "" && !/\*./s.test(text) ? text : null),
});

/** Which parameters of the query tell answers apart. */
export interface QueryKey {
  readonly kind: "all" | "none" | "include" | "exclude";
  /** Of `include` and `exclude`; "utm_*" is every name that begins so. */
  readonly names: readonly string[];
  /** In the order of their names, in place of that in which they came. */
  readonly isSorted: boolean;
}

const queryKey = z.union([
  z.enum(["all", "none"]).transform((kind): QueryKey => ({ kind, names: [], isSorted: false })),
  z
    .strictObject({
      include: z.array(parameterName()).min(1).optional().describe("Only these tell answers apart."),
      exclude: z.array(parameterName()).min(1).optional().describe("All but these do."),
      sort: z
        .boolean()
        .default(false)
        .describe("Whether the order of parameters is left out of account: `?a=1&b=2` is then `?b=2&a=1`."),
    })
    .refine(({ include, exclude }) => include === undefined || exclude === undefined, {
      path: ["exclude"],
      error: 'cannot stand beside "include"',
    })
    .transform(({ include, exclude, sort }): QueryKey => {
      if (include !== undefined) return { kind: "include", names: include, isSorted: sort };
      return exclude === undefined
        ? { kind: "all", names: [], isSorted: sort }
        : { kind: "exclude", names: exclude, isSorted: sort };
    }),
]);

const key = z.strictObject({
  query: queryKey
    .prefault("all")
    .describe(
      "Which parameters of the query tell answers apart: `all` in the order in which they come, `none`, or `{ include }`, `{ exclude }`, `{ sort }`. The upstream gets the whole query of whoever asks first.",
    ),
  headers: z
    .array(fieldName())
    .default([])
    .describe(
      "Fields of the request that tell answers apart, by their whole values. What an answer names in `Vary` does so by itself.",
    ),
  cookies: z
    .array(cookieName())
    .default([])
    .describe("Cookies that tell answers apart. Other cookies do not, unless an answer names `Cookie` in `Vary`."),
  identity: z
    .boolean()
    .default(false)
    .describe(
      "Whether everyone has answers of their own whom a feature has identified. Without it, their answers are kept only when they say `public`, `s-maxage` or `must-revalidate`, as it is with `Authorization`.",
    ),
});

const statusPattern = textKind<string>({
  id: "statusPattern",
  expected: "a status such as 404, or a class of them such as 5xx",
  description: "A status such as `404`, or a class of them: `2xx`, `3xx`, `4xx`, `5xx`.",
  pattern: "^[2-5]([0-9]{2}|xx)$",
  parse: (text) => (/^[2-5](\d\d|xx)$/.test(text) ? text : null),
});

/** 404 as "404", 5xx as "5". */
const status = z.union([
  statusPattern().transform((text) => text.replace("xx", "")),
  z.int().min(200).max(599).transform(String),
]);

const mediaType = textKind<string>({
  id: "mediaTypePattern",
  expected: "a media type such as text/html or image/*",
  description:
    "A media type such as `text/html`, or `image/*` for all of a kind. Parameters such as `charset` do not count.",
  parse: (text) => (/^[a-z0-9!#$&^_.+-]+\/(\*|[a-z0-9!#$&^_.+-]+)$/i.test(text) ? text.toLowerCase() : null),
});

/** What of an answer can be taken as if it were not there. */
export const IGNORABLE = ["cache-control", "expires", "pragma", "set-cookie", "vary"] as const;
export type Ignorable = (typeof IGNORABLE)[number];

const rule = z
  .strictObject({
    status: oneOrMore(status)
      .optional()
      .describe(
        "Statuses of answers that it is for: `404`, or `5xx` for a class. What is for `200` is for a part of it (206) too.",
      ),
    path: oneOrMore(pathPattern())
      .optional()
      .describe("Paths that it is for: `/up` exactly; `/dists/*` for `/dists`, `/dists/` and all below."),
    type: oneOrMore(mediaType()).optional().describe("Media types of answers that it is for: `text/html`, `image/*`."),
    for: duration()
      .optional()
      .describe(
        "Such an answer is fresh for so long, whatever it says of that itself. What forbids to store it at all, or asks for validation each time, still counts unless `ignore` names it.",
      ),
    ignore: z
      .array(z.enum(IGNORABLE))
      .min(1)
      .optional()
      .describe(
        "What is taken as if the answer did not say it. `cache-control` is `CDN-Cache-Control` too; of `set-cookie`, the answer is kept without its cookies.",
      ),
    min: duration().optional().describe("It is fresh for at least so long, if it may be stored."),
    max: duration().optional().describe("It is fresh for at most so long."),
    never: z.literal(true).optional().describe("`true`: such an answer is not stored."),
  })
  .check((context) => {
    const { for: fixed, ignore, min, max, never } = context.value;
    const fail = (path: string, message: string) =>
      context.issues.push({ code: "custom", message, path: [path], input: context.value });
    if (never === true) {
      for (const [name, value] of Object.entries({ for: fixed, ignore, min, max })) {
        if (value !== undefined) fail(name, 'has no meaning beside "never": such an answer is not stored');
      }
      return;
    }
    // A misspelt one of them is the whole mistake.
    const isUnknown = context.issues.some(({ code }) => code === "unrecognized_keys");
    if (!isUnknown && fixed === undefined && ignore === undefined && min === undefined && max === undefined) {
      context.issues.push({
        code: "custom",
        message: 'says nothing of the answers that it is for: one of "for", "ignore", "min", "max" and "never" does',
        input: context.value,
      });
    }
    if (min !== undefined && max !== undefined && min > max) fail("min", "is longer than max");
    for (const [name, value] of Object.entries({ min, max })) {
      if (value !== undefined && fixed !== undefined) fail(name, 'has no meaning beside "for"');
    }
  })
  .transform(
    (keys): CacheRule => ({
      status: keys.status ?? null,
      path: keys.path ?? null,
      type: keys.type ?? null,
      forMs: keys.for ?? null,
      ignore: keys.ignore ?? [],
      minMs: keys.min ?? null,
      maxMs: keys.max ?? null,
      isNever: keys.never ?? false,
    }),
  );

/** One rule on answers. null: not asked, or not said. */
export interface CacheRule {
  /** "404", or "5" for all of 5xx. */
  readonly status: readonly string[] | null;
  /** "/up", or "/dists/*" for that and all below. */
  readonly path: readonly string[] | null;
  /** Lower case; "image/*" for all of a kind. */
  readonly type: readonly string[] | null;
  readonly forMs: number | null;
  readonly ignore: readonly Ignorable[];
  readonly minMs: number | null;
  readonly maxMs: number | null;
  readonly isNever: boolean;
}

/** `true`, one value or a list, by name. */
function namedValues(name: z.ZodType<string, string>, value: z.ZodType<string, string>) {
  const present = z.literal(true).transform((): null => null);
  return z
    .record(name, z.union([present, oneOrMore(value)]))
    .refine((record) => Object.keys(record).length > 0, { error: "names nothing" })
    .transform((record): BypassValues[] => Object.entries(record).map(([name, values]) => ({ name, values })));
}

/** One of these values; `values: null` is any. */
export interface BypassValues {
  readonly name: string;
  readonly values: readonly string[] | null;
}

/** All that is asked must hold. null: not asked. */
export interface BypassCondition {
  readonly header: readonly BypassValues[] | null;
  readonly cookie: readonly BypassValues[] | null;
  readonly query: readonly BypassValues[] | null;
  readonly path: readonly string[] | null;
}

const bypass = z
  .strictObject({
    header: namedValues(fieldName(), fieldValue())
      .optional()
      .describe("Header fields that the request has: `{ name: value }`, a list of values, or `true` for any value."),
    cookie: namedValues(cookieName(), cookieValue())
      .optional()
      .describe("Cookies that the request has: `{ name: value }`, a list of values, or `true` for any value."),
    query: namedValues(z.string().min(1), z.string())
      .optional()
      .describe("Parameters of the query: `{ name: value }`, a list of values, or `true` for any value."),
    path: oneOrMore(pathPattern()).optional().describe("The normalised path: `/up` exactly; `/live/*` for all below."),
  })
  .refine((keys) => Object.values(keys).some((value) => value !== undefined), { error: "asks for nothing" })
  .transform(
    (keys): BypassCondition => ({
      header: keys.header ?? null,
      cookie: keys.cookie ?? null,
      query: keys.query ?? null,
      path: keys.path ?? null,
    }),
  );

const heuristic = z.strictObject({
  share: z
    .number()
    .gt(0)
    .max(1)
    .default(0.1)
    .describe("The share of the time between `Last-Modified` and `Date` for which an answer is taken to be fresh."),
  max: duration().prefault("1d").describe("And for so long at most."),
});

const longForm = z.strictObject({
  store: cacheReference()
    .optional()
    .transform((name) => name ?? null)
    .describe(
      "Where answers are kept: a name in `caches`. By default the only one of the file, or that of the name `default`.",
    ),
  key: key.prefault({}).describe("What tells answers apart, besides scheme, host, port and path, which always do."),
  methods: z
    .array(z.enum(["GET", "HEAD"]))
    .min(1)
    .refine((methods) => methods.includes("GET"), { error: "answers come from GET: without it nothing is kept" })
    .default(["GET", "HEAD"])
    .describe("Requests that are answered from the cache. HEAD gets what is known of the answer to GET."),
  rules: z
    .array(rule)
    .default([])
    .describe("What holds in place of what answers say. The first rule that an answer matches counts, alone."),
  bypass: z
    .array(bypass)
    .default([])
    .describe(
      "Requests that pass the cache by: nothing is looked up for them and nothing kept of their answers. All keys of an item must match, and one item is enough.",
    ),
  clientControl: z
    .boolean()
    .default(true)
    .describe(
      "Whether clients may ask for fresher answers, or take stale ones, by `Cache-Control` and `Pragma` of their requests. `false`: only `no-store` and `only-if-cached` count.",
    ),
  staleOnError: orOff(duration())
    .prefault("off")
    .describe(
      "When the upstream cannot be reached or answers 500, 502, 503 or 504, a stale answer is given in its place, for so long after it has turned stale. `stale-if-error` of an answer counts before it; `must-revalidate` forbids it.",
    ),
  staleWhileRevalidate: orOff(duration())
    .prefault("off")
    .describe(
      "A stale answer is given at once, and fetched anew meanwhile, for so long after it has turned stale. `stale-while-revalidate` of an answer counts before it; `must-revalidate` forbids it.",
    ),
  heuristic: z
    .union([z.literal("off").transform((): null => null), heuristic])
    .prefault("off")
    .describe(
      "How long an answer is fresh that says nothing about it but has `Last-Modified`. `off`: it is validated each time.",
    ),
  negative: orOff(duration())
    .prefault("off")
    .describe("How long errors (404, 405, 410, 414, 451, 5xx) are kept that say nothing about it."),
  setCookie: z
    .enum(["explicit", "strip", "never"])
    // As with nginx and Varnish: many origins put the cookie of a new session on whatever they send.
    .default("never")
    .describe(
      "What becomes of answers with `Set-Cookie`. `never`: they are not kept. `strip`: they are kept without them, and only the client that asked gets the cookies. `explicit`: those that say how long they are fresh, or `public`, are kept with their cookies, which everybody gets then (RFC 9111, section 7.3), others are not kept.",
    ),
  finishOnAbort: z
    .boolean()
    .default(true)
    .describe(
      "`true`: what was begun is fetched to its end when the client leaves that asked for it. `false`: only while somebody wants it.",
    ),
  maxObject: sizeBetween(1, OBJECT_BYTES_LIMIT)
    .prefault(formatSize(OBJECT_BYTES_MAX))
    .describe("Longer bodies are passed on and not kept."),
  minUses: z
    .int()
    .min(1)
    .max(USES_LIMIT)
    .default(1)
    .describe("How often something must have been asked for, counted by each thread, before it is kept."),
  tags: z
    .union([z.literal("off").transform((): null => null), fieldName()])
    .prefault("surrogate-key")
    .describe(
      "The field of answers that names their tags, separated by spaces or commas, by which they can be purged together. `off`: none.",
    ),
  statusHeader: z
    .boolean()
    .default(true)
    .describe("Whether every answer tells in `Cache-Status` (RFC 9211) what the cache did for it."),
});

export const cacheOptions = z
  .union([
    z.literal(true).transform(() => longForm.parse({})),
    cacheReference().transform((store) => longForm.parse({ store })),
    longForm,
  ])
  .describe(
    "A shared cache (RFC 9111): answers are kept, and given to all who ask for the same; who asks for what is being fetched waits for that. The name of a cache is short for `{ store: NAME }`, `true` for `{}`.",
  );

/** Times in milliseconds, null: off; names of fields in lower case. */
export type CacheOptions = z.output<typeof longForm>;
