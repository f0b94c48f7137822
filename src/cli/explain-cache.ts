/** What `explain` says of a cache that a request would meet. */
import type { CacheExplanation } from "../server/caches/explain.ts";

type Row = readonly [label: string, text: string];

export function* cacheRows({ name, passes, url, parts, rules, isLastForAll }: CacheExplanation): Generator<Row> {
  if (passes !== null) {
    yield ["cache", `${name}: passed by (${passes.reason}): ${passes.sentence}`];
    return;
  }
  yield ["cache", `${name}, under the key ${url}${parts.length === 0 ? "" : `, and by ${parts.join(", ")}`}`];
  for (const rule of rules) yield ["", rule];
  if (!isLastForAll) yield ["", rules.length === 0 ? "what its answer says holds" : "else what the answer says holds"];
}
