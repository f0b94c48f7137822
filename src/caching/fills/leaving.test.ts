// What is not found while its removal is under way.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Leaving } from "./leaving.ts";

const ID = "00112233445566778899aabbccddeeff";

test("a key, or a tag, is leaving until the last of its removals is over, also of those that fail", async () => {
  const leaving = new Leaving();
  const [one, two] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const has = (): boolean[] => [leaving.has(ID, 1, "key", []), leaving.has(ID, 1, "other", ["a", "tag"])];
  const removals = [leaving.key("key", () => one.promise), leaving.tag("tag", () => one.promise)];
  const failing = [leaving.key("key", () => two.promise), leaving.tag("tag", () => two.promise)];
  assert.deepEqual(has(), [true, true]);
  one.resolve();
  await Promise.all(removals);
  assert.deepEqual(has(), [true, true]);
  two.reject(new Error("the disk"));
  for (const removal of failing) await assert.rejects(removal, /the disk/);
  assert.deepEqual(has(), [false, false]);
});

test("what is damaged is leaving in its version alone", async () => {
  const leaving = new Leaving();
  const { promise, resolve } = Promise.withResolvers<void>();
  const dropped = leaving.damaged(ID, 7, promise);
  assert.deepEqual([leaving.has(ID, 7, "key", []), leaving.has(ID, 8, "key", [])], [true, false]);
  resolve();
  await dropped;
  assert.equal(leaving.has(ID, 7, "key", []), false);
});
