/**
 * What a request says in Authorization (RFC 9110 section 11.6.2), read in the one way that leaves no room: one line, one
 * scheme, one value. It decides what was said; whether that is true is decided by who asks.
 */
import type { FieldBlock } from "../core/fields.ts";

/** Two lines, or a scheme without a value: two readers could take it for two things. */
export const MALFORMED = Symbol("malformed");

const CREDENTIALS = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+)(?: +(.*))?$/s;

/**
 * What stands behind the scheme (given in lower case) in Authorization, or in the field for proxies. null: the request says nothing of this scheme, as when it has another
 * one. More than one line is malformed whatever they say: an upstream may read another one than we.
 */
export function credentialsOf(
  fields: FieldBlock,
  scheme: string,
  field: "authorization" | "proxy-authorization" = "authorization",
): string | null | typeof MALFORMED {
  const row = fields.rowOf(field);
  if (row < 0) return null;
  if (fields.rowOf(field, row + 1) >= 0) return MALFORMED;
  const match = CREDENTIALS.exec(fields.valueAt(row));
  if (match === null) return MALFORMED;
  if (match[1]!.toLowerCase() !== scheme) return null;
  return match[2] === undefined || match[2] === "" ? MALFORMED : match[2];
}

export interface BasicCredentials {
  readonly user: string;
  /** UTF-8. */
  readonly password: Buffer;
}

/** Bytes of user and password together. Longer ones are nobody's, and cost their weight to hash. */
export const BASIC_BYTES_MAX = 1024;

const COLON = 0x3a;
/** Base64 in its usual alphabet, with its padding (RFC 4648 section 4). */
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * user-id ":" password in base64 (RFC 7617 section 2). null: not exactly that: other characters or bits than base64 has, no
 * colon, no user, text that is not UTF-8, or a control character anywhere, NUL and line breaks above all.
 */
export function parseBasic(base64: string): BasicCredentials | null {
  if (base64.length > (BASIC_BYTES_MAX * 4) / 3 + 4 || !BASE64.test(base64)) return null;
  const bytes = Buffer.from(base64, "base64");
  // Bits beyond the last byte must be zero: one text, one value.
  if (bytes.length > BASIC_BYTES_MAX || bytes.toString("base64") !== base64) return null;
  const colon = bytes.indexOf(COLON);
  if (colon < 1) return null;
  let user: string;
  try {
    const text = decoder.decode(bytes);
    if (/[\u0000-\u001f\u007f]/.test(text)) return null;
    user = text.slice(0, text.indexOf(":"));
  } catch {
    return null;
  }
  return { user, password: bytes.subarray(colon + 1) };
}
