// What is no longer needed is given back to the system, not only collected, and no code gets to see how.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import v8 from "node:v8";
import { runInNewContext } from "node:vm";
import { giveBackNow } from "./spare-memory.ts";

const MIB = 1024 ** 2;

function physicalBytes(space: string): number {
  return v8.getHeapSpaceStatistics().find(({ space_name }) => space_name === space)!.physical_space_size;
}

describe("spare memory", () => {
  test("is given back, the young generation's too, which V8 lets grow and never shrinks by itself", () => {
    // Survivors make the young generation grow.
    let lists: number[][] = [];
    for (let count = 0; count < 300_000; count++) lists.push([count, count, count, count]);
    assert.equal(lists.length, 300_000);
    const before = { young: physicalBytes("new_space"), old: physicalBytes("old_space") };
    assert.ok(before.young > 4 * MIB, `${before.young}`);
    lists = [];
    giveBackNow();
    assert.ok(physicalBytes("new_space") < 2 * MIB);
    assert.ok(physicalBytes("old_space") < before.old - 10 * MIB);
    assert.equal(runInNewContext("typeof gc"), typeof globalThis.gc);
  });
});
