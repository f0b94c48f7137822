// Machines that share a cache: the same suite in memory and on Redis, and what happens when Redis is away.

import assert from "node:assert/strict";
import { test } from "node:test";
import { TIER_TIMES } from "../../src/caching/tier/member.ts";
import { TIER_LOG_MAX } from "../../src/caching/tier/ports.ts";
import type { Clock, TimerHandle } from "../../src/core/ports.ts";
import { SystemClock } from "../../src/io/clock.ts";
import { systemRandom } from "../../src/io/random.ts";
import { RedisTierStore } from "../../src/io/redis/tier-store.ts";
import { MemoryTier } from "../../src/testing/tier-store.ts";
import { VirtualClock } from "../../src/testing/virtual-clock.ts";
import { Asked, headOf, requestOf, settle } from "../support/cache-dialogue.ts";
import { CacheStage } from "../support/cache-stage.ts";
import { RedisServer, until } from "../support/redis.ts";
import { needs } from "../support/requirements.ts";
import { tierContract } from "./tier-contract.ts";

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
    until: async (holds) => {
      for (let turn = 0; !holds(); turn++) {
        assert.ok(turn < TURNS_MAX, "it does not come to pass");
        await settle();
        if (!holds()) clock.advance(20);
      }
    },
    async [Symbol.asyncDispose]() {},
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
  store.onChange = () => {};
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

const clock = new SystemClock();
/** Of seconds: what waits for them is tested in virtual time as well. */
const TIMES = { presenceMs: 3000, leaseMs: 2000, renewMs: 300 };

function openRedisTier(server: RedisServer, told: string[], commandTimeoutMs = 20_000): RedisTierStore {
  return new RedisTierStore(
    {
      name: "artifacts",
      logMax: TIER_LOG_MAX,
      address: async () => ({ host: "127.0.0.1", port: server.port }),
      username: null,
      password: null,
      database: 0,
      tls: null,
      connectTimeoutMs: commandTimeoutMs,
      commandTimeoutMs,
      mustBeMaster: false,
    },
    {
      clock,
      random: systemRandom,
      observer: {
        onAway: ({ message }) => void told.push(message),
        onBack: () => void told.push("back"),
        onUntracked() {},
      },
    },
  );
}

tierContract(
  "redis",
  async () => {
    const server = await RedisServer.start();
    return {
      clock,
      times: TIMES,
      open: () => openRedisTier(server, []),
      until,
      lose: async () => void (await server.run("FLUSHALL")),
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    };
  },
  needs("redis-server"),
);

test("a Redis that does not answer holds nobody up, is told of once, and is used again", {
  skip: needs("redis-server"),
}, async (t) => {
  await using server = await RedisServer.start();
  const told: string[] = [];
  const store = openRedisTier(server, told, 1500);
  const stage = await CacheStage.open({ tier: { store, machine: "a", clock, times: TIMES } });
  t.after(() => stage.close());
  await until(() => stage.tier!.isServing);
  const { cache } = stage.thread();
  told.length = 0;
  server.freeze();
  const held = Asked.of(cache, "http://host/a");
  await until(() => held.outcomes.length > 0);
  assert.deepEqual(held.outcomes, ["fill"]);
  held.fill!.release("failed", 0);
  await until(() => !stage.tier!.isServing);
  const passed = Asked.of(cache, "http://host/b", requestOf());
  assert.deepEqual(passed.outcomes, ["pass: off"]);
  assert.equal(told.length, 1, told.join("; "));
  server.thaw();
  await until(() => stage.tier!.isServing && told.at(-1) === "back");
});
