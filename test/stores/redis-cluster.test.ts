// A cluster of real servers: a node that is silent takes its own keys along and no others, keys that move are followed, and what is
// deleted is gone from memory whichever node had it. And sentinels, which make another server the master.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { slotOf } from "../../src/io/redis/slots.ts";
import { RedisServer, startCluster, until } from "../support/redis.ts";
import { needs } from "../support/requirements.ts";
import { openRedis } from "./redis-stage.ts";

const isDone = (asked: Promise<unknown>): Promise<boolean> =>
  asked.then(
    () => true,
    () => false,
  );

/** A key of each of the three nodes, by its third of the slots. */
const KEYS = ["a", "b", "c", "d", "e", "f", "g", "h"].map((name) => `session:${name}`);
const keyOf = (node: number): string => KEYS.find((key) => Math.floor(slotOf(key) / 5462) === node)!;

test("slots are those of the specification", () => {
  assert.equal(slotOf("123456789"), 0x31c3);
  assert.equal(slotOf("foo"), 12_182);
  assert.equal(slotOf("{user1000}.following"), slotOf("user1000"));
  assert.equal(slotOf("foo{}{bar}"), 8363);
  assert.equal(slotOf("foo{{bar}}zap"), slotOf("{bar"));
  assert.equal(slotOf("{é}x"), slotOf("é"));
  assert.notEqual(slotOf("é"), slotOf("e"));
});

describe("a cluster", { skip: needs("redis-server") }, () => {
  let servers: readonly RedisServer[];
  before(async () => {
    servers = await startCluster();
  });
  after(() => Promise.all(servers.map((server) => server[Symbol.asyncDispose]())));

  test("says what changes, whichever node has it", async () => {
    const store = openRedis({ url: servers[2]!.url, cluster: true });
    for (const [node, server] of servers.entries()) {
      const key = keyOf(node);
      await store.put(key, "v", null);
      assert.equal((await store.get(key))?.value, "v");
      assert.equal(store.peek(key)?.value, "v");
      await server.run("DEL", key);
      await until(() => store.peek(key) === undefined);
      assert.equal(await store.get(key), null);
    }
  });

  test("with a silent node: its keys fail soon, the others go on, and all is well again behind it", async () => {
    const store = openRedis({ url: servers[0]!.url, cluster: true, timeouts: { command: "500ms", connect: "1s" } });
    const keys = [0, 1, 2].map(keyOf);
    await until(async () => {
      for (const key of keys) if ((await store.get(key).catch(() => undefined)) === undefined) return false;
      return true;
    });
    for (const key of keys) await until(() => isDone(store.put(key, key, null)));
    servers[1]!.freeze();
    try {
      await assert.rejects(store.get(keys[1]!));
      for (let round = 0; round < 50; round++) {
        for (const key of [keys[0]!, keys[2]!]) {
          await until(async () => (await store.get(key).catch(() => null))?.value === key);
        }
      }
      await assert.rejects(store.get(keys[1]!));
    } finally {
      servers[1]!.thaw();
    }
    await until(async () => (await store.get(keys[1]!).catch(() => null))?.value === keys[1]);
    for (const key of keys) await until(() => isDone(store.delete(key)));
  });

  test("whose keys move is followed, also on the way", async () => {
    const store = openRedis({ url: servers[0]!.url, cluster: true });
    const key = keyOf(0);
    const slot = String(slotOf(key));
    const [from, to] = [servers[0]!, servers[1]!];
    const [fromId, toId] = [String(await from.run("CLUSTER", "MYID")), String(await to.run("CLUSTER", "MYID"))];
    await store.put(key, "moving", null);
    assert.equal((await store.get(key))?.value, "moving");
    await to.run("CLUSTER", "SETSLOT", slot, "IMPORTING", fromId);
    await from.run("CLUSTER", "SETSLOT", slot, "MIGRATING", toId);
    await from.run("MIGRATE", "127.0.0.1", String(to.port), key, "0", "60000");
    await until(() => store.peek(key) === undefined);
    assert.equal((await store.get(key))?.value, "moving", "ASK");
    assert.equal(store.peek(key), undefined, "what is on the way is not kept");
    await store.put(key, "changed", null);
    assert.equal((await store.get(key))?.value, "changed");
    await to.run("CLUSTER", "SETSLOT", slot, "NODE", toId);
    await from.run("CLUSTER", "SETSLOT", slot, "NODE", toId);
    assert.equal((await store.get(key))?.value, "changed", "MOVED");
    assert.equal(store.peek(key)?.value, "changed");
    await to.run("DEL", key);
    await until(() => store.peek(key) === undefined);
    assert.equal(await store.get(key), null);
  });

  test("without any node that can be asked: soon, and again when one can", async () => {
    const store = openRedis({ url: servers[0]!.url, cluster: true, timeouts: { command: "200ms", connect: "300ms" } });
    for (const server of servers) server.freeze();
    const start = performance.now();
    try {
      await assert.rejects(store.get("k"));
      await assert.rejects(store.get("k"));
      assert.ok(performance.now() - start < 60_000);
    } finally {
      for (const server of servers) server.thaw();
    }
    await until(() => isDone(store.get("k")));
  });
});

test("another server becomes the master: sessions go on there", { skip: needs("redis-server") }, async () => {
  await using master = await RedisServer.start();
  await using replica = await RedisServer.start({ args: ["--replicaof", "127.0.0.1", String(master.port)] });
  await until(async () => String(await replica.run("INFO", "replication")).includes("master_link_status:up"));
  const file = path.join(master.folder, "sentinel.conf");
  // For now it takes no pause of the master for its end.
  const lines = [`monitor main 127.0.0.1 ${master.port} 1`, "down-after-milliseconds main 120000"];
  writeFileSync(file, lines.map((line) => `sentinel ${line}\n`).join(""));
  await using sentinel = await RedisServer.start({ args: [file, "--sentinel"] });
  const store = openRedis({
    url: "redis://unused.invalid",
    sentinel: { name: "main", nodes: [`127.0.0.1:${sentinel.port}`] },
  });
  await store.put("k", "v", null);
  assert.equal((await store.get("k"))?.value, "v");
  await until(async () => (await replica.run("GET", "k")) === "v");
  await until(async () =>
    JSON.stringify(await sentinel.run("SENTINEL", "REPLICAS", "main")).includes(String(replica.port)),
  );
  await master.stop("SIGKILL");
  await sentinel.run("SENTINEL", "SET", "main", "down-after-milliseconds", "500");
  // Until the sentinel has noticed, nobody can be asked; then the replica is the master, and takes writes.
  await until(() => isDone(store.put("after", "v", null)));
  assert.equal((await store.get("k"))?.value, "v");
  assert.equal(await replica.run("GET", "after"), "v");
  await assert.rejects(
    Promise.resolve(
      openRedis({ url: "redis://x", sentinel: { name: "other", nodes: [`127.0.0.1:${sentinel.port}`] } }).get("k"),
    ),
    (error: Error) => /know no master by this name/.test((error.cause as Error).message),
  );
});
