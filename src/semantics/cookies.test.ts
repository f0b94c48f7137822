// A cookie's values in a request.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FieldBlock } from "../core/fields.ts";
import { cookieValues } from "./cookies.ts";

describe("a cookie's values", () => {
  const table: readonly (readonly [lines: readonly string[], values: string | null])[] = [
    [[], null],
    [["b=1"], null],
    [["a=1"], "1"],
    [["a="], ""],
    [["a"], null],
    [["A=1"], null],
    [["aa=1; b=a=2"], null],
    [["b=2;\ta = x y ; c=3"], "x y"],
    [["a=1; a=2"], "1;2"],
    [["a=1", "b=1; a=3"], "1;3"],
    [['a="x=1"'], '"x=1"'],
  ];
  for (const [lines, values] of table) {
    it(`of ${JSON.stringify(lines)} are ${JSON.stringify(values)}`, () => {
      const fields = FieldBlock.from(lines.map((line) => ["Cookie", line] as const));
      assert.equal(cookieValues(fields, "a"), values);
      fields.release();
    });
  }
});
