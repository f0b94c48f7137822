/**
 * What a cache would make of a request, as far as the request alone tells: whether it passes, the key, and the rules that its answer
 * could meet. Nothing is looked up.
 */
import type { UseConfig } from "../../config/config.ts";
import { formatDuration } from "../../core/option-types.ts";
import { isBypassed } from "../../features/cache/bypass.ts";
import { CacheKeys, urlOf } from "../../features/cache/keys.ts";
import type { CacheRule } from "../../features/cache/options.ts";
import { REASONS, type RequestReason } from "../../features/cache/reasons.ts";
import { isPathIn } from "../../features/cache/rules.ts";
import type { Exchange } from "../../pipeline/exchange.ts";
import { normalisePath } from "../../semantics/uri.ts";

export interface CacheExplanation {
  /** Of the cache. */
  readonly name: string;
  /** Why it is no matter of the cache, in a word and a sentence; null: it is. */
  readonly passes: { readonly reason: RequestReason; readonly sentence: string } | null;
  /** The URL of the key; null: there is none. */
  readonly url: string | null;
  /** What else tells answers apart: "header accept-language". */
  readonly parts: readonly string[];
  /** Those whose paths fit, in words, in their order, up to one that fits every answer. */
  readonly rules: readonly string[];
  /** The last one fits every answer; otherwise what the answer says may hold. */
  readonly isLastForAll: boolean;
}

type CacheUse = Extract<UseConfig, { readonly feature: "cache" }>;

/** `scopeOf`: of the feature at this place of `use`. */
export function explainCaches(
  exchange: Exchange,
  use: readonly UseConfig[],
  scopeOf: (index: number) => string,
): readonly CacheExplanation[] {
  return use.flatMap((one, index) => (one.feature === "cache" ? [explainCache(exchange, one, scopeOf(index))] : []));
}

function explainCache(exchange: Exchange, { options, cache }: CacheUse, scope: string): CacheExplanation {
  const { request, forward } = exchange;
  const { headers, cookies, identity } = options.key;
  const parts = [
    ...headers.map((name) => `header ${name}`),
    ...cookies.map((name) => `cookie ${name}`),
    ...(identity ? ["who asks"] : []),
    ...((forward?.access?.reach ?? "") === "" ? [] : ["the networks of the rules that it meets"]),
  ];
  const path = forward === null ? request.path : (normalisePath(request.path) ?? request.path);
  const key = new CacheKeys(options.key, scope).of(exchange);
  const reason = reasonOf(exchange, options, path, key);
  const passes = reason === null ? null : { reason, sentence: REASONS[reason] };
  const rules: string[] = [];
  let isLastForAll = false;
  for (const [index, rule] of options.rules.entries()) {
    if (rule.path !== null && !rule.path.some((pattern) => isPathIn(pattern, path))) continue;
    rules.push(ruleText(index, rule));
    isLastForAll = rule.status === null && rule.type === null;
    if (isLastForAll) break;
  }
  return { name: cache, passes, url: key === null ? null : urlOf(key), parts, rules, isLastForAll };
}

function reasonOf(
  exchange: Exchange,
  options: CacheUse["options"],
  path: string,
  key: string | null,
): RequestReason | null {
  const { request } = exchange;
  if (request.method !== "GET" && !(request.method === "HEAD" && options.methods.includes("HEAD"))) return "method";
  if (request.upgrade !== null) return "upgrade";
  if (request.bodyBytes !== 0) return "request-body";
  if (options.bypass.length > 0 && isBypassed(options.bypass, exchange, path)) return "bypass";
  return key === null ? (request.authority === "" ? "no-host" : "key-too-long") : null;
}

/** "rules[0], for status 200, 301: fresh for 7d, without cache-control" */
function ruleText(index: number, { status, type, forMs, minMs, maxMs, ignore, isNever }: CacheRule): string {
  const which = [
    ...(status === null ? [] : [`status ${status.map((one) => (one.length === 1 ? `${one}xx` : one)).join(", ")}`]),
    ...(type === null ? [] : [`type ${type.join(", ")}`]),
  ];
  const what = isNever
    ? ["not stored"]
    : [
        ...(forMs === null ? [] : [`fresh for ${formatDuration(forMs)}`]),
        ...(minMs === null ? [] : [`fresh for ${formatDuration(minMs)} at least`]),
        ...(maxMs === null ? [] : [`fresh for ${formatDuration(maxMs)} at most`]),
        ...(ignore.length === 0 ? [] : [`whatever it says in ${ignore.join(", ")}`]),
      ];
  return `rules[${index}]${which.length === 0 ? "" : `, for ${which.join(" and ")}`}: ${what.join(", ")}`;
}
