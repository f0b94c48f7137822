// Deadlines on the wheel: never early, at most three ticks late, and exact about who fires when callbacks change things.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { seed } from "../../test/support/seed.ts";
import { VirtualClock } from "../testing/virtual-clock.ts";
import { Deadline, DeadlineWheel, TICK_MS } from "./deadlines.ts";

const LATE_MS_MAX = 3 * TICK_MS;
/** One turn of the wheel: 1024 slots. */
const TURN_MS = 1024 * TICK_MS;

function newWheel(startMs = 0) {
  const clock = new VirtualClock();
  clock.advance(startMs);
  const wheel = new DeadlineWheel(clock);
  const fired: string[] = [];
  /** A deadline that writes down its name. */
  const named = (name: string, then?: () => void) =>
    new Deadline(wheel, () => {
      fired.push(name);
      then?.();
    });
  return { clock, wheel, fired, named };
}

/** Arms something in each tick, so that the wheel does not rest. */
function keepTurning(clock: VirtualClock, wheel: DeadlineWheel): void {
  const deadline = new Deadline(wheel, () => assert.fail("armed anew in time"));
  const arm = () => {
    deadline.arm(60_000);
    clock.after(TICK_MS / 2, arm);
  };
  arm();
}

/** Milliseconds from now until the deadline fires. */
function firesAfter(clock: VirtualClock, deadline: Deadline, limitMs: number): number {
  const startMs = clock.now();
  while (deadline.armed) {
    clock.advance(1);
    assert.ok(clock.now() - startMs <= limitMs, `not fired after ${limitMs} ms`);
  }
  return clock.now() - startMs;
}

describe("a deadline", () => {
  for (const turns of [true, false]) {
    it(`fires once, never early and at most three ticks late, wherever in a tick it is armed, in a wheel that ${turns ? "turns" : "rests"}`, () => {
      for (const ms of [0, 1, 49, 50, 51, 100, 999, 1000, 10_000]) {
        for (const offsetMs of [0, 1, 25, 49, 50.5, 99, 1020]) {
          const { clock, wheel, fired, named } = newWheel(7);
          if (turns) keepTurning(clock, wheel);
          else named("keeps it linked").arm(60_000);
          clock.advance(offsetMs);
          const deadline = named("fired");
          deadline.arm(ms);
          const afterMs = firesAfter(clock, deadline, ms + 1000);
          assert.ok(afterMs >= ms, `${ms} ms fired after ${afterMs}`);
          assert.ok(afterMs <= ms + LATE_MS_MAX, `${ms} ms fired after ${afterMs}`);
          clock.advance(2000);
          assert.deepEqual(fired, ["fired"]);
          assert.equal(wheel.armedCount, 1);
        }
      }
    });
  }

  it("takes its time beyond one turn of the wheel", () => {
    for (const ms of [TURN_MS - TICK_MS, TURN_MS, TURN_MS + TICK_MS, 3 * TURN_MS + 70, 3_600_000]) {
      const { clock, named } = newWheel();
      const deadline = named("fired");
      deadline.arm(ms);
      clock.advance(ms - 1);
      assert.ok(deadline.armed, `${ms} ms fired early`);
      clock.advance(1 + LATE_MS_MAX);
      assert.ok(!deadline.armed, `${ms} ms did not fire`);
    }
  });

  it("is pushed back by arming again, and pulled forward", () => {
    const { clock, fired, named } = newWheel();
    const later = named("later");
    const earlier = named("earlier");
    later.arm(1000);
    earlier.arm(60_000);
    clock.advance(900);
    later.arm(1000);
    earlier.arm(200);
    clock.advance(200 + LATE_MS_MAX);
    assert.deepEqual(fired, ["earlier"]);
    clock.advance(1000);
    assert.deepEqual(fired, ["earlier", "later"]);
  });

  it("is pushed back a thousand times and still fires, once", () => {
    const { clock, fired, named } = newWheel();
    const deadline = named("fired");
    for (let i = 0; i < 1000; i++) {
      deadline.arm(500);
      clock.advance(77);
    }
    assert.deepEqual(fired, []);
    clock.advance(500 + LATE_MS_MAX);
    assert.deepEqual(fired, ["fired"]);
  });

  it("does not fire when disarmed, and can be armed again at once", () => {
    const { clock, wheel, fired, named } = newWheel();
    const deadline = named("fired");
    deadline.arm(100);
    deadline.disarm();
    assert.equal(deadline.armed, false);
    clock.advance(1000);
    assert.deepEqual(fired, []);
    assert.equal(wheel.size, 0, "the wheel lets go of it");
    deadline.arm(100);
    deadline.disarm();
    deadline.arm(300);
    clock.advance(299);
    assert.deepEqual(fired, []);
    clock.advance(1 + LATE_MS_MAX);
    assert.deepEqual(fired, ["fired"]);
  });

  it("is let go of by dispose at once, and dispose is idempotent", () => {
    const { clock, wheel, fired, named } = newWheel();
    const neighbours = [named("a"), named("b"), named("c")];
    for (const deadline of neighbours) deadline.arm(100);
    neighbours[1]!.dispose();
    neighbours[1]!.dispose();
    assert.equal(wheel.size, 2);
    neighbours[0]!.dispose();
    named("never armed").dispose();
    clock.advance(1000);
    assert.deepEqual(fired, ["c"]);
    assert.equal(wheel.size, 0);
  });

  it("whose time has passed already fires soon", () => {
    for (const ms of [0, -1, -10_000, Number.NEGATIVE_INFINITY]) {
      const { clock, fired, named } = newWheel(123);
      named("fired").arm(ms);
      clock.advance(LATE_MS_MAX);
      assert.deepEqual(fired, ["fired"], `${ms}`);
    }
  });
});

describe("callbacks in one slot", () => {
  it("may disarm and dispose the others that are due with them", () => {
    const { clock, wheel, fired, named } = newWheel();
    const all: Deadline[] = [];
    // Whoever comes first, the rest must not fire any more.
    for (const name of ["a", "b", "c", "d"]) {
      all.push(
        named(name, () => {
          for (const [index, other] of all.entries()) index % 2 === 0 ? other.disarm() : other.dispose();
        }),
      );
    }
    for (const deadline of all) deadline.arm(100);
    clock.advance(1000);
    assert.equal(fired.length, 1);
    assert.equal(wheel.size, 0);
  });

  it("may arm themselves and the others anew, without a second call in this turn", () => {
    const { clock, fired, named } = newWheel();
    const all: Deadline[] = [];
    const rearm = () => {
      if (fired.length === 1) for (const other of all) other.arm(200);
    };
    for (const name of ["a", "b", "c"]) all.push(named(name, rearm));
    for (const deadline of all) deadline.arm(100);
    while (fired.length === 0) clock.advance(1);
    clock.advance(199);
    assert.equal(fired.length, 1);
    clock.advance(1 + LATE_MS_MAX);
    assert.deepEqual(fired.slice(1).sort(), ["a", "b", "c"]);
  });

  it("may arm a new deadline that is due at once, and dispose it", () => {
    const { clock, wheel, fired, named } = newWheel();
    named("first", () => {
      named("second").arm(0);
      const third = named("third");
      third.arm(0);
      third.dispose();
    }).arm(50);
    clock.advance(1000);
    assert.deepEqual(fired, ["first", "second"]);
    assert.equal(wheel.size, 0);
  });

  it("may throw: the wheel goes on", () => {
    const { clock, fired, named } = newWheel();
    named("throws", () => {
      throw new Error("a bug");
    }).arm(100);
    named("later").arm(1000);
    assert.throws(() => clock.advance(1000), /a bug/);
    clock.advance(2000);
    assert.deepEqual(fired, ["throws", "later"]);
  });

  it("may throw: the others have their turn, those of the same tick and those behind it", () => {
    const { clock, fired, named } = newWheel();
    for (const ms of [500, 700]) {
      for (const name of ["one", "two"]) {
        named(`${name} at ${ms}`, () => {
          throw new Error("a bug");
        }).arm(ms);
      }
    }
    clock.advance(100);
    clock.stall(3000);
    assert.throws(() => clock.advance(0), /a bug/);
    assert.equal(fired.length, 4);
  });
});

describe("a process that is held up", () => {
  it("fires what came due, and what does not come due yet later", () => {
    const { clock, fired, named } = newWheel();
    named("due").arm(500);
    named("not yet").arm(5000);
    clock.advance(100);
    clock.stall(3000);
    clock.advance(0);
    assert.deepEqual(fired, ["due"]);
    clock.advance(1800);
    assert.deepEqual(fired, ["due"]);
    clock.advance(100 + LATE_MS_MAX);
    assert.deepEqual(fired, ["due", "not yet"]);
  });

  it("skips no deadline when it stands still for turns of the wheel", () => {
    const { clock, wheel, fired, named } = newWheel();
    for (let ms = 50; ms <= 3 * TURN_MS; ms += 997) named(`${ms}`).arm(ms);
    const armed = wheel.armedCount;
    clock.advance(200);
    clock.stall(5 * TURN_MS);
    clock.advance(0);
    assert.equal(fired.length, armed);
    assert.equal(wheel.size, 0);
  });

  it("does not fire early what was armed while it stood still", () => {
    const { clock, wheel, fired, named } = newWheel();
    keepTurning(clock, wheel);
    clock.advance(500);
    clock.stall(2000);
    // No timer has run yet: the wheel does not know of the two seconds.
    named("short").arm(300);
    named("long").arm(2 * TURN_MS);
    clock.advance(299);
    assert.deepEqual(fired, []);
    clock.advance(1 + 2000 + LATE_MS_MAX);
    assert.deepEqual(fired, ["short"]);
    clock.advance(2 * TURN_MS - 2300 - LATE_MS_MAX - 1);
    assert.deepEqual(fired, ["short"]);
  });

  it("does not fire early when its timer is late by less than a tick, twice", () => {
    const { clock, wheel, fired, named } = newWheel();
    keepTurning(clock, wheel);
    clock.advance(50);
    clock.stall(99);
    named("fired").arm(100);
    clock.advance(0);
    clock.stall(51);
    clock.advance(48);
    assert.deepEqual(fired, []);
  });

  it("looks at none whose time is far when its timer is late, however many there are", () => {
    const { clock, fired, wheel } = newWheel();
    let looks = 0;
    const far = Array.from({ length: 100 }, (_, index) => {
      const deadline = new Deadline(wheel, () => fired.push("far"));
      deadline.arm(20_000 + index * 50);
      for (const name of ["next", "armedTick", "dueTick"] as const) {
        let value: unknown = deadline[name];
        Object.defineProperty(deadline, name, {
          get: () => {
            looks++;
            return value;
          },
          set: (to) => {
            value = to;
          },
        });
      }
      return deadline;
    });
    clock.stall(1_000);
    clock.advance(50);
    assert.equal(looks, 0);
    clock.advance(19_950);
    assert.deepEqual(fired, [], "they count from when the wheel knew the time");
    clock.advance(far.length * 50 + 1_000);
    assert.equal(fired.length, far.length);
  });

  it("fires in time what is armed when the end of a rest is late", () => {
    const { clock, fired, named } = newWheel();
    named("ends the rest").arm(1000);
    clock.advance(500);
    clock.stall(2000);
    named("armed").arm(300);
    clock.advance(LATE_MS_MAX);
    assert.deepEqual(fired, ["ends the rest"]);
    clock.advance(299 - LATE_MS_MAX);
    assert.deepEqual(fired, ["ends the rest"]);
    clock.advance(1 + LATE_MS_MAX);
    assert.deepEqual(fired, ["ends the rest", "armed"]);
  });

  it("does not fire early what a late callback arms", () => {
    const { clock, fired, named } = newWheel();
    const again = named("again", () => again.arm(400));
    again.arm(100);
    clock.stall(3000);
    clock.advance(399);
    assert.deepEqual(fired, ["again"]);
  });
});

describe("the wheel", () => {
  it("sets one timer however many deadlines there are, and none when there are none", () => {
    const { clock, named } = newWheel();
    assert.equal(clock.pendingTimers, 0);
    const all = Array.from({ length: 100 }, (_, index) => named(`${index}`));
    for (const deadline of all) deadline.arm(1000);
    assert.equal(clock.pendingTimers, 1);
    for (const deadline of all) deadline.dispose();
    clock.advance(2 * TICK_MS);
    assert.equal(clock.pendingTimers, 0);
    all[0]!.arm(200);
    assert.equal(clock.pendingTimers, 1);
    clock.runUntilIdle();
    assert.equal(clock.pendingTimers, 0);
  });

  it("rests while nothing is armed, until it has something to do", () => {
    const { clock, wheel, fired, named } = newWheel();
    let wakes = 0;
    const { after } = clock;
    clock.after = (ms, callback) =>
      after.call(clock, ms, () => {
        wakes++;
        callback();
      });
    named("soon").arm(10_000);
    named("late").arm(3 * TURN_MS);
    const pushedBack = named("pushed back");
    pushedBack.arm(20_000);
    clock.advance(9_999);
    assert.equal(wakes, 2);
    pushedBack.arm(30_000);
    clock.advance(3 * TURN_MS + LATE_MS_MAX - 9_999);
    assert.deepEqual(fired, ["soon", "pushed back", "late"]);
    assert.equal(wheel.size, 0);
    assert.ok(wakes < 15, `${wakes} times`);
    clock.runUntilIdle();
  });

  it("tells a time that never goes back, and is at most a tick old, while it turns and while it rests", () => {
    const { clock, wheel, named } = newWheel(13);
    const deadline = named("fired");
    let before = wheel.coarseMs;
    for (let ms = 0; ms < 5000; ms += 7) {
      if (ms % 700 === 0) deadline.arm(ms % 900);
      clock.advance(7);
      assert.ok(wheel.coarseMs >= before);
      assert.ok(wheel.coarseMs <= clock.now() && wheel.coarseMs > clock.now() - 2 * TICK_MS, `${wheel.coarseMs}`);
      before = wheel.coarseMs;
    }
  });

  it("counts what is linked and what is armed", () => {
    const { wheel, named } = newWheel();
    const [a, b] = [named("a"), named("b")];
    a.arm(100);
    b.arm(100);
    b.arm(200);
    assert.deepEqual([wheel.size, wheel.armedCount], [2, 2]);
    a.disarm();
    assert.deepEqual([wheel.size, wheel.armedCount], [2, 1]);
    b.dispose();
    assert.deepEqual([wheel.size, wheel.armedCount], [1, 0]);
  });

  it("keeps 100,000 deadlines", () => {
    const clock = new VirtualClock();
    const wheel = new DeadlineWheel(clock);
    let fired = 0;
    let wrong = 0;
    const all = Array.from({ length: 100_000 }, (_, index) => {
      const ms = (index * 7919) % 200_000;
      const deadline = new Deadline(wheel, () => {
        fired++;
        if (clock.now() < ms || clock.now() > ms + LATE_MS_MAX) wrong++;
      });
      deadline.arm(ms);
      return deadline;
    });
    for (let index = 0; index < all.length; index += 4) all[index]!.disarm();
    clock.runUntilIdle();
    assert.deepEqual({ fired, wrong, left: wheel.size }, { fired: 75_000, wrong: 0, left: 0 });
  });

  it("wakes with the beginning of a tick, so that what is due then is not later for it", () => {
    const { clock, wheel } = newWheel();
    let firedAtMs = -1;
    new Deadline(wheel, () => {
      firedAtMs = clock.now();
    }).arm(201);
    clock.advance(252);
    new Deadline(wheel, () => {}).arm(0);
    clock.runUntilIdle();
    assert.equal(firedAtMs, 350);
  });

  it("does what a list of times would do, whatever comes", () => {
    const which = fc.nat(5);
    const ms = fc.oneof(fc.nat(400), fc.nat(5_000), fc.nat(120_000));
    const command = fc.oneof(
      { weight: 4, arbitrary: fc.record({ kind: fc.constant("arm" as const), which, ms }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("disarm" as const), which, ms }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("dispose" as const), which, ms }) },
      { weight: 4, arbitrary: fc.record({ kind: fc.constant("advance" as const), which, ms }) },
      // Real timers come late: by a part of a tick at any time, by seconds now and then.
      {
        weight: 4,
        arbitrary: fc.record({ kind: fc.constant("stall" as const), which, ms: fc.oneof(fc.nat(60), fc.nat(3000)) }),
      },
    );
    fc.assert(
      fc.property(fc.array(command, { maxLength: 60 }), fc.nat(49), (commands, startMs) => {
        const { clock, wheel } = newWheel(startMs);
        let stalledMs = 0;
        const dueMs: (number | null)[] = [null, null, null, null, null, null];
        const deadlines = dueMs.map(
          (_, index) =>
            new Deadline(wheel, () => {
              const due = dueMs[index];
              assert.ok(due != null, "fired although it was not armed");
              assert.ok(clock.now() >= due, `early: due at ${due}, fired at ${clock.now()}`);
              assert.ok(clock.now() <= due + LATE_MS_MAX + stalledMs, `late: due at ${due}, fired at ${clock.now()}`);
              dueMs[index] = null;
            }),
        );
        for (const { kind, which: index, ms: byMs } of commands) {
          const deadline = deadlines[index]!;
          if (kind === "advance") clock.advance(byMs);
          else if (kind === "stall") {
            clock.stall(byMs);
            stalledMs += byMs;
          } else if (kind === "arm") {
            deadline.arm(byMs);
            dueMs[index] = clock.now() + byMs;
          } else {
            deadline[kind]();
            dueMs[index] = null;
          }
          for (const [at, due] of dueMs.entries()) {
            assert.equal(deadlines[at]!.armed, due !== null);
            assert.ok(due === null || clock.now() <= due + LATE_MS_MAX + stalledMs, `missed: due at ${due}`);
          }
        }
        clock.runUntilIdle();
        assert.equal(wheel.size, 0);
      }),
      { seed, numRuns: 300 },
    );
  });
});
