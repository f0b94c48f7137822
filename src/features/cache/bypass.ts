/** Which requests pass the cache by because the configuration says so. It looks at requests as routes do, and keeps nothing of them. */
import type { Exchange } from "../../pipeline/exchange.ts";
import { cookieValues } from "../../semantics/cookies.ts";
import { parametersOf } from "../../semantics/query.ts";
import type { BypassCondition, BypassValues } from "./options.ts";
import { isPathIn } from "./rules.ts";

/** `path` is normalised. */
export function isBypassed(conditions: readonly BypassCondition[], { request }: Exchange, path: string): boolean {
  for (const { header, cookie, query, path: patterns } of conditions) {
    if (patterns !== null && !patterns.some((pattern) => isPathIn(pattern, path))) continue;
    if (header !== null && !header.every((one) => fits(one, headerOf(request.fields.get(one.name))))) continue;
    if (cookie !== null && !cookie.every((one) => fits(one, cookieValues(request.fields, one.name)?.split(";") ?? [])))
      continue;
    if (query !== null && !query.every((one) => fits(one, parametersOf(request.query, one.name)))) continue;
    return true;
  }
  return false;
}

/** A field is compared with the whole of its value. */
function headerOf(value: string | null): readonly string[] {
  return value === null ? [] : [value];
}

function fits({ values }: BypassValues, found: readonly string[]): boolean {
  return values === null ? found.length > 0 : found.some((value) => values.includes(value));
}
