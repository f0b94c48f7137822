/**
 * What tells apart the answers that one URL has on different routes, for the keys of a cache that they share: where the route leads,
 * what is set in a request before it is at the cache, and what is done to it and its answer between the cache and there. Routes that
 * agree in that share their answers.
 *
 * The place of a route in the file is no part of it, nor what an upstream's servers or timeouts are: a cache outlives such changes.
 */
import { createHash } from "node:crypto";
import { canonicalJson } from "../../config/canonical.ts";
import type { ForwardServerConfig, RouteConfig, UseConfig } from "../../config/config.ts";

/** What `handle: kisscache` keeps is kept against what origins say, and must not be found by who goes by that. */
const KISSCACHE_SCOPE = "kisscache";

/** Of the feature at this place of the route's `use`. */
export function cacheScope({ use, action }: RouteConfig, index: number): string {
  if (use[index]?.feature !== "cache") return "";
  const behind = use.slice(index + 1).map(changesOf);
  return digestOf([placeOf(action), inFront(use.slice(0, index)), ...behind.filter((one) => one !== null)]);
}

/** What a forward proxy makes of requests, and whom it believes that an origin is the one that was asked for. */
type Forward = Pick<ForwardServerConfig, "use" | "originCa">;

/**
 * Of `forward`, at this place of its `use`: requests go where their URL says, which alone tells their answers apart ("") as long as
 * nothing changes the requests and the usual authorities vouch for origins.
 */
export function forwardScope({ use, originCa }: Forward, index: number): string {
  const front = inFront(use.slice(0, index));
  const behind = use
    .slice(index + 1)
    .map(changesOf)
    .filter((one) => one !== null);
  const isUsual = front.length + behind.length === 0 && originCa === null;
  return isUsual ? "" : digestOf(["forward", originCa, front, ...behind]);
}

/** Of `handle: kisscache`, behind all others of the same. */
export function kisscacheScope({ use, originCa }: Forward): string {
  const front = inFront(use);
  const isUsual = front.length === 0 && originCa === null;
  return isUsual ? KISSCACHE_SCOPE : `${KISSCACHE_SCOPE} ${digestOf([originCa, front])}`;
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

function placeOf(action: RouteConfig["action"]): unknown {
  switch (action.kind) {
    case "proxy":
      // What stands behind "#" tells pools of connections to the same servers apart.
      return ["proxy", action.upstream.replace(/#[0-9a-f]{8}$/, ""), action.use.host];
    case "handle":
      return ["handle", action.handle.name];
    default:
      return action;
  }
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
