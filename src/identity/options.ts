/**
 * Options that the features which authenticate share: where sessions are, and how many failures an address may have. They
 * decide what may be said; what it means is decided by who uses it.
 */
import { z } from "zod";
import { FAILED_ATTEMPTS_MAX } from "../core/limits.ts";
import { defaultsTo, textKind } from "../core/option-types.ts";

/** null: no limit. */
export function failedAttempts() {
  const off = z.literal("off").transform((): null => null);
  return defaultsTo(FAILED_ATTEMPTS_MAX, z.union([off, z.int().min(1).max(100_000)])).describe(
    "Failures from one address in a minute, after which it gets 429 unheard until the minute is over; who is known already still passes. `off`: no limit.",
  );
}

/** A quoted-string in a challenge, in characters that need no escape (RFC 9110 section 5.6.4). */
const realmText = textKind<string>({
  id: "realm",
  expected: "a realm: visible ASCII and spaces, without quotes and backslashes",
  description: "Visible ASCII and spaces, without quotes and backslashes.",
  pattern: "^[\\x20\\x21\\x23-\\x5b\\x5d-\\x7e]+$",
  parse: (text) => (/^[\x20\x21\x23-\x5b\x5d-\x7e]+$/.test(text) ? text : null),
});

export function realm() {
  return realmText()
    .prefault("restricted")
    .describe("What is guarded, as `WWW-Authenticate` names it: browsers show it, and ask once for each.");
}
