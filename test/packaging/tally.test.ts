// The last line of `npm test` tells the truth: scripts/test.ts in a tree of its own, with files that fail in every way
// that a test file can.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { repositoryRoot, userEnvironment } from "./npm.ts";

/** Runs `npm test -- src` over the given test files; the lines of stdout and the exit code. */
function runTests(context: TestContext, files: Record<string, string>): { status: number | null; lines: string[] } {
  const folder = mkdtempSync(path.join(os.tmpdir(), "headgate-tally-"));
  context.after(() => rmSync(folder, { recursive: true }));
  for (const file of ["scripts/test.ts", "test/support/watchdog.ts"]) {
    cpSync(path.join(repositoryRoot, file), path.join(folder, file));
  }
  mkdirSync(path.join(folder, "src"));
  writeFileSync(path.join(folder, "package.json"), JSON.stringify({ type: "module" }));
  for (const [name, text] of Object.entries(files)) {
    writeFileSync(path.join(folder, "src", name), `import { describe, test } from "node:test";\n${text}\n`);
  }
  const args = [path.join(folder, "scripts/test.ts"), "src"];
  const { status, stdout } = spawnSync(process.execPath, args, {
    cwd: folder,
    env: { ...userEnvironment(), TEST_FILE_MS_MAX: "2000" },
    encoding: "utf8",
  });
  return { status, lines: stdout.trimEnd().split("\n") };
}

test("passed, failed and skipped tests are counted over all files", (context) => {
  const { status, lines } = runTests(context, {
    "a.test.ts": 'test("a", () => {}); test("b", { skip: "why" }, () => {}); describe("c", () => test("d", () => {}));',
    "b.test.ts": 'test("e", () => { throw new Error("x"); });',
    "not-a-test.ts": 'test("f", () => {});',
  });
  assert.equal(lines.at(-1), "2 passed, 1 failed, 1 skipped");
  assert.equal(status, 1);
});

test("when all pass there is nothing else in the line", (context) => {
  const { status, lines } = runTests(context, { "a.test.ts": 'test("a", () => {});' });
  assert.equal(lines.at(-1), "1 passed, 0 failed");
  assert.equal(status, 0);
});

const broken: Record<string, string> = {
  "a suite whose body throws": 'describe("a", () => { throw new Error("x"); });',
  "a file that cannot be loaded": 'import "./missing.ts";',
  "a file that is no TypeScript": "const = 1;",
  "an error after the tests": 'test("a", () => {}); setTimeout(() => { throw new Error("x"); }, 20);',
  "a promise that nobody waits for": 'test("a", () => {}); setTimeout(() => Promise.reject(new Error("x")), 20);',
  "a process that ends early": 'test("a", () => {}); setTimeout(() => process.exit(3), 20);',
  "a hook that throws":
    'import { after } from "node:test"; test("a", () => {}); after(() => { throw new Error("x"); });',
  "a file that leaves a timer behind": 'test("a", () => { setInterval(() => {}, 1000); });',
  "a test that never ends": 'test("a", () => new Promise(() => {}));',
};
for (const [name, text] of Object.entries(broken)) {
  test(`${name} is a failure`, (context) => {
    const { status, lines } = runTests(context, { "a.test.ts": text });
    assert.match(lines.at(-1) ?? "", /^\d+ passed, [1-9]\d* failed$/);
    assert.equal(status, 1);
  });
}

test("a path without tests is a failure", (context) => {
  const { status, lines } = runTests(context, {});
  assert.equal(lines.at(-1), "0 passed, 1 failed");
  assert.equal(status, 1);
});
