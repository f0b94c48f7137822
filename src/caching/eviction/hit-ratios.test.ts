// What is committed in bench/eviction as a comparison holds: a quick version of it, with fewer requests.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { judge, SHARES } from "../../../bench/eviction/bars.ts";
import { hitRatio, OURS } from "../../../bench/eviction/compare.ts";
import { makeTrace, TRACE_NAMES } from "../../../bench/eviction/traces.ts";

const REQUESTS = 20_000;

describe("hit ratios of the eviction", () => {
  for (const name of TRACE_NAMES) {
    it(`${name}: within a point of S3-FIFO, and not below LRU where that can be asked for`, () => {
      const trace = makeTrace(name, REQUESTS, 1);
      for (const share of SHARES) {
        const policies = ["lru", "s3-fifo", "s3-fifo-1", OURS];
        const ratios = Object.fromEntries(policies.map((policy) => [policy, hitRatio(trace, policy, share)]));
        assert.deepEqual(judge(name, share, ratios), []);
      }
    });
  }

  it("traces are the same wherever they are made", () => {
    const { objects, bytes } = makeTrace("build-farm", 1000, 1);
    const sum = objects.reduce((sums, object, index) => (sums + (object + 1) * (index + 1)) % 1_000_003, 0);
    assert.deepEqual([objects.length, sum, bytes[7]], [1000, 980_717, 1024]);
  });
});
