// A million requests with clients that leave and an origin that fails, and nothing is left of them.

import { test } from "node:test";
import { endure } from "../support/soak-endurance.ts";

/** One kilobyte kept for each connection that is cut (one request in fifty) would be twenty bytes a request. */
const SLOPE_MAX = 2;

test("a million requests leave nothing behind", (context) =>
  endure(context, { requests: 1_000_000, warmUpRequests: 50_000, slopeMax: SLOPE_MAX }));
