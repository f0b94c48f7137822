// Makes a fresh clone able to run: the npm packages of the lock file, the Node that runs TypeScript unbuilt, the transport
// addon for that Node, and, with `--system`, the Debian packages that some tests need. It is plain JavaScript for Node 18
// and later, because it is what runs before anything is installed. It prints one line for each thing that it does, and
// nothing when all is in place. It never changes the lock file, and never fails for a missing Debian package (the tests
// that need one say so) or an addon that cannot be built (the portable transport does the same work).

import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const runtime = path.join(root, "node_modules", ".bin", process.platform === "win32" ? "node.cmd" : "node");

/** Debian asks this file whether a package may start its service; 101 means no (invoke-rc.d(8)). */
const servicePolicy = "/usr/sbin/policy-rc.d";

function say(line) {
  console.log(`setup: ${line}`);
}

function fail(line) {
  console.error(`setup: ${line}`);
  process.exit(1);
}

function readJson(file) {
  return JSON.parse(readFileSync(file, "utf8"));
}

/**
 * Why `npm ci` must run, or null. npm records what it installed in node_modules/.package-lock.json, so that record is
 * compared with the lock file; optional packages are left out because each platform installs its own.
 */
function reasonToInstall() {
  const record = path.join(root, "node_modules", ".package-lock.json");
  if (!existsSync(record)) return "node_modules is missing";
  const wanted = readJson(path.join(root, "package-lock.json")).packages;
  const installed = readJson(record).packages;
  for (const [location, entry] of Object.entries(wanted)) {
    if (location === "" || entry.optional) continue;
    if (installed[location]?.version !== entry.version || installed[location]?.integrity !== entry.integrity) {
      return `${location} is not what package-lock.json says`;
    }
  }
  const extra = Object.keys(installed).find((location) => !(location in wanted));
  if (extra !== undefined) return `${extra} is not in package-lock.json`;
  return existsSync(runtime) ? null : "node_modules/.bin/node is missing";
}

/**
 * The environment for npm: without our own node_modules/.bin, whose `node` npm is about to replace, and without what an
 * outer `npm test` says about itself. Settings (npm_config_*) are kept.
 */
function environmentForNpm() {
  const environment = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (!name.startsWith("npm_") || name.startsWith("npm_config_")) environment[name] = value;
  }
  const ours = path.join("node_modules", ".bin");
  environment.PATH = (process.env.PATH ?? "")
    .split(path.delimiter)
    .filter((folder) => !folder.endsWith(ours))
    .join(path.delimiter);
  return environment;
}

function installPackages() {
  const reason = reasonToInstall();
  if (reason === null) return;
  say(`npm ci (${reason})`);
  // Development packages are named, because NODE_ENV=production would leave out the Node that runs everything here.
  const npm = spawnSync("npm", ["ci", "--include=dev", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: root,
    env: environmentForNpm(),
    stdio: ["ignore", "inherit", "inherit"],
    shell: process.platform === "win32",
  });
  if (npm.error) fail(`npm could not be started: ${npm.error.message}`);
  if (npm.status !== 0) fail(`npm ci failed (exit ${npm.status ?? npm.signal})`);
}

function checkRuntime() {
  if (!existsSync(runtime)) {
    fail(
      "node_modules/.bin/node is missing after npm ci: the install script of the package `node` did not run. " +
        "Allow install scripts (`npm config get ignore-scripts` must say false), then: npm rebuild node",
    );
  }
  const version = spawnSync(runtime, ["--version"], { encoding: "utf8", shell: process.platform === "win32" });
  if (version.status !== 0)
    fail(`node_modules/.bin/node does not run here: ${version.error?.message ?? version.stderr}`);
}

/** By the Node that will load it; it says for itself what it did, or why there is none. */
function buildAddon() {
  const script = path.join(root, "native", "build.mjs");
  spawnSync(runtime, [script], { stdio: "inherit", shell: process.platform === "win32" });
}

function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function hasCommand(command) {
  // Debian keeps servers in sbin, which is not on the PATH of every user.
  const folders = [...(process.env.PATH ?? "").split(path.delimiter), "/usr/sbin", "/sbin"];
  return folders.some((folder) => folder !== "" && isExecutable(path.join(folder, command)));
}

function installSystemPackages() {
  const missing = readJson(path.join(root, "scripts", "system-packages.json"))
    .filter(({ command, file }) => !hasCommand(command) || (file !== undefined && !existsSync(file)))
    .map((entry) => entry.package);
  if (missing.length === 0) return;
  const installing = (packages) => ["apt-get", "install", "-y", "--no-install-recommends", ...packages];
  if (process.getuid?.() !== 0 || !hasCommand("apt-get")) {
    say(`some tests will be skipped; to run them: apt-get update && ${installing(missing).join(" ")}`);
    return;
  }
  const run = ([command, ...args]) => {
    say([command, ...args].join(" "));
    const result = spawnSync(command, ["-qq", "-o", "Acquire::http::Timeout=20", ...args], {
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
      stdio: ["ignore", "ignore", "inherit"],
    });
    return result.status === 0;
  };
  const forbidServices = !existsSync(servicePolicy);
  if (forbidServices) writeFileSync(servicePolicy, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  try {
    const isUpdated = run(["apt-get", "update"]);
    // At once it is much quicker; one by one, a package that this Debian does not have leaves the others as they are.
    if (isUpdated && run(installing(missing))) return;
    const failed = missing.filter((name) => !isUpdated || missing.length === 1 || !run(installing([name])));
    if (failed.length > 0) say(`not installed: ${failed.join(", ")}; tests will be skipped`);
  } finally {
    if (forbidServices) rmSync(servicePolicy);
  }
}

installPackages();
checkRuntime();
buildAddon();
if (process.argv.includes("--system")) installSystemPackages();
