// Seeded random runs of a shared cache, its keeper and its threads: no answer mixes two representations, none that is short looks
// complete, nothing is given that was purged before it was asked for, one fetch at a time for one thing, and sums that add up.
// HEADGATE_SEED=n plays the run that failed again.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { seed } from "../support/seed.ts";
import { type CacheWeather, CacheWorld } from "./cache-world.ts";

// HEADGATE_RUNS=n plays more of them.
const RUNS = Number(process.env.HEADGATE_RUNS ?? 15);
const CALM: CacheWeather = { originFaults: false, purges: false, deaths: false, diskFaults: false };

describe("a shared cache under random use", () => {
  for (const [name, weather] of [
    ["without faults", CALM],
    ["with origins that break", { ...CALM, originFaults: true }],
    ["with purges", { ...CALM, purges: true }],
    ["with threads that die", { ...CALM, deaths: true, originFaults: true }],
    ["with a disk that fails", { ...CALM, diskFaults: true }],
    ["with all of it", { originFaults: true, purges: true, deaths: true, diskFaults: true }],
  ] as const) {
    it(name, async (context) => {
      const sums = { clients: 0, fetches: 0, hits: 0, whole: 0, broken: 0, passes: 0, pauses: 0 };
      for (let run = 0; run < RUNS; run++) {
        try {
          const counts = await new CacheWorld(seed + run, weather).play();
          for (const count of Object.keys(sums) as (keyof typeof sums)[]) sums[count] += counts[count];
        } catch (error) {
          const message = error instanceof Error ? error.message : String(error);
          throw new Error(`HEADGATE_SEED=${seed + run} plays this run again: ${message}`, { cause: error });
        }
      }
      context.diagnostic(JSON.stringify(sums));
      assert.ok(sums.whole > RUNS && sums.hits > 0, "nothing was served");
    });
  }
});
