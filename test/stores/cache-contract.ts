// What every folder of a cache must do, in memory and on the disk: one suite for both.

import assert from "node:assert/strict";
import { readSync } from "node:fs";
import { test } from "node:test";
import type { BodyId, CacheBooks, CacheDisk, EntryId } from "../../src/caching/ports.ts";

export interface CacheFolderUnderTest {
  openBooks(): CacheBooks;
  /** As another thread has it. */
  openDisk(): CacheDisk;
  /** Descriptors are of real files. */
  readonly isReal: boolean;
}

const id = (number: number): EntryId => number.toString(16).padStart(32, "0");

async function allOf(books: CacheBooks): Promise<Map<EntryId, string>> {
  const found = new Map<EntryId, string>();
  await books.scan((entry, record) => {
    assert.ok(!found.has(entry), "each once");
    found.set(entry, record.toString());
  });
  return found;
}

async function writeBody(disk: CacheDisk, body: BodyId, ...pieces: string[]): Promise<void> {
  const file = disk.createBody(body);
  for (const piece of pieces) await file.append(Buffer.from(piece));
  file.letGo();
}

export function cacheFolderContract(name: string, make: () => CacheFolderUnderTest): void {
  const it = (what: string, run: (folder: CacheFolderUnderTest) => Promise<void>): void => {
    test(`${name}: ${what}`, () => run(make()));
  };

  it("a record is found as it was put last, by every thread, also after a restart", async (folder) => {
    const books = folder.openBooks();
    const disk = folder.openDisk();
    assert.equal(books.read(id(1)), null);
    assert.equal(disk.read(id(1)), null);
    await books.put(id(1), Buffer.from("one"));
    await books.put(id(2), Buffer.from("two".repeat(30_000)));
    await books.put(id(1), Buffer.from("uno"));
    assert.equal(books.read(id(1))?.toString(), "uno");
    disk.renew();
    assert.equal(disk.read(id(1))?.toString(), "uno");
    assert.equal(disk.read(id(2))?.toString(), "two".repeat(30_000));
    await books.remove(id(1));
    await books.remove(id(3));
    assert.equal(books.read(id(1)), null);
    disk.renew();
    assert.equal(disk.read(id(1)), null);
    await disk.close();
    assert.equal(disk.read(id(2)), null);
    await books.close();
    const again = folder.openBooks();
    assert.deepEqual([...(await allOf(again)).keys()], [id(2)]);
    assert.equal(again.read(id(2))?.toString(), "two".repeat(30_000));
    await again.close();
  });

  it("what is asked for in one turn is committed in that order", async (folder) => {
    const books = folder.openBooks();
    const all: Promise<void>[] = [];
    for (let round = 0; round < 100; round++) {
      all.push(books.put(id(1), Buffer.from(String(round))));
      if (round % 10 === 3) all.push(books.remove(id(1)));
      all.push(books.writeFact("round", Buffer.from(String(round))));
    }
    await all[0];
    await Promise.all(all);
    assert.equal(books.read(id(1))?.toString(), "99");
    assert.equal(books.readFact("round")?.toString(), "99");
    await books.close();
  });

  it("a scan gives every record that stays, waits for who takes them, and can be given up", async (folder) => {
    const books = folder.openBooks();
    const count = 1000;
    await Promise.all(
      Array.from({ length: count }, (_, number) => books.put(id(number * 7919), Buffer.from(`r${number}`))),
    );
    const found = await allOf(books);
    assert.equal(found.size, count);
    for (let number = 0; number < count; number++) assert.equal(found.get(id(number * 7919)), `r${number}`);
    // Half of them go while they are scanned, and others come.
    const seen = new Set<EntryId>();
    await books.scan(async (entry) => {
      seen.add(entry);
      const number = Number.parseInt(entry, 16) / 7919;
      if (number % 2 === 0) await books.remove(entry);
      else if (number % 5 === 0) await books.put(id(number * 7919 + 1), Buffer.from("new"));
    });
    for (let number = 0; number < count; number++) assert.ok(seen.has(id(number * 7919)), String(number));
    assert.equal((await allOf(books)).size, count / 2 + count / 10);
    let given = 0;
    const stopping = new AbortController();
    await books.scan(() => {
      if (++given === 10) stopping.abort();
    }, stopping.signal);
    assert.ok(given < count / 2 + count / 10, "most of it is left out");
    await books.close();
  });

  it("facts survive, and every thread reads them", async (folder) => {
    const books = folder.openBooks();
    assert.equal(books.readFact("purges"), null);
    await books.writeFact("purges", Buffer.from([1, 0, 255]));
    const disk = folder.openDisk();
    const fact = disk.readFact("purges")!;
    assert.deepEqual([...fact], [1, 0, 255]);
    await books.writeFact("purges", Buffer.from([2]));
    assert.deepEqual([...fact], [1, 0, 255], "its own bytes");
    disk.renew();
    assert.deepEqual([...disk.readFact("purges")!], [2]);
    assert.equal((await allOf(books)).size, 0, "a fact is no record");
    await disk.close();
    await books.close();
    const again = folder.openBooks();
    assert.deepEqual([...again.readFact("purges")!], [2]);
    await again.close();
  });

  it("a body is read while it is written, under its own name when it is kept, and is gone when it is removed", async (folder) => {
    const books = folder.openBooks();
    const disk = folder.openDisk();
    assert.throws(() => books.openBody(5));
    assert.throws(() => disk.openGrowing(5));
    const writing = disk.createBody(5);
    assert.throws(() => disk.createBody(5), "no body has two writers");
    await writing.append(Buffer.from("hello "));
    const reading = books.openGrowing(5);
    assert.equal((await reading.read(0, 6)).toString(), "hello ");
    assert.throws(() => books.openBody(5), "it is not whole yet");
    await writing.append(Buffer.from("world"));
    assert.equal((await reading.read(4, 7)).toString(), "o world");
    await assert.rejects(reading.read(4, 8), "beyond its end");
    await books.keepBody(5);
    writing.letGo();
    const kept = disk.openBody(5);
    assert.equal((await kept.read(0, 11)).toString(), "hello world");
    if (folder.isReal) {
      const bytes = Buffer.alloc(5);
      readSync(kept.descriptor, bytes, 0, 5, 6);
      assert.equal(bytes.toString(), "world");
    }
    await books.removeBody(5);
    await books.removeBody(5);
    assert.throws(() => disk.openBody(5));
    assert.equal((await kept.read(0, 5)).toString(), "hello", "who holds it reads on");
    kept.hold();
    kept.letGo();
    kept.letGo();
    reading.letGo();
    assert.throws(() => kept.hold());
    await assert.rejects(kept.read(0, 5));
    await assert.rejects(books.keepBody(5));
    await disk.close();
    await books.close();
  });

  it("a body that nobody wants is gone at once, and who reads it reads on", async (folder) => {
    const books = folder.openBooks();
    const file = books.createBody(2 ** 52 + 1);
    await file.append(Buffer.from("abc"));
    const reading = books.openGrowing(2 ** 52 + 1);
    file.discard();
    file.discard();
    assert.throws(() => books.openGrowing(2 ** 52 + 1));
    assert.equal((await reading.read(0, 3)).toString(), "abc");
    file.letGo();
    reading.letGo();
    await books.close();
  });

  it("what is swept is what is not known, kept or half written", async (folder) => {
    const books = folder.openBooks();
    for (const body of [1, 2, 300, 2 ** 40, 2 ** 40 + 256]) await writeBody(books, body, `body ${body}`);
    for (const body of [1, 300, 2 ** 40]) await books.keepBody(body);
    await books.close();
    const again = folder.openBooks();
    const asked = new Set<BodyId>();
    await again.sweepBodies((body) => {
      asked.add(body);
      return body === 300 || body === 2 ** 40 + 256;
    });
    assert.deepEqual(
      [...asked].sort((a, b) => a - b),
      [1, 2, 300, 2 ** 40, 2 ** 40 + 256],
    );
    assert.throws(() => again.openBody(1));
    assert.throws(() => again.openGrowing(2));
    const kept = again.openBody(300);
    assert.equal((await kept.read(0, 8)).toString(), "body 300");
    kept.letGo();
    again.openGrowing(2 ** 40 + 256).letGo();
    await again.close();
  });

  it("says what is free on its disk", async (folder) => {
    const books = folder.openBooks();
    assert.ok((await books.freeBytes()) > 0);
    await books.close();
  });

  it("begins with nothing when what was there is not to be trusted", async (folder) => {
    for (const isDistrusted of [false, true, false]) {
      const books = folder.openBooks();
      await books.put(id(1), Buffer.from("1"));
      await books.writeFact("fact", Buffer.from("1"));
      await writeBody(books, 1, "1");
      await books.keepBody(1);
      for (const step of [true, true, false, false, isDistrusted]) books.distrust(step);
      assert.equal(books.read(id(1))?.toString(), "1");
      await books.close();
      const again = folder.openBooks();
      assert.equal(again.read(id(1)) === null, isDistrusted);
      assert.equal(again.readFact("fact") === null, isDistrusted);
      if (isDistrusted) assert.throws(() => again.openBody(1));
      else again.openBody(1).letGo();
      await again.removeBody(1);
      await again.close();
    }
  });

  it("has one keeper at a time", async (folder) => {
    const books = folder.openBooks();
    assert.throws(() => folder.openBooks(), /in use/);
    await books.put(id(1), Buffer.from("1"));
    assert.equal(books.read(id(1))?.toString(), "1");
    await books.close();
    await books.close();
    await folder.openBooks().close();
  });
}
