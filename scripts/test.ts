// Runs the checks and the tests, and ends with one line: "N passed, N failed" (", N skipped" when there are any).
// Without arguments: the type check, the linter, then every *.test.ts of src, test and native, the architecture first.
// With paths (`npm test -- src/protocol`): only the test files at or below them, for a short loop while working.
// What uses a transport runs once on each, where the addon is built; HEADGATE_TRANSPORT=net or =native runs all on that one. The
// addon's own tests and the contract of the transports run once more as in a worker thread, where the addon waits and not libuv.
// It knows nothing of single tests; what a test needs of the machine it asks of test/support/requirements.ts.

import { spawnSync } from "node:child_process";
import { existsSync, globSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { pathToFileURL } from "node:url";

const root = path.dirname(import.meta.dirname);

/** A whole run takes some seven minutes on two idle cores, and has to stay below ten there; one that takes so long hangs. */
const runMsMax = 25 * 60_000;

/**
 * What runs over sockets, as beginnings of paths: the proxy, its commands and its examples. What is left has no sockets, or
 * those of one transport.
 */
const onEveryTransport: readonly string[] = [
  "src/pipeline/drivers/node-http",
  "src/server/",
  "test/cli/",
  "test/examples/",
  "test/integration/",
  "test/security/",
  "test/threads/",
  "test/transport/",
];

/** Of these, what is about something else than bytes: it runs once, on the one that a user would get. */
const onOneTransport: readonly string[] = [
  "src/server/access-log",
  "src/server/authority-operator",
  "src/server/caches",
  "src/server/create-proxy-cache",
  "src/server/interception-authority",
  "src/server/setup-warnings",
  "test/cli/ca-command",
  "test/cli/errors",
  "test/cli/explain",
  "test/cli/faults",
  "test/cli/forward-command",
  "test/cli/inspection",
  "test/cli/proxy-command",
  "test/cli/signals",
  "test/examples/auth-document",
  "test/examples/cache",
  "test/examples/forward-",
  "test/examples/jmap-gateway",
  "test/examples/plugin",
  "test/examples/start",
  "test/examples/websocket-gateway",
  "test/integration/cache-faults",
  "test/integration/cache-kills",
  "test/integration/cache-scale",
  "test/integration/cache-warm",
  "test/integration/forward-auth",
  "test/integration/forward-clients/apt",
  "test/integration/forward-clients/cached-downloads",
  "test/integration/forward-clients/chromium",
  "test/integration/forward-clients/git",
  "test/integration/forward-clients/npm",
  "test/integration/forward-clients/programs",
  "test/integration/forward-debug",
  "test/integration/forward-log",
  "test/integration/forward-scale",
  "test/integration/kisscache",
  "test/integration/oidc-",
  "test/integration/pac",
  "test/integration/password-files",
  "test/integration/published-keys",
  "test/integration/python-envelopes",
  "test/integration/sessions-under-load",
  "test/integration/shared-between-machines",
  "test/integration/trusted-proxies",
  "test/security/cache-",
  "test/security/costly-fields",
  "test/security/decisions-of-others",
  "test/security/forged-identity",
  "test/security/forged-tokens",
  "test/security/forward-attacks-credentials",
  "test/security/oidc-",
  "test/security/secrets-in-logs",
  "test/security/smuggling-verdicts",
  "test/security/spoofed-identity",
  "test/threads/access-lines",
  "test/threads/cache-files-left-open",
  "test/threads/cache-fills",
  "test/threads/connections-maximum",
  "test/threads/session-stores",
  "test/threads/shared-cache",
  "test/threads/status",
  "test/threads/worker-replacements",
];

/** What is about the addon alone. */
const ofAddon: readonly string[] = ["native/test/", "test/transport/"];

/**
 * What takes longest begins first, in this order, so that no core is idle at the end while another one has the longest file before
 * it. Ten seconds and more are worth a line.
 */
const longest: readonly string[] = [
  "test/admin/running-proxy",
  "test/packaging/package",
  "test/threads/shared-cache",
  "test/integration/sessions-under-load",
  "test/threads/worker-deaths",
  "test/integration/endurance",
  "test/simulation/interleavings",
  "test/stores/session-command",
  "test/threads/reloads",
  "test/integration/cache-scale",
  "test/conformance/http-cache",
  "test/stores/cache-tier",
  "test/integration/forward-clients/cached-downloads",
  "test/examples/cache-document",
  "test/stores/redis-outages",
  "test/packaging/tally",
  "test/stores/redis-cluster",
  "test/examples/forward-document",
  "test/admin/commands",
  "test/cli/signals",
  "test/integration/slow-readers",
  "test/integration/forward-scale",
  "test/cli/errors",
  "test/admin/cache-commands",
  "test/threads/",
];

/**
 * Folders whose files share a process: it costs more to start one and to load what they test than most of them take. Root hooks of
 * one file run for all of its group. In a run that was given paths every file has a process to itself.
 */
const sharingProcess: readonly string[] = [
  "src/caching/",
  "src/config/",
  "src/core/",
  "src/features/",
  "src/forward/",
  "src/identity/",
  "src/pipeline/",
  "src/protocol/",
  "src/semantics/",
  "src/server/",
  "src/testing/",
  "src/upstreams/",
  "test/dialogues/",
  "test/integration/",
  "test/security/",
  "test/simulation/",
  "test/transport/",
];

/** Of these, what changes its process or looks at the whole of it, and what mostly waits for other programs. */
const aloneInProcess: readonly string[] = [
  "test/integration/forward-clients/",
  "test/integration/idle-connections",
  "test/integration/large-bodies",
  "test/integration/redirected-",
  "test/transport/descriptor",
  "test/transport/dialing",
  "test/transport/many-connections",
  "test/transport/process-lifetime",
  "test/transport/splicing-ends",
  "test/transport/tls-layer-failures",
  "test/transport/worker-threads",
];

/** So many that the other cores have something to do meanwhile, and that whoever hangs is found among a few. */
const sharingFilesMax = 16;

interface Tally {
  passed: number;
  failed: number;
  skipped: number;
}

/** Files that run together, on the same transport. */
interface Pass {
  name: string;
  where: string;
  env: Record<string, string>;
  files: string[];
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

function isBelow(file: string, prefixes: readonly string[]): boolean {
  return prefixes.some((prefix) => file.startsWith(path.normalize(prefix)));
}

/** The test files at or below one of the paths, or all; the architecture first, because it explains other failures. */
function findTestFiles(paths: readonly string[]): string[] {
  const wanted = paths.map((given) => path.relative(root, path.resolve(given)));
  const isWanted = (file: string) =>
    wanted.length === 0 ||
    wanted.some(
      (prefix) => prefix === "" || file === prefix || [path.sep, "."].some((end) => file.startsWith(prefix + end)),
    );
  const order = (file: string) => {
    if (file.startsWith(path.join("test", "architecture"))) return -1;
    const rank = longest.findIndex((prefix) => isBelow(file, [prefix]));
    return rank < 0 ? longest.length : rank;
  };
  return globSync("{src,test,native/test}/**/*.test.ts", { cwd: root })
    .filter((file) => !file.startsWith(path.join("test", "soak")) && isWanted(file))
    .sort((a, b) => order(a) - order(b) || (a < b ? -1 : 1));
}

/** Which files run on which transport. */
function planPasses(files: readonly string[]): Pass[] {
  const passOn = (transport: string, files: readonly string[]): Pass => {
    return {
      name: transport,
      where: `on the transport ${transport}`,
      env: { HEADGATE_TRANSPORT: transport },
      files: [...files],
    };
  };
  const inOwnThread: Pass = {
    name: "own-thread",
    where: "on the transport native, in a thread of its own",
    env: { HEADGATE_TRANSPORT: "native", HEADGATE_TEST_OWNS_THREAD: "1" },
    files: files.filter((file) => isBelow(file, ofAddon)),
  };
  const chosen = process.env.HEADGATE_TRANSPORT;
  if (chosen) return havingFiles([passOn(chosen, files), ...(chosen === "native" ? [inOwnThread] : [])]);
  const usesTransport = (file: string) => isBelow(file, onEveryTransport) && !isBelow(file, onOneTransport);
  const onEach = files.filter(usesTransport);
  const once = files.filter((file) => !usesTransport(file));
  const addon = process.env.HEADGATE_ADDON ?? path.join(root, "native", "build", "headgate.node");
  const passes: Pass[] = [{ name: "once", where: "once", env: {}, files: once }, passOn("net", onEach)];
  if (existsSync(addon)) passes.push(passOn("native", onEach), inOwnThread);
  return havingFiles(passes);
}

function havingFiles(passes: readonly Pass[]): Pass[] {
  return passes.filter((pass) => pass.files.length > 0);
}

/** What the runner is to start: a file, or one that is made here and imports the files that share a process. */
function entriesOf({ files, name: pass }: Pass, folder: string): string[] {
  const entries: string[] = [];
  const shares = new Map<string, string[]>();
  for (const file of files) {
    const isAlone = hasPaths || isBelow(file, longest) || isBelow(file, aloneInProcess);
    const prefix = isAlone ? undefined : sharingProcess.find((folder) => isBelow(file, [folder]));
    if (prefix === undefined) entries.push(path.join(root, file));
    else shares.set(prefix, [...(shares.get(prefix) ?? []), file]);
  }
  const made: string[] = [];
  for (const [prefix, shared] of shares) {
    for (let from = 0; from < shared.length; from += sharingFilesMax) {
      const name = `${pass}-${prefix.replaceAll("/", "-")}${from}.mjs`;
      const imports = shared
        .slice(from, from + sharingFilesMax)
        .map((file) => `import ${JSON.stringify(pathToFileURL(path.join(root, file)).href)};\n`);
      const entry = path.join(folder, name);
      writeFileSync(entry, imports.join(""));
      made.push(entry);
    }
  }
  // Behind the longest files, and before the many short ones.
  const first = files.filter((file) => isBelow(file, ["test/architecture/", ...longest])).length;
  return [...entries.slice(0, first), ...made, ...entries.slice(first)];
}

/** Of each failure, at the end: whoever sees no more than that should know what to look for. */
const reasonLinesMax = 60;

function reasonOf({ cause, message }: Error): string {
  const text = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause ?? message);
  const lines = text.split("\n");
  const cut =
    lines.length > reasonLinesMax ? [...lines.slice(0, 20), "...", ...lines.slice(20 - reasonLinesMax)] : lines;
  return cut.map((line) => `    ${line}`).join("\n");
}

/** Failures of all passes, each with its transport and its file, and why. */
const failures: string[] = [];

/** One more than there are cores: many files wait now and then, for a deadline or for another process. */
const filesAtOnce = os.availableParallelism() + 1;

function runPass(pass: Pass, folder: string, signal: AbortSignal): Promise<Tally> {
  const started = run({
    files: entriesOf(pass, folder),
    cwd: root,
    concurrency: filesAtOnce,
    signal,
    execArgv: ["--import", path.join(root, "test", "support", "watchdog.ts")],
    env: { ...process.env, ...pass.env },
  });
  const { promise, resolve, reject } = Promise.withResolvers<Tally>();
  let brokenSuites = 0;
  started.on("test:fail", ({ name, file, details }) => {
    const { failureType } = details.error as Error & { failureType?: string };
    if (failureType === "subtestsFailed") return;
    failures.push(`${pass.name}: ${path.relative(root, file ?? name)}: ${name}\n${reasonOf(details.error)}`);
    // Node does not count a suite whose own body throws, so none of its tests ran and none failed.
    if (details.type === "suite") brokenSuites += 1;
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

/** For what lasts as long as the run. */
function temporaryFolder(): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), "headgate-tests-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/**
 * All test files and the programs that they start share what was compiled of the modules, which is half of what starting one
 * costs. It lasts as long as the run, so that no run depends on what an earlier one has left.
 */
function shareCompiledModules(folder: string): void {
  process.env.NODE_COMPILE_CACHE ??= path.join(folder, "compiled");
}

const paths = process.argv.slice(2);
const hasPaths = paths.length > 0;
const tally: Tally = { passed: 0, failed: 0, skipped: 0 };
if (!hasPaths) {
  const colors = process.stdout.isTTY ? "force" : "off";
  const checks = [check("types", "tsc", ["-p", "."]), check("lint", "biome", ["ci", `--colors=${colors}`])];
  // A compiler without an addon would leave half of the tests out, which must not pass for a success where nobody looks.
  if (process.env.CI) checks.push(check("native transport", "node", ["native/build.mjs", "--required"]));
  for (const passed of checks) {
    if (passed) tally.passed += 1;
    else tally.failed += 1;
  }
}
const passes = planPasses(findTestFiles(paths));
if (passes.length === 0) {
  console.error(`no test file at or below: ${paths.join(" ")}`);
  tally.failed += 1;
}
const folder = temporaryFolder();
shareCompiledModules(folder);
const signal = AbortSignal.timeout(runMsMax);
for (const pass of passes) {
  console.log(`\n${pass.files.length} test files, ${pass.where}:\n`);
  const { passed, failed, skipped } = await runPass(pass, folder, signal);
  tally.passed += passed;
  tally.failed += failed;
  tally.skipped += skipped;
}
for (const failure of failures) console.log(`✖ ${failure}`);
console.log(`${tally.passed} passed, ${tally.failed} failed${tally.skipped > 0 ? `, ${tally.skipped} skipped` : ""}`);
process.exitCode = tally.failed > 0 ? 1 : 0;
