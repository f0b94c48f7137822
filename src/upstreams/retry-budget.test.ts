// Retries are a share of the recent requests, and a few in any case.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { VirtualClock } from "../testing/index.ts";
import { RetryBudget } from "./retry-budget.ts";

function takeAll(budget: RetryBudget): number {
  let taken = 0;
  while (budget.take()) taken++;
  return taken;
}

describe("the retry budget", () => {
  it("grants the minimum when there is no traffic", () => {
    assert.equal(takeAll(new RetryBudget(new VirtualClock(), 0.2, 3)), 3);
  });

  it("grants its share of the requests", () => {
    const budget = new RetryBudget(new VirtualClock(), 0.2, 3);
    for (let i = 0; i < 100; i++) budget.countRequest();
    assert.equal(takeAll(budget), 20);
  });

  it("remembers the window before, and forgets what is older", () => {
    const clock = new VirtualClock();
    const budget = new RetryBudget(clock, 0.5, 0);
    for (let i = 0; i < 10; i++) budget.countRequest();
    assert.equal(takeAll(budget), 5);
    clock.advance(5_000);
    assert.equal(takeAll(budget), 0, "what was taken still counts");
    for (let i = 0; i < 4; i++) budget.countRequest();
    assert.equal(takeAll(budget), 2);
    clock.advance(10_000);
    assert.equal(takeAll(budget), 0, "without requests there is nothing left");
  });

  it("knows the requests of the last seconds also when nobody has asked for a retry for long", () => {
    const clock = new VirtualClock();
    const budget = new RetryBudget(clock, 0.2, 3);
    for (let second = 0; second < 60; second++) {
      for (let i = 0; i < 10; i++) budget.countRequest();
      clock.advance(1_000);
    }
    const granted = takeAll(budget);
    assert.ok(granted >= 10 && granted <= 20, `${granted} of 50 to 100 recent requests`);
  });

  it("grants nothing when retries are switched off", () => {
    const budget = new RetryBudget(new VirtualClock(), 0, 0);
    for (let i = 0; i < 1000; i++) budget.countRequest();
    assert.equal(budget.take(), false);
  });
});
