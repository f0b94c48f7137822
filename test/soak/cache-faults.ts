// Caches that stopped storing because their disks failed begin again by themselves when there is room, or the right to write.

import assert from "node:assert/strict";
import { test } from "node:test";
import { FaultyDisks, needsMounts } from "../support/cache-faults.ts";

test("a cache stores again when its disk takes something", { skip: needsMounts() }, async () => {
  await using disks = await FaultyDisks.start();
  for (const name of ["full", "denied"] as const) {
    disks.break(name);
    await disks.expect(`/${name}/large/lost`);
    await disks.proxy.until(new RegExp(`cache ${name}: nothing is stored`));
  }
  for (const name of ["full", "denied"] as const) disks.mend(name);
  for (const name of ["full", "denied"] as const) {
    await disks.untilStoring(name);
    await disks.untilHit(`/${name}/large/found`);
    assert.equal(disks.logOf(name).length, 2, disks.logOf(name).join("\n"));
  }
  assert.doesNotMatch(await disks.stats(), /stores nothing/);
});
