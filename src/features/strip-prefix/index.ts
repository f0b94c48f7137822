/**
 * The feature `stripPrefix`: an application that believes to stand at "/" is served below a prefix. The prefix is told
 * in X-Forwarded-Prefix, so that the application can make links that lead back. The query stays as it came.
 */
import type { Feature } from "../../pipeline/phases.ts";
import type { StripPrefixOptions } from "./options.ts";

/** `prefix` is normalised: it begins with "/" and does not end with one. */
export function createStripPrefixFeature(prefix: StripPrefixOptions): Feature {
  const below = `${prefix}/`;
  return {
    name: "stripPrefix",
    request({ request }) {
      const { path } = request;
      if (path !== prefix && !path.startsWith(below)) return;
      request.setTarget(path === prefix ? "/" : path.slice(prefix.length), request.query);
      // What is there is a trusted proxy's or of a stripPrefix before this one: both stand further out.
      const outer = request.fields.get("x-forwarded-prefix") ?? "";
      request.fields.set("X-Forwarded-Prefix", outer.replace(/\/$/, "") + prefix);
    },
  };
}
