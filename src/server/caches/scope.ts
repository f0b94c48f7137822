/**
 * What tells apart the answers that one URL has on different routes, for the keys of a cache that they share: where the route leads,
 * what is set in a request before it is at the cache, and what is done to it and its answer between the cache and there. Routes that
 * agree in that share their answers.
 *
 * The place of a route in the file is no part of it, nor what an upstream's servers or timeouts are: a cache outlives such changes.
 * How servers are verified is: what came from one whom nobody has verified is not for routes that verify it. No secret is part of it.
 */
import { createHash } from "node:crypto";
import { canonicalJson } from "../../config/canonical.ts";
import type { Config, ForwardServerConfig, RouteConfig, UseConfig } from "../../config/config.ts";

/** What `handle: kisscache` keeps is kept against what origins say, and must not be found by who goes by that. */
const KISSCACHE_SCOPE = "kisscache";

type Upstreams = Config["upstreams"];

/** Of the feature at this place of the route's `use`; `upstreams` are those of its configuration. */
export function cacheScope({ use, action }: RouteConfig, index: number, upstreams: Upstreams): string {
  if (use[index]?.feature !== "cache") return "";
  const behind = use.slice(index + 1).map(changesOf);
  return digestOf([placeOf(action, upstreams), inFront(use.slice(0, index)), ...behind.filter((one) => one !== null)]);
}

/** What a forward proxy makes of requests, and whom it believes that an origin is the one that was asked for. */
type Forward = Pick<ForwardServerConfig, "use" | "originCa" | "via">;

/**
 * Of `forward`, at this place of its `use`: requests go where their URL says, which alone tells their answers apart ("") as long as
 * nothing changes the requests, they go there directly, and the usual authorities vouch for origins.
 */
export function forwardScope({ use, originCa, via }: Forward, index: number): string {
  const front = inFront(use.slice(0, index));
  const behind = use
    .slice(index + 1)
    .map(changesOf)
    .filter((one) => one !== null);
  const ways = waysOf(via);
  const isUsual = front.length + behind.length + ways.length === 0 && originCa === null;
  return isUsual ? "" : digestOf(["forward", originCa, ways, front, ...behind]);
}

/** Of `handle: kisscache`, behind all others of the same. */
export function kisscacheScope({ use, originCa, via }: Forward): string {
  const front = inFront(use);
  const ways = waysOf(via);
  const isUsual = front.length + ways.length === 0 && originCa === null;
  return isUsual ? KISSCACHE_SCOPE : `${KISSCACHE_SCOPE} ${digestOf([originCa, ways, front])}`;
}

function digestOf(what: unknown): string {
  return createHash("sha256").update(canonicalJson(what)).digest("hex").slice(0, 16);
}

/** It goes to the origin and stands in no key, unlike a URL that is changed. */
function inFront(use: readonly UseConfig[]): readonly unknown[] {
  return use.flatMap((one): unknown[] => {
    if (one.feature === "plugin") return [["plugin", one.plugin.name]];
    if (one.feature !== "headers") return [];
    const { set, add, remove } = one.options.request;
    const isEmpty = Object.keys(set).length + Object.keys(add).length + remove.length === 0;
    return isEmpty ? [] : [["headers", set, add, remove]];
  });
}

function placeOf(action: RouteConfig["action"], upstreams: Upstreams): unknown {
  switch (action.kind) {
    case "proxy":
      // What stands behind "#" tells pools of connections to the same servers apart.
      return [
        "proxy",
        action.upstream.replace(/#[0-9a-f]{8}$/, ""),
        action.use.host,
        ...tlsOf(upstreams.find(({ name }) => name === action.upstream)),
      ];
    case "handle":
      return ["handle", action.handle.name];
    default:
      return action;
  }
}

/** Whom a server has to prove to be, and as whom we come to it; nothing where that is as usual. */
function tlsOf(upstream: Upstreams[number] | undefined): readonly unknown[] {
  if (upstream === undefined) return [];
  const { serverName, ca, cert, verify } = upstream.tls;
  return verify && serverName === null && ca === null && cert === null ? [] : [{ serverName, ca, cert, verify }];
}

/** Which parents answer for which hosts, and as whom they know us: without passwords, which may change. Nothing: all is direct. */
function waysOf(via: Forward["via"]): readonly unknown[] {
  if (via.every((rule) => rule === "direct")) return [];
  return via.map((rule) => {
    if (rule === "direct") return rule;
    const { hosts = null, ports = null, proxies, ca } = rule;
    return [
      hosts,
      ports,
      ca,
      proxies.map(({ kind, host, port, credentials }) => [kind, host, port, credentials?.user ?? null]),
    ];
  });
}

/** null: it changes nothing that an answer could depend on. */
function changesOf(use: UseConfig): unknown {
  switch (use.feature) {
    case "headers":
    case "rewrite":
    case "stripPrefix":
      return [use.feature, use.options];
    case "plugin":
      return ["plugin", use.plugin.name];
    default:
      return null;
  }
}
