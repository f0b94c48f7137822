// A hundred processes are killed while they store in a cache, and a hundred whole proxies under load; none leaves anything torn, loses
// what was confirmed, or gives what was purged.

import { test } from "node:test";
import { crashAgainAndAgain } from "../support/cache-crashes.ts";
import { killAgainAndAgain } from "../support/cache-kills.ts";
import { replayHint, seed } from "../support/seed.ts";
import { needsProc } from "../support/soak-process.ts";

test("what a hundred killed processes have left is whole, and all that was confirmed is there", async (context) => {
  const { events, entries } = await crashAgainAndAgain({ rounds: 100, eventsMax: 1500 });
  context.diagnostic(
    `${events} stores and removals were confirmed; the last one found ${entries.at(-1)} entries whole`,
  );
});

test("what a proxy gives that was killed a hundred times is whole and as new as was promised", {
  skip: needsProc,
}, async (context) => {
  const outcome = await killAgainAndAgain({ rounds: 100, eventsMax: 5000, seed }).catch((error: unknown) => {
    throw new Error(replayHint, { cause: error });
  });
  const { answers, hitsAfterStart, promises } = outcome;
  context.diagnostic(`${answers} answers, of them ${hitsAfterStart} hits right after a start; ${promises} promises`);
});
