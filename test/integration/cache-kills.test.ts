// A proxy that is killed while it stores under load, and started again on the same folder: no byte is wrong, and nothing that was purged
// or replaced is back. 100 times in `npm run soak`.

import assert from "node:assert/strict";
import { test } from "node:test";
import { killAgainAndAgain } from "../support/cache-kills.ts";
import { replayHint, seed } from "../support/seed.ts";
import { needsProc } from "../support/soak-process.ts";

test("what a proxy gives that was killed five times is whole and as new as was promised", {
  skip: needsProc,
  timeout: 120_000,
}, async (context) => {
  const outcome = await killAgainAndAgain({ rounds: 5, eventsMax: 1000, seed }).catch((error: unknown) => {
    throw new Error(replayHint, { cause: error });
  });
  const { answers, hitsAfterStart, promises } = outcome;
  context.diagnostic(`${answers} answers, of them ${hitsAfterStart} hits right after a start; ${promises} promises`);
  assert.ok(hitsAfterStart > 0 && promises > 0, JSON.stringify(outcome));
});
