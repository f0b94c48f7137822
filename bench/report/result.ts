/**
 * What a run leaves behind: every sample, so that others can make their own statistics of it, what was left out and why, and
 * which claims held. Each scenario bears its own date, commit and settings, because one may be measured again alone; only the
 * numbers of one scenario belong together.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import type { Claim, Column, Sample, Scenario } from "../scenarios/scenario.ts";
import type { LeftOut } from "../stage.ts";
import { type Estimate, medianEstimate, statistic } from "./statistics.ts";

export interface RowResult {
  readonly name: string;
  readonly version: string;
  readonly samples: readonly Sample[];
}

export interface ClaimResult {
  readonly text: string;
  /** Null when a row that it needs is not there. */
  readonly value: number | null;
  /** Between which the median lies, with a confidence of 95 %; of few rounds, between which all were. */
  readonly low?: number;
  readonly high?: number;
  readonly atMost?: number;
  readonly atLeast?: number;
  readonly holds: boolean | null;
}

export interface ScenarioResult {
  readonly name: string;
  readonly title: string;
  /** ISO 8601, UTC, when it began. */
  readonly date: string;
  readonly commit: string;
  readonly rounds: number;
  readonly seconds: number;
  readonly connections: number;
  readonly rows: readonly RowResult[];
  readonly leftOut: readonly LeftOut[];
  readonly notes: readonly string[];
  readonly claims: readonly ClaimResult[];
}

export interface Machine {
  readonly processor: string;
  readonly processors: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly node: string;
}

export interface Report {
  readonly machine: Machine;
  readonly scenarios: Readonly<Record<string, ScenarioResult>>;
}

export function thisMachine(): Machine {
  return {
    processor: os.cpus()[0]?.model ?? "unknown",
    processors: os.cpus().length,
    memoryGiB: Math.round(os.totalmem() / 1024 ** 3),
    kernel: `${os.type()} ${os.release().split("-")[0]} ${os.arch()}`,
    node: process.version,
  };
}

/** Of the tree that is measured, with a plus where it differs from the commit; "" outside a checkout. */
export function thisCommit(): string {
  const git = (...args: string[]) =>
    spawnSync("git", args, { cwd: path.dirname(import.meta.dirname), encoding: "utf8" }).stdout?.trim() ?? "";
  const commit = git("rev-parse", "--short=12", "HEAD");
  return commit === "" || git("status", "--porcelain", "--untracked-files=no") === "" ? commit : `${commit}+`;
}

/** The number of a row in a column, ratios included; null where it cannot be. */
export function cell(result: ScenarioResult, row: RowResult, column: Column, baseline: string | null): number | null {
  if (column.ratio === true) {
    const base = result.rows.find(({ name }) => name === baseline);
    return base === undefined ? null : (compared(row, base, column, ratio)?.value ?? null);
  }
  const values = valuesOf(row, column.metric);
  return values.length === 0 ? null : statistic(values, column.statistic) / (column.per ?? 1);
}

function valuesOf({ samples }: RowResult, metric: string): number[] {
  return samples.map((sample) => sample[metric]).filter((value) => value !== undefined);
}

type Compare = (own: number, other: number) => number;
const ratio: Compare = (own, other) => own / other;
const difference: Compare = (own, other) => own - other;

/**
 * Of medians: the median of what is found in each round, whose two samples were taken within seconds of each other, so that what
 * the machine did to one it did to the other. Of minima and maxima: theirs.
 */
function compared(
  row: RowResult,
  base: RowResult,
  by: Pick<Column, "metric" | "statistic">,
  compare: Compare,
): Estimate | null {
  const [own, others] = [valuesOf(row, by.metric), valuesOf(base, by.metric)];
  const rounds = Math.min(own.length, others.length);
  if (rounds === 0) return null;
  if (by.statistic === "median") {
    return medianEstimate(own.slice(0, rounds).map((value, round) => compare(value, others[round]!)));
  }
  const value = compare(statistic(own, by.statistic), statistic(others, by.statistic));
  return { value, low: value, high: value };
}

export function judge(claim: Claim, rows: readonly RowResult[]): ClaimResult {
  const { text, atMost, atLeast } = claim;
  const bounds = { ...(atMost === undefined ? {} : { atMost }), ...(atLeast === undefined ? {} : { atLeast }) };
  const measured = estimateOf(claim, rows);
  if (measured === null) return { text, value: null, ...bounds, holds: null };
  const { value } = measured;
  const holds = value <= (atMost ?? Number.POSITIVE_INFINITY) && value >= (atLeast ?? Number.NEGATIVE_INFINITY);
  return { text, ...measured, ...bounds, holds };
}

function estimateOf(claim: Claim, rows: readonly RowResult[]): Estimate | null {
  const [row, base] = [claim.row, claim.against ?? claim.minus].map((wanted) =>
    rows.find(({ name }) => name === wanted),
  );
  if (row === undefined) return null;
  const isCompared = claim.against !== undefined || claim.minus !== undefined;
  if (isCompared)
    return base === undefined ? null : compared(row, base, claim, claim.minus === undefined ? ratio : difference);
  const values = valuesOf(row, claim.metric);
  if (values.length === 0) return null;
  if (claim.statistic === "median") return medianEstimate(values);
  const value = statistic(values, claim.statistic);
  return { value, low: value, high: value };
}

/** The report of an earlier run on the same machine, to which scenarios are added; an empty one otherwise. */
export function readReport(file: string, machine: Machine): Report {
  if (!existsSync(file)) return { machine, scenarios: {} };
  const earlier = JSON.parse(readFileSync(file, "utf8")) as Report;
  return JSON.stringify(earlier.machine) === JSON.stringify(machine) ? earlier : { machine, scenarios: {} };
}

/** With this scenario's result in place of an earlier one, in the order of the list. */
export function withResult(report: Report, result: ScenarioResult, order: readonly Scenario[]): Report {
  const all = { ...report.scenarios, [result.name]: result };
  const known = order.flatMap(({ name }) => (all[name] === undefined ? [] : [[name, all[name]] as const]));
  return { machine: report.machine, scenarios: Object.fromEntries(known) };
}
