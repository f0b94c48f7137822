// Real threads and a real disk: one thread fetches, the other reads what it writes while it writes it; when the one that fetches is
// terminated, the other sees a broken answer at once, and fetches itself.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readdirSync } from "node:fs";
import nodePath from "node:path";
import { test } from "node:test";
import { MessageChannel, Worker } from "node:worker_threads";
import { S3Fifo } from "../../src/caching/eviction/s3-fifo.ts";
import { Broker } from "../../src/caching/fills/broker.ts";
import { atomicWakes, ProgressTable, progressBuffer } from "../../src/caching/fills/progress-table.ts";
import type { ToKeeper, ToThread } from "../../src/caching/fills/protocol.ts";
import { Keeper } from "../../src/caching/keeping/keeper.ts";
import { StoredReader } from "../../src/caching/keeping/stored-reader.ts";
import { SharedCache, sharedCacheMemory } from "../../src/caching/shared.ts";
import { openCacheBooks } from "../../src/io/cache/open.ts";
import { SystemClock } from "../../src/io/clock.ts";
import { PortLink } from "../../src/server/caches/links.ts";
import { SeededRandom } from "../../src/testing/seeded-random.ts";
import { Folder } from "../cli/headgate.ts";
import type { CacheOrder, CacheReport, CacheWorkerData } from "../support/cache-worker.ts";

const WORKER = nodePath.join(import.meta.dirname, "..", "support", "cache-worker.ts");
const BYTES_MAX = 64 * 1024 * 1024;
const PIECE = 300_000;

class CacheThread {
  readonly worker: Worker;
  readonly #reports: CacheReport[] = [];
  #onReport: (() => void) | null = null;

  constructor(data: CacheWorkerData) {
    this.worker = new Worker(WORKER, { workerData: data, transferList: [data.port] });
    this.worker.on("message", (report: CacheReport) => {
      this.#reports.push(report);
      this.#onReport?.();
    });
  }

  do(order: CacheOrder): void {
    this.worker.postMessage(order);
  }

  /** The next thing that came to pass has to be this. */
  async expect(what: string): Promise<CacheReport> {
    while (this.#reports.length === 0) {
      await new Promise<void>((resolve) => {
        this.#onReport = resolve;
      });
    }
    const report = this.#reports.shift()!;
    assert.equal(report.what, what);
    return report;
  }
}

class RealStage {
  readonly folder: string;
  readonly #memory = sharedCacheMemory(1024);
  readonly #progress = progressBuffer();
  readonly #threads: CacheThread[] = [];
  #keeper!: Keeper;
  broker!: Broker;

  constructor(folder: string) {
    this.folder = folder;
  }

  async open(): Promise<this> {
    const books = openCacheBooks(this.folder);
    const shared = new SharedCache(this.#memory);
    const clock = new SystemClock();
    const events = { onTrouble: (reason: string) => assert.fail(reason), onRecovered() {} };
    const limits = { bytesMax: BYTES_MAX, inactiveMs: null, freeBytesMin: 0, objectBytesMax: BYTES_MAX };
    const around = { books, clock, random: new SeededRandom(1), shared, policy: new S3Fifo(shared), events };
    this.#keeper = await Keeper.open(limits, around);
    const { keeping } = this.#keeper;
    this.broker = new Broker({
      keeping,
      books,
      shared,
      reader: new StoredReader(books, shared, (id) => void keeping.dropDamaged(id)),
      clock,
      table: new ProgressTable(this.#progress, atomicWakes),
      invalidateTag: (tag) => this.#keeper.invalidateTag(tag),
      onShortOfFiles: assert.fail,
    });
    return this;
  }

  async thread(): Promise<CacheThread> {
    const { port1, port2 } = new MessageChannel();
    let number = 0;
    const link = new PortLink<ToThread, ToKeeper>(port1, () => this.broker.detach(number));
    number = this.broker.attach(link);
    const thread = new CacheThread({
      folder: this.folder,
      shared: this.#memory,
      progress: this.#progress,
      port: port2,
      bytesMax: BYTES_MAX,
    });
    this.#threads.push(thread);
    await thread.expect("ready");
    return thread;
  }

  async close(): Promise<void> {
    for (const { worker } of this.#threads) await worker.terminate();
    this.broker.close();
    await this.#keeper.close();
  }
}

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /^[0-9a-f]{14}/.test(entry.name))
    .map(({ name }) => name);
}

test("a thread follows the fill of another one, and fetches itself when that one is terminated", async () => {
  using folder = new Folder();
  const stage = await new RealStage(folder.path).open();
  const [one, two] = [await stage.thread(), await stage.thread()];
  one.do({ kind: "acquire", key: "http://host/a" });
  await one.expect("fill");
  two.do({ kind: "acquire", key: "http://host/a" });
  one.do({ kind: "begin", bodyBytes: 2 * PIECE });
  one.do({ kind: "write", bytes: PIECE, byte: 1 });
  await two.expect("answer");
  await one.expect("reading");
  // Before the end: it reads while it is fetched.
  await two.expect("reading");
  one.do({ kind: "write", bytes: PIECE, byte: 2 });
  one.do({ kind: "end" });
  const { digest } = await one.expect("ended");
  const expected = createHash("sha256").update(Buffer.alloc(PIECE, 1)).update(Buffer.alloc(PIECE, 2)).digest("hex");
  assert.equal(digest, expected);
  assert.equal((await two.expect("ended")).digest, expected);

  one.do({ kind: "acquire", key: "http://host/b" });
  await one.expect("fill");
  two.do({ kind: "acquire", key: "http://host/b" });
  one.do({ kind: "begin", bodyBytes: -1 });
  one.do({ kind: "write", bytes: PIECE, byte: 3 });
  await two.expect("answer");
  await two.expect("reading");
  await one.worker.terminate();
  await two.expect("aborted");
  two.do({ kind: "acquire", key: "http://host/b" });
  await two.expect("fill");
  two.do({ kind: "begin", bodyBytes: 10 });
  two.do({ kind: "write", bytes: 10, byte: 4 });
  two.do({ kind: "end" });
  await two.expect("reading");
  await two.expect("ended");
  two.do({ kind: "find", key: "http://host/a" });
  await two.expect("reading");
  assert.equal((await two.expect("ended")).digest, expected);
  await stage.close();
  assert.equal(filesIn(folder.path).length, 1, "what a dead thread was writing is still there");
});
