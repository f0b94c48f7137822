/**
 * The bench: what Headgate and other proxies cost, side by side. `npm run bench -- --list` says what it can measure,
 * bench/README.md how and why.
 *
 *     npm run bench -- [SCENARIO...] [--help] [--list] [--quick] [--rounds N] [--seconds N] [--connections N]
 *                      [--only TARGET,...] [--out FOLDER] [--report]
 *
 * Everything that it starts listens on the loopback, is bounded in time, and is ended by its process id: at the end of each
 * scenario, after an error, and on SIGINT, SIGTERM or SIGHUP. Exit status: 0 measured (claims may not hold: the table says so), 1 nothing
 * could be measured, 2 the command line is wrong, 130 interrupted.
 */
import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { allowedCpus } from "./measure/cpu.ts";
import { openFilesMax } from "./measure/memory.ts";
import { Children } from "./processes/children.ts";
import { type Report, readReport, thisMachine, withResult } from "./report/result.ts";
import { chart } from "./report/svg.ts";
import { claims, section } from "./report/table.ts";
import { type RunOptions, roundsOf, runScenario } from "./run.ts";
import { SCENARIOS } from "./scenarios/index.ts";
import type { Scenario } from "./scenarios/scenario.ts";
import { TARGETS } from "./targets/index.ts";

const USAGE = `npm run bench -- [SCENARIO...] [OPTIONS]      without a scenario: all of them, about an hour

  --list              what there is: scenarios, targets, and which of them are installed
  --rounds N          rounds that count; by default 5, or what the scenario says
  --seconds N         how long a target is loaded in one round; by default 2, or what the scenario says
  --connections N     connections of the load, where the scenario does not set them; by default 64
  --only TARGET,...   these targets alone; ratios are to nginx, of forward proxies to squid
  --out FOLDER        where bench.json and bench.svg go; by default bench/results
  --quick             one short round of everything: does it run at all?
  --report            tables and chart of the last run again

bench/README.md says how it measures.`;

/** Files of a run are best in memory; the largest scenario needs this much. */
const MEMORY_FOLDER = "/dev/shm";
const FOLDER_BYTES = 2 * 1024 ** 3;
/** Files that a process has open besides connections, or keeps back from clients. */
const OPEN_FILES_SPARE = 1_200;
const MANY_CONNECTIONS = 10_000;
const MANY_CONNECTIONS_QUICK = 500;

class UsageError extends Error {}

function readCommandLine() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        help: { type: "boolean", short: "h", default: false },
        list: { type: "boolean", default: false },
        quick: { type: "boolean", default: false },
        report: { type: "boolean", default: false },
        rounds: { type: "string" },
        seconds: { type: "string" },
        connections: { type: "string", default: "64" },
        only: { type: "string" },
        out: { type: "string", default: path.join(import.meta.dirname, "results") },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

type Options = ReturnType<typeof readCommandLine>["values"];

function whole(name: string, text: string): number {
  if (!/^[1-9]\d{0,4}$/.test(text)) throw new UsageError(`--${name} takes a whole number from 1, not ${text}`);
  return Number(text);
}

function byName<T extends { readonly name: string }>(what: string, all: readonly T[], names: readonly string[]): T[] {
  const unknown = names.find((name) => !all.some((one) => one.name === name));
  if (unknown !== undefined) {
    throw new UsageError(`no ${what} is called ${unknown}; there are: ${all.map(({ name }) => name).join(", ")}`);
  }
  return all.filter(({ name }) => names.includes(name));
}

function runOptions(values: Options): RunOptions {
  const { quick, rounds, seconds, connections, only } = values;
  const many = quick ? MANY_CONNECTIONS_QUICK : MANY_CONNECTIONS;
  const openFiles = openFilesMax() - OPEN_FILES_SPARE;
  return {
    rounds: rounds === undefined ? (quick ? 1 : null) : whole("rounds", rounds),
    seconds: seconds === undefined ? (quick ? 1 : null) : whole("seconds", seconds),
    connections: whole("connections", connections),
    warmUp: !quick,
    idleConnections: Math.min(many, openFiles),
    // A proxy may have as many connections to the origin as it has clients.
    activeConnections: Math.min(many, Math.floor(openFiles / 2)),
    targets: only === undefined ? TARGETS : byName("target", TARGETS, only.split(",")),
    say: (line) => console.error(`  ${line}`),
  };
}

function list(): void {
  console.log("Scenarios:");
  for (const { name, title, missing } of SCENARIOS) {
    console.log(`  ${name.padEnd(16)} ${title}${missing() === null ? "" : ` (${missing()})`}`);
  }
  console.log("\nTargets:");
  for (const target of TARGETS) {
    const missing = target.missing();
    console.log(`  ${target.name.padEnd(20)} ${missing === null ? target.version() : `not installed: ${missing}`}`);
  }
}

/** Before anything is measured, which may take an hour. */
function checkOut(folder: string): void {
  try {
    const made = mkdirSync(folder, { recursive: true });
    accessSync(folder, constants.W_OK);
    readReport(path.join(folder, "bench.json"), thisMachine());
    // A run that measures nothing leaves nothing.
    if (made !== undefined) rmSync(made, { recursive: true });
  } catch (error) {
    throw new UsageError(`--out ${folder}: ${(error as Error).message}`);
  }
}

function write(folder: string, report: Report): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, "bench.json"), `${JSON.stringify(report)}\n`);
  writeFileSync(path.join(folder, "bench.svg"), chart(report, SCENARIOS));
}

/** In memory where there is room, so that no disk is measured. */
function makeFolder(): string {
  let parent = tmpdir();
  try {
    const { bavail, bsize } = statfsSync(MEMORY_FOLDER);
    if (bavail * bsize >= FOLDER_BYTES) parent = MEMORY_FOLDER;
  } catch {
    // There is no such folder.
  }
  const folder = mkdtempSync(path.join(parent, "headgate-bench-"));
  // Workers of some targets give up the rights of the user who started them.
  chmodSync(folder, 0o755);
  return folder;
}

async function measure(scenarios: readonly Scenario[], values: Options): Promise<number> {
  if (allowedCpus().length < 2) throw new Error("the bench needs two processors: one for the target, one for the load");
  const options = runOptions(values);
  checkOut(values.out);
  const children = new Children();
  let interrupted = false;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      interrupted = true;
      children.close();
    });
  }
  const folder = makeFolder();
  const file = path.join(values.out, "bench.json");
  let measured = 0;
  try {
    for (const scenario of scenarios) {
      const missing = scenario.missing();
      if (missing !== null) {
        console.log(`${scenario.name} is left out: it ${missing}`);
        continue;
      }
      console.error(`${scenario.name}: ${scenario.title} (${roundsOf(scenario, options.rounds)} rounds)`);
      try {
        const result = await runScenario(scenario, children, folder, options);
        console.log(section(scenario, result));
        // What could not be measured now replaces nothing that once was.
        if (result.rows.length === 0) continue;
        write(values.out, withResult(readReport(file, thisMachine()), result, SCENARIOS));
        measured++;
      } catch (error) {
        if (interrupted) break;
        console.log(`${scenario.name} could not be measured: ${(error as Error).message}\n`);
      }
    }
  } finally {
    await children.close();
    rmSync(folder, { recursive: true, force: true });
  }
  if (interrupted) return 130;
  if (measured > 1) console.log(claims(readReport(file, thisMachine())));
  if (measured > 0) console.log(`written: ${file} and bench.svg beside it`);
  return measured > 0 ? 0 : 1;
}

/** Tables and chart of what an earlier run has measured. */
function showReport(scenarios: readonly Scenario[], folder: string): number {
  const file = path.join(folder, "bench.json");
  if (!existsSync(file)) throw new UsageError(`there is no ${file}: nothing was measured there yet`);
  const report = JSON.parse(readFileSync(file, "utf8")) as Report;
  write(folder, report);
  for (const scenario of scenarios) {
    const result = report.scenarios[scenario.name];
    if (result !== undefined) console.log(section(scenario, result));
  }
  console.log(claims(report));
  return 0;
}

async function main(): Promise<number> {
  const { values, positionals } = readCommandLine();
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  const scenarios = positionals.length === 0 ? SCENARIOS : byName("scenario", SCENARIOS, positionals);
  if (values.list) {
    list();
    return 0;
  }
  return values.report ? showReport(scenarios, values.out) : measure(scenarios, values);
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`bench: ${(error as Error).message}`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
