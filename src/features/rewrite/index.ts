/**
 * The feature `rewrite`: replaces what a regular expression matches in the normalised path, once, and forwards the
 * result in normal form again, so that "/files/../admin" cannot be made out of parts of a path. The query stays as it
 * came.
 *
 * The expression runs on every request in the thread that serves all others, over a path whose length the limit of the
 * request line bounds. Nested repetitions such as "(a+)+$" can take exponential time on a hostile path: anchor the
 * expression, and let repetitions exclude what follows them ("[^/]+" in place of ".+").
 */
import { ProxyError } from "../../core/errors.ts";
import type { Feature } from "../../pipeline/phases.ts";
import { normalisePath } from "../../semantics/uri.ts";
import type { RewriteOptions } from "./options.ts";

/** @throws SyntaxError when the expression does not compile. */
export function createRewriteFeature({ match, to }: RewriteOptions): Feature {
  const pattern = new RegExp(match, "u");
  return {
    name: "rewrite",
    request(exchange) {
      const { request } = exchange;
      // It asks about the server as a whole, and has no path.
      if (request.form === "asterisk") return;
      const { path } = request;
      const replaced = path.replace(pattern, to);
      if (replaced === path) return;
      const normal = normalisePath(replaced);
      if (normal === null) {
        const message = `rewrite made the invalid path ${JSON.stringify(replaced)} of ${JSON.stringify(path)}`;
        exchange.fail(new ProxyError("proxy_configuration_error", message));
        return;
      }
      request.setTarget(normal, request.query);
    },
  };
}
