import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { VirtualClock } from "../testing/virtual-clock.ts";
import { ShortMemory } from "./short-memory.ts";

describe("a short memory", () => {
  it("forgets each text when its time is over, which begins anew when it is told again", () => {
    const clock = new VirtualClock();
    const memory = new ShortMemory(clock, 10, 1000);
    memory.add("a");
    memory.add("b");
    clock.advance(999);
    memory.add("b");
    assert.deepEqual([memory.has("a"), memory.has("b"), memory.has("c")], [true, true, false]);
    clock.advance(1);
    assert.deepEqual([memory.has("a"), memory.has("b")], [false, true]);
    clock.advance(999);
    assert.equal(memory.has("b"), false);
  });

  it("forgets the oldest when there are too many", () => {
    const memory = new ShortMemory(new VirtualClock(), 2, 1000);
    for (const text of ["a", "b", "a", "c"]) memory.add(text);
    assert.deepEqual([memory.has("a"), memory.has("b"), memory.has("c")], [true, false, true]);
  });
});
