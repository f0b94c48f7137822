// One instance of the addon for each thread, and none outlives its thread: two work side by side, and a thread that is
// terminated at any moment leaves no socket, no pipe and no crash behind.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import { Worker } from "node:worker_threads";
import { ACCEPTED } from "../../src/io/native/wire.ts";
import { SeededRandom } from "../../src/testing/seeded-random.ts";
import { replayHint, seed } from "../../test/support/seed.ts";
import { Driver, withoutAddon } from "./driver.ts";

const program = path.join(import.meta.dirname, "programs", "busy-thread.ts");
const openDescriptors = (): number => readdirSync("/proc/self/fd").length;

async function untilBusy(worker: Worker): Promise<void> {
  worker.on("error", assert.fail);
  assert.deepEqual(await once(worker, "message"), ["busy"]);
}

describe("threads", { skip: withoutAddon }, () => {
  test("two instances at once, beside the main thread's", async () => {
    const workers = [new Worker(program), new Worker(program)];
    await Promise.all(workers.map(untilBusy));
    const driver = new Driver();
    const listener = driver.listen();
    const { dialed, accepted } = await driver.pair(listener.port);
    driver.write(dialed, Buffer.from("main"));
    driver.submit();
    await driver.until(() => driver.received(accepted).toString() === "main");
    // Who looks for somebody else on this port is counted as well: it may have been another test's a moment ago.
    const acceptedCount = driver.events.filter(({ kind }) => kind === ACCEPTED).length;
    assert.equal(driver.addon.inspect().sockets, 2 + acceptedCount);
    driver.destroyAll();
    await Promise.all(workers.map((worker) => worker.terminate()));
  });

  test(`terminated a hundred times, at any moment (${replayHint})`, async () => {
    const chance = new SeededRandom(seed);
    // The first ones open what a process keeps.
    for (let count = 0; count < 2; count++) {
      const worker = new Worker(program);
      await untilBusy(worker);
      await worker.terminate();
    }
    const before = openDescriptors();
    const runOne = async () => {
      const worker = new Worker(program);
      // While it starts, right when it begins, or in the middle of its load.
      if (chance.chance(0.2)) for (let turns = chance.below(20); turns > 0; turns--) await new Promise(setImmediate);
      else await untilBusy(worker);
      for (let turns = chance.below(5); turns > 0; turns--) await new Promise(setImmediate);
      await worker.terminate();
    };
    for (let round = 0; round < 25; round++) await Promise.all([runOne(), runOne(), runOne(), runOne()]);
    assert.equal(openDescriptors(), before);
  });
});
