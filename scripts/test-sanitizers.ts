// The tests that use the addon, on an addon with AddressSanitizer and UndefinedBehaviorSanitizer: `npm run test:sanitizers`.
// Node itself is not instrumented, so AddressSanitizer is preloaded into it and into each Node that a test starts, but not
// into other programs, some of which hang with it. A report ends its process and is kept in a file, so that one in a child
// whose end nobody looks at fails the run all the same. Leaks are not looked for: Node frees little when it ends. Needs
// GCC and its sanitizer libraries.

import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { findCommand } from "../test/support/requirements.ts";
import systemPackages from "./system-packages.json" with { type: "json" };

const root = path.dirname(import.meta.dirname);
const compiler = process.env.CXX ?? "g++";

/** What exercises the addon; other suites would only run Node's own code under the sanitizers. */
const suites = ["native/test", "test/transport", "test/integration"];

function fail(line: string): never {
  console.error(`sanitizers: ${line}`);
  process.exit(1);
}

/** The compiler gives the name back as it is when it has no such library. */
function library(name: string): string {
  const file = execFileSync(compiler, [`-print-file-name=${name}`], { encoding: "utf8" }).trim();
  return path.isAbsolute(file) ? realpathSync(file) : fail(`${compiler} has no ${name}`);
}

/** In this folder, each of the system's commands that tests use, as one that runs without what is preloaded. */
function shieldCommands(folder: string): void {
  mkdirSync(folder);
  for (const { command } of systemPackages) {
    const file = findCommand(command);
    const script = `#!/bin/sh\nunset LD_PRELOAD\nexec '${file}' "$@"\n`;
    if (file !== null) writeFileSync(path.join(folder, command), script, { mode: 0o755 });
  }
}

const build = [path.join(root, "native", "build.mjs"), "--sanitized", "--required"];
const env = { ...process.env, CXX: compiler };
if (spawnSync(process.execPath, build, { stdio: "inherit", env }).status !== 0) process.exit(1);

const folder = mkdtempSync(path.join(os.tmpdir(), "headgate-sanitizers-"));
const reports = path.join(folder, "reports");
const commands = path.join(folder, "commands");
mkdirSync(reports);
shieldCommands(commands);
const options = {
  // A freed block is held back to catch its use; less of that than usual, because tests look at the memory of processes.
  ASAN_OPTIONS: `detect_leaks=0:quarantine_size_mb=16:log_path=${reports}/report`,
  UBSAN_OPTIONS: `print_stacktrace=1:halt_on_error=1:log_path=${reports}/report`,
};
const paths = process.argv.length > 2 ? process.argv.slice(2) : suites;
const tests = spawnSync(process.execPath, [path.join(root, "scripts", "test.ts"), ...paths], {
  cwd: root,
  stdio: "inherit",
  env: {
    ...process.env,
    ...options,
    PATH: [commands, process.env.PATH].join(path.delimiter),
    HEADGATE_TRANSPORT: "native",
    HEADGATE_ADDON: path.join(root, "native", "build", "sanitized", "headgate.node"),
    LD_PRELOAD: library("libasan.so"),
  },
});

const found = readdirSync(reports).sort();
for (const file of found) console.error(`\n${file}:\n${readFileSync(path.join(reports, file), "utf8")}`);
rmSync(folder, { recursive: true });
if (found.length > 0) fail(`${found.length} reports`);
if (tests.status !== 0) fail("tests failed");
console.log("sanitizers: no report");
