/** Cookies of a request (RFC 6265, section 4.2): found by their names, their values as they came. What they mean is decided elsewhere. */
import type { FieldBlock } from "../core/fields.ts";
import { withoutOuterSpace } from "./field-list.ts";

/**
 * All values of a cookie, with ";" between them, which no value has in it; null when it is not there. What RFC 6265 section 5.2 takes
 * away around names and values is gone.
 */
export function cookieValues(fields: FieldBlock, name: string): string | null {
  let values: string | null = null;
  for (const pair of fields.get("cookie")?.split(";") ?? []) {
    const equals = pair.indexOf("=");
    if (equals < 0 || withoutOuterSpace(pair.slice(0, equals)) !== name) continue;
    const value = withoutOuterSpace(pair.slice(equals + 1));
    values = values === null ? value : `${values};${value}`;
  }
  return values;
}
