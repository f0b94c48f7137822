import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { namesEntityTag, weakened } from "./validators.ts";

describe("an entity tag", () => {
  const table: readonly (readonly [etag: string, weak: string | null])[] = [
    ['"abc"', 'W/"abc"'],
    ['""', 'W/""'],
    ['"\xe4"', 'W/"\xe4"'],
    ['W/"abc"', null],
    ["abc", null],
    ['"a"b"', null],
    ['"a b"', null],
    ["", null],
  ];
  for (const [etag, weak] of table) {
    it(`${etag} is weakened to ${weak}`, () => assert.equal(weakened(etag), weak));
  }

  it("is found in a list as it is written", () => {
    assert.equal(namesEntityTag('"a", W/"b"', 'W/"b"'), true);
    assert.equal(namesEntityTag('"a,W/", "b"', 'W/"b"'), false);
    assert.equal(namesEntityTag('W/"a,b", "c"', 'W/"a,b"'), true);
    assert.equal(namesEntityTag("*", 'W/"b"'), false);
  });
});
