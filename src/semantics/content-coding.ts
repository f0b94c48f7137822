/**
 * Which content coding an answer gets (RFC 9110, section 12.5.3): the client's weights come first, the order of what is
 * offered decides between equals.
 */
import { splitList, splitParameters, weightOf } from "./field-list.ts";

/**
 * The coding of `offered` (lower case, most wanted first) that the client wants most; null for none, which is sent as
 * it is: a client that sends no Accept-Encoding may be one that knows no coding, and one that prefers "identity" gets
 * it.
 */
export function chooseCoding(acceptEncoding: string | null, offered: readonly string[]): string | null {
  if (acceptEncoding === null) return null;
  const weights = new Map<string, number>();
  for (const element of splitList(acceptEncoding)) {
    const [coding = "", ...parameters] = splitParameters(element);
    const weight = weightOf(parameters);
    // A broken weight says nothing that could be relied upon.
    if (!Number.isNaN(weight)) weights.set(nameOf(coding), weight);
  }
  const others = weights.get("*") ?? 0;
  let best: string | null = null;
  // Without a word on identity it is the last resort: acceptable, never preferred.
  let bestWeight = weights.get("identity") ?? 0;
  for (const coding of offered) {
    const weight = weights.get(coding) ?? others;
    if (weight > bestWeight || (weight === bestWeight && weight > 0 && best === null)) {
      best = coding;
      bestWeight = weight;
    }
  }
  return best;
}

/** "x-gzip" is gzip (RFC 9110, section 8.4.1.3). */
function nameOf(coding: string): string {
  const lower = coding.toLowerCase();
  return lower === "x-gzip" ? "gzip" : lower;
}
