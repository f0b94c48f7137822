// A process that stores in a cache on the disk until it is killed. First it looks through all that is there: every record must be
// whole, every body what was written under that number, and what an earlier process was told was done must have been done. Run as a
// program: FOLDER FIRST-NUMBER PROMISES, the last one JSON of `Promises`. It writes a line for each thing that has come to pass.

import { readdirSync } from "node:fs";
import path from "node:path";
import { S3Fifo } from "../../src/caching/eviction/s3-fifo.ts";
import { entryIdOf } from "../../src/caching/keeping/entry-id.ts";
import { Keeper } from "../../src/caching/keeping/keeper.ts";
import {
  BLOCK_BYTES,
  BlockChecksums,
  decodeRecord,
  type StoredBody,
  verifyBlock,
} from "../../src/caching/keeping/record.ts";
import { StoredReader } from "../../src/caching/keeping/stored-reader.ts";
import type { CacheBooks } from "../../src/caching/ports.ts";
import { SharedCache } from "../../src/caching/shared.ts";
import { openCacheBooks } from "../../src/io/cache/open.ts";
import { SystemClock } from "../../src/io/clock.ts";
import { headOf } from "./cache-dialogue.ts";

/** By key: the number that was confirmed last, and the number up to which nothing may be found. */
export interface Promises {
  readonly kept: Record<string, number>;
  readonly gone: Record<string, number>;
}

const KEYS = 60;
const WRITERS = 8;
/** Small ones in the record, some with a block, some with many. */
const LENGTHS = [0, 1, 700, 20_000, 65_000, 70_000, BLOCK_BYTES, BLOCK_BYTES + 1, 900_000];

const say = (line: string): void => void process.stdout.write(`${line}\n`);

function bodyOf(key: string, number: number): Buffer {
  return Buffer.alloc(LENGTHS[number % LENGTHS.length]!, `${key} ${number};`);
}

/** Keys of the first kind only ever get newer; the others are invalidated and purged as well. */
const keyOf = (index: number): string => `https://${index % 3 === 0 ? "steady" : "fickle"}/${index}`;

async function main(folder: string, firstNumber: number, promises: Promises): Promise<void> {
  const books = openCacheBooks(folder);
  const shared = SharedCache.ofOneThread(65_536);
  const events = { onTrouble: (reason: string) => fail(`trouble: ${reason}`), onRecovered: () => {} };
  const keeper = await Keeper.open(
    { bytesMax: 2 ** 30, objectBytesMax: 2 ** 30, inactiveMs: null, freeBytesMin: 0 },
    { books, clock: new SystemClock(), random: { next: Math.random }, shared, policy: new S3Fifo(shared), events },
  );
  await keeper.indexed;
  await verifyAll(folder, keeper, books, promises);
  let number = firstNumber;
  const write = async (): Promise<void> => {
    for (;;) {
      const key = keyOf(Math.floor(Math.random() * KEYS));
      const chance = Math.random();
      if (key.includes("fickle") && chance < 0.1) {
        const before = number++;
        await (chance < 0.05
          ? keeper.keeping.invalidate(key)
          : keeper.purge({ kind: "url", text: key }, { soft: false }));
        say(`gone ${key} ${before}`);
      } else {
        const mine = number++;
        const outcome = await keep(keeper, books, key, mine);
        if (outcome) say(`kept ${key} ${mine}`);
      }
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, write));
}

/** Numbers grow with the order of commits only where one at a time is stored: of a key, one is. */
const storing = new Set<string>();

async function keep(keeper: Keeper, books: CacheBooks, key: string, number: number): Promise<boolean> {
  if (storing.has(key)) return false;
  storing.add(key);
  const bytes = bodyOf(key, number);
  const since = keeper.keeping.mark();
  const body: StoredBody =
    bytes.length <= 65_536
      ? { kind: "inline", start: 0, end: bytes.length, bytes }
      : await writeBody(keeper, books, bytes);
  const head = headOf(bytes.length, { tags: [`n${number}`] });
  const { isKept } = await keeper.keeping.keep({ key, head, body, vary: null, since });
  storing.delete(key);
  return isKept;
}

async function writeBody(keeper: Keeper, books: CacheBooks, bytes: Buffer): Promise<StoredBody> {
  const id = keeper.keeping.newBodyId();
  const file = books.createBody(id);
  const checksums = new BlockChecksums();
  for (let at = 0; at < bytes.length; at += 50_000) {
    const piece = bytes.subarray(at, at + 50_000);
    await file.append(piece);
    checksums.add(piece);
  }
  file.letGo();
  const blocks = checksums.read();
  return { kind: "file", start: 0, end: bytes.length, body: id, blockBytes: BLOCK_BYTES, checksums: blocks };
}

async function verifyAll(folder: string, keeper: Keeper, books: CacheBooks, { kept, gone }: Promises): Promise<void> {
  let entries = 0;
  let files = 0;
  const slots = new Set<number>();
  await books.scan(async (_, bytes) => {
    const record = decodeRecord(bytes);
    if (record?.kind !== "answer") return fail("a record that does not verify");
    const { key, head, body, slot } = record;
    const expected = bodyOf(key, Number(head.tags[0]!.slice(1)));
    entries++;
    if (slots.has(slot)) fail(`slot ${slot} twice`);
    slots.add(slot);
    if (body.kind === "inline") {
      if (!body.bytes.equals(expected)) fail(`the body of ${key} in its record`);
      return;
    }
    files++;
    const file = books.openBody(body.body);
    const content = await file.read(0, body.end);
    file.letGo();
    if (!content.equals(expected)) fail(`the file of ${key}`);
    for (let index = 0; index < body.checksums.length; index++) {
      const block = content.subarray(index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES);
      if (!verifyBlock(body, index, block)) fail(`a block of ${key}`);
    }
  });
  const stats = keeper.stats();
  if (stats.entries !== entries) fail(`${stats.entries} entries are indexed of ${entries}`);
  const bodies = readdirSync(path.join(folder, "bodies"), { recursive: true, withFileTypes: true });
  const left = bodies.filter((entry) => entry.isFile()).length;
  if (left !== files) fail(`${left} files of ${files}`);
  const reader = new StoredReader(books, keeper.keeping.around.shared, () => fail("damaged"));
  const numberOf = (key: string): number => {
    const record = reader.read(entryIdOf(key, ""))?.record;
    return record?.kind === "answer" ? Number(record.head.tags[0]!.slice(1)) : -1;
  };
  for (const [key, number] of Object.entries(kept)) {
    if (key.includes("steady") && numberOf(key) < number) fail(`${key}: ${numberOf(key)} is older than ${number}`);
  }
  for (const [key, number] of Object.entries(gone)) {
    const found = numberOf(key);
    if (found >= 0 && found < number) fail(`${key}: ${found} was gone by ${number}`);
  }
  say(`verified ${entries} ${files}`);
}

function fail(what: string): void {
  say(`failed ${what}`);
  process.exit(1);
}

const [, , folder = "", firstNumber = "0", promises = "{}"] = process.argv;
await main(folder, Number(firstNumber), JSON.parse(promises));
