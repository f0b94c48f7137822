/**
 * API keys as they are stored: the SHA-256 of each, with a name. A key is drawn by lot from so many that nobody can try them,
 * so a fast hash without salt keeps it as secret as a slow one would a password.
 *
 * A key is found by its digest, in a map. That needs no comparison in constant time: what the map compares are digests, and
 * how far two of them agree says nothing of the keys, since nobody can make a key for a wanted digest.
 */
import { hash } from "node:crypto";
import { explainUserName, type ReadLines, readLines } from "./htpasswd.ts";

/** A key that is longer is none. */
export const API_KEY_CHARACTERS_MAX = 1024;

const DIGEST = /^[0-9a-f]{64}$/;

/** The SHA-256 of a key, as 64 hexadecimal digits in lower case; null when a text is none. */
export function parseKeyDigest(text: string): string | null {
  return DIGEST.test(text.toLowerCase()) ? text.toLowerCase() : null;
}

export function explainKeyDigest(text: string): string | null {
  if (parseKeyDigest(text) !== null) return null;
  return "a key is stored as its SHA-256, 64 hexadecimal digits: `headgate api-key NAME` makes both";
}

/** Visible ASCII, without the space: what every place of a request can hold. */
export function isApiKey(text: string): boolean {
  return text.length <= API_KEY_CHARACTERS_MAX && /^[\x21-\x7e]+$/.test(text);
}

export function keyDigest(key: string): string {
  return hash("sha256", key, "hex");
}

/** A file with a line "name:sha256" for each key, as `headgate api-key` prints them. Digest by name. */
export function parseApiKeys(text: string): ReadLines<string> {
  return readLines(text, (name, digest) => {
    const why = explainUserName(name) ?? explainKeyDigest(digest);
    return why ?? { value: digest.toLowerCase() };
  });
}
