// When a server is asked, and what its answers amount to: by a virtual clock, with answers that the test gives.

import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { setImmediate as laterTurn } from "node:timers/promises";
import { replayHint, seed } from "../../../test/support/seed.ts";
import { SeededRandom } from "../../testing/seeded-random.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import { HealthCheck } from "./check.ts";

const INTERVAL_MS = 5_000;

let clock: VirtualClock;
let found: (string | null)[];
/** Why it fails, of each check after that. */
let still: string[];
/** When it was asked. */
let asked: number[];
/** What the answers are, until there is another. */
let answer: string | null;
/** How long they take. */
let takesMs: number;
let aborted: number;
let check: HealthCheck;

beforeEach(() => {
  clock = new VirtualClock();
  found = [];
  still = [];
  asked = [];
  answer = null;
  takesMs = 0;
  aborted = 0;
});

function begin(fails = 3, passes = 2, firstMs = 0): void {
  check = new HealthCheck(
    { intervalMs: INTERVAL_MS, fails, passes },
    {
      clock,
      random: new SeededRandom(seed),
      probe: async (signal) => {
        asked.push(clock.now());
        signal.addEventListener("abort", () => aborted++);
        if (takesMs > 0) await new Promise<void>((resolve) => clock.after(takesMs, resolve));
        if (answer !== null) throw new Error(answer);
      },
      found: (reason) => found.push(reason),
      failsStill: (reason) => still.push(reason),
    },
    firstMs,
  );
  clock.advance(0);
}

/** So many checks, each with the promises behind it. */
async function checks(count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    await laterTurn();
    const due = clock.nextDueMs;
    assert.notEqual(due, null, replayHint);
    clock.advance(due! - clock.now());
  }
  await laterTurn();
}

describe("a health check", () => {
  it("asks when it is to begin, and then in each interval, give or take a tenth", async () => {
    begin(3, 2, 300);
    await checks(50);
    assert.equal(asked[0], 300);
    const pauses = asked.slice(1).map((at, index) => at - asked[index]!);
    for (const pause of pauses) assert.ok(Math.abs(pause - INTERVAL_MS) <= INTERVAL_MS / 10, `${pause}: ${replayHint}`);
    assert.ok(new Set(pauses).size > 1, "never all of them at the same moment");
  });

  it("is made from the beginning of one to the next, and with a pause between them", async () => {
    takesMs = 4_000;
    begin();
    await laterTurn();
    clock.advance(takesMs);
    await laterTurn();
    const pause = clock.nextDueMs! - clock.now();
    assert.ok(Math.abs(pause - INTERVAL_MS / 2) <= INTERVAL_MS / 20, `${pause}: ${replayHint}`);
  });

  it("takes the first answer for true, whatever it is", async () => {
    begin();
    await laterTurn();
    assert.deepEqual(found, [null]);
    check.stop();
    answer = "status 503";
    begin();
    await laterTurn();
    assert.deepEqual(found, [null, "status 503"]);
  });

  it("finds that a server fails after so many failures in a row, and not again for each", async () => {
    begin(3);
    await laterTurn();
    answer = "status 500";
    await checks(2);
    assert.deepEqual(found, [null]);
    answer = "status 503";
    await checks(1);
    assert.deepEqual(found, [null, "status 503"]);
    assert.deepEqual(still, []);
    answer = "refused";
    await checks(5);
    assert.equal(found.length, 2);
    assert.deepEqual(still, Array(5).fill("refused"), "why it does can change");
  });

  it("begins to count anew when one passes in between", async () => {
    begin(3);
    await laterTurn();
    for (let i = 0; i < 5; i++) {
      answer = "status 500";
      await checks(2);
      answer = null;
      await checks(1);
    }
    assert.deepEqual(found, [null]);
  });

  it("finds that it is well again after so many that pass in a row", async () => {
    answer = "refused";
    begin(1, 2);
    await laterTurn();
    for (const next of [null, "refused", null]) {
      answer = next;
      await checks(1);
    }
    assert.deepEqual(found, ["refused"]);
    await checks(1);
    assert.deepEqual(found, ["refused", null]);
  });

  it("that was stopped finds nothing, and asks no more", async () => {
    takesMs = 1_000;
    answer = "refused";
    begin();
    await laterTurn();
    check.stop();
    assert.equal(aborted, 1);
    clock.advance(100_000);
    await laterTurn();
    assert.deepEqual([found, asked.length, clock.nextDueMs], [[], 1, null]);
    takesMs = 0;
    begin();
    await laterTurn();
    check.stop();
    assert.equal(clock.nextDueMs, null, "nor between two checks");
  });
});
