/**
 * Parameters of a query as routes ask for them: the pairs of application/x-www-form-urlencoded, decoded for the
 * comparison only. What is forwarded stays as it came.
 */
import { decodeFormText } from "../../semantics/query.ts";

/** Whether the query (without "?") has a parameter of this name with one of the values; `values: null` is any value. */
export function queryHas(query: string | null, name: string, values: readonly string[] | null): boolean {
  if (query === null) return false;
  let start = 0;
  while (start <= query.length) {
    const ampersand = query.indexOf("&", start);
    const end = ampersand < 0 ? query.length : ampersand;
    if (end > start && pairMatches(query.slice(start, end), name, values)) return true;
    start = end + 1;
  }
  return false;
}

function pairMatches(pair: string, name: string, values: readonly string[] | null): boolean {
  const equals = pair.indexOf("=");
  if (decodeFormText(equals < 0 ? pair : pair.slice(0, equals)) !== name) return false;
  return values === null || values.includes(equals < 0 ? "" : decodeFormText(pair.slice(equals + 1)));
}
