/** By how many fields a key's answers can be told apart. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { NAMES_UNITED_MAX, unitedNames } from "./variants.ts";

const names = (count: number, prefix = "x") => Array.from({ length: count }, (_, index) => `${prefix}${index}`).sort();

describe("names of Vary", () => {
  it("are united, in order, up to a limit", () => {
    assert.deepEqual(unitedNames(["a", "c"], ["b", "c"]), ["a", "b", "c"]);
    const half = NAMES_UNITED_MAX / 2;
    assert.equal(unitedNames(names(half), names(half, "y")).length, NAMES_UNITED_MAX);
  });

  it("are those of the new answer where they would be too many", () => {
    assert.deepEqual(unitedNames(names(NAMES_UNITED_MAX), ["a"]), ["a"]);
    const known = names(NAMES_UNITED_MAX);
    assert.equal(unitedNames(known, ["x3"]), known);
  });
});
