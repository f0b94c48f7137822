/**
 * Requests that say in a field that they mean another URL or method than their request line says: some frameworks believe it. What
 * is answered to them must not become the answer to everybody who asks for the URL that the key has (cache poisoning). Fields that no
 * server reads so are nothing to this. The same holds for requests that keep from the upstream, by Connection, what they have
 * themselves: the key, and the variant, would be of a field that the upstream has never seen.
 */
import type { FieldBlock } from "../../core/fields.ts";
import { nominatesFields } from "../../semantics/hop-by-hop.ts";
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
  "x-http-host-override",
  // Where an application is mounted, as WSGI and its like know it.
  "x-script-name",
  "script-name",
  "x-base-url",
]);

export function hasOverride(fields: FieldBlock): boolean {
  return OVERRIDES.areIn(fields) || nominatesFields(fields);
}
