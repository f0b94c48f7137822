// Machines that share a cache: the same suite in memory, on one server of Redis, and on a cluster; and what happens when Redis is away.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { TIER_TIMES } from "../../src/caching/tier/member.ts";
import { TIER_WAIT_MS } from "../../src/caching/tier/shared-answers.ts";
import type { Clock, TimerHandle } from "../../src/core/ports.ts";
import { MemoryTier } from "../../src/testing/tier-store.ts";
import { VirtualClock } from "../../src/testing/virtual-clock.ts";
import { Asked, headOf, requestOf, settle } from "../support/cache-dialogue.ts";
import { CacheStage } from "../support/cache-stage.ts";
import { RedisServer, startCluster, until } from "../support/redis.ts";
import { needs } from "../support/requirements.ts";
import { tierContract } from "./tier-contract.ts";
import { LONG_TIMES, onServers, openTier, SHORT_TIMES, tierClock } from "./tier-stage.ts";

/** A virtual second is a few turns; if it takes more than this, it hangs. */
const TURNS_MAX = 2000;

tierContract("memory", async () => {
  const clock = new VirtualClock();
  const tier = new MemoryTier(clock);
  return {
    clock,
    times: TIER_TIMES,
    open: () => tier.open(),
    lose: async () => tier.lose(),
    remember: async () => {
      const takeOver = tier.remember();
      return async () => takeOver();
    },
    grow: async () => tier.grow(),
    until: async (holds) => {
      for (let turn = 0; !holds(); turn++) {
        assert.ok(turn < TURNS_MAX, "it does not come to pass");
        await settle();
        if (!holds()) clock.advance(20);
      }
    },
  };
});

/** Of a thread that stands still: time goes on, and nothing is done in it. */
class Standing implements Clock {
  readonly #clock: Clock;
  isStanding = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  now(): number {
    return this.#clock.now();
  }

  wallMs(): number {
    return this.#clock.wallMs();
  }

  after(delayMs: number, callback: () => void): TimerHandle {
    return this.#clock.after(delayMs, () => {
      if (!this.isStanding) callback();
    });
  }
}

test("what another machine has purged is not found by the threads of a keeper that stands still", async (t) => {
  const clock = new VirtualClock();
  const tier = new MemoryTier(clock);
  const standing = new Standing(clock);
  const store = tier.open();
  const one = await CacheStage.open({ clock, tier: { store, machine: "a", clock: standing } });
  const other = await CacheStage.open({ clock, tier: { store: tier.open(), machine: "b" } });
  t.after(() => Promise.all([one.close(), other.close()]));
  const advance = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += 20) {
      clock.advance(20);
      await settle();
    }
  };
  await advance(100);
  const { cache } = one.thread();
  const asked = Asked.of(cache, "http://host/a");
  await advance(100);
  asked.fill!.begin(headOf(0));
  asked.fill!.end();
  await advance(2100);
  assert.ok(cache.find("http://host/a", requestOf()));
  // Nothing reaches it, no timer fires, and its look-ups are those of other threads.
  standing.isStanding = true;
  store.onLog = () => {};
  store.onMachines = () => {};
  let isPurged = false;
  void other.tier!.purge({ kind: "prefix", text: "" }, { soft: false }).then(() => {
    isPurged = true;
  });
  while (!isPurged) {
    assert.ok(clock.now() < 60_000);
    await advance(20);
  }
  assert.equal(cache.find("http://host/a", requestOf()), null);
  assert.deepEqual(Asked.of(cache, "http://host/a").outcomes, ["pass: off"]);
});

const skip = needs("redis-server");
const running: RedisServer[] = [];
after(() => Promise.all(running.map((server) => server[Symbol.asyncDispose]())));

let server: Promise<RedisServer> | null = null;
tierContract(
  "redis",
  async (isShort) => {
    server ??= RedisServer.start().then((started) => {
      running.push(started);
      return started;
    });
    return onServers([await server], isShort ? SHORT_TIMES : LONG_TIMES);
  },
  { skip },
);

let cluster: Promise<readonly RedisServer[]> | null = null;
tierContract(
  "cluster",
  async () => {
    cluster ??= startCluster().then((started) => {
      running.push(...started);
      return started;
    });
    return onServers(await cluster, LONG_TIMES);
  },
  // What happens when time passes does not depend on which server has what.
  { skip, waits: false },
);

test("a Redis that does not answer holds nobody up, and is used again", { skip }, async (t) => {
  await using frozen = await RedisServer.start();
  const store = openTier({ url: frozen.url, timeouts: { command: "5s" } }, "frozen");
  const told: (string | null)[] = [];
  const stage = await CacheStage.open({
    tier: { store, machine: "a", clock: tierClock, times: SHORT_TIMES, onChange: (cutOff) => void told.push(cutOff) },
  });
  t.after(() => stage.close());
  await until(() => stage.tier!.isServing);
  const { cache } = stage.thread();
  frozen.freeze();
  const started = performance.now();
  const held = Asked.of(cache, "http://host/a");
  await until(() => held.outcomes.length > 0);
  assert.deepEqual(held.outcomes, ["fill"]);
  held.fill!.release("failed", 0);
  assert.ok(performance.now() - started >= TIER_WAIT_MS - 1);
  assert.deepEqual([stage.tier!.stats().late, stage.tier!.stats().errors], [1, 0]);
  // The next one does not wait at all.
  const next = Asked.of(cache, "http://host/b");
  await settle();
  assert.deepEqual(next.outcomes, ["fill"]);
  next.fill!.release("failed", 0);
  await until(() => !stage.tier!.isServing);
  const passed = Asked.of(cache, "http://host/c", requestOf());
  assert.deepEqual(passed.outcomes, ["pass: off"]);
  frozen.thaw();
  await until(() => stage.tier!.isServing);
  assert.equal(told.length, 3, told.join("; "));
  assert.match(told[1]!, /^Redis /);
  assert.deepEqual([told[0], told[2]], [null, null]);
});
