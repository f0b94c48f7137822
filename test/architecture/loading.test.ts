// What a thread loads before it knows its configuration: every thread holds all of it in memory, used or not. What only some
// configurations need, and what only the thread that reads the configuration needs, is imported when it is needed.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { readSourceFacts } from "./source-facts.ts";
import { readSourceTexts } from "./source-tree.ts";
import type { Facts } from "./violations.ts";
import { targetOf } from "./violations.ts";

const facts = readSourceFacts(readSourceTexts());

/** What is loaded with a file, `import()` left out: a way there, by package or module of Node or file that is not read further. */
function loadedWith(entry: string, facts: Facts): ReadonlyMap<string, string> {
  const loaded = new Map<string, string>();
  const files = [{ file: entry, way: entry }];
  const seen = new Set([entry]);
  for (let next = files.pop(); next !== undefined; next = files.pop()) {
    for (const { specifier, kind } of facts.get(next.file)?.imports ?? []) {
      if (kind !== "value" || specifier === null) continue;
      const target = targetOf(next.file, specifier) ?? specifier;
      if (seen.has(target)) continue;
      seen.add(target);
      const way = `${next.way} -> ${target}`;
      loaded.set(target, way);
      files.push({ file: target, way });
    }
  }
  return loaded;
}

function waysTo(pattern: RegExp, entry: string, of: Facts = facts): string[] {
  return [...loadedWith(entry, of)].flatMap(([target, way]) => (pattern.test(target) ? [way] : []));
}

function none(ways: string[]): void {
  assert.equal(ways.length, 0, `\n  ${ways.join("\n  ")}\n`);
}

describe("a worker thread", () => {
  test("loads no schema of options, and no parser of files", () =>
    none(waysTo(/^(zod|yaml|commander)$|(^|\/)options\.ts$/, "server/threads/worker.ts")));

  test("loads no feature, store or library that its configuration may not use", () =>
    none(
      waysTo(
        /^(jose|openid-client|redis|lmdb|@node-rs\/.*|@peculiar\/.*|features\/.*\/index\.ts)$/,
        "server/threads/worker.ts",
      ),
    ));
});

// An import of node:http asks it for everything that it exports, and for `WebSocket` it loads Node's client of the web: 8 MiB.
for (const entry of ["server/threads/worker.ts", "cli/program.ts", "cli/service.ts"]) {
  test(`${entry} is loaded without node:http`, () => none(waysTo(/^node:https?$/, entry)));
}

test("what is loaded is found through files, and neither types nor import() load anything", () => {
  const planted = readSourceFacts(
    new Map([
      ["core/a.ts", 'import "./b.ts"; import type { z } from "zod"; await import("yaml");'],
      ["core/b.ts", 'export { http } from "node:http"; import "./a.ts";'],
    ]),
  );
  assert.deepEqual(waysTo(/./, "core/a.ts", planted), [
    "core/a.ts -> core/b.ts",
    "core/a.ts -> core/b.ts -> node:http",
  ]);
});
