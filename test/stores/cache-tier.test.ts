// Machines that share a cache: the same suite in memory, on one server of Redis, and on a cluster; and what happens when Redis is away.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { TIER_TIMES } from "../../src/caching/tier/member.ts";
import { TIER_WAIT_MS } from "../../src/caching/tier/shared-answers.ts";
import { MemoryTier } from "../../src/testing/tier-store.ts";
import { VirtualClock } from "../../src/testing/virtual-clock.ts";
import { Asked, requestOf, settle } from "../support/cache-dialogue.ts";
import { CacheStage } from "../support/cache-stage.ts";
import { RedisServer, startCluster, until } from "../support/redis.ts";
import { needs } from "../support/requirements.ts";
import { tierContract } from "./tier-contract.ts";
import { onServers, openTier, TIMES, tierClock } from "./tier-stage.ts";

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

const skip = needs("redis-server");
const running: RedisServer[] = [];
after(() => Promise.all(running.map((server) => server[Symbol.asyncDispose]())));

let server: Promise<RedisServer> | null = null;
tierContract(
  "redis",
  async () => {
    server ??= RedisServer.start().then((started) => {
      running.push(started);
      return started;
    });
    return onServers([await server], false);
  },
  skip,
);

let cluster: Promise<readonly RedisServer[]> | null = null;
tierContract(
  "cluster",
  async () => {
    cluster ??= startCluster().then((started) => {
      running.push(...started);
      return started;
    });
    return onServers(await cluster, true);
  },
  skip,
);

test("a Redis that does not answer holds nobody up, and is used again", { skip }, async (t) => {
  await using frozen = await RedisServer.start();
  const store = openTier({ url: frozen.url, timeouts: { command: "1500ms" } }, "frozen");
  const told: (string | null)[] = [];
  const stage = await CacheStage.open({
    tier: { store, machine: "a", clock: tierClock, times: TIMES, onChange: (cutOff) => void told.push(cutOff) },
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
