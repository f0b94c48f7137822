// What one thread has stored, purged or removed is so for all others from the moment on in which it returned, also in the middle of
// a turn of theirs: on the books on the disk, which keep what was read first in a turn.

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { Worker } from "node:worker_threads";
import { entryIdOf } from "../../src/caching/keeping/entry-id.ts";
import { Keeper } from "../../src/caching/keeping/keeper.ts";
import { SharedCache } from "../../src/caching/shared.ts";
import { openCacheBooks } from "../../src/io/cache/open.ts";
import { SystemClock } from "../../src/io/clock.ts";
import { headOf } from "../support/cache-dialogue.ts";
import { FirstInFirstOut } from "../support/first-in-first-out.ts";

const folder = mkdtempSync(path.join(os.tmpdir(), "headgate-cache-"));
after(() => rmSync(folder, { recursive: true }));

const KEY = "https://host/a";
const url = (file: string): string => JSON.stringify(new URL(`../../src/${file}`, import.meta.url).href);

/** What the keeper has confirmed, 0 while that is about to change: cell 0; what the reader found behind it, when that was older: cell 1; rounds of it: cell 2. */
const reader = `
  import { workerData } from "node:worker_threads";
  import { openCacheDisk } from ${url("io/cache/open.ts")};
  import { SharedCache } from ${url("caching/shared.ts")};
  import { StoredReader } from ${url("caching/keeping/stored-reader.ts")};
  const { folder, memory, cells, id } = workerData;
  const disk = openCacheDisk(folder);
  const reader = new StoredReader(disk, new SharedCache(memory), () => Atomics.store(cells, 1, -1));
  let held = null;
  const numberNow = () => {
    // As hot memory does: what is held counts while nothing has changed.
    if (held !== null && reader.isUnchanged(held.shard, held.epoch) && reader.purges === held.purges) return held.number;
    const found = reader.read(id);
    const number = found === null ? 0 : Number(found.record.head.tags[0]);
    held = found === null ? null : { ...found, number };
    return number;
  };
  // One turn, from the beginning to the end.
  for (;;) {
    const confirmed = Atomics.load(cells, 0);
    if (confirmed < 0) break;
    const number = numberNow();
    // An odd number says that it is gone by now, or something newer is there.
    const isRight = confirmed === 0 || confirmed % 2 === 0 ? number >= confirmed : number === 0 || number > confirmed;
    if (!isRight && Atomics.load(cells, 0) === confirmed) Atomics.store(cells, 1, confirmed);
    Atomics.add(cells, 2, 1);
  }
  disk.close();
`;

test("a thread in the middle of a turn finds what was confirmed, and nothing that was gone", async () => {
  const shared = SharedCache.ofOneThread(1024);
  const keeper = await Keeper.open(
    { bytesMax: 2 ** 30, objectBytesMax: 2 ** 30, inactiveMs: null, freeBytesMin: 0 },
    {
      books: openCacheBooks(folder),
      clock: new SystemClock(),
      random: { next: Math.random },
      shared,
      policy: new FirstInFirstOut(),
      events: { onTrouble: assert.fail, onRecovered: assert.fail },
    },
  );
  const cells = new Int32Array(new SharedArrayBuffer(12));
  const data = { folder, memory: shared.memory, cells, id: entryIdOf(KEY, "") };
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(reader)}`), { workerData: data });
  const over = once(worker, "exit");
  await once(worker, "online");
  let number = 0;
  const keep = async (): Promise<void> => {
    number += number % 2 === 0 ? 2 : 1;
    const head = headOf(1, { tags: [String(number)] });
    const body = { kind: "inline", start: 0, end: 1, bytes: Buffer.from("x") } as const;
    const { isKept } = await keeper.keeping.keep({ key: KEY, head, body, vary: null, since: keeper.keeping.mark() });
    assert.ok(isKept);
    Atomics.store(cells, 0, number);
  };
  const gone = (): void => {
    number++;
    Atomics.store(cells, 0, number);
  };
  for (let round = 0; round < 60 || Atomics.load(cells, 2) < 1000; round++) {
    await keep();
    await keep();
    Atomics.store(cells, 0, 0);
    if (round % 4 === 0) await keeper.keeping.invalidate(KEY);
    else if (round % 4 === 1) await keeper.purge({ kind: "url", text: KEY }, { soft: false });
    else if (round % 4 === 2) await keeper.invalidateTag(String(number));
    else continue;
    gone();
  }
  Atomics.store(cells, 0, -1);
  await over;
  assert.equal(cells[1], 0, `what was confirmed as ${cells[1]} was not so`);
  assert.ok(cells[2]! > 100, String(cells[2]));
  await keeper.close();
});
