// A keeper whose thread stands still, with real threads and real time: what it holds by its lease is not found by other threads
// when the lease is over, though nobody tells them so.

import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { entryIdOf } from "../../src/caching/keeping/entry-id.ts";
import { Keeper } from "../../src/caching/keeping/keeper.ts";
import { SharedCache } from "../../src/caching/shared.ts";
import { KeeperTier } from "../../src/caching/tier/keeper-tier.ts";
import { openCacheBooks } from "../../src/io/cache/open.ts";
import { UnheldClock } from "../../src/io/clock.ts";
import { MemoryTier } from "../../src/testing/tier-store.ts";
import { headOf } from "../support/cache-dialogue.ts";
import { FirstInFirstOut } from "../support/first-in-first-out.ts";
import { TestFolder } from "../support/folder.ts";
import { until } from "../support/redis.ts";

const KEY = "https://host/a";
/** Presence never ends here, however busy the machine is. */
const TIMES = { presenceMs: 3_600_000, leaseMs: 400, renewMs: 100 };
/** The reader makes thousands in a second. */
const LOOKS = 100;
const LOOKS_MS_MAX = 60_000;
const clock = new UnheldClock();
const url = (file: string): string => JSON.stringify(new URL(`../../src/${file}`, import.meta.url).href);

/** Looks it up, on a cold path and as hot memory does: cell 0 counts how often it was there, cell 1 how often it was not. */
const reader = `
  import { workerData } from "node:worker_threads";
  import { openCacheDisk } from ${url("io/cache/open.ts")};
  import { UnheldClock } from ${url("io/clock.ts")};
  import { SharedCache } from ${url("caching/shared.ts")};
  import { StoredReader } from ${url("caching/keeping/stored-reader.ts")};
  const { folder, memory, cells, id } = workerData;
  const disk = openCacheDisk(folder);
  const reader = new StoredReader(disk, new SharedCache(memory, new UnheldClock()), () => {});
  let held = null;
  while (Atomics.load(cells, 2) === 0) {
    held = held !== null && reader.isUnchanged(held.shard, held.epoch) ? held : reader.read(id);
    Atomics.add(cells, held === null ? 1 : 0, 1);
  }
  disk.close();
`;

/** Nothing is done in this thread meanwhile. */
function standStill(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

function looksIn(cells: Int32Array): number {
  return Atomics.load(cells, 0) + Atomics.load(cells, 1);
}

test("threads find nothing when the lease is over, though the keeper's thread stands still", async (t) => {
  using folder = new TestFolder();
  const shared = SharedCache.ofOneThread(1024, clock);
  const keeper = await Keeper.open(
    { bytesMax: 2 ** 30, objectBytesMax: 2 ** 30, inactiveMs: null, freeBytesMin: 0 },
    {
      books: openCacheBooks(folder.path),
      clock,
      random: { next: Math.random },
      shared,
      policy: new FirstInFirstOut(),
      events: { onTrouble: assert.fail, onRecovered: assert.fail },
    },
  );
  const memory = new MemoryTier(clock);
  const tier = new KeeperTier({ keeper, store: memory.open(), clock, times: TIMES, machine: "a" });
  tier.start();
  const body = { kind: "inline", start: 0, end: 1, bytes: Buffer.from("x") } as const;
  const { isKept } = await keeper.keeping.keep({
    key: KEY,
    head: headOf(1),
    body,
    vary: null,
    since: keeper.keeping.mark(),
  });
  assert.ok(isKept);
  const cells = new Int32Array(new SharedArrayBuffer(12));
  const workerData = { folder: folder.path, memory: shared.memory, cells, id: entryIdOf(KEY, "") };
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(reader)}`), { workerData });
  const over = once(worker, "exit");
  t.after(() => Atomics.store(cells, 2, 1));
  await until(() => {
    // Who loses a lease on a server that has just begun waits for a whole presence.
    memory.grow();
    return Atomics.load(cells, 0) > 0;
  });
  // As long as it renews its lease, it is found: this takes longer than one.
  const startMs = clock.now();
  await until(() => clock.now() - startMs > 2 * TIMES.leaseMs);
  standStill(TIMES.leaseMs);
  // The last lease began before, so it is over by now.
  const found = Atomics.load(cells, 0);
  const looksBefore = looksIn(cells);
  for (let ms = 0; looksIn(cells) < looksBefore + LOOKS; ms++) {
    assert.ok(ms < LOOKS_MS_MAX, "nobody looks");
    standStill(1);
  }
  // One look-up may have been under way.
  assert.ok(Atomics.load(cells, 0) - found <= 1, `${Atomics.load(cells, 0) - found} look-ups have found it`);
  await until(() => Atomics.load(cells, 0) > found + 1);
  Atomics.store(cells, 2, 1);
  await over;
  await tier.close();
  await keeper.close();
});
