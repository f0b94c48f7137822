/** The few statistics that a report needs. None of them takes an empty list. */

export type Statistic = "min" | "median" | "max";

/** The value below which the share lies, by the nearest rank: no value is made up between two that were measured. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!;
}

/** Of an even number of values what lies halfway between the two in the middle: the lower one would flatter who is to cost little. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const upper = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[upper]! : (sorted[upper - 1]! + sorted[upper]!) / 2;
}

/** A median, and between which values that of all runs that could have been lies, with a confidence of 95 %. */
export interface Estimate {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** Fewer values have no interval of 95 %: between the least and the greatest of five, a median lies with 94 %. */
export const INTERVAL_VALUES_MIN = 6;

/**
 * The median with its interval by ranks (the binomial distribution's, by its normal approximation), which assumes nothing of how
 * the values are distributed. Of fewer than `INTERVAL_VALUES_MIN` it is all that was measured.
 */
export function medianEstimate(values: readonly number[]): Estimate {
  const sorted = [...values].sort((a, b) => a - b);
  const { length } = sorted;
  const rank = Math.max(0, Math.floor((length - 1.96 * Math.sqrt(length)) / 2));
  return { value: median(sorted), low: sorted[rank]!, high: sorted[length - 1 - rank]! };
}

export function statistic(values: readonly number[], which: Statistic): number {
  if (which === "median") return median(values);
  return which === "min" ? Math.min(...values) : Math.max(...values);
}
