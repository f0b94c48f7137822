/** The few statistics that a report needs. None of them takes an empty list. */

export type Statistic = "min" | "median" | "max";

/** The value below which the share lies, by the nearest rank: no value is made up between two that were measured. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!;
}

/** Of an even number of values the lower one in the middle. */
export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

export function statistic(values: readonly number[], which: Statistic): number {
  if (which === "median") return median(values);
  return which === "min" ? Math.min(...values) : Math.max(...values);
}
