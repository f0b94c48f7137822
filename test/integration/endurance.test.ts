// Fifty thousand requests with clients that leave and an origin that fails, and nothing is left of them. `npm run soak` does a
// million.

import { test } from "node:test";
import { endure } from "../support/soak-endurance.ts";

/**
 * Bytes a request. In so short a run half of them are the compiler's. A kilobyte kept for each connection that breaks, which is one
 * request in thirty, would be more; a million requests in the soak show a tenth of that.
 */
const SLOPE_MAX = 32;

test("fifty thousand requests leave nothing behind", { timeout: 120_000 }, (context) =>
  endure(context, { requests: 50_000, warmUpRequests: 20_000, slopeMax: SLOPE_MAX }),
);
