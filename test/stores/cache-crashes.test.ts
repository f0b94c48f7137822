// A process that is killed while it stores loses at most what it was storing, and leaves nothing torn. Whole proxies are killed in
// test/integration/cache-kills.test.ts; 100 of each in `npm run soak`.

import assert from "node:assert/strict";
import { test } from "node:test";
import { crashAgainAndAgain } from "../support/cache-crashes.ts";

test("what two killed processes have left is whole, and all that was confirmed is there", async () => {
  const { entries } = await crashAgainAndAgain({ rounds: 2, eventsMax: 600 });
  assert.equal(entries.length, 2);
  assert.ok(entries.at(-1)! > 0, `${entries}`);
});
