// A hundred processes are killed while they store in a cache; none leaves anything torn, or loses what was confirmed.

import { test } from "node:test";
import { crashAgainAndAgain } from "../support/cache-crashes.ts";

test("what a hundred killed processes have left is whole, and all that was confirmed is there", async (context) => {
  const { events, entries } = await crashAgainAndAgain({ rounds: 100, eventsMax: 1500 });
  context.diagnostic(
    `${events} stores and removals were confirmed; the last one found ${entries.at(-1)} entries whole`,
  );
});
