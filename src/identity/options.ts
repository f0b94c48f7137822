/**
 * Options that the features which authenticate share: where sessions are, and how many failures an address may have. They
 * decide what may be said; what it means is decided by who uses it.
 */
import { z } from "zod";
import { FAILED_ATTEMPTS_MAX } from "../core/limits.ts";
import { encryptionKey } from "../core/option-files.ts";
import { defaultsTo } from "../core/option-types.ts";

/** null: no limit. */
export function failedAttempts() {
  const off = z.literal("off").transform((): null => null);
  return defaultsTo(FAILED_ATTEMPTS_MAX, z.union([off, z.int().min(1).max(100_000)])).describe(
    "Failures from one address in a minute, after which it gets 429 unheard until the minute is over; who is known already still passes. `off`: no limit.",
  );
}

/** Of the envelope in which secrets lie. */
export const ENVELOPE_ALGORITHMS = ["aes-256-gcm", "aes-256-cbc-hmac-sha-256"] as const;

const envelopeKey = z
  .strictObject({
    algorithm: z
      .enum(ENVELOPE_ALGORITHMS)
      .default("aes-256-gcm")
      .describe("How it is encrypted: `aes-256-gcm`, or `aes-256-cbc-hmac-sha-256` for older stores."),
    key: encryptionKey().describe(
      "The key of 256 bits: hexadecimal digits, base64, or 32 bytes as they are; or `{ file: path }` of it.",
    ),
  })
  .meta({ id: "envelopeKey" });

/** One key, or several of which the first one encrypts; in the resolved form always a list. */
export function envelopeKeys() {
  return z.union([
    envelopeKey.transform((key): EnvelopeKeys => [key]),
    z
      .strictObject({
        keys: z
          .array(envelopeKey)
          .min(1)
          .refine((keys) => new Set(keys.map(({ algorithm, key }) => algorithm + key)).size === keys.length, {
            error: "the same key stands in the list twice",
          })
          .describe("Several keys, each with its `algorithm`. All of them decrypt, the first one encrypts."),
      })
      .transform(({ keys }): EnvelopeKeys => keys),
  ]);
}

/** Keys in hexadecimal digits. */
export type EnvelopeKeys = readonly z.output<typeof envelopeKey>[];
