/**
 * What a scenario is: which targets take part, what load they get, what is measured, how it is shown, and which claims of the
 * project it decides. The runner (bench/run.ts) gives every row its turn, round after round.
 */
import type { Statistic } from "../report/statistics.ts";
import type { Stage } from "../stage.ts";

/** What was measured in one turn: a number for each metric's name. */
export type Sample = Readonly<Record<string, number>>;

/** One line of the table: a target, or a target in one of several settings. */
export interface Row {
  readonly name: string;
  readonly version: string;
  /** Loads it once and measures. Rejecting leaves the row out of the rest, with the reason. */
  sample(): Promise<Sample>;
}

export interface Column {
  readonly title: string;
  readonly metric: string;
  readonly statistic: Statistic;
  /** Digits after the point. */
  readonly digits: number;
  /** Show the ratio to the baseline's row instead of the number. */
  readonly ratio?: boolean;
  /** Divides the number, for a larger unit. */
  readonly per?: number;
}

/**
 * For claims that are decided by a few hundredths: in rounds so short, all targets meet the same machine, and so many tell a
 * difference of two hundredths.
 */
export const MANY_SHORT_ROUNDS = { rounds: 25, seconds: 1 } as const;

/** A sentence that the numbers prove or disprove: a row's metric, set against another row's or as it is, against a bound. */
export interface Claim {
  readonly text: string;
  readonly row: string;
  /** The row that it is divided by; none: the number itself is compared. */
  readonly against?: string;
  /** The row that is taken away from it instead. */
  readonly minus?: string;
  readonly metric: string;
  readonly statistic: Statistic;
  readonly atMost?: number;
  readonly atLeast?: number;
}

export interface Scenario {
  readonly name: string;
  /** One line: what happens. */
  readonly title: string;
  /** Whole sentences for bench/README.md's reader: how it is measured, and what to mind. */
  readonly about: string;
  readonly columns: readonly Column[];
  /** The row that ratios are taken to; null where a ratio says nothing. */
  readonly baseline: string | null;
  readonly claims: readonly Claim[];
  /** How many rounds count, and how long each target is loaded in one, where the usual numbers will not do. */
  readonly rounds?: number;
  readonly seconds?: number;
  /** False where each turn starts its target anew, so that there is nothing to warm up. */
  readonly warmUp?: boolean;
  /** In the chart: the metric, and what its title says. */
  readonly chart?: { readonly metric: string; readonly title: string; readonly unit: string };
  /** Why it cannot run here, or null. */
  missing(): string | null;
  /** Starts what it needs and gives its rows, in the order of the table. */
  prepare(stage: Stage): Promise<readonly Row[]>;
}

const CPU = "cpuUs";
const MIB = 1024 ** 2;

/** The columns of scenarios that count CPU time per request (or round trip, or connection). */
export function costColumns(per: string, rate: string): Column[] {
  return [
    { title: `CPU/${per} µs, median`, metric: CPU, statistic: "median", digits: 1 },
    { title: "min", metric: CPU, statistic: "min", digits: 1 },
    { title: "ratio", metric: CPU, statistic: "median", digits: 2, ratio: true },
    { title: "of minima", metric: CPU, statistic: "min", digits: 2, ratio: true },
    { title: rate, metric: "perSecond", statistic: "median", digits: 0 },
    { title: "MiB", metric: "residentBytes", statistic: "max", digits: 0, per: MIB },
  ];
}

/** What a load cost: CPU time of the target over what was done meanwhile. */
export function costSample(cpuSeconds: number, count: number, seconds: number, residentBytes: number): Sample {
  return { [CPU]: (cpuSeconds / count) * 1e6, perSecond: count / seconds, residentBytes };
}
