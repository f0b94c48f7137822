/**
 * Options that the features which authenticate share: where sessions are, and how many failures an address may have. They
 * decide what may be said; what it means is decided by who uses it.
 */
import { z } from "zod";
import { FAILED_ATTEMPTS_MAX } from "../core/limits.ts";
import { defaultsTo } from "../core/option-types.ts";

/** null: no limit. */
export function failedAttempts() {
  const off = z.literal("off").transform((): null => null);
  return defaultsTo(FAILED_ATTEMPTS_MAX, z.union([off, z.int().min(1).max(100_000)])).describe(
    "Failures from one address in a minute, after which it gets 429 unheard until the minute is over; who is known already still passes. `off`: no limit.",
  );
}
