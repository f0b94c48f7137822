// The architecture tests can fail: every rule finds a violation that is planted here, and passes its lawful neighbour.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { readSourceFacts } from "./source-facts.ts";
import {
  covers,
  cycleViolations,
  deadFileViolations,
  type Facts,
  globalViolations,
  layerViolations,
  moduleViolations,
  nameViolations,
  publicApiViolations,
  targetViolations,
} from "./violations.ts";

function factsOf(files: Record<string, string>): Facts {
  return readSourceFacts(new Map(Object.entries(files)));
}

/** One line of imports for each of the forms that TypeScript has. */
const everyForm = [
  'import "./a.ts";',
  'import b from "./b.ts";',
  'import * as c from "./c.ts";',
  'import { d, type D } from "./d.ts";',
  'import { type E } from "./e.ts";',
  'import type { F } from "./f.ts";',
  'export * from "./g.ts";',
  'export { h } from "./h.ts";',
  'export type { I } from "./i.ts";',
  'const j = await import("./j.ts");',
  'type K = import("./k.ts").K;',
  'const l = new URL("./l.ts", import.meta.url);',
  "const m = import(j.path);",
  "const n = import(`./n.ts`);",
].join("\n");

describe("the facts of a file", () => {
  test("every form of import is found, with its line and its kind", () => {
    const found = factsOf({ "x.ts": everyForm }).get("x.ts")?.imports;
    assert.deepEqual(
      found?.map(({ specifier, kind, line }) => `${line} ${kind} ${specifier}`),
      [
        "1 value ./a.ts",
        "2 value ./b.ts",
        "3 value ./c.ts",
        "4 value ./d.ts",
        "5 value ./e.ts",
        "6 type ./f.ts",
        "7 value ./g.ts",
        "8 value ./h.ts",
        "9 type ./i.ts",
        "10 dynamic ./j.ts",
        "11 type ./k.ts",
        "12 url ./l.ts",
        "13 dynamic null",
        "14 dynamic ./n.ts",
      ],
    );
  });

  test("what only looks like code is not", () => {
    const text = [
      '// import "./comment.ts"; Date.now()',
      '/* import "./block.ts"; setTimeout() */',
      "const a = 'import \"./string.ts\"; Math.random()';",
      // biome-ignore lint/suspicious/noTemplateCurlyInString: source text, in which this is a template
      'const b = `import "./template.ts"; ${"console"} process`;',
      'const c = /import "slash.ts"; console/;',
      "const d = { setTimeout: 1, console() {} }; d.setTimeout; d.console();",
      "type T = ReturnType<typeof setTimeout>; interface I { process: 1; setInterval(): void }",
      "new Date(5); Date.parse(a); Math.max(1); performance.mark;",
    ].join("\n");
    const facts = factsOf({ "core/x.ts": text });
    assert.deepEqual(facts.get("core/x.ts")?.imports, []);
    assert.deepEqual(globalViolations(facts), []);
  });

  test("code inside a template is code", () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: source text, in which this is a template
    const facts = factsOf({ "core/x.ts": "const a = `${Date.now()}`;" });
    assert.equal(globalViolations(facts).length, 1);
  });
});

describe("layers", () => {
  const allowed: Array<[string, string]> = [
    ["core/a.ts", 'import "./b.ts"; import "./deep/c.ts";'],
    ["protocol/http1/a.ts", 'import "../../core/b.ts"; import "../http2/x.ts";'],
    ["pipeline/a.ts", 'import "../core/b.ts"; import "../protocol/http1/c.ts"; import "../semantics/via.ts";'],
    ["upstreams/a.ts", 'import type { Exchange } from "../pipeline/exchange.ts"; import "../protocol/http1/x.ts";'],
    ["features/headers/a.ts", 'import type { P } from "../../pipeline/phases.ts"; import "./options.ts";'],
    ["features/headers/b.ts", 'export type { E } from "../../pipeline/exchange.ts"; import "../../identity/jwt.ts";'],
    [
      "config/a.ts",
      'import "../features/headers/options.ts"; import "../upstreams/options.ts"; import "../core/x.ts";',
    ],
    ["admin/a.ts", 'import type { Pool } from "../upstreams/pool.ts"; import "../config/schema.ts";'],
    ["server/a.ts", 'import "../features/headers/a.ts"; import "../io/net/a.ts"; import "../admin/a.ts";'],
    ["cli/a.ts", 'import "../server/a.ts"; import "../config/load.ts";'],
    ["testing/index.ts", 'import "../pipeline/a.ts"; import "../core/a.ts"; import "../protocol/http1/a.ts";'],
    ["index.ts", 'export { a } from "./server/a.ts"; export type { b } from "./core/b.ts";'],
  ];
  for (const [file, text] of allowed) {
    test(`${file} may: ${text}`, () => assert.deepEqual(layerViolations(factsOf({ [file]: text })), []));
  }

  const planted: Array<[string, string]> = [
    ["core/a.ts", 'import "../protocol/http1/b.ts";'],
    ["core/a.ts", 'import type { X } from "../pipeline/exchange.ts";'],
    ["protocol/http1/a.ts", 'import { x } from "../../semantics/via.ts";'],
    ["semantics/a.ts", 'export * from "../protocol/http1/b.ts";'],
    ["pipeline/a.ts", 'const x = await import("../upstreams/pool.ts");'],
    ["pipeline/a.ts", 'import type { Pool } from "../upstreams/pool.ts";'],
    ["upstreams/a.ts", 'import { Exchange } from "../pipeline/exchange.ts";'],
    ["upstreams/a.ts", 'import { type Exchange } from "../pipeline/exchange.ts";'],
    ["features/headers/a.ts", 'import { x } from "../rewrite/b.ts";'],
    ["features/headers/a.ts", 'import type { x } from "../rewrite/options.ts";'],
    ["features/headers/a.ts", 'import { phase } from "../../pipeline/phases.ts";'],
    ["features/headers/a.ts", 'import type { Chain } from "../../pipeline/chain.ts";'],
    ["features/headers/a.ts", 'import "../../protocol/http1/a.ts";'],
    ["features/headers/a.ts", 'type S = import("../../io/net/a.ts").S;'],
    ["io/net/a.ts", 'import "../../pipeline/a.ts";'],
    ["config/a.ts", 'import "../features/headers/behaviour.ts";'],
    ["config/a.ts", 'import "../server/a.ts";'],
    ["admin/a.ts", 'import { Pool } from "../upstreams/pool.ts";'],
    ["server/a.ts", 'import "../cli/main.ts";'],
    ["server/a.ts", 'new URL("../cli/main.ts", import.meta.url);'],
    ["cli/a.ts", 'import "../core/errors.ts";'],
    ["testing/a.ts", 'import "../io/net/a.ts";'],
    ["elsewhere/a.ts", ""],
  ];
  for (const [file, text] of planted) {
    test(`${file} may not: ${text}`, () => assert.equal(layerViolations(factsOf({ [file]: text })).length, 1));
  }
});

describe("modules", () => {
  const allowed: Array<[string, string]> = [
    ["io/net/a.ts", 'import net from "node:net"; import pino from "pino";'],
    ["pipeline/drivers/node-http.ts", 'import type { IncomingMessage } from "node:http";'],
    ["config/load.ts", 'import fs from "node:fs/promises"; const user = await import(path); import "yaml";'],
    ["features/compress/a.ts", 'import zlib from "node:zlib"; import { createHash } from "node:crypto";'],
    ["features/compress/options.ts", 'import { z } from "zod";'],
    ["cli/main.ts", 'import { Command } from "commander";'],
  ];
  for (const [file, text] of allowed) {
    test(`${file} may: ${text}`, () => assert.deepEqual(moduleViolations(factsOf({ [file]: text })), []));
  }

  const planted: Array<[string, string]> = [
    ["core/a.ts", 'import { createHash } from "node:crypto";'],
    ["core/a.ts", 'import { EventEmitter } from "events";'],
    ["protocol/a.ts", 'import type { Socket } from "node:net";'],
    ["pipeline/a.ts", 'import { setTimeout } from "node:timers/promises";'],
    ["pipeline/drivers/http1.ts", 'import http from "node:http";'],
    ["config/schema.ts", 'import fs from "node:fs";'],
    ["testing/a.ts", 'const net = await import("node:net");'],
    ["pipeline/a.ts", "const x = await import(name);"],
    ["pipeline/a.ts", 'import { z } from "zod";'],
    ["features/compress/a.ts", 'import { z } from "zod/mini";'],
    ["server/a.ts", 'import x from "@scope/unknown/part.js";'],
    ["server/a.ts", 'import { createProxy } from "headgate";'],
  ];
  for (const [file, text] of planted) {
    test(`${file} may not: ${text}`, () => assert.equal(moduleViolations(factsOf({ [file]: text })).length, 1));
  }

  test("an import of a missing file, or of a test", () => {
    const facts = factsOf({ "core/a.ts": 'import "./b.ts"; import "./c.test.ts"; import "./d.ts";', "core/d.ts": "" });
    assert.equal(targetViolations(facts).length, 2);
  });
});

describe("cycles", () => {
  test("two files, three files and a file with itself", () => {
    const two = { "core/a.ts": 'import "./b.ts";', "core/b.ts": 'export * from "./a.ts";' };
    assert.deepEqual(cycleViolations(factsOf(two)), ["core/a.ts -> core/b.ts -> core/a.ts"]);
    const three = {
      "core/a.ts": 'import "./b.ts";',
      "core/b.ts": 'import("./deep/c.ts");',
      "core/deep/c.ts": 'import { type A } from "../a.ts";',
    };
    assert.deepEqual(cycleViolations(factsOf(three)), ["core/a.ts -> core/b.ts -> core/deep/c.ts -> core/a.ts"]);
    assert.deepEqual(cycleViolations(factsOf({ "a.ts": 'import "./a.ts";' })), ["a.ts -> a.ts"]);
  });

  test("types alone make none", () => {
    const facts = factsOf({
      "core/a.ts": 'import "./b.ts"; import "./c.ts";',
      "core/b.ts": 'import type { A } from "./a.ts"; import "./c.ts";',
      "core/c.ts": 'export type { A } from "./a.ts"; type B = import("./b.ts").B;',
    });
    assert.deepEqual(cycleViolations(facts), []);
  });
});

describe("dead files", () => {
  const files = {
    "index.ts": 'export * from "./core/a.ts";',
    "core/a.ts": 'import type { B } from "./b.ts"; new URL("./worker.ts", import.meta.url);',
    "core/b.ts": "",
    "core/worker.ts": 'import "./c.ts";',
    "core/c.ts": "",
    "core/dead.ts": 'import "./a.ts";',
  };

  test("a file that no entry reaches is dead, and so is a worker that is not listed", () => {
    const dead = deadFileViolations(factsOf(files), ["index"]).map((violation) => violation.split(":")[0]);
    assert.deepEqual(dead, ["core/worker.ts", "core/c.ts", "core/dead.ts"]);
    assert.equal(deadFileViolations(factsOf(files), ["index", "core/worker"]).length, 1);
  });

  test("an entry that is not there", () => {
    assert.equal(deadFileViolations(factsOf(files), ["index", "core/worker", "core/dead", "gone"]).length, 1);
  });
});

describe("globals", () => {
  const planted: Array<[string, string]> = [
    ["core/a.ts", "const now = Date.now();"],
    ["protocol/http1/a.ts", "const clock = Date.now;"],
    ["semantics/a.ts", "const now = new Date();"],
    ["semantics/a.ts", "const now = Date();"],
    ["upstreams/a.ts", "const now = performance.now();"],
    ["features/headers/a.ts", "const chance = Math.random();"],
    ["pipeline/a.ts", "setTimeout(() => {}, 1);"],
    ["pipeline/a.ts", "globalThis.setInterval(() => {}, 1);"],
    ["config/a.ts", "const later = setTimeout;"],
    ["core/a.ts", "const timers = { setTimeout };"],
    ["server/a.ts", 'console.log("x");'],
    ["testing/a.ts", 'console.error("x");'],
    ["pipeline/a.ts", "const home = process.env.HOME;"],
  ];
  for (const [file, text] of planted) {
    test(`${file} may not: ${text}`, () => assert.equal(globalViolations(factsOf({ [file]: text })).length, 1));
  }

  const allowed: Array<[string, string]> = [
    ["io/net/clock.ts", "const now = performance.now(); setTimeout(() => {}, 1);"],
    ["server/a.ts", "setInterval(() => {}, process.pid); Math.random();"],
    ["cli/main.ts", 'console.log("x");'],
    ["pipeline/a.ts", "clock.setTimeout(); this.console; const d = new Date(ms);"],
  ];
  for (const [file, text] of allowed) {
    test(`${file} may: ${text}`, () => assert.deepEqual(globalViolations(factsOf({ [file]: text })), []));
  }
});

test("the public API holds re-exports only", () => {
  assert.deepEqual(publicApiViolations(factsOf({ "index.ts": 'export { a } from "./a.ts";' })), []);
  assert.equal(publicApiViolations(factsOf({ "index.ts": 'import "./a.ts";' })).length, 1);
  assert.equal(publicApiViolations(factsOf({ "index.ts": "export const a = 1;" })).length, 1);
  assert.equal(publicApiViolations(factsOf({ "index.ts": "const a = 1; export { a };" })).length, 1);
});

test("names that say nothing", () => {
  const named = ["src/utils/a.ts", "src/core/byte-helpers.ts", "test/common.test.ts", "src/connectionManager.ts"];
  assert.deepEqual(nameViolations(named), [
    "src/utils: name what it is for",
    "src/core/byte-helpers.ts: name what it is for",
    "test/common.test.ts: name what it is for",
    "src/connectionManager.ts: name what it is for",
  ]);
  assert.deepEqual(nameViolations(["src/core/commonwealth.ts", "src/io/utilisation.ts"]), []);
});

test("a pattern covers a file, a folder and any one name", () => {
  assert.ok(covers("core", "core/a.ts"));
  assert.ok(covers("core", "core/deep/a.ts"));
  assert.ok(covers("pipeline/phases", "pipeline/phases.ts"));
  assert.ok(covers("*/*/options", "features/x/options.ts"));
  assert.ok(!covers("core", "corex/a.ts"));
  assert.ok(!covers("core/a", "core.ts"));
  assert.ok(!covers("*/options", "features/x/options.ts"));
});
