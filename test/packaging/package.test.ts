// The package as its users get it: built, packed, installed in an empty folder, and run there by a Node that has never
// seen this clone. It shows that nothing of src is missing from the package and that no development dependency is
// needed. What the commands do in detail is tested beside them.

import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import http from "node:http";
import type { AddressInfo } from "node:net";
import os from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { findCommand } from "../support/requirements.ts";
import { codeBlocks } from "./markdown.ts";
import { isAtLeast, manifest, npm, provideNode, repositoryRoot, userEnvironment } from "./npm.ts";

interface PackedFile {
  path: string;
  mode: number;
}

const folder = mkdtempSync(path.join(os.tmpdir(), "headgate-package-"));
const hasCompiler = ["c++", "g++", "clang++"].some((name) => findCommand(name) !== null);
const cannotCompile = !(process.platform === "linux" && hasCompiler) && "skipped: needs Linux and a C++ compiler";
const home = path.join(folder, "user");
const running: ChildProcess[] = [];
let packed: PackedFile[] = [];
let environment: NodeJS.ProcessEnv = {};

before(() => {
  const report = JSON.parse(npm(repositoryRoot, "pack", "--json", "--silent", `--pack-destination=${folder}`));
  const { filename, files } = report[0] as { filename: string; files: PackedFile[] };
  packed = files;
  mkdirSync(home);
  writeFileSync(path.join(home, "package.json"), JSON.stringify({ private: true, type: "module" }));
  npm(home, "install", "--ignore-scripts", path.join(folder, filename));
  mkdirSync(path.join(folder, "node"));
  const user = userEnvironment();
  const PATH = [provideNode(path.join(folder, "node")), user.PATH].join(path.delimiter);
  environment = { ...user, PATH, HEADGATE_TRANSPORT: undefined, HEADGATE_ADDON: undefined };
});

after(() => {
  for (const child of running) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

/** Runs the installed command by its own first line, as a shell would. */
function headgate(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const command = path.join(home, "node_modules", ".bin", "headgate");
  return spawnSync(command, args, { cwd: home, env: environment, encoding: "utf8", timeout: 60_000 });
}

describe("the installed package", () => {
  test("runs on a Node that the package supports", () => {
    const version = execFileSync("node", ["--version"], { env: environment, encoding: "utf8" }).trim();
    assert.ok(isAtLeast(version, manifest.engines.node.replace(">=", "")), version);
  });

  test("holds the program, its documents, its licence and what the addon is made of, and no test or script", () => {
    const files = packed.map((file) => file.path);
    for (const file of ["LICENSE", "README.md", "CHANGELOG.md", "docs/schema.json", "docs/configuration.md"]) {
      assert.ok(files.includes(file), file);
    }
    for (const module of ["index", "testing/index"]) {
      for (const ending of ["js", "d.ts"]) assert.ok(files.includes(`dist/${module}.${ending}`), `${module}.${ending}`);
    }
    for (const file of ["native/build.mjs", "native/src/addon.cc"]) assert.ok(files.includes(file), file);
    const known = /^(dist|docs)\/|^native\/(src\/\w+\.(cc|h)|build\.mjs)$|^[A-Z]+(\.md)?$|^package\.json$/;
    const strangers = files.filter((file) => !known.test(file));
    assert.deepEqual(strangers, []);
    const unbuilt = files.filter((file) => /\.test\.|(?<!\.d)\.ts$/.test(file));
    assert.deepEqual(unbuilt, []);
    assert.equal(packed.find((file) => file.path === "dist/cli/main.js")?.mode, 0o755);
  });

  test("headgate --version says the version of the package", () => {
    const { status, stdout, stderr } = headgate("--version");
    assert.deepEqual([status, stdout.trim(), stderr], [0, manifest.version, ""]);
  });

  test("headgate check passes a good file, and says what is wrong with another in one line", () => {
    const good = 'servers: { web: { listen: ["127.0.0.1:8080"], routes: [{ respond: { status: 204 } }] } }\n';
    writeFileSync(path.join(home, "good.yaml"), good);
    assert.equal(headgate("check", "good.yaml").status, 0);
    writeFileSync(path.join(home, "bad.yaml"), good.replace("listen", "lisen"));
    const { status, stdout, stderr } = headgate("check", "bad.yaml");
    assert.equal(status, 1);
    assert.match(stdout + stderr, /bad\.yaml:1:\d+: .*listen/);
    assert.doesNotMatch(stdout + stderr, /\n\s+at /);
  });

  test("headgate proxy passes a request, and leaves on SIGTERM", async () => {
    await passRequest("net");
  });

  test("its install script compiles the addon, and then the native transport runs", {
    skip: cannotCompile,
  }, async () => {
    const quiet = ["--no-audit", "--no-fund", "--loglevel=error", "--foreground-scripts"];
    const options = { cwd: home, env: environment, encoding: "utf8" } as const;
    const { status, stdout, stderr } = spawnSync("npm", ["rebuild", "headgate", ...quiet], options);
    assert.equal(status, 0, stdout + stderr);
    assert.match(stdout, /^native transport: built \(.*\)$/m);
    await passRequest("native");
  });

  test("its modules are imported by programs", () => {
    const program = [
      'import { createProxy, defineConfig } from "headgate";',
      'import * as testing from "headgate/testing";',
      'import schema from "headgate/schema.json" with { type: "json" };',
      "console.log(typeof createProxy, typeof defineConfig, Object.keys(testing).length > 0, typeof schema.properties);",
    ].join("\n");
    writeFileSync(path.join(home, "program.js"), program);
    const output = execFileSync("node", ["--no-warnings", "program.js"], {
      cwd: home,
      env: environment,
      encoding: "utf8",
    });
    assert.equal(output.trim(), "function function true object");
  });

  test("the compiler accepts the program of README.md, and refuses a wrong one", () => {
    const readme = readFileSync(path.join(repositoryRoot, "README.md"), "utf8");
    const [example = ""] = codeBlocks(readme, "ts");
    assert.match(example, /createProxy/);
    const program = `${example}// @ts-expect-error: a configuration is an object\ndefineConfig(1);\n`;
    writeFileSync(path.join(home, "program.ts"), program);
    const compilerOptions = { strict: true, module: "nodenext", target: "es2024", types: ["node"], noEmit: true };
    writeFileSync(path.join(home, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["program.ts"] }));
    mkdirSync(path.join(home, "node_modules", "@types"), { recursive: true });
    for (const name of ["@types/node", "undici-types"]) {
      symlinkSync(path.join(repositoryRoot, "node_modules", name), path.join(home, "node_modules", name));
    }
    const compiler = path.join(repositoryRoot, "node_modules", ".bin", "tsc");
    const { status, stdout } = spawnSync(compiler, ["-p", "."], { cwd: home, encoding: "utf8" });
    assert.equal(stdout, "");
    assert.equal(status, 0);
  });
});

/** A request through `headgate proxy`, which says that it runs on this transport. */
async function passRequest(transport: string): Promise<void> {
  const origin = http.createServer((request, response) => response.end(`${request.method} ${request.url}`));
  origin.listen(0, "127.0.0.1");
  await once(origin, "listening");
  const originPort = (origin.address() as AddressInfo).port;

  const command = path.join(home, "node_modules", ".bin", "headgate");
  const args = ["proxy", "--listen", "127.0.0.1:0", "--to", `http://127.0.0.1:${originPort}`];
  const proxy = spawn(command, args, { cwd: home, env: environment, stdio: ["ignore", "pipe", "pipe"] });
  running.push(proxy);
  const { port, said } = await listening(proxy, originPort);
  assert.match(said, new RegExp(`\\btransport ${transport}\\b`));

  const answer = await fetch(`http://127.0.0.1:${port}/packed?x=1`, { headers: { connection: "close" } });
  assert.equal(await answer.text(), "GET /packed?x=1");
  assert.match(answer.headers.get("via") ?? "", /^1\.1 /);

  proxy.kill("SIGTERM");
  assert.deepEqual(await once(proxy, "exit"), [0, null]);
  origin.closeAllConnections();
  origin.close();
}

/** What the proxy says when it listens, and the port in it: the one that is not the origin's. */
async function listening(proxy: ChildProcess, originPort: number): Promise<{ port: number; said: string }> {
  let said = "";
  const { promise, resolve, reject } = Promise.withResolvers<{ port: number; said: string }>();
  const read = (chunk: Buffer) => {
    said += chunk;
    for (const [, digits] of said.matchAll(/127\.0\.0\.1:(\d+)\b/g)) {
      if (Number(digits) !== originPort && digits !== "0" && said.endsWith("\n"))
        resolve({ port: Number(digits), said });
    }
  };
  proxy.stdout?.on("data", read);
  proxy.stderr?.on("data", read);
  proxy.once("exit", (code) => reject(new Error(`headgate proxy ended with ${code}: ${said}`)));
  return promise;
}
