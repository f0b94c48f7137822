// What an LMDB promises besides the contract: nobody else can read its files, every thread and process sees what another one
// changes, what has expired is removed, what it does not know is left alone, and a thread that dies leaves nothing behind.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, describe, test } from "node:test";
import { Worker } from "node:worker_threads";
import { open } from "lmdb";
import { LmdbSessionStore } from "../../src/io/lmdb/session-store.ts";
import { VirtualClock } from "../../src/testing/virtual-clock.ts";
import { until } from "../support/redis.ts";
import { keysOf } from "./contract.ts";
import { SURROUNDINGS } from "./redis-stage.ts";

const root = mkdtempSync(path.join(os.tmpdir(), "headgate-lmdb-"));
after(() => rmSync(root, { recursive: true }));
let count = 0;
const newFolder = (): string => path.join(root, String(count++), "sessions");
const modeOf = (file: string): string => (statSync(file).mode & 0o777).toString(8);

/** A program that opens the store in `FOLDER` as `store`. */
const program = (body: string): string => `
  import { LmdbSessionStore } from ${JSON.stringify(new URL("../../src/io/lmdb/session-store.ts", import.meta.url).href)};
  import { SystemClock } from ${JSON.stringify(new URL("../../src/io/clock.ts", import.meta.url).href)};
  import { parentPort, workerData } from "node:worker_threads";
  const around = { clock: new SystemClock(), random: { next: Math.random }, unavailable: (cause) => cause };
  const store = new LmdbSessionStore(workerData ?? process.argv[1], around);
  ${body}
`;

function worker(folder: string, body: string): Worker {
  return new Worker(new URL(`data:text/javascript,${encodeURIComponent(program(body))}`), { workerData: folder });
}

describe("an LMDB of sessions", () => {
  test("is its owner's alone", async () => {
    const folder = newFolder();
    const store = new LmdbSessionStore(folder, SURROUNDINGS);
    await store.put("k", "v", null);
    assert.deepEqual([folder, `${folder}/data.mdb`, `${folder}/lock.mdb`].map(modeOf), ["700", "600", "600"]);
    await store.close();
  });

  test("is there again after it was closed, and for another process", async () => {
    const folder = newFolder();
    const first = new LmdbSessionStore(folder, SURROUNDINGS);
    await first.put("k", "v", 3_600_000);
    await first.close();
    const second = new LmdbSessionStore(folder, SURROUNDINGS);
    const record = (await second.get("k"))!;
    assert.equal(record.value, "v");
    assert.ok(record.expiresMs > performance.now() + 3_500_000);
    const body =
      'await store.put("theirs", (await store.get("k")).value, null); await store.delete("k"); await store.close();';
    const { stderr, status } = spawnSync(process.execPath, ["--input-type=module", "-e", program(body), folder], {
      encoding: "utf8",
    });
    assert.equal(status, 0, stderr);
    await until(() => second.peek("k") === null);
    assert.equal((await second.get("theirs"))?.value, "v");
    await second.close();
  });

  test("a session that one thread deletes is gone for the others within 50 ms", async () => {
    const folder = newFolder();
    const store = new LmdbSessionStore(folder, SURROUNDINGS);
    const other = worker(
      folder,
      'parentPort.on("message", async (key) => { await store.delete(key); parentPort.postMessage(key); });',
    );
    const taken: number[] = [];
    for (let round = 0; round < 20; round++) {
      const key = `k${round}`;
      await store.put(key, "v", null);
      assert.equal(store.peek(key)?.value, "v");
      other.postMessage(key);
      await once(other, "message");
      const start = performance.now();
      while (store.peek(key) !== null) await new Promise(setImmediate);
      taken.push(performance.now() - start);
    }
    taken.sort((left, right) => left - right);
    // The fastest quarter: a crowded machine may keep threads from running for longer than that in most rounds.
    assert.ok(taken[4]! < 50, taken.join());
    await other.terminate();
    await store.close();
  });

  test("gives the same object until the record is another", async () => {
    const store = new LmdbSessionStore(newFolder(), SURROUNDINGS);
    await store.put("k", "v", null);
    const record = store.peek("k");
    assert.equal(store.peek("k"), record);
    assert.equal(await store.get("k"), record);
    await store.put("k", "v", null);
    await until(() => store.peek("k") !== record);
    assert.equal(store.peek("k")?.value, "v");
    await store.close();
  });

  test("what has expired is removed, and nothing else", async () => {
    const clock = new VirtualClock();
    const folder = newFolder();
    const store = new LmdbSessionStore(folder, { ...SURROUNDINGS, clock });
    for (let index = 0; index < 600; index++) await store.put(`k${index}`, "v", index % 3 === 0 ? 1000 : null);
    const database = open<Buffer, string>({ path: folder, noSubdir: false, encoding: "binary" });
    await database.put("foreign", Buffer.from("short"));
    clock.advance(999);
    assert.equal(await store.sweep(), 0);
    clock.advance(1);
    assert.equal(await store.sweep(), 200);
    assert.equal((await keysOf(store, "")).length, 400);
    assert.equal(database.get("foreign")?.toString(), "short");
    assert.equal(await store.get("foreign"), null);
    assert.equal(await store.delete("foreign"), false);
    await database.close();
    await store.close();
  });

  test("sweeps by itself now and then", async () => {
    const clock = new VirtualClock();
    const folder = newFolder();
    const store = new LmdbSessionStore(folder, { ...SURROUNDINGS, clock });
    await store.put("k", "v", 1000);
    const database = open<Buffer, string>({ path: folder, noSubdir: false, encoding: "binary" });
    clock.advance(600_000);
    await until(() => database.get("k") === undefined);
    await database.close();
    await store.close();
    assert.equal(clock.pendingTimers, 0);
  });

  test("on a full disk refuses what does not fit, for which nothing else breaks, and goes on when there is room", async (context) => {
    const disk = path.join(root, "small-disk");
    mkdirSync(disk);
    const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=1m", "none", disk]);
    if (mounted.status !== 0) return context.skip("needs the right to mount");
    try {
      const store = new LmdbSessionStore(path.join(disk, "sessions"), SURROUNDINGS);
      await store.put("kept", "value", null);
      const value = "x".repeat(30_000);
      let stored = 0;
      const refused: Error[] = [];
      while (refused.length < 3) {
        const puts = [0, 1, 2, 3].map((index) => store.put(`k${stored + index}`, value, null));
        for (const { status, ...outcome } of await Promise.allSettled(puts)) {
          if (status === "fulfilled") stored++;
          else refused.push((outcome as PromiseRejectedResult).reason as Error);
        }
      }
      for (const { cause } of refused)
        assert.match((cause as Error).message, /^(No space left on device|Input\/output error)$/);
      // What nobody has heard of by now ends the process.
      await new Promise(setImmediate);
      assert.equal((await store.get("kept"))?.value, "value");
      assert.ok(stored > 3);
      await store.close();
    } finally {
      spawnSync("umount", ["-l", disk]);
    }
  });

  test("threads that die leave no reader behind", async () => {
    const folder = newFolder();
    const store = new LmdbSessionStore(folder, SURROUNDINGS);
    await store.put("k", "v", null);
    for (let round = 0; round < 5; round++) {
      const workers = Array.from({ length: 2 }, () =>
        worker(folder, 'store.peek("k"); parentPort.postMessage(0); for (;;) store.peek("k");'),
      );
      await Promise.all(workers.map((one) => once(one, "message")));
      await Promise.all(workers.map((one) => one.terminate()));
    }
    const database = open({ path: folder, noSubdir: false, encoding: "binary" });
    const readers = database.readerList().trim().split("\n").length - 1;
    assert.ok(readers <= 2, database.readerList());
    assert.equal((await store.get("k"))?.value, "v");
    await database.close();
    await store.close();
  });
});
