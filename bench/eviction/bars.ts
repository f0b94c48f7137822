/** What ours has to reach, in hits by requests. */
import { type HitRatio, OURS } from "./compare.ts";

/** Sizes of caches, as shares of the bytes of all different objects. */
export const SHARES: readonly number[] = [0.01, 0.1, 0.3, 0.6];

/** Ratios may be so far below that of the reference, on every trace: a point. */
const BELOW_REFERENCE_MAX = 0.01;
const REFERENCES = ["s3-fifo", "s3-fifo-1"];

/**
 * Where what is asked for changes faster than any policy can learn what is used often, the last use is all there is to go by, and LRU
 * is the one that does: the reference stays below it, and so may ours. Everywhere else ours is never below LRU.
 */
const CHANGING = new Set(["shifting", "recent"]);

export function barsOf(name: string): string {
  return CHANGING.has(name) ? "within a point of S3-FIFO" : "within a point of S3-FIFO, never below LRU";
}

/** What is broken, in words. */
export function judge(name: string, share: number, ratios: Readonly<Record<string, HitRatio>>): string[] {
  const broken: string[] = [];
  const ours = ratios[OURS]!.requests;
  const where = `${name} at ${share}`;
  for (const policy of REFERENCES) {
    const theirs = ratios[policy]!.requests;
    if (ours < theirs - BELOW_REFERENCE_MAX) broken.push(`${where}: ${text(ours)}, ${policy} ${text(theirs)}`);
  }
  const lru = ratios.lru!.requests;
  if (!CHANGING.has(name) && ours < lru) broken.push(`${where}: ${text(ours)}, LRU ${text(lru)}`);
  return broken;
}

function text(ratio: number): string {
  return `${(ratio * 100).toFixed(2)} %`;
}
