/**
 * Options of upstreams: where their servers are, how requests are spread over them, how long to wait. The same keys stand
 * in `upstreams` and beside `to` in a route's `proxy`, where they win over those of the upstream it names.
 *
 * They resolve into two parts. What a pool of connections is made of (`UpstreamConfig`) is shared by all routes that say
 * the same; what concerns one request (`UpstreamUse`) belongs to the route, so that a route with a longer timeout still
 * shares its connections and their limit with the others.
 */
import { z } from "zod";
import {
  CONNECT_TIMEOUT_MS,
  POOL_IDLE_MS,
  POOL_LIFETIME_MS,
  QUEUE_LENGTH_MAX,
  QUEUE_TIMEOUT_MS,
  RESPONSE_TIMEOUT_MS,
  RETRIES_MAX,
  RETRY_BUDGET_MIN,
  RETRY_BUDGET_SHARE,
} from "../core/limits.ts";
import { authority, hostName, serverUrl } from "../core/option-addresses.ts";
import { filePath, needsPair } from "../core/option-files.ts";
import { defaultsTo, duration, formatDuration, tlsVersion } from "../core/option-types.ts";
import { type HealthConfig, healthOptions } from "./health/options.ts";
import { ANSWER_PROGRESS_TIMEOUT_MS, firstOf } from "./use.ts";

export type { UpstreamUse } from "../pipeline/upstream.ts";
export { ANSWER_PROGRESS_TIMEOUT_MS, resolveUpstreamUse } from "./use.ts";

const BALANCES = ["round-robin", "least-connections", "p2c", "random", "hash"] as const;
export type Balance = (typeof BALANCES)[number];

const server = z.union([
  serverUrl().transform((address) => ({ ...address, weight: 1 })),
  z
    .strictObject({
      url: serverUrl().describe(
        "Scheme and authority, such as `https://app-1.internal:8443`, or `unix:/run/app.sock`.",
      ),
      weight: z
        .int()
        .min(1)
        .max(1000)
        .default(1)
        .describe("The server's share of the requests, against the other servers'."),
    })
    .transform(({ url, weight }) => ({ ...url, weight })),
]);

const hashKey = z
  .string()
  .regex(/^(client|path|header:[!#$%&'*+.^_`|~0-9A-Za-z-]+|cookie:[!#$%&'*+.^_`|~0-9A-Za-z-]+)$/, {
    error: (issue) => `expected client, path, header:NAME or cookie:NAME, got ${JSON.stringify(issue.input)}`,
  })
  .transform((text): HashKey => {
    const [kind = "", name = ""] = text.split(/:(.*)/s);
    if (kind === "header") return { kind, name: name.toLowerCase() };
    return kind === "cookie" ? { kind, name } : { kind: kind === "path" ? "path" : "client" };
  });

const hash = z.strictObject({
  by: defaultsTo("client", hashKey).describe(
    "What decides on the server when `balance` is `hash`: `client` (its address), `path`, `header:NAME` or `cookie:NAME`. A request that lacks it goes by the client's address.",
  ),
});

const tls = z
  .strictObject({
    serverName: hostName()
      .optional()
      .describe("The name to ask for (SNI) and to verify. By default the host of the server's URL."),
    ca: filePath().optional().describe("PEM file of the authorities to trust, in place of the system's."),
    cert: filePath()
      .optional()
      .describe("PEM file of our own certificate chain, for servers that ask for one. Needs `key`."),
    key: filePath().optional().describe("PEM file of the key of `cert`."),
    verify: z.boolean().default(true).describe("`false` accepts any certificate: for tests only."),
    minVersion: tlsVersion().prefault("1.2").describe("The oldest version of TLS to speak: `1.2` or `1.3`."),
  })
  .check(needsPair)
  .transform((options) => ({
    serverName: options.serverName ?? null,
    ca: options.ca ?? null,
    cert: options.cert ?? null,
    key: options.key ?? null,
    verify: options.verify,
    minVersion: options.minVersion,
  }));

const timeouts = z.strictObject({
  connect: defaultsTo(formatDuration(CONNECT_TIMEOUT_MS), duration()).describe(
    "For a connection to be there: name resolution, TCP and TLS together.",
  ),
  response: defaultsTo(formatDuration(RESPONSE_TIMEOUT_MS), duration()).describe(
    "From the end of the request to the first byte of the answer. After it the client gets 504.",
  ),
  body: defaultsTo(formatDuration(ANSWER_PROGRESS_TIMEOUT_MS), duration()).describe(
    "Without a byte of the answer's body. Event streams that are silent for longer need more.",
  ),
  idle: defaultsTo(formatDuration(POOL_IDLE_MS), duration()).describe(
    "A connection that serves no request is kept for so long; less when the server's `Keep-Alive` says so.",
  ),
  lifetime: defaultsTo(formatDuration(POOL_LIFETIME_MS), duration()).describe(
    "A connection takes no new request after this age, so that changes of DNS reach it.",
  ),
});

const queue = z.strictObject({
  max: defaultsTo(QUEUE_LENGTH_MAX, z.int().min(0).max(1_000_000)).describe(
    "Requests that may wait for a connection when all are in use; one more gets 503. 0: none waits.",
  ),
  timeout: defaultsTo(formatDuration(QUEUE_TIMEOUT_MS), duration()).describe(
    "How long one may wait; then it gets 503.",
  ),
});

const retriesLongForm = z.strictObject({
  max: defaultsTo(RETRIES_MAX, z.int().min(0).max(10)).describe("Attempts after the first one. 0: none."),
  budget: defaultsTo(RETRY_BUDGET_SHARE, z.number().min(0).max(1)).describe(
    "Retries may be at most this share of the recent requests, so that they cannot multiply an outage. A request that could not be " +
      "sent at all goes on to another server outside of it.",
  ),
  budgetMin: defaultsTo(RETRY_BUDGET_MIN, z.int().min(0).max(10_000)).describe(
    "Retries that are allowed in any case while few requests come.",
  ),
});

const retries = z.union([
  z
    .int()
    .min(0)
    .max(10)
    .transform((max): z.output<typeof retriesLongForm> => ({ max })),
  retriesLongForm,
]);

const host = z.union([z.enum(["preserve", "upstream"]), authority().transform((name) => ({ name }))]);

/** The keys of an upstream except its servers. Everything may be left out: what is not said comes from the layer below. */
export const upstreamFields = {
  balance: defaultsTo("round-robin", z.enum(BALANCES)).describe(
    "Which server gets a request: in turn by weight, the one with the fewest requests in flight for its weight, the better of two random ones (`p2c`), a random one, or always the same one for the same `hash.by`.",
  ),
  hash: hash.optional().describe("For `balance: hash` only."),
  tls: tls
    .optional()
    .describe(
      "How `https://` servers are verified, and what we show them. Replaces the named upstream's `tls` as a whole.",
    ),
  timeouts: timeouts.optional().describe("How long to wait for what."),
  maxConnections: z
    .int()
    .min(1)
    .max(1_000_000)
    .optional()
    .describe(
      "Connections per server at the same time. Further requests wait in the queue. Without it there is no limit.",
    ),
  queue: queue.optional().describe("What happens to requests while `maxConnections` are in use."),
  health: healthOptions
    .optional()
    .describe(
      "Each server is asked how it is, whether requests come or not. One that fails is left out until it passes, unless all do. A path is short for `{ path: PATH }`.",
    ),
  retries: retries
    .optional()
    .describe(
      "When an attempt fails and it is safe, another server or connection is tried. A number is short for `{ max: NUMBER }`.",
    ),
  host: defaultsTo("preserve", host).describe(
    "The `Host` that the server sees: `preserve` (what the client sent), `upstream` (that of the server's URL), or a fixed name.",
  ),
};

export const upstreamOptions = z
  .strictObject({
    servers: z
      .array(server)
      .min(1)
      .describe(
        "The servers: URLs, or `{ url, weight }`. One to which no connection can be made, or that closes three new ones in a " +
          "row without an answer, is left out for 2 s, unless there is no other; then " +
          "one request tries it again, and it is left out for twice as long after each failure, 30 s at most. What else leaves one out is " +
          "`health`: no status of an answer does.",
      ),
    ...upstreamFields,
  })
  .describe("A named group of servers that routes send requests to.");

export const upstreamOverrides = z.strictObject(upstreamFields);

export type HashKey =
  | { readonly kind: "client" }
  | { readonly kind: "path" }
  | { readonly kind: "header"; readonly name: string }
  | { readonly kind: "cookie"; readonly name: string };

/** Where one server is, as `serverUrl` parses it, and its share. */
export type UpstreamServer = z.output<typeof server>;
export type UpstreamTls = z.output<typeof tls>;
/** Paths are absolute. `serverName: null`: the host of each server. */
export type UpstreamOverrides = z.output<typeof upstreamOverrides>;

/** A pool of connections: what all its users share. Equal configurations make one pool. */
export interface UpstreamConfig {
  /** The name in `upstreams`; for a bare URL its origin; with "#" and a digest behind it where a route changed something. */
  readonly name: string;
  readonly servers: readonly UpstreamServer[];
  readonly balance: Balance;
  readonly hashBy: HashKey;
  readonly tls: UpstreamTls;
  /** For name resolution, TCP and TLS together. */
  readonly connectTimeoutMs: number;
  readonly idleMs: number;
  readonly lifetimeMs: number;
  /** Per server; null: no limit. */
  readonly connectionsMax: number | null;
  readonly queueMax: number;
  readonly queueTimeoutMs: number;
  readonly retryBudgetShare: number;
  readonly retryBudgetMin: number;
  /** null: nobody asks the servers how they are. */
  readonly health: HealthConfig | null;
}

const TLS_DEFAULT: UpstreamTls = tls.parse({});

/** Layers come strongest first: the route's timeouts, what stands beside `to`, the named upstream. */
export function resolveUpstream(
  name: string,
  servers: readonly UpstreamServer[],
  layers: readonly UpstreamOverrides[],
): UpstreamConfig {
  return {
    name,
    servers,
    balance: firstOf(layers, (layer) => layer.balance, "round-robin"),
    hashBy: firstOf<HashKey>(layers, (layer) => layer.hash?.by, { kind: "client" }),
    tls: firstOf(layers, (layer) => layer.tls, TLS_DEFAULT),
    connectTimeoutMs: firstOf(layers, (layer) => layer.timeouts?.connect, CONNECT_TIMEOUT_MS),
    idleMs: firstOf(layers, (layer) => layer.timeouts?.idle, POOL_IDLE_MS),
    lifetimeMs: firstOf(layers, (layer) => layer.timeouts?.lifetime, POOL_LIFETIME_MS),
    connectionsMax: firstOf<number | null>(layers, (layer) => layer.maxConnections, null),
    queueMax: firstOf(layers, (layer) => layer.queue?.max, QUEUE_LENGTH_MAX),
    queueTimeoutMs: firstOf(layers, (layer) => layer.queue?.timeout, QUEUE_TIMEOUT_MS),
    retryBudgetShare: firstOf(layers, (layer) => layer.retries?.budget, RETRY_BUDGET_SHARE),
    retryBudgetMin: firstOf(layers, (layer) => layer.retries?.budgetMin, RETRY_BUDGET_MIN),
    health: firstOf<HealthConfig | null>(layers, (layer) => layer.health, null),
  };
}
