// A thread with a cache on a real disk, that does what it is told: asks, fetches, reads. test/threads/cache-fills.test.ts leads it.

import { createHash } from "node:crypto";
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { CacheCounts } from "../../src/caching/counts.ts";
import { atomicWakes, ProgressTable } from "../../src/caching/fills/progress-table.ts";
import type { ToKeeper, ToThread } from "../../src/caching/fills/protocol.ts";
import { ThreadCache } from "../../src/caching/fills/thread-cache.ts";
import { SharedCache } from "../../src/caching/shared.ts";
import { openCacheDisk } from "../../src/io/cache/open.ts";
import { SystemClock } from "../../src/io/clock.ts";
import { PortLink } from "../../src/server/caches/links.ts";
import { Asked, headOf, requestOf, Taker } from "./cache-dialogue.ts";

export interface CacheWorkerData {
  readonly folder: string;
  readonly shared: SharedArrayBuffer;
  readonly progress: SharedArrayBuffer;
  readonly port: MessagePort;
  readonly bytesMax: number;
}

export type CacheOrder =
  | { readonly kind: "acquire" | "find"; readonly key: string }
  | { readonly kind: "begin"; readonly bodyBytes: number }
  | { readonly kind: "write"; readonly bytes: number; readonly byte: number }
  | { readonly kind: "end" };

/** What became of something, in the order in which it did. */
export interface CacheReport {
  readonly what: string;
  readonly digest?: string;
}

const { folder, shared, progress, port, bytesMax } = workerData as CacheWorkerData;
const disk = openCacheDisk(folder);
const cache = new ThreadCache({
  name: "test",
  objectBytesMax: bytesMax,
  hotBytesMax: 1024 * 1024,
  counts: CacheCounts.ofOneThread(),
  disk,
  shared: new SharedCache(shared),
  table: new ProgressTable(progress, atomicWakes),
  link: new PortLink<ToKeeper, ToThread>(port),
  clock: new SystemClock(),
});
let asked: Asked | null = null;

function report(what: string, digest?: string): void {
  parentPort!.postMessage(digest === undefined ? { what } : { what, digest });
}

class ReportingTaker extends Taker {
  override end(): void {
    super.end();
    report("ended", createHash("sha256").update(this.taken).digest("hex"));
  }

  override abort(error: Parameters<Taker["abort"]>[0]): void {
    super.abort(error);
    report("aborted");
  }

  override write(bytes: Buffer, start: number, end: number): void {
    const isFirst = this.bytes === 0;
    super.write(bytes, start, end);
    if (isFirst) report("reading");
  }
}

parentPort!.on("message", (order: CacheOrder) => {
  switch (order.kind) {
    case "acquire": {
      const one = new Asked();
      one.onOutcome = () => {
        report(one.outcomes.at(-1)!);
        if (one.answer !== null) one.answer.body.produce(new ReportingTaker(), 0, -1);
      };
      asked = one;
      cache.acquire(order.key, requestOf(), null, one);
      return;
    }
    case "find": {
      const found = cache.find(order.key, requestOf());
      if (found === null) report("nothing");
      else found.body.produce(new ReportingTaker(), 0, -1);
      return;
    }
    case "begin":
      asked!.fill!.begin(headOf(order.bodyBytes)).body.produce(new ReportingTaker(), 0, -1);
      return;
    case "write": {
      const bytes = Buffer.alloc(order.bytes, order.byte);
      asked!.fill!.write(bytes, 0, bytes.length);
      return;
    }
    case "end":
      asked!.fill!.end();
  }
});
report("ready");
