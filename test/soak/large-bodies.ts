// 4 GiB through the proxy, in both directions and both framings: every byte arrives, and memory does not grow with them.

import { describe, test } from "node:test";
import { largeBodies, passLargeBody } from "../support/soak-large-bodies.ts";
import { needsProc } from "../support/soak-process.ts";

const MiB = 1024 * 1024;
const GiB = 1024 * MiB;

describe("a body of 4 GiB passes in constant memory", { skip: needsProc }, () => {
  for (const body of largeBodies({ bytes: 4 * GiB, partBytes: GiB })) {
    test(`${body.direction}, ${body.framing}`, (context) => passLargeBody(context, body, 16 * MiB));
  }
});
