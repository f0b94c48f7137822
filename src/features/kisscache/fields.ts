/**
 * Which fields cross: of a request those that the origin is to get by its wish, and what asks for a part; of an answer those that
 * describe what was downloaded. All origins are served under one name here, so what an answer says to browsers about its origin
 * (cookies, policies) must not reach them as if we said it.
 */
import { createHash } from "node:crypto";
import { type FieldBlock, isToken } from "../../core/fields.ts";
import { PASSED_FIELD } from "./passed-field.ts";

/**
 * Of a request, whatever it wishes: what asks for a part of the download or for nothing if it is there, by which we see loops, and by
 * which a user proves who he is to us.
 */
const REQUEST_KEPT: ReadonlySet<string> = new Set([
  "if-match",
  "if-modified-since",
  "if-none-match",
  "if-range",
  "if-unmodified-since",
  "proxy-authorization",
  "range",
  "via",
]);

/** Never passed, whatever a request wishes: of the connection, of us, or set here. */
const NEVER_PASSED: ReadonlySet<string> = new Set([
  "accept-encoding",
  "cache-control",
  "connection",
  "content-length",
  "expect",
  "forwarded",
  "host",
  "http2-settings",
  "keep-alive",
  "pragma",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

const RESPONSE_KEPT: ReadonlySet<string> = new Set([
  "accept-ranges",
  "age",
  "allow",
  "cache-status",
  "connection",
  "content-digest",
  "content-encoding",
  "content-language",
  "content-length",
  "content-md5",
  "content-range",
  "content-type",
  "date",
  "digest",
  "etag",
  "last-modified",
  "location",
  "proxy-authenticate",
  "proxy-status",
  "repr-digest",
  "retry-after",
  "server",
  "transfer-encoding",
  "via",
  "www-authenticate",
]);

/** Leaves what the origin is to get. Of the fields that are passed, only a digest is told to the cache: they are secrets. */
export function keepRequestFields(fields: FieldBlock, passed: readonly string[]): void {
  const names = passed.filter((name) => isToken(name) && isPassable(name));
  const values = names
    .map((name) => [name, ...fields.getAll(name)])
    .filter((line) => line.length > 1)
    .sort(([one = ""], [other = ""]) => (one < other ? -1 : 1));
  keep(fields, (name) => REQUEST_KEPT.has(name) || names.includes(name));
  if (values.length > 0) fields.set(PASSED_FIELD, digestOf(values));
}

function isPassable(name: string): boolean {
  return (
    !NEVER_PASSED.has(name) && !REQUEST_KEPT.has(name) && !name.startsWith("x-forwarded-") && name !== PASSED_FIELD
  );
}

function digestOf(values: readonly (readonly string[])[]): string {
  return createHash("sha256").update(JSON.stringify(values)).digest("base64url");
}

export function keepResponseFields(fields: FieldBlock): void {
  keep(fields, (name) => RESPONSE_KEPT.has(name));
}

function keep(fields: FieldBlock, isKept: (lowerName: string) => boolean): void {
  for (let row = fields.rowCount - 1; row >= 0; row--) {
    if (!fields.isRemoved(row) && !isKept(fields.nameAt(row).toLowerCase())) fields.removeRow(row);
  }
}

/** RFC 6266: it is to be saved under the name, and never shown as a page of ours. */
export function contentDisposition(name: string): string {
  if (name === "") return "attachment";
  if (isToken(name)) return `attachment; filename=${name}`;
  // Without what could lead out of a folder, or end the text; the second form has the name as it is (RFC 8187).
  const plain = name.replaceAll(/[^\x20-\x7e]|["\\/%]/g, "_");
  const extended = encodeURIComponent(name.toWellFormed()).replaceAll(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `attachment; filename="${plain}"; filename*=UTF-8''${extended}`;
}
