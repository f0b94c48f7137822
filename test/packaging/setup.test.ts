// scripts/setup.mjs in a clone of its own with an npm that only pretends: when it installs, when it leaves things alone,
// and what it says when something is missing.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import os from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { repositoryRoot } from "./npm.ts";

interface Entry {
  version: string;
  integrity: string;
  optional?: true;
}

const runtime: Entry = { version: "1.0.0", integrity: "sha512-a" };
const tool: Entry = { version: "2.0.0", integrity: "sha512-b" };

/** A clone with a lock file, and a folder with the only commands that its set-up can find. */
class Clone {
  readonly folder = mkdtempSync(path.join(os.tmpdir(), "headgate-setup-"));
  readonly #commands = path.join(this.folder, "commands");
  readonly #calls = path.join(this.folder, "calls");

  constructor(context: TestContext) {
    context.after(() => rmSync(this.folder, { recursive: true }));
    for (const folder of ["scripts", "commands"]) mkdirSync(path.join(this.folder, folder));
    copyFileSync(path.join(repositoryRoot, "scripts/setup.mjs"), path.join(this.folder, "scripts/setup.mjs"));
    this.write("scripts/system-packages.json", [{ command: "no-such-command", package: "no-such-package" }]);
  }

  write(file: string, content: unknown): void {
    mkdirSync(path.dirname(path.join(this.folder, file)), { recursive: true });
    writeFileSync(path.join(this.folder, file), typeof content === "string" ? content : JSON.stringify(content));
  }

  lock(entries: Record<string, Entry>): void {
    this.write("package-lock.json", { packages: { "": {}, ...entries } });
  }

  /** What npm leaves behind: its record, and the command `node`, which may run a program of its own. */
  install(entries: Record<string, Entry>, program = ""): void {
    this.write("node_modules/.package-lock.json", { packages: entries });
    this.#script(path.join(this.folder, "node_modules", ".bin", "node"), program);
  }

  /** An npm that notes how it was called and then runs the given program. */
  pretendNpm(program: string): void {
    const note = `require("fs").appendFileSync(${JSON.stringify(this.#calls)}, process.argv.slice(2).join(" ") + "\\n");`;
    this.#script(path.join(this.#commands, "npm"), note + program);
  }

  #script(file: string, program: string): void {
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, `#!${process.execPath}\n${program}`, { mode: 0o755 });
  }

  setUp(...args: string[]): { status: number | null; output: string[]; calls: string[] } {
    const { status, stdout, stderr } = spawnSync(process.execPath, ["scripts/setup.mjs", ...args], {
      cwd: this.folder,
      env: { PATH: this.#commands },
      encoding: "utf8",
    });
    const calls = existsSync(this.#calls) ? readFileSync(this.#calls, "utf8").split("\n").filter(Boolean) : [];
    return { status, output: (stdout + stderr).split("\n").filter(Boolean), calls };
  }
}

/** A program for the pretended npm: what Clone.install does. */
function installing(clone: Clone, entries: Record<string, Entry>): string {
  const bin = path.join(clone.folder, "node_modules", ".bin");
  return `
    const fs = require("fs");
    fs.mkdirSync(${JSON.stringify(bin)}, { recursive: true });
    fs.writeFileSync(${JSON.stringify(path.join(bin, "node"))}, "#!${process.execPath}\\n", { mode: 0o755 });
    fs.writeFileSync(${JSON.stringify(path.join(bin, "../.package-lock.json"))},
      ${JSON.stringify(JSON.stringify({ packages: entries }))});
  `;
}

test("an empty clone is installed once, with its development packages, and then left alone", (context) => {
  const clone = new Clone(context);
  clone.lock({ "node_modules/node": runtime });
  clone.pretendNpm(installing(clone, { "node_modules/node": runtime }));
  const first = clone.setUp();
  assert.deepEqual(first.output, ["setup: npm ci (node_modules is missing)"]);
  assert.equal(first.status, 0);
  const second = clone.setUp();
  assert.deepEqual([second.status, second.output], [0, []]);
  assert.equal(second.calls.length, 1);
  assert.match(second.calls[0] ?? "", /^ci --include=dev /);
});

test("what was installed otherwise than by set-up is accepted, whatever another platform's packages are", (context) => {
  const clone = new Clone(context);
  clone.lock({ "node_modules/node": runtime, "node_modules/other-platform": { ...tool, optional: true } });
  clone.install({ "node_modules/node": runtime });
  const { status, output, calls } = clone.setUp();
  assert.deepEqual([status, output, calls], [0, [], []]);
});

test("the addon is built by the Node that will load it, and what that one says is shown", (context) => {
  const clone = new Clone(context);
  clone.lock({ "node_modules/node": runtime });
  clone.install({ "node_modules/node": runtime }, "console.error(...process.argv.slice(2)); process.exit(1);");
  assert.equal(clone.setUp().status, 1, "a Node that does not run");
  clone.install(
    { "node_modules/node": runtime },
    'const [a] = process.argv.slice(2); if (a !== "--version") console.error(a);',
  );
  const { status, output } = clone.setUp();
  assert.deepEqual([status, output], [0, [path.join(realpathSync(clone.folder), "native", "build.mjs")]]);
});

test("packages that differ from the lock file are installed again", (context) => {
  const clone = new Clone(context);
  const locked = { "node_modules/node": runtime, "node_modules/tool": tool };
  clone.lock(locked);
  clone.pretendNpm(installing(clone, locked));
  const differing: Record<string, Record<string, Entry>> = {
    "node_modules/tool is not what package-lock.json says": { "node_modules/node": runtime },
    "node_modules/node is not what package-lock.json says": { ...locked, "node_modules/node": tool },
    "node_modules/extra is not in package-lock.json": { ...locked, "node_modules/extra": tool },
  };
  for (const [reason, entries] of Object.entries(differing)) {
    clone.install(entries);
    assert.deepEqual(clone.setUp().output, [`setup: npm ci (${reason})`]);
  }
  assert.equal(clone.setUp().calls.length, Object.keys(differing).length);
});

test("the Node that npm did not bring is one clear line and a failure", (context) => {
  const clone = new Clone(context);
  clone.lock({ "node_modules/node": runtime });
  clone.pretendNpm("");
  const { status, output } = clone.setUp();
  assert.equal(status, 1);
  assert.equal(output.length, 2);
  assert.match(output[1] ?? "", /^setup: node_modules\/\.bin\/node is missing .* npm rebuild node$/);
});

test("a failure of npm is a failure", (context) => {
  const clone = new Clone(context);
  clone.lock({ "node_modules/node": runtime });
  clone.pretendNpm("process.exit(7);");
  const { status, output } = clone.setUp();
  assert.deepEqual([status, output.at(-1)], [1, "setup: npm ci failed (exit 7)"]);
});

test("without apt-get the command that would install the system packages is printed, and nothing fails", (context) => {
  const clone = new Clone(context);
  clone.lock({ "node_modules/node": runtime });
  clone.install({ "node_modules/node": runtime });
  assert.deepEqual(clone.setUp().output, []);
  const { status, output } = clone.setUp("--system");
  assert.equal(status, 0);
  const command = "apt-get update && apt-get install -y --no-install-recommends no-such-package";
  assert.deepEqual(output, [`setup: some tests will be skipped; to run them: ${command}`]);
});
