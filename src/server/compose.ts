/**
 * From the configuration to what serves requests: each server becomes a site with its router, each route its features and
 * its end. Pure: what it needs of the machine (pools of connections, the access log) is handed in, so that a
 * configuration can be composed to be looked at without opening anything.
 */
import { canonicalJson } from "../config/canonical.ts";
import type { ActionConfig, Config, RouteConfig, ServerConfig } from "../config/config.ts";
import type { DeadlineWheel } from "../core/deadlines.ts";
import type { Clock } from "../core/ports.ts";
import { compileChain, EMPTY_CHAIN } from "../pipeline/chain.ts";
import type { Forks } from "../pipeline/forked.ts";
import { ViaLines } from "../pipeline/prepare.ts";
import { compileRouter, type RouteEntry } from "../pipeline/routing/router.ts";
import type { ExchangeObserver, Handler, Route, Site } from "../pipeline/site.ts";
import type { Upstream, UpstreamUse } from "../pipeline/upstream.ts";
import { CidrSet } from "../semantics/cidr.ts";
import { resolveUpstreamUse } from "../upstreams/use.ts";
import { cacheScope } from "./caches/scope.ts";
import { composeForward, composeKisscache, type ForwardParts } from "./compose-forward.ts";
import { composePac } from "./compose-pac.ts";
import type { FeatureMakers, FeaturePorts } from "./features.ts";
import { functionHandler, redirectHandler, respondHandler } from "./handlers.ts";
import { UpstreamIdentityFields } from "./upstream-identity-fields.ts";
import { viaNameOf } from "./via-name.ts";

export interface ComposeSurroundings {
  readonly clock: Clock;
  readonly deadlines: DeadlineWheel;
  /** The pool of a name in `Config.upstreams`. */
  upstream(name: string): Upstream;
  /** What a server that is a forward proxy has of its own. */
  forward(server: ServerConfig): ForwardParts;
  /** Who is told of the exchanges of a server; null: nobody. */
  observer(server: ServerConfig): ExchangeObserver | null;
  /** Those of the whole proxy, of all its configurations. */
  readonly forks: Forks;
  /** Of this configuration. */
  readonly makers: FeatureMakers;
  readonly features: FeaturePorts;
  /** A text of this proxy's own, for what has no other name of its own. */
  readonly instance: string;
}

export interface ComposedServer {
  readonly config: ServerConfig;
  readonly site: Site;
  /** The PAC file's route if there is one, then those of the file in its order: for who asks why a request meets one. */
  readonly entries: readonly RouteEntry[];
}

export function composeServers(config: Config, around: ComposeSurroundings): readonly ComposedServer[] {
  const shared = new SharedParts();
  const identityFields = new UpstreamIdentityFields(config);
  const trustedProxies = config.trustedProxies.length === 0 ? null : CidrSet.parse(config.trustedProxies);
  return config.servers.map((server) => {
    const pac = composePac(server);
    const forward = server.forward === null ? null : around.forward(server);
    const routes = server.routes.map((route) => ({
      match: route.match,
      route: composeRoute(route, server, forward, around, shared, identityFields, config.upstreams),
    }));
    const entries = pac === null ? routes : [pac, ...routes];
    const site: Site = {
      name: server.name,
      router: compileRouter(entries),
      forward: forward === null ? null : composeForward(server, forward, around),
      limits: server.limits,
      halfClose: server.halfClose,
      trustedProxies,
      via: composeVia(config, server, around.instance),
      observer: around.observer(server),
      clock: around.clock,
      deadlines: around.deadlines,
      forks: around.forks,
    };
    return { config: server, site, entries };
  });
}

function composeVia(config: Config, server: ServerConfig, instance: string): ViaLines | null {
  const name = viaNameOf(config, server, instance);
  return name === null ? null : new ViaLines(name);
}

function composeRoute(
  route: RouteConfig,
  server: ServerConfig,
  forward: ForwardParts | null,
  around: ComposeSurroundings,
  shared: SharedParts,
  identityFields: UpstreamIdentityFields,
  upstreams: Config["upstreams"],
): Route {
  const { action } = route;
  const guard = identityFields.guardOf(route);
  const features = route.use.map((use, index) =>
    around.makers.make(use, around.features, cacheScope(route, index, upstreams)),
  );
  // In front of a cache, or what Vary tells apart would be told by a field that the upstream never sees.
  const cacheAt = route.use.findIndex(({ feature }) => feature === "cache");
  if (guard !== null) features.splice(cacheAt < 0 ? features.length : cacheAt, 0, guard);
  if (action.kind === "kisscache") {
    const { features: behind, end } = composeKisscache(server, action, forward!, around);
    return {
      name: route.name,
      chain: compileChain([...features, ...behind]),
      ...end,
      limits: shared.one(route.limits),
    };
  }
  return {
    name: route.name,
    chain: features.length === 0 ? EMPTY_CHAIN : compileChain(features),
    upstream: action.kind === "proxy" ? around.upstream(action.upstream) : null,
    handler: handlerOf(action),
    use: action.kind === "proxy" ? shared.one(action.use) : NO_USE,
    upgrade: shared.one(route.upgrade),
    limits: shared.one(route.limits),
  };
}

/**
 * Of parts that say the same, one for all routes: thousands of routes differ in their hosts and paths alone, and what every request
 * looks at then stays in the processor's cache.
 */
class SharedParts {
  readonly #parts = new Map<string, object>();

  one<T extends object>(part: T): T {
    const text = canonicalJson(part);
    const known = this.#parts.get(text);
    if (known !== undefined) return known as T;
    this.#parts.set(text, part);
    return part;
  }
}

/** A route that answers itself sends nothing anywhere, unless a plugin of its own chooses an upstream. */
const NO_USE: UpstreamUse = resolveUpstreamUse([]);

function handlerOf(action: Exclude<ActionConfig, { readonly kind: "kisscache" }>): Handler | null {
  switch (action.kind) {
    case "proxy":
      return null;
    case "respond":
      return respondHandler(action);
    case "redirect":
      return redirectHandler(action);
    case "handle":
      return functionHandler(action);
  }
}
