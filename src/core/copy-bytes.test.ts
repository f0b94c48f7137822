import assert from "node:assert/strict";
import { it } from "node:test";
import { copyBytes, viewOf } from "./copy-bytes.ts";

it("copies ranges of every length, from and to every alignment, and nothing around them", () => {
  const source = Buffer.from(Array.from({ length: 600 }, (_, index) => (index * 7 + 1) & 0xff));
  const pooled = Buffer.from(source);
  for (const from of [source, pooled.subarray(3)]) {
    for (const length of [...Array(40).keys(), 191, 192, 383, 384, 385, 500]) {
      for (const start of [0, 1, 2, 3, 5]) {
        for (const at of [0, 1, 2, 3, 6]) {
          const target = Buffer.alloc(at + length + 4, 0xee);
          const end = copyBytes(target, viewOf(target), at, from, viewOf(from), start, start + length);
          assert.equal(end, at + length);
          assert.deepEqual(target.subarray(at, end), from.subarray(start, start + length));
          assert.ok(target.subarray(0, at).every((byte) => byte === 0xee));
          assert.ok(target.subarray(end).every((byte) => byte === 0xee));
        }
      }
    }
  }
});
