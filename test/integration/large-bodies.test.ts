// Bodies that are much larger than what the proxy may hold pass whole, in both directions and both framings, and memory does
// not grow with them. `npm run soak` does the same with 4 GiB.

import { describe, test } from "node:test";
import { largeBodies, passLargeBody } from "../support/soak-large-bodies.ts";
import { needsProc } from "../support/soak-process.ts";

const MiB = 1024 * 1024;

/** Node's heap may still grow to its working size in so short a run. A body that is kept would show with 192 MiB. */
const GROWTH_BYTES_MAX = 32 * MiB;

describe("a body of 256 MiB passes in constant memory", { skip: needsProc, timeout: 60_000 }, () => {
  for (const body of largeBodies({ bytes: 256 * MiB, partBytes: 64 * MiB })) {
    test(`${body.direction}, ${body.framing}`, (context) => passLargeBody(context, body, GROWTH_BYTES_MAX));
  }
});
