// The system's clock: timers are never early, can be cancelled, may be long, and keep no process alive.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import path from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { holdTime, releaseTime, SystemClock } from "./clock.ts";
import { systemRandom } from "./random.ts";

test("a timer is not early, also when it was set late in a long turn", async () => {
  const clock = new SystemClock();
  for (const delayMs of [0, 1, 7.5, 20]) {
    const busyUntil = clock.now() + 30;
    while (clock.now() < busyUntil);
    const setAt = clock.now();
    // Timers of the clock keep nothing alive, so the test does.
    const alive = setInterval(() => {}, 1_000);
    await new Promise<void>((resolve) => clock.after(delayMs, resolve));
    clearInterval(alive);
    assert.ok(clock.now() - setAt >= delayMs, `${clock.now() - setAt} ms instead of ${delayMs}`);
  }
});

test("time that is held stands still for who asks, until it is held anew or released, and not for timers", async () => {
  const clock = new SystemClock();
  const pass = (): void => {
    const until = performance.now() + 2;
    while (performance.now() < until);
  };
  const before = clock.now();
  holdTime();
  const held = clock.now();
  const heldWall = clock.wallMs();
  assert.ok(held >= before);
  pass();
  assert.equal(clock.now(), held);
  assert.equal(clock.wallMs(), heldWall);
  assert.equal(new SystemClock().now(), held);
  holdTime();
  assert.ok(clock.now() >= held + 2);
  // Whole milliseconds.
  assert.ok(clock.wallMs() > heldWall);
  const alive = setInterval(() => {}, 1_000);
  await new Promise<void>((resolve) => clock.after(1, resolve));
  clearInterval(alive);
  releaseTime();
  const released = clock.now();
  pass();
  assert.ok(clock.now() >= released + 2);
});

test("a cancelled timer does not fire, and may be cancelled again", async () => {
  const clock = new SystemClock();
  const timer = clock.after(1, () => assert.fail("fired"));
  timer.cancel();
  timer.cancel();
  await new Promise((resolve) => setTimeout(resolve, 5));
});

test("a timer beyond what Node can wait does not fire at once", async () => {
  const clock = new SystemClock();
  const timer = clock.after(10 * 365 * 86_400_000, () => assert.fail("fired"));
  await new Promise((resolve) => setTimeout(resolve, 5));
  timer.cancel();
});

test("the wall clock is the wall clock, and the other one is monotonic", () => {
  const clock = new SystemClock();
  assert.ok(Math.abs(clock.wallMs() - Date.now()) < 1_000);
  const before = clock.now();
  assert.ok(clock.now() >= before);
});

test("a pending timer does not keep the process alive", async () => {
  const module = path.join(import.meta.dirname, "clock.ts");
  const script = `import { SystemClock } from ${JSON.stringify(module)}; new SystemClock().after(60_000, () => {});`;
  const options = { timeout: 20_000 };
  await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script], options);
});

test("chance is in [0, 1)", () => {
  for (let count = 0; count < 1_000; count++) {
    const number = systemRandom.next();
    assert.ok(number >= 0 && number < 1);
  }
});
