// Which addresses are this machine's own.

import assert from "node:assert/strict";
import os from "node:os";
import { test } from "node:test";
import { SystemClock } from "./clock.ts";
import { OwnAddresses } from "./own-addresses.ts";

test("those of its interfaces, and no others", () => {
  const own = new OwnAddresses(new SystemClock());
  const all = Object.values(os.networkInterfaces()).flatMap((one) => one ?? []);
  assert.ok(all.length > 0);
  for (const { address } of all) assert.ok(own.has(address.replace(/%.*/, "")), address);
  assert.ok(!own.has("192.0.2.255"));
});
