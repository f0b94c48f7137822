// What is known of bodies when a process starts: which have records, found out in small steps.

import assert from "node:assert/strict";
import { test } from "node:test";
import { replayHint, seed } from "../../../test/support/seed.ts";
import { SeededRandom } from "../../testing/seeded-random.ts";
import { BodySet } from "./indexing.ts";

test("bodies that were found are known, and never are all of them put in order in one turn", (t) => {
  const random = new SeededRandom(seed);
  const sorted: number[] = [];
  const typedArrays: Float64Array = Object.getPrototypeOf(Float64Array.prototype);
  const { sort } = typedArrays;
  t.mock.method(typedArrays, "sort", function (this: Float64Array) {
    sorted.push(this.length);
    return sort.call(this);
  });
  const bodies = new BodySet();
  const expected = new Set<number>();
  for (let count = 0; count < 50_000; count++) {
    const body = 2 ** 32 + random.below(200_000);
    if (expected.has(body)) continue;
    expected.add(body);
    bodies.add(body);
  }
  for (let body = 2 ** 32 - 1; body < 2 ** 32 + 200_001; body += 7) {
    assert.equal(bodies.has(body), expected.has(body), `${body}: ${replayHint}`);
  }
  assert.ok(sorted.length <= 256 && Math.max(...sorted) < 1000, `${sorted.length}, up to ${Math.max(...sorted)}`);
});
