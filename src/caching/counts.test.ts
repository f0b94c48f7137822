/** What is counted of a cache, by threads that come and go. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CacheCountSums, CacheCounts, countsMemory, OUTCOMES } from "./counts.ts";

describe("the counts of a cache", () => {
  it("are the sums of all threads", () => {
    const memory = countsMemory(3);
    const sums = new CacheCountSums(memory);
    new CacheCounts(memory, 0).count("hit", 100);
    new CacheCounts(memory, 2).count("hit", 23);
    new CacheCounts(memory, 2).count("miss", 7);
    assert.deepEqual(sums.read().hit, { requests: 2, bytes: 123 });
    assert.deepEqual(sums.read().miss, { requests: 1, bytes: 7 });
    assert.deepEqual(sums.read().pass, { requests: 0, bytes: 0 });
  });

  it("tell every outcome from every other one", () => {
    const memory = countsMemory(1);
    const counts = new CacheCounts(memory, 0);
    for (const [index, outcome] of OUTCOMES.entries()) {
      for (let times = 0; times <= index; times++) counts.count(outcome, 1000 + index);
    }
    const read = new CacheCountSums(memory).read();
    assert.deepEqual(
      OUTCOMES.map((outcome) => read[outcome]),
      OUTCOMES.map((_, index) => ({ requests: index + 1, bytes: (index + 1) * (1000 + index) })),
    );
  });

  it("of a thread that is gone stay, and its column begins at nothing", () => {
    const memory = countsMemory(2);
    const sums = new CacheCountSums(memory);
    new CacheCounts(memory, 1).count("shared", 5);
    sums.closeColumn(1);
    assert.deepEqual(sums.read().shared, { requests: 1, bytes: 5 });
    new CacheCounts(memory, 1).count("shared", 6);
    assert.deepEqual(sums.read().shared, { requests: 2, bytes: 11 });
  });
});
