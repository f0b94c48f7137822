/**
 * Runs one scenario: prepares its stage, gives every row its turn in each round, and ends all that was started, whatever
 * happens. A round begins with another row each time, so that no row always follows the same one. The first rounds do not
 * count, because programs that compile as they run must have compiled.
 */
import { mkdirSync } from "node:fs";
import path from "node:path";
import type { Children } from "./processes/children.ts";
import { judge, type ScenarioResult, thisCommit } from "./report/result.ts";
import type { Row, Sample, Scenario } from "./scenarios/scenario.ts";
import { Stage, type StageOptions } from "./stage.ts";

export interface RunOptions extends Omit<StageOptions, "seconds"> {
  /** Null: as many as the scenario says, or the usual number. */
  readonly rounds: number | null;
  readonly seconds: number | null;
  readonly warmUp: boolean;
  /** Is told what happens. */
  readonly say: (line: string) => void;
}

export const ROUNDS = 5;
export const SECONDS = 2;
/** Under load, before anything counts. */
const WARM_UP_SECONDS = 2;

export function roundsOf(scenario: Scenario, wanted: number | null): number {
  return wanted ?? scenario.rounds ?? ROUNDS;
}

export async function runScenario(
  scenario: Scenario,
  children: Children,
  folder: string,
  options: RunOptions,
): Promise<ScenarioResult> {
  const date = new Date().toISOString();
  const rounds = roundsOf(scenario, options.rounds);
  const seconds = options.seconds ?? scenario.seconds ?? SECONDS;
  const stage = new Stage(children, path.join(folder, scenario.name), { ...options, seconds });
  mkdirSync(stage.folder);
  try {
    const rows = await scenario.prepare(stage);
    // A target that could not be started because all is being ended is none that was left out.
    if (children.closed) throw new Error("interrupted");
    const warmUpRounds = options.warmUp && scenario.warmUp !== false ? Math.ceil(WARM_UP_SECONDS / seconds) : 0;
    const measured = await takeTurns(rows, { rounds, warmUpRounds }, stage, options.say);
    return {
      name: scenario.name,
      title: scenario.title,
      date,
      commit: thisCommit(),
      rounds,
      seconds,
      connections: options.connections,
      rows: measured,
      leftOut: stage.leftOut,
      notes: stage.notes,
      // What has not warmed up decides nothing.
      claims: options.warmUp ? scenario.claims.map((claim) => judge(claim, measured)) : [],
    };
  } finally {
    await children.endAll();
    stage.clear();
  }
}

async function takeTurns(
  rows: readonly Row[],
  { rounds, warmUpRounds }: { readonly rounds: number; readonly warmUpRounds: number },
  stage: Stage,
  say: (line: string) => void,
): Promise<{ name: string; version: string; samples: Sample[] }[]> {
  const samples = new Map<Row, Sample[]>(rows.map((row) => [row, []]));
  for (let round = 1 - warmUpRounds; round <= rounds; round++) {
    say(round <= 0 ? "warming up" : `round ${round} of ${rounds}`);
    for (let turn = 0; turn < rows.length; turn++) {
      const row = rows[(turn + warmUpRounds + round) % rows.length]!;
      if (!samples.has(row)) continue;
      try {
        const sample = await row.sample();
        if (round > 0) samples.get(row)!.push(sample);
      } catch (error) {
        if (stage.children.closed) throw error;
        stage.leaveOut(row.name, `failed: ${(error as Error).message}`);
        say(`${row.name} failed: ${(error as Error).message}`);
        samples.delete(row);
      }
    }
  }
  return rows
    .filter((row) => samples.has(row))
    .map((row) => ({ name: row.name, version: row.version, samples: samples.get(row)! }));
}
