/**
 * What tells apart the answers that one URL has on different routes, for the keys of a cache that they share: where the route leads,
 * and what is done to a request between the cache and there. Routes that agree in that share their answers.
 *
 * The place of a route in the file is no part of it, nor what an upstream's servers or timeouts are: a cache outlives such changes.
 */
import { createHash } from "node:crypto";
import { canonicalJson } from "../../config/canonical.ts";
import type { RouteConfig, UseConfig } from "../../config/config.ts";

/** Requests of a forward proxy go where their URL says: it alone tells their answers apart. */
export const FORWARD_SCOPE = "";

/** What `handle: kisscache` keeps is kept against what origins say, and must not be found by who goes by that. */
export const KISSCACHE_SCOPE = "kisscache";

/** Of the feature at this place of the route's `use`. */
export function cacheScope({ use, action }: RouteConfig, index: number): string {
  if (use[index]?.feature !== "cache") return "";
  const behind = use.slice(index + 1).map(changesOf);
  const text = canonicalJson([placeOf(action), ...behind.filter((one) => one !== null)]);
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
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
