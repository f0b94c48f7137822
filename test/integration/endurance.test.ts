// Fifty thousand requests with clients that leave and an origin that fails, and nothing is left of them. `npm run soak` does a
// million.

import { test } from "node:test";
import { endure } from "../support/soak-endurance.ts";

/**
 * Bytes a request. Five to ten are measured in so short a run, most of them the compiler's. A kilobyte kept for each exchange that
 * fails, which is one in forty, adds 25; the million requests of the soak show a tenth of that.
 */
const SLOPE_MAX = 20;

/** Some 30 s; two minutes where others have the processors too. */
const HANG_MS = 300_000;

test("fifty thousand requests leave nothing behind", { timeout: HANG_MS }, (context) =>
  endure(context, { requests: 50_000, warmUpRequests: 20_000, slopeMax: SLOPE_MAX }),
);
