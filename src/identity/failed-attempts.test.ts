import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { VirtualClock } from "../testing/virtual-clock.ts";
import { FailedAttempts } from "./failed-attempts.ts";

describe("failed attempts", () => {
  it("block an address for the rest of the minute, and no other one", () => {
    const clock = new VirtualClock();
    const attempts = new FailedAttempts(clock);
    for (let i = 0; i < 2; i++) attempts.count("192.0.2.1");
    assert.equal(attempts.blockedSeconds("192.0.2.1", 3), 0);
    attempts.count("192.0.2.1");
    const seconds = attempts.blockedSeconds("192.0.2.1", 3);
    assert.ok(seconds >= 1 && seconds <= 60, String(seconds));
    assert.equal(attempts.blockedSeconds("192.0.2.2", 3), 0);
    clock.advance(seconds * 1000);
    assert.equal(attempts.blockedSeconds("192.0.2.1", 3), 0);
  });

  it("count an IPv6 client by its /64, however it is written", () => {
    const attempts = new FailedAttempts(new VirtualClock());
    attempts.count("2001:db8:0:7::1");
    assert.ok(attempts.blockedSeconds("2001:db8::7:1:2:3:4", 1) > 0);
    assert.equal(attempts.blockedSeconds("2001:db8:0:8::1", 1), 0);
    attempts.count("::1");
    assert.ok(attempts.blockedSeconds("::1", 1) > 0);
  });

  it("are shared by all tables on the same memory", () => {
    const clock = new VirtualClock();
    const one = new FailedAttempts(clock);
    new FailedAttempts(clock, one.memory).count("10.0.0.1");
    assert.ok(one.blockedSeconds("10.0.0.1", 1) > 0);
  });

  it("can be taken back, but not more than there were", () => {
    const clock = new VirtualClock();
    const attempts = new FailedAttempts(clock);
    attempts.takeBack("192.0.2.1");
    attempts.count("192.0.2.1");
    attempts.count("192.0.2.1");
    attempts.takeBack("192.0.2.1");
    assert.ok(attempts.blockedSeconds("192.0.2.1", 1) > 0);
    assert.equal(attempts.blockedSeconds("192.0.2.1", 2), 0);
    for (let i = 0; i < 3; i++) attempts.takeBack("192.0.2.1");
    assert.equal(attempts.blockedSeconds("192.0.2.1", 1), 0);
    attempts.count("192.0.2.1");
    assert.ok(attempts.blockedSeconds("192.0.2.1", 1) > 0);
  });

  it("keep who fails most when the table is full", () => {
    const attempts = new FailedAttempts(new VirtualClock());
    for (let i = 0; i < 30; i++) attempts.count("198.51.100.7");
    for (let i = 0; i < 100_000; i++) attempts.count(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`);
    assert.ok(attempts.blockedSeconds("198.51.100.7", 30) > 0);
  });
});
