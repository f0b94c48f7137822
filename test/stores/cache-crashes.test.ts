// A process that is killed while it stores loses at most what it was storing, and leaves nothing torn. 100 times in `npm run soak`.

import assert from "node:assert/strict";
import { test } from "node:test";
import { crashAgainAndAgain } from "../support/cache-crashes.ts";

test("what five killed processes have left is whole, and all that was confirmed is there", async () => {
  const { entries } = await crashAgainAndAgain({ rounds: 5, eventsMax: 300 });
  assert.equal(entries.length, 5);
  assert.ok(entries.at(-1)! > 10, `${entries}`);
});
