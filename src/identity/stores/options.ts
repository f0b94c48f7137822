/**
 * Options of session stores: where they are, how Redis is reached, what is kept of its answers. They decide what may be said; what it
 * means is decided by who opens a store.
 */
import { z } from "zod";
import {
  CONNECT_TIMEOUT_MS,
  STORE_CACHE_ENTRIES_MAX,
  STORE_CACHE_TTL_MS,
  STORE_COMMAND_TIMEOUT_MS,
} from "../../core/limits.ts";
import { hostName } from "../../core/option-addresses.ts";
import { filePath, needsPair, resolveOptionPath, secret } from "../../core/option-files.ts";
import { duration, formatDuration, textKind } from "../../core/option-types.ts";
import { parseNode, parseRedisUrl, REDIS_PORT, type RedisPlace, type StoreAddress } from "./redis-url.ts";

/** What a store's URL says. */
type StoreUrl = { readonly kind: "lmdb"; readonly path: string } | ({ readonly kind: "redis" } & RedisPlace);

const SENTINEL_PORT = 26_379;

const REDIS_EXPECTED = "a URL such as redis://127.0.0.1:6379";
const URL_EXPECTED = `${REDIS_EXPECTED} or lmdb:/var/lib/headgate/sessions`;

function parseStoreUrl(text: string): StoreUrl | null {
  if (text.includes("\0")) return null;
  const lmdb = /^lmdb:(?:\/\/(?=\/))?(.+)$/is.exec(text);
  if (lmdb !== null) return { kind: "lmdb", path: resolveOptionPath(lmdb[1] ?? "") };
  const place = parseRedisUrl(text);
  return place === null ? null : { kind: "redis", ...place };
}

/** Never quotes the text: it may hold a password. */
function explainStoreUrl(text: string): string | null {
  const port = /^(?:redis|valkey)s?:.*:(\d+)(?:\/\d*)?$/i.exec(text)?.[1];
  if (port !== undefined && !(Number(port) >= 1 && Number(port) <= 65_535)) {
    return "the port of a URL of Redis is a number from 1 to 65535";
  }
  if (/^(redis|valkey)s?:/i.test(text)) {
    return "a URL of Redis is redis://USER:PASSWORD@HOST:PORT/DATABASE, all but the host optional, with @, / and : in user name and password percent-encoded";
  }
  return null;
}

function suggestStoreUrl(text: string): string | null {
  return /^[a-z0-9.-]+:\d{1,5}$/i.test(text) && parseStoreUrl(`redis://${text}`) !== null ? `redis://${text}` : null;
}

/** Where a store is. The text may hold a password, so that no message shows it. */
const storeUrl = textKind<StoreUrl>({
  id: "storeUrl",
  expected: URL_EXPECTED,
  description:
    "`redis://HOST:PORT/DATABASE` (or `valkey://`), `rediss://` (or `valkeys://`) with TLS, `redis+unix:/run/redis.sock`, or the folder of an LMDB as in `lmdb:/var/lib/headgate/sessions`. `USER:PASSWORD@` may stand before the host.",
  isSecret: true,
  parse: parseStoreUrl,
  explain: explainStoreUrl,
  suggest: suggestStoreUrl,
});

function storeNode(defaultPort: number) {
  return textKind<{ readonly host: string; readonly port: number }>({
    id: defaultPort === SENTINEL_PORT ? "sentinelNode" : "storeNode",
    expected: "a host with its port such as redis-1.internal:6379",
    description: `A host name or an IP address (IPv6 in brackets), with a port when it is not ${defaultPort}.`,
    isSecret: true,
    parse: (text) => parseNode(text, defaultPort),
  })();
}

/** Text that no message shows. */
const hiddenText = textKind<string>({
  id: "secretText",
  expected: "text that is not empty",
  description: "Text, not empty.",
  isSecret: true,
  parse: (text) => (text === "" ? null : text),
});

const storeTls = z
  .strictObject({
    ca: filePath().optional().describe("PEM file of the authorities to trust, in place of the system's."),
    cert: filePath()
      .optional()
      .describe("PEM file of our own certificate chain, for servers that ask for one. Needs `key`."),
    key: filePath().optional().describe("PEM file of the key of `cert`."),
    serverName: hostName()
      .optional()
      .describe("The name to ask for (SNI) and to verify. By default the host that is connected to."),
  })
  .check(needsPair)
  .transform(({ ca, cert, key, serverName }) => ({
    ca: ca ?? null,
    cert: cert ?? null,
    key: key ?? null,
    serverName: serverName ?? null,
  }));

const sentinel = z.strictObject({
  name: z.string().min(1).describe("The name of the group, as the sentinels know it."),
  nodes: z
    .array(storeNode(SENTINEL_PORT))
    .min(1)
    .describe("The sentinels: hosts with their ports when those are not 26379."),
  username: z.string().min(1).optional().describe("The user name towards the sentinels, when they ask for one."),
  password: secret(hiddenText()).optional().describe("The password of the sentinels, when they have one."),
});

const storeCache = z.strictObject({
  entries: z
    .int()
    .min(0)
    .max(10_000_000)
    .default(STORE_CACHE_ENTRIES_MAX)
    .describe("Answers that each thread keeps; the one that was used least recently goes first. 0: none."),
  ttl: duration()
    .prefault(formatDuration(STORE_CACHE_TTL_MS))
    .describe(
      "How long an answer is believed where Redis does not tell of changes (`tracking: off`, or a server without it).",
    ),
});

const storeTimeouts = z.strictObject({
  connect: duration()
    .prefault(formatDuration(CONNECT_TIMEOUT_MS))
    .describe("For a connection to be there: name resolution, TCP, TLS and authentication together."),
  command: duration()
    .prefault(formatDuration(STORE_COMMAND_TIMEOUT_MS))
    .describe("For an answer to a look-up. After it the client gets 503; a cache that is shared goes on without."),
});

const longForm = z.strictObject({
  url: storeUrl().describe("Where the store is. With `sentinel`, its host is not asked: the sentinels say where."),
  cluster: z.boolean().default(false).describe("`true`: a cluster of Redis. It is found by `url` and `nodes`."),
  nodes: z.array(storeNode(REDIS_PORT)).min(1).optional().describe("Further nodes of the cluster, to find it by."),
  sentinel: sentinel.optional().describe("Sentinels that know which server is the master."),
  username: z.string().min(1).optional().describe("The user name, when it does not stand in the URL."),
  password: secret(hiddenText()).optional().describe("The password, when it does not stand in the URL."),
  tls: storeTls.optional().describe("How a `rediss://` server is verified, and what we show it."),
  tracking: z
    .enum(["auto", "off"])
    .default("auto")
    .describe(
      "`auto`: Redis tells at once what has changed among the answers that we keep. `off`: for proxies between us and Redis that do not pass that on.",
    ),
  cache: storeCache.prefault({}).describe("Answers of Redis that are kept in memory; of sessions."),
  timeouts: storeTimeouts.prefault({}).describe("How long to wait for Redis."),
  grace: z
    .union([z.literal("off").transform((): null => null), duration()])
    .prefault("off")
    .describe(
      "How long sessions that are in memory stay valid while Redis is away. One that is deleted in that time is not seen to be. `off`: they end with the connection.",
    ),
});

type LongForm = z.output<typeof longForm>;

const REDIS_ONLY = ["nodes", "sentinel", "username", "password", "tls"] as const;

/** What does not fit together, each with the field that is too much. */
function misfits(form: LongForm): readonly (readonly [field: string, message: string])[] {
  const { url, cluster, nodes, sentinel, tls } = form;
  if (url.kind === "lmdb") {
    const fields = REDIS_ONLY.filter((field) => form[field] !== undefined);
    return [...fields, ...(cluster ? ["cluster"] : [])].map((field) => [field, "only has a meaning with Redis"]);
  }
  const found: [string, string][] = [];
  if (cluster && sentinel !== undefined) found.push(["sentinel", `cannot stand beside "cluster: true"`]);
  if (nodes !== undefined && !cluster) found.push(["nodes", `only has a meaning with "cluster: true"`]);
  if (tls !== undefined && !url.isTls) found.push(["tls", "only has a meaning with a URL that begins with rediss://"]);
  if ("path" in url.address && (cluster || sentinel !== undefined)) {
    found.push([cluster ? "cluster" : "sentinel", "cannot be reached by a unix socket"]);
  }
  if (cluster && url.database !== 0) found.push(["url", "a cluster has no databases but 0"]);
  return found;
}

const TLS_DEFAULT = storeTls.parse({});

function settingsOf(form: LongForm): StoreSettings {
  const { url, sentinel } = form;
  if (url.kind === "lmdb") return url;
  return {
    kind: "redis",
    nodes: [url.address, ...(form.nodes ?? [])],
    isCluster: form.cluster,
    sentinel:
      sentinel === undefined
        ? null
        : { ...sentinel, username: sentinel.username ?? null, password: sentinel.password ?? null },
    database: url.database,
    username: form.username ?? url.username,
    password: form.password ?? url.password,
    tls: url.isTls ? (form.tls ?? TLS_DEFAULT) : null,
    tracking: form.tracking,
    cacheEntriesMax: form.cache.entries,
    cacheTtlMs: form.cache.ttl,
    connectTimeoutMs: form.timeouts.connect,
    commandTimeoutMs: form.timeouts.command,
    graceMs: form.grace,
  };
}

const DEFAULTS = { cluster: false, tracking: "auto", grace: null } as const;

/** A store with everything but its URL as by default. */
function settingsOfUrl(url: StoreUrl): StoreSettings {
  return settingsOf({ ...DEFAULTS, url, cache: storeCache.parse({}), timeouts: storeTimeouts.parse({}) });
}

/** `stores.NAME`. */
export const storeOptions = z
  .union([
    storeUrl().transform(settingsOfUrl),
    longForm
      .check((context) => {
        for (const [field, message] of misfits(context.value)) {
          context.issues.push({ code: "custom", message, path: [field], input: context.value });
        }
      })
      .transform(settingsOf),
  ])
  .describe("A store of sessions, or what caches are shared by. A URL is short for `{ url: URL }`.");

export interface LmdbSettings {
  readonly kind: "lmdb";
  /** The folder, absolute. */
  readonly path: string;
}

export interface RedisSettings {
  readonly kind: "redis";
  /** One; with a cluster at least one to find the others by; with sentinels none of these is asked. */
  readonly nodes: readonly StoreAddress[];
  readonly isCluster: boolean;
  readonly sentinel: {
    readonly name: string;
    readonly nodes: readonly { readonly host: string; readonly port: number }[];
    readonly username: string | null;
    readonly password: string | null;
  } | null;
  readonly database: number;
  readonly username: string | null;
  readonly password: string | null;
  /** Paths are absolute. `serverName: null`: the host. */
  readonly tls: z.output<typeof storeTls> | null;
  readonly tracking: "auto" | "off";
  readonly cacheEntriesMax: number;
  readonly cacheTtlMs: number;
  readonly connectTimeoutMs: number;
  readonly commandTimeoutMs: number;
  /** null: sessions in memory end with the connection. */
  readonly graceMs: number | null;
}

/** A store on Redis, by its name. */
export type RedisStoreConfig = RedisSettings & Pick<StoreConfig, "name">;

export type StoreSettings = LmdbSettings | RedisSettings;

/** A store, opened once in each thread whatever number of routes use it. */
export type StoreConfig = StoreSettings & {
  /** The name in `stores`; for a bare URL the URL without credentials, with "#2" and so on behind it where those differ. */
  readonly name: string;
};

/** What a feature's options say of the store that it uses. */
export interface StoreReference {
  /** Once the configuration is resolved: a name in `Config.stores`. */
  readonly name: string;
}

/** A store that the options name, until the configuration is resolved. */
export class StoreByName implements StoreReference {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}

/** The same by its URL. */
export class StoreByUrl implements StoreReference {
  /** Without credentials. */
  readonly name: string;
  readonly settings: StoreSettings;

  constructor(url: StoreUrl) {
    this.name = nameOfUrl(url);
    this.settings = settingsOfUrl(url);
  }
}

function nameOfUrl(url: StoreUrl): string {
  if (url.kind === "lmdb") return `lmdb:${url.path}`;
  if ("path" in url.address) return `redis+unix:${url.address.path}`;
  const { host, port } = url.address;
  const database = url.database === 0 ? "" : `/${url.database}`;
  return `${url.isTls ? "rediss" : "redis"}://${host.includes(":") ? `[${host}]` : host}:${port}${database}`;
}

/** Whether a reference is meant as a URL: names have no colon. */
export function isStoreUrl(text: string): boolean {
  return text.includes(":");
}

const STORE_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/;

/** The JSON Schema's name for a reference, by which config/ finds what names a store. */
export const STORE_REFERENCE = "storeReference";

/** What names a store, or is the URL of one. */
const REFERENCE = {
  isSecret: true,
  parse: (text: string): StoreReference | null => {
    if (!isStoreUrl(text)) return STORE_NAME.test(text) ? new StoreByName(text) : null;
    const url = parseStoreUrl(text);
    return url === null ? null : new StoreByUrl(url);
  },
  explain: explainStoreUrl,
  suggest: suggestStoreUrl,
};

/** Where a store is used: its name, or a URL. */
export const storeReference = textKind<StoreReference>({
  ...REFERENCE,
  id: STORE_REFERENCE,
  expected: `the name of a store or ${URL_EXPECTED}`,
  description: "A name in `stores`, or a URL as a store has it: then with the defaults of a store for all else.",
});

/** The same where only what machines can share will do; that it is no LMDB is checked when all of the file is known. */
export const sharedStoreReference = textKind<StoreReference>({
  ...REFERENCE,
  id: "sharedStoreReference",
  expected: `the name of a store or ${REDIS_EXPECTED}`,
  description: "A name in `stores`, or the URL of a Redis or Valkey: then with the defaults of a store for all else.",
});
