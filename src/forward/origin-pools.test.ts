import assert from "node:assert/strict";
import { test } from "node:test";
import { DeadlineWheel } from "../core/deadlines.ts";
import { VirtualClock } from "../testing/virtual-clock.ts";
import type { UpstreamPool } from "../upstreams/pool.ts";
import { EMPTY_ORIGIN_MS, ORIGINS_MAX } from "./limits.ts";
import { OriginPools } from "./origin-pools.ts";

/** A pool by what is asked of it. */
class FakePool {
  isEmpty = true;
  isBusy = false;
  isClosed = false;

  close(): void {
    this.isClosed = true;
  }
}

function stage() {
  const clock = new VirtualClock();
  const pools = new OriginPools(new DeadlineWheel(clock));
  const add = (key: string, isBusy = false) => {
    const pool = new FakePool();
    pool.isBusy = isBusy;
    let onEmpty = () => {};
    const origin = pools.add(key, (given) => {
      onEmpty = given;
      return pool as unknown as UpstreamPool;
    });
    return { pool, origin, onEmpty };
  };
  return { clock, pools, add };
}

test("a pool whose connections are gone is forgotten some seconds later, unless it has others by then", () => {
  const { clock, pools, add } = stage();
  const gone = add("gone");
  const back = add("back");
  const never = add("never empty");
  for (const { onEmpty } of [gone, back]) onEmpty();
  assert.ok(pools.find("gone"), "whoever comes at once finds it");
  back.pool.isEmpty = never.pool.isEmpty = false;
  clock.advance(EMPTY_ORIGIN_MS + 500);
  assert.equal(pools.find("gone"), undefined);
  assert.deepEqual(
    [gone, back, never].map(({ origin }) => origin.isForgotten),
    [true, false, false],
  );
  back.pool.isEmpty = true;
  back.onEmpty();
  gone.onEmpty();
  clock.advance(EMPTY_ORIGIN_MS + 500);
  assert.equal(pools.size, 1);
});

test("at the limit one that rests makes room, the ones that were used last stay, and few are looked at", () => {
  const { pools, add } = stage();
  const busy = Array.from({ length: ORIGINS_MAX - 100 }, (_, index) => add(`busy ${index}`, true));
  const resting = Array.from({ length: 100 }, (_, index) => add(`resting ${index}`));
  const news = Array.from({ length: ORIGINS_MAX }, (_, index) => {
    resting[7]!.origin.isUsed = true;
    return add(`new ${index}`);
  });
  assert.ok(
    busy.every(({ pool }) => !pool.isClosed),
    "who serves somebody stays",
  );
  assert.equal(resting.filter(({ pool }) => pool.isClosed).length, 99);
  assert.ok(!resting[7]!.pool.isClosed);
  assert.ok(news.filter(({ pool }) => pool.isClosed).length > ORIGINS_MAX / 2);
  // While the hand passes those that are busy, none goes.
  assert.ok(pools.size <= ORIGINS_MAX * 1.1, `${pools.size}`);
});

test("when all serve somebody nobody is refused, and the search ends soon", () => {
  const { pools, add } = stage();
  let looks = 0;
  for (let index = 0; index < ORIGINS_MAX + 50; index++) {
    const { pool } = add(String(index));
    Object.defineProperty(pool, "isBusy", { get: () => ++looks > 0 });
  }
  assert.equal(pools.size, ORIGINS_MAX + 50);
  assert.ok(looks <= 50 * 32, `${looks} looks`);
});
