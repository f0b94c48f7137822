// Time moves only when told to, and timers run at their own time, in order.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { VirtualClock } from "./virtual-clock.ts";

describe("VirtualClock", () => {
  it("runs due timers by their time, then in the order in which they were set", () => {
    const clock = new VirtualClock();
    const ran: string[] = [];
    clock.after(20, () => ran.push(`c@${clock.now()}`));
    clock.after(10, () => ran.push(`a@${clock.now()}`));
    clock.after(10, () => ran.push(`b@${clock.now()}`));
    clock.after(21, () => ran.push("too late"));
    clock.advance(20);
    assert.deepEqual(ran, ["a@10", "b@10", "c@20"]);
    assert.equal(clock.now(), 20);
    assert.equal(clock.pendingTimers, 1);
  });

  it("runs timers that timers set on the way", () => {
    const clock = new VirtualClock();
    const ran: number[] = [];
    const again = () => {
      ran.push(clock.now());
      if (ran.length < 4) clock.after(3, again);
    };
    clock.after(1, again);
    clock.advance(8);
    assert.deepEqual(ran, [1, 4, 7]);
    clock.runUntilIdle();
    assert.deepEqual(ran, [1, 4, 7, 10]);
    assert.equal(clock.now(), 10);
  });

  it("does not run a cancelled timer, and does not count it", () => {
    const clock = new VirtualClock();
    const handle = clock.after(5, () => assert.fail("cancelled"));
    assert.equal(clock.nextDueMs, 5);
    handle.cancel();
    assert.equal(clock.nextDueMs, null);
    assert.equal(clock.pendingTimers, 0);
    clock.advance(10);
  });

  it("runs late timers after a stall, and shows them the late time", () => {
    const clock = new VirtualClock();
    const ran: number[] = [];
    clock.after(10, () => ran.push(clock.now()));
    clock.stall(500);
    assert.deepEqual(ran, []);
    clock.advance(0);
    assert.deepEqual(ran, [500]);
  });

  it("throws instead of running for ever", () => {
    const clock = new VirtualClock();
    const again = () => void clock.after(1, again);
    again();
    assert.throws(() => clock.runUntilIdle(100), /still due after 100/);
  });

  it("moves the wall clock with the monotonic one", () => {
    const clock = new VirtualClock(Date.UTC(2030, 0, 1));
    clock.advance(1500);
    assert.equal(new Date(clock.wallMs()).toISOString(), "2030-01-01T00:00:01.500Z");
  });
});
