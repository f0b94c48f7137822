// Seeded random runs of the whole pipeline: whatever the network does, each answer belongs to its request, nothing that was
// cut looks complete, and nothing is left at the end. HEADGATE_SEED=n plays the run that failed again.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { seed } from "../support/seed.ts";
import type { Weather } from "./plan.ts";
import { type Outcome, World } from "./world.ts";

const RUNS = 60;
const CALM: Weather = { clientFaults: false, originFaults: false, featureFaults: false };

async function playRuns(weather: Weather): Promise<Outcome> {
  const sum = { successes: 0, failures: 0, abandoned: 0, splicedBytes: 0 };
  for (let run = 0; run < RUNS; run++) {
    try {
      const outcome = await new World(seed + run, weather).play();
      sum.successes += outcome.successes;
      sum.failures += outcome.failures;
      sum.abandoned += outcome.abandoned;
      sum.splicedBytes += outcome.splicedBytes;
    } catch (error) {
      throw new Error(`HEADGATE_SEED=${seed + run} plays this run again: ${messageOf(error)}`, { cause: error });
    }
  }
  return sum;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

describe("random interleavings", () => {
  for (const [name, weather] of [
    ["without faults", CALM],
    ["with clients that leave", { ...CALM, clientFaults: true }],
    ["with origins that break", { ...CALM, originFaults: true }],
    ["with features that throw", { ...CALM, featureFaults: true }],
    ["with all of it", { clientFaults: true, originFaults: true, featureFaults: true }],
  ] as const) {
    it(name, async (context) => {
      const { successes, failures, abandoned, splicedBytes } = await playRuns(weather);
      context.diagnostic(
        `${successes} answered, ${failures} failed, ${abandoned} abandoned, ${splicedBytes} bytes unseen`,
      );
      assert.ok(splicedBytes > 0, "nothing was spliced");
    });
  }
});
