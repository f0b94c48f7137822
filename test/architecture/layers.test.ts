// Holds every source file to the architecture of rules.ts. planted-violations.test.ts shows that these can fail.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { readSourceFacts } from "./source-facts.ts";
import { readSourceTexts } from "./source-tree.ts";
import {
  cycleViolations,
  deadFileViolations,
  globalViolations,
  layerViolations,
  moduleViolations,
  publicApiViolations,
  targetViolations,
} from "./violations.ts";

const facts = readSourceFacts(readSourceTexts());

function none(violations: string[]): void {
  assert.equal(violations.length, 0, `\n  ${violations.join("\n  ")}\n`);
}

describe("src", () => {
  test("has files", () => assert.ok(facts.size > 0));
  test("imports between folders are those of the table", () => none(layerViolations(facts)));
  test("relative imports name source files", () => none(targetViolations(facts)));
  test("Node's modules and npm packages stay in their places", () => none(moduleViolations(facts)));
  test("no files import each other in a circle at run time", () => none(cycleViolations(facts)));
  test("every file is reached from an entry point", () => none(deadFileViolations(facts)));
  test("time, chance and output come through ports", () => none(globalViolations(facts)));
  test("index.ts holds re-exports only", () => none(publicApiViolations(facts)));
});
