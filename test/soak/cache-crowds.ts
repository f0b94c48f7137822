// 500 clients at once for one file of 4 MiB at an origin that serves 400 KiB/s, and 100 whose tunnels are intercepted: one download.

import { describe, test } from "node:test";
import { interceptedCrowd, passCrowd, plainCrowd } from "../support/cache-crowd.ts";
import { needsProc } from "../support/soak-process.ts";

const KiB = 1024;
const FILE = { bytes: 4 * 1024 * KiB, bytesPerSecond: 400 * KiB };

describe("one cold file of 4 MiB at 400 KiB/s", { skip: needsProc }, () => {
  test("for 500 clients", (context) => passCrowd(context, plainCrowd, { clients: 500, ...FILE }));
  test("for 100 clients whose tunnels are intercepted", (context) =>
    passCrowd(context, interceptedCrowd, { clients: 100, ...FILE }));
});
