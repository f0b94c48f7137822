// Fills that nobody reads, of origins that drip bytes: given up when they are too slow, or when their places are needed; who reads
// one is never harmed.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Asked, headOf, settle, Taker } from "../../../test/support/cache-dialogue.ts";
import { CacheStage } from "../../../test/support/cache-stage.ts";
import { ProxyError } from "../../core/errors.ts";
import type { Cache, Fill } from "../cache.ts";
import { UNREAD_BYTES_MIN, UNREAD_MS_MIN, UNREAD_WINDOW_MS } from "./unread.ts";

const STEP_MS = 1000;
const DRIP = Buffer.alloc(100);

/** One that brings so many bytes in each second; its download ends it when it is unwanted, as the feature's does. */
class Dripping {
  readonly fill: Fill;
  readonly own: Taker;
  readonly #bytes: Buffer;
  isGivenUp = false;

  private constructor(fill: Fill, bytes: number) {
    this.fill = fill;
    this.#bytes = Buffer.alloc(bytes);
    this.own = Taker.of(fill.begin(headOf(-1)));
    fill.onUnwanted = () => {
      this.isGivenUp = true;
      fill.fail(new ProxyError("http_response_incomplete", "nobody wants the rest"));
    };
  }

  static async begin(cache: Cache, key: string, bytes = DRIP.length): Promise<Dripping> {
    const asked = Asked.of(cache, key);
    await settle();
    assert.deepEqual(asked.outcomes, ["fill"]);
    return new Dripping(asked.fill!, bytes);
  }

  drip(): void {
    if (!this.isGivenUp) this.fill.write(this.#bytes, 0, this.#bytes.length);
  }

  /** Its client goes. */
  leave(): this {
    this.own.produced!.abort?.(new ProxyError("http_request_error", "the client has left"));
    return this;
  }
}

async function pass(stage: CacheStage, ms: number, ...dripping: readonly Dripping[]): Promise<void> {
  for (let passed = 0; passed < ms; passed += STEP_MS) {
    for (const one of dripping) one.drip();
    stage.clock.advance(STEP_MS);
    await settle();
  }
}

test("one that drips is given up when nobody has read it for a while, and its place is free", async () => {
  const stage = await CacheStage.open({ fillsMax: 1 });
  const { cache } = stage.thread();
  const dripping = (await Dripping.begin(cache, "http://host/a")).leave();
  await pass(stage, UNREAD_WINDOW_MS - 5000, dripping);
  assert.ok(!dripping.isGivenUp);
  await pass(stage, 10_000, dripping);
  assert.ok(dripping.isGivenUp);
  assert.equal(stage.broker.flights, 0);
  await Dripping.begin(cache, "http://host/b");
  await stage.close();
});

test("one that is fast enough goes on without readers", async () => {
  const stage = await CacheStage.open();
  const bytes = Math.ceil((UNREAD_BYTES_MIN / UNREAD_WINDOW_MS) * STEP_MS * 1.2);
  const slow = (await Dripping.begin(stage.thread().cache, "http://host/a", bytes)).leave();
  await pass(stage, 5 * UNREAD_WINDOW_MS, slow);
  assert.ok(!slow.isGivenUp);
  slow.fill.end();
  await settle();
  await stage.close();
});

test("one that somebody reads is never given up, on whichever thread that is, and others join it", async () => {
  for (const isElsewhere of [false, true]) {
    const stage = await CacheStage.open({ fillsMax: 1 });
    const one = stage.thread();
    const reading = isElsewhere ? stage.thread() : one;
    const dripping = await Dripping.begin(one.cache, "http://host/a");
    dripping.drip();
    await settle();
    const follower = Asked.of(reading.cache, "http://host/a");
    await settle();
    const taker = Taker.of(follower.answer!);
    dripping.leave();
    await pass(stage, 10 * UNREAD_WINDOW_MS, dripping);
    assert.deepEqual(Asked.of(one.cache, "http://host/b").outcomes, []);
    await pass(stage, STEP_MS, dripping);
    assert.ok(!dripping.isGivenUp);
    assert.equal(taker.outcome, "");
    const joined = Asked.of(one.cache, "http://host/a");
    await settle();
    assert.deepEqual(joined.outcomes, ["answer"]);
    // When that one has left, it is as good as any other.
    taker.produced!.abort?.(new ProxyError("http_request_error", "the client has left"));
    await pass(stage, 2 * UNREAD_WINDOW_MS, dripping);
    assert.ok(dripping.isGivenUp);
    await stage.close();
  }
});

test("when all places are taken, a request passes, and the slowest one that nobody reads makes room", async () => {
  const stage = await CacheStage.open({ fillsMax: 3 });
  const { cache } = stage.thread();
  const read = await Dripping.begin(cache, "http://host/read", 1);
  const fast = (await Dripping.begin(cache, "http://host/fast", 100_000)).leave();
  const slow = (await Dripping.begin(cache, "http://host/slow", 10_000)).leave();
  await pass(stage, STEP_MS, read, fast, slow);
  // Nobody knows yet which is the slowest.
  const early = Asked.of(cache, "http://host/early");
  await settle();
  assert.deepEqual(early.outcomes, ["pass: full"]);
  await pass(stage, UNREAD_MS_MIN, read, fast, slow);
  const asked = Asked.of(cache, "http://host/a");
  await settle();
  assert.deepEqual(asked.outcomes, ["pass: full"]);
  assert.deepEqual([read.isGivenUp, fast.isGivenUp, slow.isGivenUp], [false, false, true]);
  await Dripping.begin(cache, "http://host/a");
  assert.equal(read.own.outcome, "");
  await stage.close();
});

test("where all places are taken, a miss does not look at all of them", async () => {
  const fillsMax = 50;
  const stage = await CacheStage.open({ fillsMax });
  const { cache } = stage.thread();
  for (let index = 0; index < fillsMax; index++) {
    const dripping = await Dripping.begin(cache, `http://host/${index}`);
    // They keep their places, for as long as their origins take to end them.
    dripping.leave().fill.onUnwanted = null;
  }
  stage.clock.advance(UNREAD_MS_MIN);
  let looks = 0;
  const { table } = stage;
  const readersOf = table.readersOf.bind(table);
  table.readersOf = (row) => {
    looks++;
    return readersOf(row);
  };
  for (let index = 0; index < 2 * fillsMax; index++) {
    const asked = Asked.of(cache, `http://host/late/${index}`);
    await settle();
    assert.deepEqual(asked.outcomes, ["pass: full"]);
  }
  // All of them once to put them in order, and then each once more when its turn comes; who fetches looks as well.
  assert.ok(looks <= 3 * fillsMax, `${looks} looks`);
  await stage.close();
});

test("as many requests as come at once make room by the slowest ones, in order, and not by what is read by then", async () => {
  const stage = await CacheStage.open({ fillsMax: 5 });
  const { cache } = stage.thread();
  const dripping: Dripping[] = [];
  // The third is the slowest.
  for (const [index, bytes] of [40_000, 30_000, 10_000, 20_000, 50_000].entries()) {
    dripping.push((await Dripping.begin(cache, `http://host/${index}`, bytes)).leave());
  }
  await pass(stage, UNREAD_MS_MIN + STEP_MS, ...dripping);
  const given = () => dripping.flatMap(({ isGivenUp }, index) => (isGivenUp ? [index] : []));
  // Nobody is placed in between: what is given up has its place until it has ended.
  for (const one of dripping) {
    one.fill.onUnwanted = () => {
      one.isGivenUp = true;
    };
  }
  const ask = async (index: number): Promise<void> => {
    const asked = Asked.of(cache, `http://host/late/${index}`);
    await settle();
    assert.deepEqual(asked.outcomes, ["pass: full"]);
  };
  await ask(0);
  assert.deepEqual(given(), [2]);
  const reader = Asked.of(cache, "http://host/3");
  await settle();
  Taker.of(reader.answer!);
  await ask(1);
  assert.deepEqual(given(), [1, 2]);
  await ask(2);
  assert.deepEqual(given(), [0, 1, 2]);
  await ask(3);
  await ask(4);
  assert.deepEqual(given(), [0, 1, 2, 4]);
  await stage.close();
});

test("who reads slowly on another thread what has come whole holds no place", async () => {
  const stage = await CacheStage.open({ fillsMax: 1 });
  const [one, two] = [stage.thread(), stage.thread()];
  const body = Buffer.alloc(300_000, "0123456789abcdefghijk");
  const filling = await Dripping.begin(one.cache, "http://host/a");
  filling.fill.write(body, 0, 200_000);
  const follower = Asked.of(two.cache, "http://host/a");
  await settle(100);
  const taker = new Taker();
  const produced = follower.answer!.body.produce(taker, 0, -1);
  await settle(100);
  produced.pause();
  filling.fill.write(body, 200_000, body.length);
  filling.fill.end();
  await settle(300);
  assert.ok(taker.bytes < body.length && taker.outcome === "");
  assert.equal(stage.broker.flights, 0);
  await Dripping.begin(one.cache, "http://host/b");
  produced.resume();
  await settle(300);
  assert.equal(taker.outcome, "ended");
  assert.ok(taker.taken.equals(body));
  await stage.close();
});
