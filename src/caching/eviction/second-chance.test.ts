/** What goes first. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SharedCache } from "../shared.ts";
import { SecondChance } from "./second-chance.ts";

function policyOf(...slots: number[]): { policy: SecondChance; shared: SharedCache } {
  const shared = SharedCache.ofOneThread(8192);
  const policy = new SecondChance(shared);
  for (const slot of slots) policy.add(slot);
  return { policy, shared };
}

describe("eviction with a second chance", () => {
  it("takes what was stored first, and nothing when there is nothing", () => {
    const { policy } = policyOf(7, 3, 5000);
    assert.deepEqual([policy.evict(), policy.evict(), policy.evict(), policy.evict()], [7, 3, 5000, -1]);
  });

  it("spares what was used, as often as it was", () => {
    const { policy, shared } = policyOf(1, 2, 3);
    shared.use(1, 0);
    shared.use(1, 0);
    shared.use(2, 0);
    assert.deepEqual([policy.evict(), policy.evict(), policy.evict(), policy.evict()], [3, 2, 1, -1]);
  });

  it("forgets what is gone, wherever it stands, and takes it again", () => {
    const { policy } = policyOf(1, 2, 3);
    for (const slot of [1, 3, 3, 9999]) policy.remove(slot);
    policy.add(3);
    policy.add(3);
    assert.deepEqual([policy.evict(), policy.evict(), policy.evict()], [2, 3, -1]);
  });
});
