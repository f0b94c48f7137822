/**
 * From the record of a session to the field lines that the upstream gets: JSON `{"v":1,"credentials":ENVELOPE}`, where
 * the envelope was sealed for the record's key; or, where nothing is encrypted, `{"credentials":TEXT}` as
 * hyper-auth-proxy has it. What cannot be read, or could not stand in a field, is null: half a credential is never
 * sent.
 */
import { EncodedLines } from "../../core/fields.ts";
import { type KeyRing, open } from "../../identity/envelope.ts";
import { memberOf, parseJsonObject } from "../../identity/tokens/json.ts";
import type { Injection } from "./options.ts";

const VERSION = 1;
/** RFC 7617 section 2 has no control characters in user name and password. */
const CONTROL = /[\0-\x1f\x7f]/;
/** b64token of RFC 6750 section 2.1. */
const BEARER_TOKEN = /^[A-Za-z0-9\-._~+/]+=*$/;
/** What a field's value may be made of, in latin1 of its UTF-8; no white space at either end. */
const FIELD_VALUE = /^[\x21-\x7e\x80-\xff](?:[\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?$/;

/** `ring` null: the credentials are not encrypted. */
export function linesOfRecord(
  value: string,
  key: string,
  ring: KeyRing | null,
  injection: Injection,
): EncodedLines | null {
  const credentials = credentialsIn(value, key, ring);
  return credentials === null ? null : linesOf(credentials, injection, ring === null);
}

function credentialsIn(value: string, key: string, ring: KeyRing | null): string | null {
  const record = parseJsonObject(Buffer.from(value));
  if (record === null) return null;
  const credentials = memberOf(record, "credentials");
  const version = memberOf(record, "v");
  // Half a surrogate pair has no bytes: something else would be sent in its place.
  if (typeof credentials !== "string" || !credentials.isWellFormed()) return null;
  // The form without encryption is older than versions.
  if (version !== VERSION && !(ring === null && version === undefined)) return null;
  return ring === null ? credentials.replace(/\r?\n$/, "") : open(ring, credentials, key);
}

function linesOf(credentials: string, injection: Injection, isPlain: boolean): EncodedLines | null {
  switch (injection.kind) {
    case "basic": {
      const pair = isPlain && !credentials.includes(":") ? decoded(credentials) : credentials;
      if (pair === null || !pair.includes(":") || CONTROL.test(pair)) return null;
      return new EncodedLines([["Authorization", `Basic ${Buffer.from(pair).toString("base64")}`]]);
    }
    case "bearer":
      return BEARER_TOKEN.test(credentials) ? new EncodedLines([["Authorization", `Bearer ${credentials}`]]) : null;
    case "headers":
      return linesOfMembers(credentials, injection.headers);
  }
}

/** The text that this is the base64 of; "user:password" itself is none, for base64 has no colon. */
function decoded(text: string): string | null {
  const bytes = Buffer.from(text, "base64");
  const isCanonical = bytes.toString("base64") === text;
  const pair = bytes.toString("utf8");
  return isCanonical && Buffer.from(pair).equals(bytes) ? pair : null;
}

/** Only JSON: in "user:password" a user could choose a name that reads as an object of his own making. */
function linesOfMembers(
  credentials: string,
  headers: readonly (readonly [field: string, member: string])[],
): EncodedLines | null {
  const object = parseJsonObject(Buffer.from(credentials));
  if (object === null) return null;
  const lines: [string, string][] = [];
  for (const [field, member] of headers) {
    const value = memberOf(object, member);
    const text = typeof value === "string" ? Buffer.from(value).toString("latin1") : "";
    if (!FIELD_VALUE.test(text)) return null;
    lines.push([field, text]);
  }
  return new EncodedLines(lines);
}
