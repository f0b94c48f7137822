/**
 * Fills the folder of a cache with answers of 2 KiB, without a proxy. As a program: nobody will ask for them, since no request has such
 * keys; they are there.
 *
 *     node --conditions=headgate-source bench/load/fill-cache.ts FOLDER ENTRIES
 */
import { S3Fifo } from "../../src/caching/eviction/s3-fifo.ts";
import { Keeper } from "../../src/caching/keeping/keeper.ts";
import { SharedCache, SLOTS_MAX } from "../../src/caching/shared.ts";
import { EncodedLines } from "../../src/core/fields.ts";
import { openCacheBooks } from "../../src/io/cache/open.ts";
import { SystemClock } from "../../src/io/clock.ts";

const BODY_BYTES = 2048;
const STORED_AT_ONCE = 512;

const clock = new SystemClock();
const fields = new EncodedLines([
  ["Content-Type", "application/json"],
  ["Cache-Control", "max-age=3600"],
  ["ETag", '"0123456789abcdef"'],
  ["Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT"],
]);

export const keyOf = (index: number): string => `https://api.example.org/v1/objects/${index}?fields=all`;

export async function openKeeper(folder: string): Promise<Keeper> {
  const shared = SharedCache.ofOneThread(SLOTS_MAX);
  return Keeper.open(
    { bytesMax: 2 ** 40, objectBytesMax: 2 ** 40, inactiveMs: null, freeBytesMin: 0 },
    {
      books: openCacheBooks(folder),
      clock,
      random: { next: Math.random },
      shared,
      policy: new S3Fifo(shared),
      events: { onTrouble: console.error, onRecovered: () => {} },
    },
  );
}

export async function fillCache(folder: string, entries: number): Promise<void> {
  const keeper = await openKeeper(folder);
  for (let first = 0; first < entries; first += STORED_AT_ONCE) {
    const stored = Array.from({ length: Math.min(STORED_AT_ONCE, entries - first) }, (_, index) => {
      const bytes = Buffer.alloc(BODY_BYTES, String(first + index));
      return keeper.keeping.keep({
        key: keyOf(first + index),
        head: {
          status: 200,
          fields,
          requestedMs: clock.wallMs(),
          receivedMs: clock.wallMs(),
          initialAgeMs: 0,
          freshMs: 3_600_000,
          staleWhileRevalidateMs: 0,
          staleIfErrorMs: 0,
          flags: 0,
          vary: [],
          tags: [],
          bodyBytes: BODY_BYTES,
        },
        body: { kind: "inline", start: 0, end: BODY_BYTES, bytes },
        vary: null,
        since: keeper.keeping.mark(),
      });
    });
    await Promise.all(stored);
  }
  await keeper.close();
}

if (import.meta.main) {
  const [, , folder = "", entries = ""] = process.argv;
  await fillCache(folder, Number(entries));
}
