// A million requests with clients that leave and an origin that fails, and nothing is left of them.

import { test } from "node:test";
import { endure } from "../support/soak-endurance.ts";

/** Bytes a request: less than the smallest object that could be kept for each exchange that fails, which is one in forty. */
const SLOPE_MAX = 2;

test("a million requests leave nothing behind", (context) =>
  endure(context, { requests: 1_000_000, warmUpRequests: 50_000, slopeMax: SLOPE_MAX }));
