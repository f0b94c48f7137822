/**
 * From what the file says to what the program works with: inner blocks over outer ones, short forms made long, and every
 * pool of connections and every store named once. The file is known to be right when this runs, so nothing here can fail.
 */
import { createHash } from "node:crypto";
import { formatListenAddress, type ServerAddress } from "../core/option-addresses.ts";
import { resolveForward } from "../forward/options.ts";
import {
  resolveUpstream,
  resolveUpstreamUse,
  type UpstreamConfig,
  type UpstreamOverrides,
  type UpstreamServer,
} from "../upstreams/options.ts";
import { Caches } from "./caches.ts";
import { canonicalJson } from "./canonical.ts";
import type {
  ActionConfig,
  Config,
  ForwardServerConfig,
  LimitsConfig,
  LogConfig,
  RouteConfig,
  ServerConfig,
  UseConfig,
} from "./config.ts";
import { cacheOfKisscache } from "./kisscache.ts";
import { LIMITS_DEFAULT, resolveLimits, resolveRouteLimits } from "./limits-schema.ts";
import { MATCH_ALL, type ProxyBlock, type RouteBlock, type UseBlock } from "./route-schema.ts";
import type { ConfigBlocks, ServerBlock } from "./schema.ts";
import { resolveStores, Stores } from "./stores.ts";

export function resolveConfig(blocks: ConfigBlocks): Config {
  const pools = new Pools(blocks.upstreams);
  const stores = new Stores(blocks.stores);
  const outer: Outer = {
    pools,
    stores,
    caches: new Caches(blocks.caches, stores),
    sample: blocks.log.access?.sample ?? 1,
    limits: resolveLimits(LIMITS_DEFAULT, blocks.limits),
  };
  const servers = Object.entries(blocks.servers).map(([name, server]) => resolveServer(name, server, outer));
  return {
    workers: blocks.workers,
    transport: blocks.transport,
    admin: blocks.admin,
    log: withKeysRedacted(blocks.log, servers),
    trustedProxies: blocks.trustedProxies,
    via: blocks.via,
    drainTimeoutMs: blocks.drainTimeout,
    upstreams: pools.all(),
    stores: stores.all(),
    caches: outer.caches.all(),
    servers,
  };
}

/** Wherever a route takes a key or a token from, no line of the log shows one: also of requests that no route took. */
function withKeysRedacted(log: LogConfig, servers: readonly ServerConfig[]): LogConfig {
  if (log.access === null) return log;
  const uses = servers.flatMap(({ routes, forward }) => [...routes.map(({ use }) => use), forward?.use ?? []]);
  const places = uses.flatMap((use) => use.flatMap(placesOfSecrets));
  const named = (kind: "header" | "query") =>
    places.flatMap((place) => (place.kind === kind && place.name !== undefined ? [place.name] : []));
  const redact = [...new Set([...log.access.redact, ...named("header")])];
  const redactQuery = [...new Set([...log.access.redactQuery, ...named("query")])];
  return { ...log, access: { ...log.access, redact, redactQuery } };
}

function placesOfSecrets(use: UseConfig): readonly { readonly kind: string; readonly name?: string }[] {
  switch (use.feature) {
    case "apiKey":
      return use.options.from;
    case "credentials":
      return use.options.token.places;
    case "jwt":
      return use.options.tokens.places;
    default:
      return [];
  }
}

/** What the blocks around a server or a route say. */
interface Outer {
  readonly pools: Pools;
  readonly stores: Stores;
  readonly caches: Caches;
  readonly limits: LimitsConfig;
  readonly sample: number;
}

function resolveServer(name: string, block: ServerBlock, outer: Outer): ServerConfig {
  const limits = resolveLimits(outer.limits, block.limits);
  const access = block.log?.access;
  const inner = { ...outer, limits, sample: access?.sample ?? outer.sample };
  const { routes } = block;
  return {
    name,
    listen: block.listen.map((item) => ({ text: formatListenAddress(item.address), ...item })),
    limits,
    halfClose: block.halfClose,
    forward: block.forward === undefined ? null : resolveForwardServer(block.forward, block.log, inner),
    // A server without routes is its own route; its limits and its log are resolved already.
    routes:
      routes === undefined && block.forward !== undefined && !hasAction(block)
        ? []
        : routes === undefined
          ? [resolveRoute(name, { ...block, match: undefined, limits: undefined }, inner)]
          : routes.map((route, index) => {
              const log = route.log?.access === undefined ? block.log : route.log;
              return resolveRoute(`${name}.routes[${index}]`, { ...route, log }, inner);
            }),
  };
}

function hasAction({ proxy, respond, redirect, handle }: ServerBlock): boolean {
  return [proxy, respond, redirect, handle].some((action) => action !== undefined);
}

function resolveForwardServer(
  { use, cache, ...block }: NonNullable<ServerBlock["forward"]>,
  log: ServerBlock["log"],
  outer: Outer,
): ForwardServerConfig {
  const items = [...(use ?? []), ...(cache === undefined ? [] : [{ feature: "cache" as const, options: cache }])];
  return {
    ...resolveForward(block),
    use: items.map((item) => resolveStores(resolveUse(item, outer), outer.stores)),
    limits: resolveRouteLimits(outer.limits),
    accessLog: { off: log?.access === null, sample: log?.access === null ? 0 : outer.sample },
  };
}

type RouteParts = Omit<RouteBlock, "match" | "limits" | "log"> & {
  readonly match?: RouteBlock["match"];
  readonly limits?: RouteBlock["limits"];
  readonly log?: RouteBlock["log"];
};

function resolveRoute(name: string, block: RouteParts, outer: Outer): RouteConfig {
  const access = block.log?.access;
  return {
    name,
    match: block.match ?? MATCH_ALL,
    use: (block.use ?? []).map((use) => resolveStores(resolveUse(use, outer), outer.stores)),
    action: resolveAction(block, outer),
    upgrade: block.upgrade ?? ["websocket"],
    limits: resolveRouteLimits(outer.limits, block.limits),
    accessLog: { off: access === null, sample: access === null ? 0 : (access?.sample ?? outer.sample) },
  };
}

function resolveUse(use: UseBlock, { pools, caches }: Outer): UseConfig {
  if (use.feature === "cache") return { ...use, cache: caches.of(use.options.store) };
  if (use.feature !== "forwardAuth") return use;
  const { tls, maxConnections, ...options } = use.options;
  const { at } = options.address;
  const to = "name" in at ? at.name : at.server;
  return { feature: "forwardAuth", options, upstream: pools.of(to, { tls, maxConnections }) };
}

function resolveAction(block: RouteParts, { pools, caches }: Outer): ActionConfig {
  if (block.proxy !== undefined) return resolveProxy(block.proxy, block.timeouts, pools);
  if (block.redirect !== undefined) return { kind: "redirect", ...block.redirect };
  if (typeof block.handle === "function") return { kind: "handle", handle: block.handle };
  if (block.handle !== undefined) {
    const { kisscache: options } = block.handle;
    const cache = { feature: "cache", options: cacheOfKisscache(options), cache: caches.of(options.store) } as const;
    return { kind: "kisscache", options, cache };
  }
  const { status, headers, body, contentType } = block.respond ?? { status: 404, headers: {} };
  const fields = Object.entries(headers).flatMap(([name, values]) => values.map((value) => [name, value] as const));
  if (body !== undefined && headers["content-type"] === undefined) {
    fields.push(["content-type", contentType ?? "text/plain; charset=utf-8"]);
  }
  return { kind: "respond", status, headers: fields, body: body ?? null };
}

function resolveProxy(block: ProxyBlock, timeouts: RouteBlock["timeouts"], pools: Pools): ActionConfig {
  const { to, ...overrides } = block;
  const named = "name" in to ? pools.named(to.name) : null;
  const layers: UpstreamOverrides[] = [overrides];
  if (timeouts !== undefined) layers.unshift({ timeouts });
  if (named !== null) layers.push(named.overrides);
  const base = "name" in to ? to.name : to.server.url;
  const servers = "name" in to ? (named?.servers ?? []) : [{ ...to.server, weight: 1 }];
  return { kind: "proxy", upstream: pools.share(base, servers, layers), use: resolveUpstreamUse(layers) };
}

/** Every pool once. Two routes that say the same about connections share one, whatever else they say. */
class Pools {
  readonly #blocks: ConfigBlocks["upstreams"];
  readonly #pools = new Map<string, UpstreamConfig>();

  constructor(blocks: ConfigBlocks["upstreams"]) {
    this.#blocks = blocks;
    for (const [name, { servers, ...overrides }] of Object.entries(blocks)) {
      this.#pools.set(name, resolveUpstream(name, servers, [overrides]));
    }
  }

  named(name: string): { servers: readonly UpstreamServer[]; overrides: UpstreamOverrides } {
    const { servers = [], ...overrides } = this.#blocks[name] ?? {};
    return { servers, overrides };
  }

  /** The name of the pool for these layers: that of the upstream, or the URL, when they change nothing about connections. */
  share(base: string, servers: readonly UpstreamServer[], layers: readonly UpstreamOverrides[]): string {
    const isNamed = Object.hasOwn(this.#blocks, base);
    const plain = isNamed ? this.#pools.get(base) : resolveUpstream(base, servers, []);
    const pool = resolveUpstream(base, servers, layers);
    const settings = canonicalJson(pool);
    const digest = createHash("sha256").update(settings).digest("hex").slice(0, 8);
    const name = settings === canonicalJson(plain) ? base : `${base}#${digest}`;
    if (!this.#pools.has(name)) this.#pools.set(name, { ...pool, name });
    return name;
  }

  /** The name of the pool for what is asked beside a route's own target: at the upstream of a name, or at a server. */
  of(to: string | ServerAddress, overrides: UpstreamOverrides): string {
    if (typeof to !== "string") return this.share(to.url, [{ ...to, weight: 1 }], [overrides]);
    const { servers, overrides: named } = this.named(to);
    return this.share(to, servers, [overrides, named]);
  }

  all(): readonly UpstreamConfig[] {
    return [...this.#pools.values()];
  }
}
