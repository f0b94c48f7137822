// native/build.mjs in a tree of its own, on small sources: when it compiles, when it leaves things alone, what it says when
// it cannot, and that no addon of other sources is ever left behind.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { describe, type TestContext, test } from "node:test";
import { findCommand } from "../support/requirements.ts";
import { repositoryRoot, userEnvironment } from "./npm.ts";

const isSupported = process.platform === "linux" && ["x64", "arm64"].includes(process.arch);
const hasCompiler = ["c++", "g++", "clang++"].some((command) => findCommand(command) !== null);
const skip = !(isSupported && hasCompiler) && "skipped: needs Linux on x64 or arm64, and a C++ compiler";

function sourceOf(value: number): string {
  return `#include <node_api.h>
#include <uv.h>
int twice(int value);
NAPI_MODULE_INIT() {
  napi_value number;
  napi_create_int32(env, twice(${value}), &number);
  napi_set_named_property(env, exports, "value", number);
  return exports;
}
`;
}

/** A tree with sources and the build script, and what becomes of it. */
class Tree {
  readonly folder = mkdtempSync(path.join(os.tmpdir(), "headgate-native-build-"));
  readonly addon = path.join(this.folder, "native", "build", "headgate.node");

  constructor(context: TestContext) {
    context.after(() => rmSync(this.folder, { recursive: true }));
    this.write("src/in-a-clone.ts", "");
    this.write("native/src/addon.cc", sourceOf(2));
    this.write("native/src/twice.cc", "int twice(int value) { return value + value; }\n");
    cpSync(path.join(repositoryRoot, "native/build.mjs"), path.join(this.folder, "native/build.mjs"));
  }

  write(file: string, text: string, mode = 0o644): string {
    const target = path.join(this.folder, file);
    mkdirSync(path.dirname(target), { recursive: true });
    writeFileSync(target, text, { mode });
    return target;
  }

  /** A compiler that notes that it was called, and then fails or does what the real one does. */
  compiler(ending = 'exec c++ "$@"'): string {
    return this.write("compiler", `#!/bin/sh\necho called >> ${this.folder}/calls\n${ending}\n`, 0o755);
  }

  get calls(): number {
    const file = path.join(this.folder, "calls");
    return existsSync(file) ? readFileSync(file, "utf8").split("\n").length - 1 : 0;
  }

  build(environment: NodeJS.ProcessEnv = {}, ...args: string[]): { status: number | null; out: string; err: string } {
    const { status, stdout, stderr } = spawnSync(process.execPath, ["native/build.mjs", ...args], {
      cwd: this.folder,
      env: { ...userEnvironment(), CXX: undefined, ...environment },
      encoding: "utf8",
    });
    return { status, out: stdout, err: stderr };
  }

  /** What the addon says, in a process of its own: what is loaded once cannot be replaced. */
  value(): string {
    const args = ["-p", "require(process.argv[1]).value", this.addon];
    return spawnSync(process.execPath, args, { encoding: "utf8" }).stdout.trim();
  }
}

const built = /^native transport: built \(.+, headers of Node \d+\.\d+\.\d+, \d+\.\d s\)\n$/;
const notBuilt = (reason: string) =>
  new RegExp(`^native transport: not built \\(${reason}\\); the portable transport runs\\n$`);

describe("the addon", { skip }, () => {
  test("is compiled once, and again when its sources change", (context) => {
    const tree = new Tree(context);
    const environment = { CXX: tree.compiler() };
    const first = tree.build(environment);
    assert.match(first.out, built);
    assert.deepEqual([first.status, first.err, tree.value()], [0, "", "4"]);
    // Two units and one link.
    assert.equal(tree.calls, 3);

    assert.deepEqual(tree.build(environment), { status: 0, out: "", err: "" });
    assert.equal(tree.calls, 3);

    tree.write("native/src/addon.cc", sourceOf(3));
    assert.match(tree.build(environment).out, built);
    assert.equal(tree.value(), "6");
    assert.deepEqual(readdirSync(path.dirname(tree.addon)).sort(), ["headgate.log", "headgate.node", "headgate.stamp"]);
  });

  test("is compiled again when the headers are of another version", (context) => {
    const tree = new Tree(context);
    tree.build();
    const stamp = path.join(tree.folder, "native/build/headgate.stamp");
    const { inputs } = JSON.parse(readFileSync(stamp, "utf8"));
    writeFileSync(stamp, JSON.stringify({ inputs, headers: "1.2.3" }));
    assert.match(tree.build().out, built);
    assert.equal(tree.build().out, "");
  });

  test("takes CXX with arguments", (context) => {
    const tree = new Tree(context);
    assert.match(tree.build({ CXX: `${tree.compiler()} -g` }).out, built);
    assert.equal(tree.value(), "4");
  });

  test("that does not compile is one line and no failure; the whole message is in the log", (context) => {
    const tree = new Tree(context);
    tree.build();
    tree.write("native/src/twice.cc", "int twice(int value) { return valeu; }\n");
    const { status, out, err } = tree.build();
    assert.match(err, notBuilt("c\\+\\+ failed, see native/build/headgate\\.log"));
    assert.deepEqual([status, out], [0, ""]);
    assert.match(readFileSync(path.join(tree.folder, "native/build/headgate.log"), "utf8"), /valeu/);
    assert.equal(existsSync(tree.addon), false, "the addon of the old sources");
    assert.equal(tree.build({}, "--required").status, 1);
  });

  test("with a warning is refused in a clone, and accepted in a package", (context) => {
    const tree = new Tree(context);
    tree.write("native/src/twice.cc", "int twice(int value) { int unused = 1; return value + value; }\n");
    assert.match(tree.build().err, notBuilt(".*"));
    rmSync(path.join(tree.folder, "src"), { recursive: true });
    assert.match(tree.build().out, built);
  });

  test("that lacks a symbol is found out before it is put in place", (context) => {
    const tree = new Tree(context);
    tree.write("native/src/twice.cc", "int absent(int);\nint twice(int value) { return absent(value); }\n");
    assert.match(tree.build().err, notBuilt("it does not load, see native/build/headgate\\.log"));
    assert.equal(existsSync(tree.addon), false);
  });

  test("is no failure when the folder cannot be written", (context) => {
    const tree = new Tree(context);
    tree.write("native/build", "a file where the folder should be");
    const { status, err } = tree.build();
    assert.match(err, notBuilt(".*"));
    assert.equal(status, 0);
  });
});

test("without a compiler there is one line, and nothing was required", { skip: !isSupported }, (context) => {
  const tree = new Tree(context);
  for (const args of [[], ["--required"]]) {
    const { status, out, err } = tree.build({ PATH: path.join(tree.folder, "nothing") }, ...args);
    assert.match(err, notBuilt("no C\\+\\+ compiler: .*"));
    assert.deepEqual([status, out], [0, ""]);
  }
});

test("another platform is one line, and nothing was required", (context) => {
  const tree = new Tree(context);
  const pretend = tree.write(
    "pretend.cjs",
    'Object.defineProperty(process, "platform", { value: "sunos" }); Object.defineProperty(process, "arch", { value: "vax" });',
  );
  const { status, err } = tree.build({ NODE_OPTIONS: `--require=${pretend}` }, "--required");
  assert.match(err, notBuilt("sunos-vax is not linux-x64 or linux-arm64"));
  assert.equal(status, 0);
});
