/** What may be a session's record: the limits that all stores share. Any text is a key to ask for; not any is one to write. */
import { SESSION_KEY_BYTES_MAX, SESSION_VALUE_BYTES_MAX } from "../core/limits.ts";

/** Whether a store may have it: what no `put` takes, no `get` finds. */
export function isPossibleKey(key: string): boolean {
  return key !== "" && key.isWellFormed() && isWithin(key, SESSION_KEY_BYTES_MAX);
}

/** Throws a RangeError for what no store takes. */
export function checkRecord(key: string, value: string, ttlMs: number | null): void {
  if (!isPossibleKey(key)) throw new RangeError(`a session's key is text of 1 to ${SESSION_KEY_BYTES_MAX} bytes`);
  if (!value.isWellFormed() || !isWithin(value, SESSION_VALUE_BYTES_MAX)) {
    throw new RangeError(`a session's value is text of at most ${SESSION_VALUE_BYTES_MAX} bytes`);
  }
  if (ttlMs !== null && !(ttlMs > 0)) throw new RangeError("a session lives for more than no time");
}

/** Encoded as UTF-8, of which a UTF-16 unit takes three bytes at most. */
function isWithin(text: string, bytesMax: number): boolean {
  return text.length * 3 <= bytesMax || (text.length <= bytesMax && Buffer.byteLength(text) <= bytesMax);
}
