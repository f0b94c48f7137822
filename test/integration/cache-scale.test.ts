// Many clients at once for one file that the cache does not have: one download serves them all, whatever becomes of the origin and
// however slowly one of them reads. The whole of it, at the size that the documents promise, is in test/soak.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { GROWTH_BYTES_MAX, interceptedCrowd, MemoryWatch, passCrowd, plainCrowd } from "../support/cache-crowd.ts";
import { needsProc } from "../support/soak-process.ts";
import { untilTrue } from "../support/soak-wait.ts";

const KiB = 1024;
const MiB = 1024 * KiB;
/** Only a hang takes so long. */
const HANG_MS = 60_000;
const TIMEOUT = { timeout: 2 * HANG_MS };
/** Other tests have the processors at the same time; that it is as quick as promised is seen in test/soak, alone. */
const FILE = { bytes: 512 * KiB, bytesPerSecond: 400 * KiB, connectMs: HANG_MS };

describe("one cold file", { skip: needsProc }, () => {
  test("for 500 clients", TIMEOUT, (context) => passCrowd(context, plainCrowd, { clients: 500, ...FILE }));

  test("for 100 clients whose tunnels are intercepted", TIMEOUT, (context) =>
    passCrowd(context, interceptedCrowd, { clients: 100, ...FILE }),
  );

  test("for one client that reads 10 KiB/s, and others that do not wait for it", TIMEOUT, async (context) => {
    const bytes = 16 * MiB;
    const bytesPerSecond = 16 * MiB;
    await using crowd = await plainCrowd({ bytes, bytesPerSecond });
    await using memory = new MemoryWatch(crowd.proxy);
    const slow = crowd.join("cold", 10 * KiB);
    const begunMs = performance.now();
    const ends = await Promise.all(Array.from({ length: 20 }, () => crowd.join("cold").ended));
    const tookMs = Math.max(...ends) - begunMs;
    // Whoever waits for the slow one has its last byte behind that one's.
    assert.ok(slow.bytes < bytes / 10, `${slow.bytes} bytes read slowly`);
    slow.hurry();
    await slow.ended;
    context.diagnostic(`the others had it after ${Math.round(tookMs)} ms; memory grew by ${memory.grownBytes()} bytes`);
    assert.deepEqual(crowd.origin.asked, ["all"]);
    assert.ok(memory.grownBytes() < GROWTH_BYTES_MAX, `${memory.grownBytes()} bytes`);
  });

  test("whose origin is killed midway, and comes back", TIMEOUT, async () => {
    const bytes = 2 * MiB;
    await using crowd = await plainCrowd({ bytes, bytesPerSecond: 2 * MiB });
    const { origin } = crowd;
    origin.holdsAt = bytes / 2;
    const all = Array.from({ length: 50 }, () => crowd.join("cold"));
    const [one] = all;
    // The proxy has much of it, and cannot have all.
    await untilTrue(
      () => one!.bytes > 100_000,
      () => `${one!.bytes} bytes of the first half`,
    );
    await origin.kill();
    origin.holdsAt = Number.POSITIVE_INFINITY;
    await origin.restart();
    await Promise.all(all.map(({ ended }) => ended));
    const [first, ...resumed] = origin.asked;
    assert.equal(first, "all");
    assert.equal(resumed.length, 1, origin.asked.join(", "));
    assert.match(resumed[0]!, /^bytes=\d{6,}-$/);
    // It was stored as if nothing had happened.
    await crowd.join("cold").ended;
    assert.equal(origin.asked.length, 2);
  });
});
