// A map in the order of putting in: compared, step by step, with a Map that is asked the slow way.

import assert from "node:assert/strict";
import { test } from "node:test";
import { replayHint, seed } from "../../test/support/seed.ts";
import { SeededRandom } from "../testing/seeded-random.ts";
import { FifoMap } from "./fifo-map.ts";

test("it holds what a Map holds, in the order in which keys were set last, or put first", () => {
  const random = new SeededRandom(seed);
  const map = new FifoMap<number, number>();
  let model = new Map<number, number>();
  for (let step = 0; step < 20_000; step++) {
    const key = random.below(60);
    if (random.chance(0.5)) {
      map.set(key, step);
      model.delete(key);
      model.set(key, step);
    } else if (random.chance(0.3) && map.oldest !== undefined) {
      assert.equal(map.delete(map.oldest), true, replayHint);
      model.delete(model.keys().next().value!);
    } else if (random.chance(0.2)) {
      map.delete(key);
      model.delete(key);
      map.putFirst(key, step);
      model = new Map([[key, step], ...model]);
    } else if (random.chance(0.001)) {
      map.clear();
      model.clear();
    } else {
      assert.equal(map.delete(key), model.delete(key), replayHint);
    }
    assert.equal(map.oldest, model.keys().next().value, replayHint);
    assert.equal(map.get(key), model.get(key), replayHint);
    assert.equal(map.has(key), model.has(key), replayHint);
    assert.equal(map.size, model.size, replayHint);
    if (step % 50 === 0) assert.deepEqual([...map], [...model], replayHint);
  }
});

test("what is being looked at may be deleted", () => {
  const map = new FifoMap<string, number>();
  for (const [index, key] of ["a", "b", "c", "d"].entries()) map.set(key, index);
  for (const [key, value] of map) if (value !== 2) map.delete(key);
  assert.deepEqual([...map], [["c", 2]]);
});
