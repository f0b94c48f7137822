import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { listHas, splitList, splitParameters, weightOf } from "./field-list.ts";

describe("a list", () => {
  const table: readonly (readonly [value: string, elements: readonly string[]])[] = [
    ["", []],
    ["a", ["a"]],
    ["a,b , c\t,,", ["a", "b", "c"]],
    ['a="b,c", d', ['a="b,c"', "d"]],
    ['a="\\",", b', ['a="\\","', "b"]],
    ['a="open, b', ['a="open, b']],
  ];
  for (const [value, elements] of table) {
    it(`${JSON.stringify(value)} has ${elements.length} elements`, () => assert.deepEqual(splitList(value), elements));
  }

  it("has an element only where it is one", () => {
    assert.equal(listHas("max-age=1, No-Transform", "no-transform"), true);
    assert.equal(listHas('private="x, no-transform, y"', "no-transform"), false);
    assert.equal(listHas("no-transformation", "no-transform"), false);
    assert.equal(listHas("", "no-transform"), false);
  });

  it("has elements with parameters", () => {
    assert.deepEqual(splitParameters('a ; b="c;d" ;e'), ["a", 'b="c;d"', "e"]);
    assert.equal(weightOf([]), 1);
    assert.equal(weightOf(["x=1", "q=0.25"]), 0.25);
    assert.equal(weightOf(["Q = 0"]), 0);
    assert.ok(Number.isNaN(weightOf(["q=-1"])));
  });
});
