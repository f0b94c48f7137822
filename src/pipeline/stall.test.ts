// A stall is found out late by a fourth of its time at most, and never before its time.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DeadlineWheel, TICK_MS } from "../core/deadlines.ts";
import { VirtualClock } from "../testing/index.ts";
import { StallWatch } from "./stall.ts";

const LIMIT_MS = 10_000;
/** What the wheel adds to each look, of which there may be six. */
const TICKS_MS = 6 * 3 * TICK_MS;

/** A watch on a position that the test moves. */
class Watched {
  readonly clock = new VirtualClock();
  readonly deadlines = new DeadlineWheel(this.clock);
  readonly watch = new StallWatch(this.deadlines, () => this.#look());
  position = 0;
  foundMs: number | null = null;

  #look(): void {
    if (this.watch.stalledMs(this.position) < LIMIT_MS) return;
    this.foundMs = this.clock.now();
    this.watch.dispose();
  }

  /** Moves it at this time, which has not come yet. */
  moveAt(ms: number): void {
    this.clock.advanceTo(ms);
    this.position++;
  }

  /** When it was found out to stand still. */
  end(): number {
    this.clock.advance(3 * LIMIT_MS);
    assert.notEqual(this.foundMs, null);
    return this.foundMs!;
  }
}

describe("a stall", () => {
  it("is found out in time, whenever the last byte moved", () => {
    for (let lastMs = 1; lastMs < LIMIT_MS; lastMs += 333) {
      const watched = new Watched();
      watched.watch.begin(LIMIT_MS);
      watched.moveAt(lastMs);
      const stalledMs = watched.end() - lastMs;
      assert.ok(stalledMs >= LIMIT_MS, `${stalledMs} ms behind ${lastMs}`);
      assert.ok(stalledMs <= 1.25 * LIMIT_MS + TICKS_MS, `${stalledMs} ms behind ${lastMs}`);
    }
  });

  it("of what has never moved is found out too, and one that begins anew has its whole time", () => {
    const watched = new Watched();
    watched.watch.begin(LIMIT_MS);
    watched.clock.advance(LIMIT_MS - 100);
    assert.equal(watched.foundMs, null);
    watched.watch.begin(LIMIT_MS);
    const stalledMs = watched.end() - (LIMIT_MS - 100);
    assert.ok(stalledMs >= LIMIT_MS && stalledMs <= 1.25 * LIMIT_MS + TICKS_MS, `${stalledMs} ms`);
  });

  it("is none while anything moves between two looks", () => {
    const watched = new Watched();
    watched.watch.begin(LIMIT_MS);
    for (let ms = 9_000; ms < 200_000; ms += 9_000) watched.moveAt(ms);
    assert.equal(watched.foundMs, null);
  });

  it("is not looked for any more once the watch is over", () => {
    const watched = new Watched();
    watched.watch.begin(LIMIT_MS);
    watched.watch.dispose();
    watched.clock.advance(5 * LIMIT_MS);
    assert.equal(watched.foundMs, null);
    assert.equal(watched.deadlines.size, 0);
  });
});
