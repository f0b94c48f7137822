// Runs the checks and the tests, and ends with one line: "N passed, N failed" (", N skipped" when there are any).
// Without arguments: the type check, the linter, then every *.test.ts of src and test, the architecture first.
// With paths (`npm test -- src/protocol`): only the test files at or below them, for a short loop while working.
// It knows nothing of single tests; what a test needs of the machine it asks of test/support/requirements.ts.

import { spawnSync } from "node:child_process";
import { globSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";

const root = path.dirname(import.meta.dirname);

/** The whole run has to stay useful on a two-core machine; a run beyond this hangs or has grown too heavy. */
const runMsMax = 10 * 60_000;

interface Tally {
  passed: number;
  failed: number;
  skipped: number;
}

/** A tool over the whole tree; it counts as one test. */
function check(name: string, command: string, args: string[]): boolean {
  const startedAt = performance.now();
  const result = spawnSync(path.join(root, "node_modules", ".bin", command), args, { cwd: root, stdio: "inherit" });
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  const passed = result.status === 0;
  console.log(`${passed ? "✔" : "✖"} ${name} (${command} ${args.join(" ")}, ${seconds} s)`);
  return passed;
}

/** The test files at or below one of the paths, or all; the architecture first, because it explains other failures. */
function findTestFiles(paths: readonly string[]): string[] {
  const wanted = paths.map((given) => path.relative(root, path.resolve(given)));
  const isWanted = (file: string) =>
    wanted.length === 0 ||
    wanted.some((prefix) => prefix === "" || file === prefix || file.startsWith(prefix + path.sep));
  const order = (file: string) => (file.startsWith(path.join("test", "architecture")) ? 0 : 1);
  return globSync("{src,test}/**/*.test.ts", { cwd: root })
    .filter((file) => !file.startsWith(path.join("test", "soak")) && isWanted(file))
    .sort((a, b) => order(a) - order(b) || (a < b ? -1 : 1));
}

function runTestFiles(files: string[]): Promise<Tally> {
  const started = run({
    files: files.map((file) => path.join(root, file)),
    cwd: root,
    concurrency: os.availableParallelism(),
    signal: AbortSignal.timeout(runMsMax),
    execArgv: ["--expose-gc", "--import", path.join(root, "test", "support", "watchdog.ts")],
  });
  const { promise, resolve, reject } = Promise.withResolvers<Tally>();
  let brokenSuites = 0;
  started.on("test:fail", ({ details }) => {
    // Node does not count a suite whose own body throws, so none of its tests ran and none failed.
    const { failureType } = details.error as Error & { failureType?: string };
    if (details.type === "suite" && failureType !== "subtestsFailed") brokenSuites += 1;
  });
  // A summary comes for each file, and one without a file name for all of them.
  started.on("test:summary", ({ file, counts, success }) => {
    if (file !== undefined) return;
    // Node counts failures too; the published types forget them.
    const { passed, failed, cancelled, skipped, todo } = counts as typeof counts & { failed: number };
    const allFailed = failed + cancelled + brokenSuites;
    resolve({ passed, failed: success ? allFailed : Math.max(allFailed, 1), skipped: skipped + todo });
  });
  const report = started.compose(new spec());
  report.on("error", reject);
  // The tally is the last line, so it waits for the report to be written.
  report.pipe(process.stdout, { end: false });
  return Promise.all([promise, new Promise((done) => report.on("end", done))]).then(([tally]) => tally);
}

const paths = process.argv.slice(2);
const tally: Tally = { passed: 0, failed: 0, skipped: 0 };
const files = findTestFiles(paths);
if (paths.length === 0) {
  const colors = process.stdout.isTTY ? "force" : "off";
  for (const passed of [check("types", "tsc", ["-p", "."]), check("lint", "biome", ["ci", `--colors=${colors}`])]) {
    if (passed) tally.passed += 1;
    else tally.failed += 1;
  }
}
if (files.length > 0) {
  const result = await runTestFiles(files);
  tally.passed += result.passed;
  tally.failed += result.failed;
  tally.skipped += result.skipped;
} else {
  console.error(`no test file at or below: ${paths.join(" ")}`);
  tally.failed += 1;
}
console.log(`${tally.passed} passed, ${tally.failed} failed${tally.skipped > 0 ? `, ${tally.skipped} skipped` : ""}`);
process.exitCode = tally.failed > 0 ? 1 : 0;
