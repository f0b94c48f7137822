// The last line of `npm test` tells the truth: scripts/test.ts in a tree of its own, with files that fail in every way
// that a test file can.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { describe, type TestContext, test } from "node:test";
import { repositoryRoot, userEnvironment } from "./npm.ts";

/** Runs `npm test -- src test` over the given test files, by their paths; the lines of stdout and the exit code. */
function runTests(
  context: TestContext,
  files: Record<string, string>,
  environment: NodeJS.ProcessEnv = {},
  paths: readonly string[] = ["src", "test"],
): { status: number | null; lines: string[] } {
  const folder = mkdtempSync(path.join(os.tmpdir(), "headgate-tally-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const write = (file: string, text: string) => {
    mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
    writeFileSync(path.join(folder, file), text);
  };
  for (const file of ["scripts/test.ts", "test/support/watchdog.ts"]) {
    cpSync(path.join(repositoryRoot, file), path.join(folder, file));
  }
  write("package.json", JSON.stringify({ type: "module" }));
  for (const [name, text] of Object.entries(files)) {
    write(name, name.endsWith(".ts") ? `import { describe, test } from "node:test";\n${text}\n` : text);
  }
  const args = [path.join(folder, "scripts/test.ts"), ...paths];
  const ours = { HEADGATE_TRANSPORT: undefined, HEADGATE_ADDON: undefined };
  const { status, stdout } = spawnSync(process.execPath, args, {
    cwd: folder,
    env: { ...userEnvironment(), ...ours, ...environment },
    encoding: "utf8",
  });
  return { status, lines: stdout.trimEnd().split("\n") };
}

test("passed, failed and skipped tests are counted over all files", (context) => {
  const { status, lines } = runTests(context, {
    "src/a.test.ts":
      'test("a", () => {}); test("b", { skip: "why" }, () => {}); describe("c", () => test("d", () => {}));',
    "src/b.test.ts": 'test("e", () => { throw new Error("x"); });',
    "src/not-a-test.ts": 'test("f", () => {});',
  });
  assert.equal(lines.at(-1), "2 passed, 1 failed, 1 skipped");
  assert.equal(status, 1);
});

test("when all pass there is nothing else in the line", (context) => {
  const { status, lines } = runTests(context, { "src/a.test.ts": 'test("a", () => {});' });
  assert.equal(lines.at(-1), "1 passed, 0 failed");
  assert.equal(status, 0);
});

/** What never ends is ended soon. All others may take what the machine makes them take. */
const SOON = { TEST_FILE_MS_MAX: "2000" };

const broken: Record<string, string> = {
  "a suite whose body throws": 'describe("a", () => { throw new Error("x"); });',
  "a file that cannot be loaded": 'import "./missing.ts";',
  "a file that is no TypeScript": "const = 1;",
  "an error after the tests": 'test("a", () => {}); setTimeout(() => { throw new Error("x"); }, 20);',
  "a promise that nobody waits for": 'test("a", () => {}); setTimeout(() => Promise.reject(new Error("x")), 20);',
  "a process that ends early": 'test("a", () => {}); setTimeout(() => process.exit(3), 20);',
  "a hook that throws":
    'import { after } from "node:test"; test("a", () => {}); after(() => { throw new Error("x"); });',
};
const endless: Record<string, string> = {
  "a file that leaves a timer behind": 'test("a", () => { setInterval(() => {}, 1000); });',
  "a test that never ends": 'test("a", () => new Promise(() => {}));',
};
for (const [name, text] of [...Object.entries(broken), ...Object.entries(endless)]) {
  test(`${name} is a failure`, (context) => {
    const { status, lines } = runTests(context, { "src/a.test.ts": text }, name in endless ? SOON : {});
    assert.match(lines.at(-1) ?? "", /^\d+ passed, [1-9]\d* failed$/);
    assert.equal(status, 1);
  });
}

test("a path without tests is a failure", (context) => {
  const { status, lines } = runTests(context, {});
  assert.equal(lines.at(-1), "0 passed, 1 failed");
  assert.equal(status, 1);
});

describe("files of one folder", () => {
  const files = {
    "src/core/a.test.ts": 'globalThis.isShared = true; test("a", () => {});',
    "src/core/b.test.ts": 'test("b", () => { if (globalThis.isShared) throw new Error("shared"); });',
    "test/cli/c.test.ts": 'test("c", () => { if (globalThis.isShared) throw new Error("shared"); });',
  };

  test("share a process in a run of everything, and a failure says of which file it is", (context) => {
    const { status, lines } = runTests(context, files, { CI: undefined }, []);
    assert.ok(lines.includes("✖ once: src/core/b.test.ts: b"), lines.join("\n"));
    // The tree has neither a compiler nor a linter: these two fail, too.
    assert.deepEqual([lines.at(-1), status], ["2 passed, 3 failed", 1]);
  });

  test("fail together when one of them cannot be loaded", (context) => {
    const { lines } = runTests(
      context,
      { ...files, "src/core/d.test.ts": 'import "./missing.ts";' },
      { CI: undefined },
      [],
    );
    assert.match(lines.join("\n"), /src\/core\/d\.test\.ts/);
    assert.equal(lines.at(-1), "1 passed, 3 failed");
  });

  test("have a process each in a run of paths", (context) => {
    const { status, lines } = runTests(context, files);
    assert.deepEqual([lines.at(-1), status], ["3 passed, 0 failed", 0]);
  });
});

describe("what uses a transport", () => {
  const onlyOn = (transport: string) =>
    `test("t", () => { if (process.env.HEADGATE_TRANSPORT !== "${transport}") throw new Error("x"); });`;
  const addon = { "native/build/headgate.node": "" };

  test("runs once on each, and a failure says on which; the rest runs once", (context) => {
    const { status, lines } = runTests(context, {
      ...addon,
      "src/a.test.ts": 'test("a", () => { if (process.env.HEADGATE_TRANSPORT !== undefined) throw new Error("x"); });',
      "test/integration/b.test.ts": 'test("b", () => {});',
      "test/transport/c.test.ts": onlyOn("net"),
      "src/server/d.test.ts": onlyOn("native"),
    });
    const told = lines.slice(lines.indexOf("✖ net: src/server/d.test.ts: t"));
    assert.deepEqual(
      told.filter((line) => !line.startsWith("    ")),
      [
        "✖ net: src/server/d.test.ts: t",
        "✖ native: test/transport/c.test.ts: t",
        "✖ own-thread: test/transport/c.test.ts: t",
        "5 passed, 3 failed",
      ],
    );
    // Each with its reason behind it.
    assert.equal(told.filter((line) => line === "    Error: x").length, 3);
    assert.equal(status, 1);
  });

  test("runs on net alone where the addon is not built", (context) => {
    const { status, lines } = runTests(context, { "test/transport/a.test.ts": onlyOn("net") });
    assert.deepEqual([lines.at(-1), status], ["1 passed, 0 failed", 0]);
  });

  for (const transport of ["net", "native"]) {
    test(`runs on ${transport} alone when HEADGATE_TRANSPORT says so`, (context) => {
      const files = { ...addon, "src/a.test.ts": onlyOn(transport), "src/server/b.test.ts": onlyOn(transport) };
      const { status, lines } = runTests(context, files, { HEADGATE_TRANSPORT: transport });
      assert.deepEqual([lines.at(-1), status], ["2 passed, 0 failed", 0]);
    });
  }

  test("runs once more in a thread of the addon's own, where that is what it is about", (context) => {
    const isOther = 'test("t", () => { if (process.env.HEADGATE_TEST_OWNS_THREAD === "1") throw new Error("x"); });';
    const files = { ...addon, "test/transport/a.test.ts": isOther, "src/server/b.test.ts": isOther };
    const { lines } = runTests(context, files);
    const told = lines.filter((line) => line.startsWith("✖ own-thread"));
    assert.deepEqual(told, ["✖ own-thread: test/transport/a.test.ts: t"]);
    assert.equal(lines.at(-1), "4 passed, 1 failed");
  });
});
