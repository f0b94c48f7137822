// Hot memory: bounded, keeps what is asked for again, and is not emptied by a scan of what is asked for once.

import assert from "node:assert/strict";
import { test } from "node:test";
import { replayHint, seed } from "../../../test/support/seed.ts";
import { SeededRandom } from "../../testing/seeded-random.ts";
import { HotEntry, HotMemory, PASSED_MAX } from "./hot-memory.ts";

class Entry extends HotEntry {}

test("the bytes of what is there never exceed the bound, and add up", () => {
  const random = new SeededRandom(seed);
  const hot = new HotMemory<Entry>(10_000);
  const there = new Map<string, Entry>();
  for (let step = 0; step < 20_000; step++) {
    const key = `${random.below(400)}`;
    if (random.chance(0.5)) {
      const entry = new Entry(key, 1 + random.below(1200));
      hot.put(entry);
      there.set(key, entry);
    } else if (random.chance(0.1)) {
      const entry = there.get(key);
      if (entry !== undefined) hot.delete(entry);
      there.delete(key);
    } else {
      const entry = hot.get(key);
      assert.ok(entry === undefined || entry === there.get(key), `another entry than was put: ${replayHint}`);
    }
    assert.ok(hot.bytes <= 10_000, replayHint);
  }
  let bytes = 0;
  for (const key of there.keys()) bytes += hot.get(key)?.hotBytes ?? 0;
  assert.equal(bytes, hot.bytes, replayHint);
  for (const entry of there.values()) hot.delete(entry);
  assert.deepEqual([hot.bytes, hot.size], [0, 0]);
});

test("what is asked for again survives a scan of ten times the memory", () => {
  const hot = new HotMemory<Entry>(100_000);
  const kept = Array.from({ length: 50 }, (_, index) => `kept ${index}`);
  for (let round = 0; round < 3; round++)
    for (const key of kept) if (hot.get(key) === undefined) hot.put(new Entry(key, 1000));
  for (let index = 0; index < 1000; index++) {
    hot.put(new Entry(`scanned ${index}`, 1000));
    // Now and then, somebody asks for each of them.
    if (index % 4 === 0) hot.get(kept[(index / 4) % kept.length]!);
  }
  const missing = kept.filter((key) => hot.get(key) === undefined);
  assert.deepEqual(missing, []);
});

test("without memory nothing is kept, and what is larger than its share neither", () => {
  const none = new HotMemory<Entry>(0);
  none.put(new Entry("a", 1));
  assert.equal(none.get("a"), undefined);
  const hot = new HotMemory<Entry>(10_000);
  hot.put(new Entry("a", 500));
  hot.put(new Entry("a", 5000));
  assert.deepEqual([hot.get("a"), hot.bytes], [undefined, 0]);
});

test("what comes to hold more has others go, itself too, and is counted with it", () => {
  const hot = new HotMemory<Entry>(10_000);
  const entries = ["a", "b", "c"].map((key) => new Entry(key, 500));
  for (const entry of entries) hot.put(entry);
  hot.grow(entries[0]!, 300);
  assert.equal(hot.bytes, 1800);
  hot.grow(entries[2]!, 9000);
  assert.ok(hot.bytes <= 10_000);
  const size = hot.size;
  const bytes = ["a", "b", "c"].reduce((sum, key) => sum + (hot.get(key)?.hotBytes ?? 0), 0);
  assert.equal(hot.bytes, bytes);
  for (const entry of entries) hot.delete(entry);
  assert.deepEqual([hot.bytes, size < 3], [0, true]);
  // One that is not there any more.
  hot.grow(entries[1]!, 100);
  assert.equal(hot.bytes, 0);
});

test("where all are used, no more of them are passed over for one that comes than takes a moment", () => {
  const entries = Array.from({ length: Math.ceil(1.2 * PASSED_MAX) }, (_, index) => new Entry(`${index}`, 10));
  const hot = new HotMemory<Entry>(10 * entries.length);
  for (const entry of entries) {
    hot.put(entry);
    hot.get(entry.hotKey);
  }
  hot.put(new Entry("one more", 10));
  const passed = entries.filter(({ isMain }) => isMain).length;
  assert.deepEqual([passed, hot.size], [PASSED_MAX, entries.length]);
});
