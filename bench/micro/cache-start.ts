/**
 * What a cache with many entries costs when a process starts: milliseconds until it serves and until all is indexed (and how much of
 * that it used a processor: on a busy machine, the number to go by), anonymous resident bytes an entry, and microseconds of a processor
 * that a look-up takes that memory does not have. The entries are of 2 KiB, bodies in the records; the
 * system has the books in its memory, as after a restart of the process.
 *
 *     node_modules/.bin/node --conditions=headgate-source bench/micro/cache-start.ts [ENTRIES]
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { entryIdOf } from "../../src/caching/keeping/entry-id.ts";
import { StoredReader } from "../../src/caching/keeping/stored-reader.ts";
import { fillCache, keyOf, openKeeper } from "../load/fill-cache.ts";

const ENTRIES_DEFAULT = 100_000;
const LOOK_UPS = 20_000;

/** Of this process, all its threads, so far. */
function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Anonymous and resident, as the kernel counts it. */
function anonymousBytes(): number {
  (globalThis as { gc?: () => void }).gc?.();
  return Number(/RssAnon:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "latin1"))![1]) * 1024;
}

async function measure(folder: string, entries: number): Promise<void> {
  const before = anonymousBytes();
  const startedAt = performance.now();
  const startedMs = processorMs();
  const keeper = await openKeeper(folder);
  const servesAt = performance.now();
  const servesMs = processorMs();
  let longestTurnMs = 0;
  let lastTurnAt = servesAt;
  let isIndexed = false;
  const watch = (): void => {
    longestTurnMs = Math.max(longestTurnMs, performance.now() - lastTurnAt);
    lastTurnAt = performance.now();
    if (!isIndexed) setImmediate(watch);
  };
  watch();
  await keeper.indexed;
  isIndexed = true;
  const indexedAt = performance.now();
  const indexedMs = processorMs();
  const stats = keeper.stats();
  const bytes = anonymousBytes() - before;
  const { books, shared } = keeper.keeping.around;
  const reader = new StoredReader(books, shared, () => {});
  const ids = Array.from({ length: LOOK_UPS }, () => entryIdOf(keyOf(Math.floor(Math.random() * entries)), ""));
  let found = 0;
  const readAt = processorMs();
  for (const id of ids) if (reader.read(id) !== null) found++;
  const readMs = processorMs() - readAt;
  console.log(
    `${stats.entries} entries, ${(stats.bytes / 2 ** 20).toFixed(0)} MiB; ${found} of ${LOOK_UPS} look-ups found one`,
  );
  const took = (at: number, ms: number): string => {
    return `${(at - startedAt).toFixed(0)} ms (processor: ${(ms - startedMs).toFixed(0)} ms)`;
  };
  console.log(`serves after ${took(servesAt, servesMs)}, all is indexed after ${took(indexedAt, indexedMs)}`);
  console.log(`the longest turn meanwhile took ${longestTurnMs.toFixed(1)} ms`);
  console.log(`${(bytes / entries).toFixed(0)} anonymous resident bytes an entry`);
  console.log(`${((readMs / LOOK_UPS) * 1000).toFixed(2)} µs a look-up on the disk`);
  await keeper.close();
}

const [, , given, inside] = process.argv;
const entries = Number(given ?? ENTRIES_DEFAULT);
if (inside === undefined) {
  const folder = mkdtempSync(path.join(os.tmpdir(), "headgate-bench-"));
  try {
    const filledAt = performance.now();
    await fillCache(path.join(folder, "cache"), entries);
    const seconds = (performance.now() - filledAt) / 1000;
    const { size } = statSync(path.join(folder, "cache", "books", "data.mdb"));
    console.log(`stored in ${seconds.toFixed(1)} s; the books have ${(size / 2 ** 20).toFixed(0)} MiB`);
    // Another process: what this one has read and compiled would flatter it.
    const args = [
      "--expose-gc",
      "--conditions=headgate-source",
      import.meta.filename,
      String(entries),
      path.join(folder, "cache"),
    ];
    spawnSync(process.execPath, args, { stdio: "inherit" });
  } finally {
    rmSync(folder, { recursive: true });
  }
} else await measure(inside, entries);
