// Machines that share a cache, and a Redis that loses something: restarted, evicting, full, never there, or another server that had not
// seen all. Whatever happens, what was purged is not served by a machine that may not know of it.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { TIER_LOG_MAX } from "../../src/caching/tier/ports.ts";
import { SHARED_FORMAT } from "../../src/caching/tier/shared-answer.ts";
import { systemRandom } from "../../src/io/random.ts";
import { RedisTierStore } from "../../src/io/redis/tier-store.ts";
import { Asked, requestOf, settle } from "../support/cache-dialogue.ts";
import { CacheStage } from "../support/cache-stage.ts";
import { freePort } from "../support/free-port.ts";
import { RedisServer, until } from "../support/redis.ts";
import { needs } from "../support/requirements.ts";
import { asked, comesTo, done, fill, join, OTHER, PURGE, URL } from "./tier-machines.ts";
import { keyOf, LONG_TIMES, onServers, openTier, SHORT_TIMES, tierClock } from "./tier-stage.ts";

const skip = needs("redis-server");

describe("one server", { skip, concurrency: 6 }, () => {
  let server: RedisServer;
  before(async () => {
    server = await RedisServer.start();
  });
  after(() => server[Symbol.asyncDispose]());

  for (const which of ["state", "machines"]) {
    test(`evicts its ${which}: as if all were lost, and a purge waits for whom it had known`, async (t) => {
      const tier = onServers([server], SHORT_TIMES);
      const [a, b] = [await join(tier, t, "a"), await join(tier, t, "b")];
      await fill(tier, a, URL, Buffer.from("bad"));
      a.way.isCut = true;
      await server.run("DEL", keyOf(tier.name, which));
      await done(tier, b.stage.tier!.purge(PURGE, { soft: false }));
      assert.equal(a.cache.find(URL, requestOf()), null);
      a.way.isCut = false;
      await until(() => a.stage.tier!.isServing);
      assert.equal(a.cache.find(URL, requestOf()), null);
    });
  }

  test("evicts its log: who has not read it forgets everything", async (t) => {
    const tier = onServers([server], SHORT_TIMES);
    const [a, b] = [await join(tier, t, "a"), await join(tier, t, "b")];
    for (const key of [URL, OTHER]) await fill(tier, a, key, Buffer.from("bad"));
    await comesTo(tier, b, OTHER);
    a.way.isCut = true;
    await done(tier, b.stage.tier!.purge(PURGE, { soft: false }));
    await server.run("DEL", keyOf(tier.name, "log"));
    a.way.isCut = false;
    await until(() => a.stage.tier!.isServing);
    for (const key of [URL, OTHER]) assert.equal(a.cache.find(key, requestOf()), null);
    assert.ok(b.cache.find(OTHER, requestOf()));
  });

  test("has machines of another version: they share purges and no answers", async (t) => {
    const tier = onServers([server], LONG_TIMES);
    const a = await join(tier, t, "a");
    const old = await join(tier, t, "old", tier.clock, openTier({ url: server.url }, tier.name, null, "0.9"));
    await fill(tier, a, URL, Buffer.from("new"));
    await fill(tier, old, URL, Buffer.from("old"));
    await done(tier, a.stage.tier!.purge(PURGE, { soft: false }));
    assert.equal(old.cache.find(URL, requestOf()), null);
    // What nobody here can read is taken for everything.
    await fill(tier, a, OTHER, Buffer.from("new"));
    await old.way.append(old.way.generation, "x", '{"later":"versions"}');
    await until(() => a.cache.find(OTHER, requestOf()) === null);
  });

  test("lets a user do what is needed and nothing else", async (t) => {
    const name = onServers([server], LONG_TIMES).name;
    const commands = ["eval", "hmget", "hget", "hset", "hsetnx", "hgetall", "hdel", "del", "xadd", "xrange"];
    commands.push("time", "info", "pttl", "pexpire", "multi", "exec", "ping", "hello", "client|tracking");
    const rights = ["-@all", ...commands.map((command) => `+${command}`), "~headgate:cache:*"];
    await server.run("ACL", "SETUSER", "cache", "on", ">word", ...rights);
    const url = server.url.replace("//", "//cache:word@");
    const tier = { ...onServers([server], LONG_TIMES), open: () => openTier({ url }, name) };
    const [a, b] = [
      await join({ ...tier, grow: async () => {} }, t, "a"),
      await join(
        { ...tier, grow: async () => void (await server.run("HSET", keyOf(name, "state"), "young", "0")) },
        t,
        "b",
      ),
    ];
    const body = Buffer.alloc(600_000, "abc");
    await fill(tier, a, URL, body);
    assert.deepEqual(await comesTo(tier, b, URL), body);
    await done(tier, b.stage.tier!.purge(PURGE, { soft: false }));
    assert.equal(a.cache.find(URL, requestOf()), null);
    assert.deepEqual([a.stage.tier!.stats().errors, b.stage.tier!.stats().errors], [0, 0]);
    await server.run("ACL", "SETUSER", "cache", "-xadd");
    await assert.rejects(
      done(tier, a.stage.tier!.purge(PURGE, { soft: false })),
      /Redis says NOPERM: the user has no right to a command or a key$/,
    );
  });
});

test("restarted without what it had: all forget everything, and go on", { skip }, async (t) => {
  await using server = await RedisServer.start();
  const tier = onServers([server], LONG_TIMES);
  const [a, b] = [await join(tier, t, "a"), await join(tier, t, "b")];
  for (const key of [URL, OTHER]) await fill(tier, a, key, Buffer.from("bad"));
  await comesTo(tier, b, URL);
  await done(tier, a.stage.tier!.purge({ kind: "url", text: "http://host/none" }, { soft: false }));
  await server.stop("SIGKILL");
  await server.restart();
  await until(() => a.cache.find(OTHER, requestOf()) === null && b.cache.find(URL, requestOf()) === null);
  await until(() => a.stage.tier!.isServing && b.stage.tier!.isServing);
  await fill(tier, a, URL, Buffer.from("new"));
  assert.equal(String(await comesTo(tier, b, URL)), "new");
});

test("full, and evicting nothing: machines are cut off, say why, and come back when there is room", {
  skip,
}, async (t) => {
  await using server = await RedisServer.start();
  const tier = onServers([server], SHORT_TIMES);
  const a = await join(tier, t, "a");
  await server.run("CONFIG", "SET", "maxmemory-policy", "noeviction", "maxmemory", "1000");
  await until(() => !a.stage.tier!.isServing);
  assert.equal(a.stage.tier!.stats().cutOff, "Redis says OOM: it is out of memory");
  await assert.rejects(a.stage.tier!.purge(PURGE, { soft: false }), /cannot be told now/);
  await server.run("CONFIG", "SET", "maxmemory", "0");
  await until(() => a.stage.tier!.isServing);
  assert.equal(a.stage.tier!.stats().owed, 0);
});

test("a replica that lags becomes the server: what it had not seen is not lost", { skip }, async (t) => {
  await using first = await RedisServer.start();
  await using replica = await RedisServer.start({ args: ["--replicaof", "127.0.0.1", String(first.port)] });
  let server = first;
  const open = () =>
    new RedisTierStore(
      {
        address: async () => ({ host: "127.0.0.1", port: server.port }),
        username: null,
        password: null,
        database: 0,
        tls: null,
        tracking: true,
        connectTimeoutMs: 20_000,
        commandTimeoutMs: 20_000,
        mustBeMaster: true,
      },
      null,
      { name: "artifacts", format: SHARED_FORMAT, logMax: TIER_LOG_MAX },
      { clock: tierClock, random: systemRandom, onUntracked() {} },
    );
  const grow = async () => void (await first.run("HSET", keyOf("artifacts", "state"), "young", "0"));
  const tier = { ...onServers([first], SHORT_TIMES), open, grow };
  const [a, b, c] = [await join(tier, t, "a"), await join(tier, t, "b"), await join(tier, t, "c")];
  await fill(tier, a, URL, Buffer.from("bad"));
  await comesTo(tier, c, URL);
  c.way.isCut = true;
  await until(async () => String(await replica.run("INFO", "replication")).includes("master_link_status:up"));
  const last = () => first.run("HGET", keyOf("artifacts", "state"), "last");
  await until(async () => (await replica.run("HGET", keyOf("artifacts", "state"), "last")) === (await last()));
  await replica.run("REPLICAOF", "127.0.0.1", String(await freePort()));
  await done(tier, b.stage.tier!.purge(PURGE, { soft: false }));
  server = replica;
  await first.stop("SIGKILL");
  await replica.run("REPLICAOF", "NO", "ONE");
  c.way.isCut = false;
  await until(() => c.stage.tier!.isServing && a.stage.tier!.isServing);
  assert.equal(c.cache.find(URL, requestOf()), null);
  // The log goes on for all of them.
  await fill(tier, a, OTHER, Buffer.from("text"));
  await comesTo(tier, c, OTHER);
  await done(tier, b.stage.tier!.purge({ kind: "url", text: OTHER }, { soft: false }));
  for (const { cache } of [a, c]) assert.equal(cache.find(OTHER, requestOf()), null);
});

test("not there at the start: nobody waits for it, one word about it, and it is used when it comes", {
  skip,
}, async (t) => {
  await using server = await RedisServer.start();
  await server.stop();
  const told: (string | null)[] = [];
  const store = openTier({ url: server.url }, "late");
  const onChange = (cutOff: string | null) => void told.push(cutOff);
  const stage = await CacheStage.open({
    tier: { store, machine: "a", clock: tierClock, times: SHORT_TIMES, onChange },
  });
  t.after(() => stage.close());
  const { cache } = stage.thread();
  const passed = Asked.of(cache, URL);
  await settle();
  assert.deepEqual(passed.outcomes, ["pass: off"]);
  await until(() => told.length > 0);
  await assert.rejects(stage.tier!.purge(PURGE, { soft: false }), /cannot be told now/);
  await server.restart();
  await until(() => stage.tier!.isServing);
  assert.deepEqual(told, [
    "Redis cannot be reached: connection refused, nothing accepts connections there (ECONNREFUSED)",
    null,
  ]);
  assert.deepEqual((await asked(onServers([server], LONG_TIMES), { stage, cache, way: null as never }, URL)).outcomes, [
    "fill",
  ]);
});
