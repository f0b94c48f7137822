/** JSON is JSON exactly when JSON.parse says so. */
import assert from "node:assert/strict";
import { it } from "node:test";
import fc from "fast-check";
import { replayHint, seed } from "../../test/support/seed.ts";
import { jsonMistake } from "./strict-json.ts";

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

it("says where a text ceases to be JSON", () => {
  const cases: readonly [text: string, offset: number, expected: string][] = [
    ["", 0, "a value"],
    ["via: off", 0, "a value"],
    ['{"a": 1,}', 8, "a name in double quotes"],
    ["[1, 2,]", 6, "a value"],
    ['{"a" 1}', 5, "a colon"],
    ['{"a": 01}', 6, "a value"],
    ["{'a': 1}", 1, "a name in double quotes or }"],
    ['{"a": 1} // x', 9, "the end of the file"],
    ['{"a": [1}', 8, "a comma or ]"],
    ['{"a": 1\n', 6, "a comma or }"],
    ['"a\nb"', 0, "a value"],
  ];
  for (const [text, offset, expected] of cases) {
    const mistake = jsonMistake(text);
    assert.deepEqual([mistake?.offset, mistake?.expected], [offset, expected], JSON.stringify(text));
  }
});

it(`agrees with JSON.parse on JSON with random changes (${replayHint})`, () => {
  const change = fc.record({
    at: fc.nat(),
    drop: fc.nat({ max: 3 }),
    insert: fc.constantFrom("", ",", "]", "}", "{", "[", '"', ":", "0", "-", ".", "e", "x", " ", "\\", "null", "\t"),
  });
  const text = fc.tuple(fc.json(), fc.array(change, { maxLength: 4 })).map(([json, changes]) =>
    changes.reduce((whole, { at, drop, insert }) => {
      const offset = at % (whole.length + 1);
      return whole.slice(0, offset) + insert + whole.slice(offset + drop);
    }, json),
  );
  fc.assert(
    fc.property(text, (changed) => (jsonMistake(changed) === null) === isJson(changed)),
    { numRuns: 3_000, seed },
  );
});
