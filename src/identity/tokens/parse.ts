/**
 * From the text of a token to its parts: the compact form of RFC 7515 section 7.1 with a JSON object of claims (RFC
 * 7519), and nothing else. Pure, and stricter than the RFCs where leniency would give one token several texts or one
 * text several meanings: base64url is canonical, names are not repeated, extensions that would change the meaning
 * (`crit`, `b64`) are refused.
 *
 * Nothing in the header is believed here, and nothing in it ever leads anywhere: `jwk`, `jku`, `x5u` and `x5c` are not
 * read.
 */
import { type JsonObject, memberOf, parseJsonObject } from "./json.ts";

/**
 * A token as it is presented. Tokens with many groups reach 8 KiB, and base64 around it adds a third; a head has 32
 * KiB.
 */
export const TOKEN_BYTES_MAX = 16 * 1024;
/** A key id is a name, a thumbprint or a URL. */
const KEY_ID_CHARACTERS_MAX = 512;

export interface ParsedToken {
  /** The whole, without what was around it. */
  readonly text: string;
  readonly algorithm: string;
  readonly keyId: string | null;
  readonly claims: JsonObject;
  /** How much of `text` is signed. */
  readonly signedLength: number;
  readonly signature: Buffer;
}

/** null: it is no token. */
export function parseToken(text: string): ParsedToken | null {
  if (text.length > TOKEN_BYTES_MAX) return null;
  const parts = text.split(".", 4);
  if (parts.length !== 3) return null;
  const [headerPart = "", claimsPart = "", signaturePart = ""] = parts;
  const header = objectIn(headerPart);
  const claims = objectIn(claimsPart);
  const signature = bytesOf(signaturePart);
  if (header === null || claims === null || signature === null) return null;
  if (Object.hasOwn(header, "crit") || Object.hasOwn(header, "b64")) return null;
  const algorithm = memberOf(header, "alg");
  const keyId = memberOf(header, "kid") ?? null;
  if (typeof algorithm !== "string") return null;
  if (keyId !== null && (typeof keyId !== "string" || keyId.length > KEY_ID_CHARACTERS_MAX)) return null;
  return { text, algorithm, keyId, claims, signedLength: headerPart.length + 1 + claimsPart.length, signature };
}

/**
 * The token in a cookie's value: the value itself, or what it is the base64 of, with or without double quotes around
 * it: back ends serialise it as JSON before they encode it.
 */
export function unwrapCookie(value: string): string {
  if (value.includes(".") || value.length > TOKEN_BYTES_MAX || !/^[A-Za-z0-9+/_-]+={0,2}$/.test(value)) return value;
  const decoded = Buffer.from(value, "base64").toString("latin1").trim();
  return /^".*"$/s.test(decoded) ? decoded.slice(1, -1) : decoded;
}

function objectIn(part: string): JsonObject | null {
  const bytes = bytesOf(part);
  return bytes === null ? null : parseJsonObject(bytes);
}

function bytesOf(part: string): Buffer | null {
  const bytes = Buffer.from(part, "base64url");
  return bytes.toString("base64url") === part ? bytes : null;
}
