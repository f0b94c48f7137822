/**
 * Requests that say in a field that they mean another URL or method than their request line says: some frameworks believe it. What
 * is answered to them must not become the answer to everybody who asks for the URL that the key has (cache poisoning). Fields that no
 * server reads so are nothing to this.
 */
import type { FieldBlock } from "../../core/fields.ts";
import { NameVariants } from "../../semantics/name-variants.ts";

/** IIS and Symfony's URL; Rails', ASP.NET's and Google's method; hosts for links as some frameworks look for them. */
const OVERRIDES = new NameVariants([
  "x-original-url",
  "x-rewrite-url",
  "x-http-method-override",
  "x-http-method",
  "x-method-override",
  "x-host",
  "x-original-host",
]);

export function hasOverride(fields: FieldBlock): boolean {
  return OVERRIDES.areIn(fields);
}
