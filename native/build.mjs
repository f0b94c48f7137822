// Compiles the transport addon, native/build/headgate.node, from native/src: with the C++ compiler that is there, against
// Node headers that are there; it never downloads anything. npm runs it when the package is installed, scripts/setup.mjs
// before every command of a clone. It is plain JavaScript for Node 18 and later, and needs no package.
//
// An addon that is up to date is left alone, silently. One that cannot be built is no error, because the portable
// transport does the same work: one line on standard error says why, and the exit code is 0. What it never leaves behind is
// an addon of other sources than these: it is put in place whole, by a rename, and an outdated one is removed.
//
//   node native/build.mjs               builds when needed
//   node native/build.mjs --required    the same, but where there is a compiler, an addon that is not built is exit code 1
//   node native/build.mjs --sanitized   native/build/sanitized/headgate.node, with AddressSanitizer and UBSan (GCC only)
//
// Run it with the Node that will load the addon: that one is what the headers must fit.

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const native = path.dirname(fileURLToPath(import.meta.url));
const root = path.dirname(native);
const sources = path.join(native, "src");

/** Only these are tested. The addon is built on epoll, so on Linux alone. */
const platforms = ["linux-x64", "linux-arm64"];

/** A whole build takes seconds; a compiler beyond this hangs, and must not hang an installation. */
const compilerMsMax = 120_000;

const always = ["-std=c++20", "-fPIC", "-fno-exceptions", "-fno-rtti", "-fvisibility=hidden", "-pthread"];
const optimized = ["-O2", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2", "-fstack-protector-strong"];
const hardenedLink = ["-Wl,-z,relro,-z,now,-z,noexecstack"];
// vptr checks need RTTI, which the addon goes without.
const sanitized = ["-O1", "-g", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize=vptr"];
// UBSan's own copy, kept to itself: shared, it would write where AddressSanitizer's settings say, which is not in its file.
const sanitizedLink = [...sanitized, "-static-libubsan", "-Wl,--exclude-libs,ALL"];
const sanitizedFatally = [...sanitized, "-fno-sanitize-recover=all"];
const warnings = ["-Wall", "-Wextra"];

/** A clone holds src, a package does not: a warning of a user's newer compiler must not cost them the addon. */
const inClone = existsSync(path.join(root, "src"));

function flagsFor(isSanitized) {
  return {
    compile: [...always, ...warnings, ...(inClone ? ["-Werror"] : []), ...(isSanitized ? sanitizedFatally : optimized)],
    link: ["-shared", "-pthread", ...(isSanitized ? sanitizedLink : hardenedLink)],
  };
}

/** Where headers may lie, in order of preference. Every place is on this machine already. */
function headerFolders() {
  const beside = path.dirname(process.execPath);
  const packages = path.join(root, "node_modules");
  // The npm package `node` has one for each platform, which npm puts inside it or beside it.
  const name = `node-${process.platform}-${process.arch}`;
  const holders = [
    path.join(packages, "node", "node_modules", name),
    path.join(packages, name),
    path.join(beside, "..", "node_modules", name),
    path.join(beside, "..", "..", name),
    path.join(beside, ".."),
    ...(process.env.npm_config_nodedir ? [process.env.npm_config_nodedir] : []),
    "/usr",
    "/usr/local",
  ];
  return holders.map((holder) => path.join(holder, "include", "node"));
}

function defined(text, name) {
  return new RegExp(`#define ${name} (\\d+)`).exec(text)?.[1];
}

/**
 * The first folder whose headers fit the Node that runs this, or null. Node-API is stable over Node's versions, and libuv's
 * binary interface over its minor versions, so that nothing but libuv's major version has to agree.
 */
function findHeaders() {
  for (const folder of headerFolders()) {
    const files = ["node_api.h", "node_version.h", "uv.h", "uv/version.h"].map((file) => path.join(folder, file));
    if (!files.every((file) => existsSync(file))) continue;
    const uvMajor = defined(readFileSync(files[3], "utf8"), "UV_VERSION_MAJOR");
    if (uvMajor !== process.versions.uv.split(".")[0]) continue;
    const versions = readFileSync(files[1], "utf8");
    const parts = ["MAJOR", "MINOR", "PATCH"].map((part) => defined(versions, `NODE_${part}_VERSION`));
    return { folder, version: parts.join(".") };
  }
  return null;
}

/** The compiler's command, or null. CXX may hold arguments ("ccache g++"). */
function findCompiler() {
  const wish = process.env.CXX?.trim();
  if (wish) return wish.split(/\s+/);
  const name = ["c++", "g++", "clang++"].find((command) => isOnPath(command));
  return name === undefined ? null : [name];
}

function isOnPath(command) {
  return (process.env.PATH ?? "").split(path.delimiter).some((folder) => {
    try {
      accessSync(path.join(folder, command), constants.X_OK);
      return folder !== "";
    } catch {
      return false;
    }
  });
}

/** One hash of all that decides what is compiled; the headers' version stands beside it, because they may be gone later. */
function hashOf(files, flags) {
  // The C libraries: a clone that is carried from Debian to Alpine needs another addon.
  const loaders = existsSync("/lib") ? readdirSync("/lib").filter((entry) => entry.startsWith("ld-musl-")) : [];
  const hash = createHash("sha256").update(JSON.stringify([process.arch, loaders, flags]));
  for (const file of files) hash.update(`\0${file}\0`).update(readFileSync(path.join(sources, file)));
  return hash.digest("hex");
}

function readStamp(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch {
    return {};
  }
}

function run(command, args) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], timeout: compilerMsMax });
    let output = `${[command, ...args].join(" ")}\n`;
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
    child.on("error", (error) => resolve({ passed: false, output: `${output}${error.message}\n` }));
    child.on("close", (code, signal) => {
      resolve({ passed: code === 0, output: code === 0 ? output : `${output}exit ${code ?? signal}\n` });
    });
  });
}

/** Runs the jobs, as many at a time as there are cores, until one fails; the outputs in order. */
async function runAll(jobs) {
  const waiting = [...jobs];
  const results = [];
  const work = async () => {
    for (let job = waiting.shift(); job !== undefined; job = waiting.shift()) {
      const result = await run(...job);
      results.push(result);
      if (!result.passed) waiting.length = 0;
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, os.cpus().length) }, work));
  return { passed: results.every((result) => result.passed), output: results.map(({ output }) => output).join("") };
}

/** Compiles and links into `folder`, and loads the result once: the linker does not notice a symbol that Node lacks. */
async function compile({ compiler, headers, flags, files, folder, isSanitized }) {
  const [command, ...given] = compiler;
  const units = files.filter((file) => file.endsWith(".cc"));
  const objectOf = (file) => path.join(folder, file.replaceAll("/", "-").replace(/\.cc$/, ".o"));
  const jobs = units.map((file) => {
    const include = ["-I", sources, "-isystem", headers.folder];
    return [command, [...given, ...flags.compile, ...include, "-c", path.join(sources, file), "-o", objectOf(file)]];
  });
  const addon = path.join(folder, "headgate.node");
  const compiled = await runAll(jobs);
  if (!compiled.passed) return { failure: `${command} failed`, output: compiled.output };
  const linked = await run(command, [...given, ...flags.link, ...units.map(objectOf), "-o", addon]);
  const output = compiled.output + linked.output;
  if (!linked.passed) return { failure: `${command} could not link`, output };
  // A sanitized addon loads only beside its preloaded run-time libraries, which the tests see to.
  if (isSanitized) return { failure: null, output };
  const load = "process.dlopen({ exports: {} }, process.argv[1], require('node:os').constants.dlopen.RTLD_NOW)";
  const loaded = await run(process.execPath, ["-e", load, addon]);
  return { failure: loaded.passed ? null : "it does not load", output: output + loaded.output };
}

/**
 * Builds the addon when it is not up to date.
 *
 * `file` is where it is; `reason` is null, or why there is none; `built` says whether anything was compiled, and
 * `hasCompiler` whether a missing addon is worth a complaint.
 */
async function build({ isSanitized }) {
  const output = path.join(native, "build", ...(isSanitized ? ["sanitized"] : []));
  const file = path.join(output, "headgate.node");
  const stampFile = path.join(output, "headgate.stamp");
  const absent = (reason, hasCompiler = false) => {
    rmSync(file, { force: true });
    rmSync(stampFile, { force: true });
    return { file, built: false, hasCompiler, reason };
  };
  const platform = `${process.platform}-${process.arch}`;
  if (!platforms.includes(platform)) return absent(`${platform} is not ${platforms.join(" or ")}`);

  const files = readdirSync(sources)
    .filter((name) => /\.(cc|h)$/.test(name))
    .sort();
  const flags = flagsFor(isSanitized);
  const headers = findHeaders();
  const inputs = hashOf(files, flags);
  const stamp = readStamp(stampFile);
  const isCurrent = stamp.inputs === inputs && (headers === null || stamp.headers === headers.version);
  if (isCurrent && existsSync(file)) return { file, built: false, hasCompiler: true, reason: null };

  const compiler = findCompiler();
  if (compiler === null) return absent("no C++ compiler: c++, g++ or clang++ on the PATH, or CXX");
  if (headers === null)
    return absent("no headers of Node (node_api.h, uv.h) that fit; see docs/native-transport.md", true);

  mkdirSync(output, { recursive: true });
  const folder = path.join(output, `unfinished-${process.pid}`);
  const log = path.join(output, "headgate.log");
  try {
    mkdirSync(folder);
    const { failure, output: said } = await compile({ compiler, headers, flags, files, folder, isSanitized });
    writeFileSync(log, said);
    if (failure !== null) return absent(`${failure}, see ${path.relative(process.cwd(), log)}`, true);
    renameSync(path.join(folder, "headgate.node"), file);
    writeFileSync(stampFile, JSON.stringify({ inputs, headers: headers.version }));
    return { file, built: true, hasCompiler: true, reason: null, compiler, headers };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const isRequired = process.argv.includes("--required");
const startedAt = performance.now();
let result;
try {
  result = await build({ isSanitized: process.argv.includes("--sanitized") });
} catch (error) {
  // A read-only folder, a full disk: as good a reason as a missing compiler.
  result = { hasCompiler: true, reason: error.message };
}
if (result.reason !== null) {
  console.error(`native transport: not built (${result.reason}); the portable transport runs`);
  if (isRequired && result.hasCompiler) process.exitCode = 1;
} else if (result.built) {
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  const { compiler, headers } = result;
  console.log(`native transport: built (${compiler.join(" ")}, headers of Node ${headers.version}, ${seconds} s)`);
}
