// What native/src/wire.h and src/io/native/wire.ts say is the same: every name with its number, in both directions.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import * as wire from "../../src/io/native/wire.ts";

/** A name of C++ as TypeScript has it: kEventInts is EVENT_INTS. */
function nameInTypeScript(name: string): string {
  return name
    .slice(1)
    .replace(/(?<=[a-z])(?=[A-Z])/g, "_")
    .toUpperCase();
}

function readHeader(text: string): Record<string, number> {
  const values: Record<string, number> = {};
  for (const [, name = "", value = ""] of text.matchAll(/\b(k[A-Z]\w*) = (\d+(?: << \d+)?)[,;]/g)) {
    const [number = 0, shift = 0] = value.split(" << ").map(Number);
    values[nameInTypeScript(name)] = number << shift;
  }
  return values;
}

test("both sides of the wire name the same numbers", () => {
  const header = readFileSync(path.join(import.meta.dirname, "..", "src", "wire.h"), "utf8");
  assert.deepEqual(readHeader(header), { ...wire });
});

test("a number that differs, and a name that one side lacks, would be found", () => {
  assert.deepEqual(readHeader("constexpr int32_t kReceiveBytes = 1 << 4;\nenum E { kRead = 2,  // x\n};"), {
    RECEIVE_BYTES: 16,
    READ: 2,
  });
});
