// Bodies that are much larger than what the proxy may hold pass whole, in both directions and both framings, and memory does
// not grow with them. `npm run soak` does the same with 4 GiB.

import { describe, test } from "node:test";
import { largeBodies, passLargeBody } from "../support/soak-large-bodies.ts";
import { needsProc } from "../support/soak-process.ts";

const MiB = 1024 * 1024;

/** In so short a run Node's heap still grows to its working size, by up to 25 MiB. A body that is kept grows by 192 MiB. */
const GROWTH_BYTES_MAX = 64 * MiB;

describe("a body of 256 MiB passes in constant memory", { skip: needsProc, timeout: 60_000 }, () => {
  for (const body of largeBodies({ bytes: 256 * MiB, partBytes: 64 * MiB })) {
    test(`${body.direction}, ${body.framing}`, (context) => passLargeBody(context, body, GROWTH_BYTES_MAX));
  }
});
