import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { GenerationCache } from "./generation-cache.ts";

describe("a cache of generations", () => {
  it("keeps what is asked for, and forgets what is not", () => {
    const cache = new GenerationCache<number>(3, 1000);
    cache.set("kept", 0);
    for (let count = 1; count <= 20; count++) {
      cache.set(`other-${count}`, count);
      assert.equal(cache.get("kept"), 0);
      assert.ok(cache.size <= 6);
    }
    assert.equal(cache.get("other-1"), undefined);
    assert.equal(cache.get("other-20"), 20);
  });

  it("is bounded by the characters of its keys too", () => {
    const cache = new GenerationCache<number>(1000, 100);
    for (let count = 0; count < 50; count++) cache.set(String(count).padStart(30, "x"), count);
    assert.ok(cache.size <= 6, String(cache.size));
    cache.set("y".repeat(1000), 1);
    assert.equal(cache.get("y".repeat(1000)), 1);
  });

  it("replaces and deletes", () => {
    const cache = new GenerationCache<number>(2, 100);
    cache.set("a", 1);
    cache.set("a", 2);
    assert.equal(cache.get("a"), 2);
    cache.set("b", 1);
    cache.set("c", 1);
    cache.delete("a");
    cache.delete("c");
    assert.deepEqual([cache.get("a"), cache.get("b"), cache.get("c")], [undefined, 1, undefined]);
  });
});
