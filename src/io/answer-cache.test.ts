import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { replayHint, seed } from "../../test/support/seed.ts";
import { SeededRandom } from "../testing/seeded-random.ts";
import { AnswerCache } from "./answer-cache.ts";

const record = (value: string) => ({ value, expiresMs: Number.POSITIVE_INFINITY });

describe("answers in memory", () => {
  it("stay within their number; what is used stays longest", () => {
    const cache = new AnswerCache(3, 1_000_000);
    for (const key of ["a", "b", "c"]) cache.set(key, record(key), 0);
    cache.get("a")!.isUsed = true;
    cache.set("d", null, 0);
    assert.deepEqual(
      ["a", "b", "c", "d"].map((key) => cache.get(key) !== undefined),
      [true, false, true, true],
    );
    assert.equal(cache.get("d")!.record, null);
    cache.delete("a");
    cache.clear();
    assert.equal(cache.size, 0);
  });

  it("stay within their bytes, and one that is larger than all is not kept", () => {
    const cache = new AnswerCache(1000, 2_000);
    for (let index = 0; index < 100; index++) cache.set(`k${index}`, record("v".repeat(100)), 0);
    assert.ok(cache.size > 1 && cache.size <= 6, String(cache.size));
    cache.set("large", record("v".repeat(3_000)), 0);
    assert.equal(cache.get("large"), undefined);
    assert.equal(new AnswerCache(0, 1_000).get("k"), undefined);
  });

  it("are those that were set last, whatever is done in whatever order", () => {
    const random = new SeededRandom(seed);
    const cache = new AnswerCache(20, 20 * 300);
    const set = new Map<string, string>();
    for (let step = 0; step < 20_000; step++) {
      const key = `k${Math.floor(random.next() * 40)}`;
      const chance = random.next();
      if (chance < 0.5) {
        const value = "x".repeat(Math.floor(random.next() * 400));
        cache.set(key, record(value), step);
        set.set(key, value);
      } else if (chance < 0.6) {
        cache.delete(key);
        set.delete(key);
      } else {
        const answer = cache.get(key);
        if (answer !== undefined) {
          answer.isUsed = true;
          assert.equal(answer.record!.value, set.get(key), replayHint);
        }
      }
      assert.ok(cache.size <= 20, replayHint);
    }
    // What is forgotten is forgotten wholly: all the room is there again.
    cache.clear();
    for (let index = 0; index < 20; index++) cache.set(`k${index}`, record("v"), 0);
    assert.equal(cache.size, 20, replayHint);
  });
});
