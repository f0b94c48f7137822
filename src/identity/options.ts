/**
 * Options that the features which authenticate share: how many failures an address may have, what a challenge says, and the keys
 * of envelopes.
 */
import { z } from "zod";
import { FAILED_ATTEMPTS_MAX } from "../core/limits.ts";
import { encryptionKey } from "../core/option-files.ts";
import { defaultsTo, textKind } from "../core/option-types.ts";

/** null: no limit. */
export function failedAttempts() {
  const off = z.literal("off").transform((): null => null);
  return defaultsTo(FAILED_ATTEMPTS_MAX, z.union([off, z.int().min(1).max(100_000)])).describe(
    "Failures from one address in a minute, after which it gets 429 unheard until the minute is over; who is known already from there still passes. Clients without an address, on unix sockets, are not limited. `off`: no limit, and nothing is counted.",
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

/** Of the envelope in which secrets lie. */
export const ENVELOPE_ALGORITHMS = ["aes-256-gcm", "aes-256-cbc-hmac-sha-256"] as const;

const envelopeKeyFields = {
  algorithm: defaultsTo("aes-256-gcm", z.enum(ENVELOPE_ALGORITHMS)).describe(
    "How it is encrypted: `aes-256-gcm`, or `aes-256-cbc-hmac-sha-256` for older stores.",
  ),
  key: encryptionKey().describe(
    "The key of 256 bits: hexadecimal digits, base64, or 32 bytes as they are; or `{ file: path }` of it.",
  ),
};

const envelopeKey = z
  .strictObject(envelopeKeyFields)
  .transform(({ algorithm, key }) => ({ algorithm: algorithm ?? ("aes-256-gcm" as const), key }));

/** Keys in hexadecimal digits. */
export type EnvelopeKeys = readonly z.output<typeof envelopeKey>[];

/** One key, or several of which the first one encrypts; in the resolved form always a list. */
export function envelopeKeys() {
  return z
    .strictObject({
      algorithm: envelopeKeyFields.algorithm,
      key: envelopeKeyFields.key.optional(),
      keys: z
        .array(envelopeKey)
        .min(1)
        .refine((keys) => new Set(keys.map(({ algorithm, key }) => algorithm + key)).size === keys.length, {
          error: "the same key stands in the list twice",
        })
        .optional()
        .describe(
          "Several keys, each with its `algorithm`, in place of one. All of them decrypt, the first one encrypts.",
        ),
    })
    .meta({ id: "envelopeKeys" })
    .transform(({ algorithm, key, keys }, context): EnvelopeKeys => {
      if (keys === undefined && key !== undefined) return [{ algorithm: algorithm ?? "aes-256-gcm", key }];
      const besides = key !== undefined ? "key" : algorithm !== undefined ? "algorithm" : null;
      if (keys !== undefined && besides === null) return keys;
      const message = `cannot stand beside "keys"`;
      context.addIssue({ code: "custom", message, path: [keys === undefined ? "key" : (besides ?? "key")] });
      return z.NEVER;
    });
}
