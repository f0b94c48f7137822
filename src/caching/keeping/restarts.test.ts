// What a killed process leaves is found by the next one: nothing that is torn, nothing that was gone, nothing that takes room for
// nobody; and it goes on where the last one was.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { headOf, settle } from "../../../test/support/cache-dialogue.ts";
import { FirstInFirstOut } from "../../../test/support/first-in-first-out.ts";
import { KeepingStage } from "../../../test/support/keeping-stage.ts";
import { diskError, MemoryCacheFolder } from "../../testing/cache-folder.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import { entryIdOf } from "./entry-id.ts";

const keyOf = (index: number): string => `https://h/${index}`;

function bodyOf(stage: KeepingStage, index: number): number {
  const record = stage.found(keyOf(index))?.record;
  assert.ok(record?.kind === "answer" && record.body.kind === "file");
  return record.body.body;
}

/** In steps, as what comes of one timer may set the next one. */
async function passTime(stage: KeepingStage, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 10) {
    stage.clock.advance(10);
    await settle();
  }
}

describe("a restart", () => {
  test("finds all that was stored, as large as it was, in slots of its own; bodies have to verify first", async () => {
    const stage = await KeepingStage.open();
    for (let index = 0; index < 300; index++) await stage.keep(keyOf(index), String(index));
    await stage.keepInFile(keyOf(300), Buffer.alloc(5000, "x"));
    for (let index = 0; index < 300; index += 3) await stage.keeping.invalidate(keyOf(index));
    const { entries, bytes } = stage.keeper.stats();
    const next = await stage.restart();
    assert.deepEqual([next.keeper.stats().entries, next.keeper.stats().bytes], [entries, bytes]);
    for (let index = 0; index < 300; index++)
      assert.equal(next.textOf(keyOf(index)), index % 3 === 0 ? null : String(index));
    const slots = new Set<number>();
    for (let index = 0; index <= 300; index++) {
      const record = next.found(keyOf(index))?.record;
      if (record !== undefined) slots.add(record.slot);
      if (record?.kind === "answer" && record.body.kind === "file") assert.ok(!next.shared.isVerified(record.slot));
    }
    for (let index = 0; index < 100; index++) {
      const kept = await next.keep(`https://new/${index}`, "new");
      assert.ok(kept.isKept && !slots.has(kept.record.slot));
      slots.add(kept.record.slot);
    }
    assert.equal(slots.size, entries + 100);
    assert.ok(Math.max(...slots) < 400, "free slots are used again");
  });

  test("gives no version and no body a second time", async () => {
    let stage = await KeepingStage.open();
    const seen = new Set<number>();
    for (let run = 0; run < 5; run++) {
      const numbers = [stage.keeping.newBodyId(), stage.keeping.nextVersion()];
      const kept = await stage.keep("https://h/", String(run));
      assert.ok(kept.isKept && kept.record.version > Math.max(0, ...seen));
      for (const number of [kept.record.version, ...numbers]) seen.add(number);
      stage = await stage.restart();
    }
    assert.ok(seen.size >= 10);
  });

  test("removes bodies that were being written, and those that belong to nothing", async () => {
    const stage = await KeepingStage.open();
    await stage.keepInFile(keyOf(0), Buffer.from("kept"));
    await stage.writeBody(Buffer.from("written, and not kept"));
    const half = await stage.writeBody(Buffer.from("renamed, and no record of it"));
    stage.folder.slowness.put = 1000;
    void stage.keep(keyOf(1), "", { body: half });
    await settle();
    const next = await stage.restart();
    await settle();
    assert.equal(next.folder.bodies.length, 1);
    assert.equal((await next.over(next.keeper.verify())).entries, 1);
    assert.deepEqual([next.found(keyOf(1)), next.keeper.stats().entries], [null, 1]);
  });

  test("serves and stores while it still indexes what is there", async () => {
    const first = await KeepingStage.open();
    for (let index = 0; index < 200; index++) await first.keep(keyOf(index), String(index));
    // Room beyond the mark, as there always is: until all is indexed, that is where free slots are.
    const stage = await KeepingStage.open({ folder: first.folder.crash(), slots: 65_536 });
    const idOf = (index: number): string => entryIdOf(keyOf(index), "");
    // They come last, and are not indexed yet.
    const indexes = Array.from({ length: 200 }, (_, index) => index).sort((a, b) => (idOf(a) < idOf(b) ? -1 : 1));
    const [replaced, refreshed, invalidated] = indexes.slice(-3) as [number, number, number];
    assert.ok(stage.keeper.stats().entries < 195);
    assert.equal(stage.textOf(keyOf(replaced)), String(replaced));
    const version = stage.keeping.currentVersion(idOf(refreshed));
    const { record } = stage.found(keyOf(refreshed))!;
    assert.ok(record.kind === "answer");
    await Promise.all([
      stage.keep(keyOf(replaced), "replaced"),
      stage.keep("https://new/", "new"),
      stage.keeping.invalidate(keyOf(invalidated)),
      stage.keeping.refresh(idOf(refreshed), version, record.head, stage.keeping.mark()),
    ]);
    await stage.indexed();
    assert.equal(stage.keeper.stats().entries, 200);
    const keys = [keyOf(replaced), keyOf(refreshed), keyOf(invalidated), "https://new/"];
    assert.deepEqual(
      keys.map((key) => stage.textOf(key)),
      ["replaced", String(refreshed), null, "new"],
    );
    for (let index = 0; index < 200; index++) await stage.keeping.invalidate(keyOf(index));
    await stage.keeping.invalidate("https://new/");
    assert.deepEqual([stage.keeper.stats().entries, stage.keeper.stats().bytes], [0, 0]);
    const slots = new Set<number>();
    for (let index = 0; index < 300; index++) {
      const kept = await stage.keep(keyOf(index), "again");
      assert.ok(kept.isKept);
      slots.add(kept.record.slot);
    }
    assert.equal(slots.size, 300);
  });

  test("knows what was used last, so that it goes last", async () => {
    const stage = await KeepingStage.open();
    for (let index = 0; index < 10; index++) await stage.keep(keyOf(index), String(index));
    stage.clock.advance(100_000);
    for (const index of [3, 7, 0]) {
      stage.clock.advance(2000);
      stage.shared.use(stage.found(keyOf(index))!.record.slot, Math.floor(stage.clock.wallMs() / 1000));
    }
    await stage.keeper.close();
    const policy = new FirstInFirstOut();
    const next = await KeepingStage.open({ folder: stage.folder, policy: () => policy });
    await next.indexed();
    const order = Array.from({ length: 10 }, () => policy.evict());
    const keyBySlot = new Map(Array.from({ length: 10 }, (_, index) => [next.found(keyOf(index))!.record.slot, index]));
    assert.deepEqual(
      order.slice(-3).map((slot) => keyBySlot.get(slot)),
      [3, 7, 0],
    );
    assert.deepEqual(
      [...keyBySlot.keys()].map((slot) => next.shared.frequencyOf(slot)).sort(),
      [0, 0, 0, 0, 0, 0, 0, 1, 1, 1],
    );
  });

  test("with a smaller limit makes room", async () => {
    const stage = await KeepingStage.open();
    for (let index = 0; index < 100; index++) await stage.keep(keyOf(index), String(index));
    const next = await stage.restart({ bytesMax: 20 * 512 });
    await settle();
    assert.equal(next.keeper.stats().entries, 20);
    const small = await next.restart({ slots: 8 });
    await settle();
    assert.ok(small.keeper.stats().entries <= 8);
    assert.equal(small.folder.records.size, small.keeper.stats().entries);
  });

  test("of damaged records removes them, whichever byte it is", async () => {
    const stage = await KeepingStage.open();
    for (let index = 0; index < 60; index++) await stage.keep(keyOf(index), String(index));
    for (let index = 0; index < 60; index++) stage.folder.corruptRecord(entryIdOf(keyOf(index), ""), index * 3);
    const next = await stage.restart();
    for (let index = 0; index < 60; index++) assert.equal(next.found(keyOf(index)), null);
    assert.equal((await next.over(next.keeper.verify())).entries, 0);
    assert.deepEqual([next.keeper.stats().entries, next.keeper.stats().bytes, next.folder.records.size], [0, 0, 0]);
  });
});

describe("verifying", () => {
  test("finds bodies that are damaged, short or missing, drops them, and leaves the rest ready to be sent", async () => {
    const stage = await KeepingStage.open();
    const bytes = Buffer.alloc(600_000, "0123456789");
    for (let index = 0; index < 5; index++) await stage.keepInFile(keyOf(index), bytes);
    await stage.keep("https://h/small", "small");
    const next = await stage.restart();
    const [first, second] = next.folder.bodies as [number, number];
    next.folder.corruptBody(first, 599_999);
    next.folder.truncateBody(second, 599_999);
    const outcome = await next.over(next.keeper.verify());
    assert.deepEqual([outcome.entries, outcome.bytes, outcome.damaged.length], [4, 3 * 600_000 + 5, 2]);
    assert.equal(next.keeper.stats().removed.damaged, 2);
    const found = [0, 1, 2, 3, 4].map((index) => next.found(keyOf(index))).filter((record) => record !== null);
    assert.deepEqual([found.length, next.folder.bodies.length, next.folder.openFiles], [3, 3, 0]);
    assert.ok(found.every(({ record }) => next.shared.isVerified(record.slot)));
  });

  test("is done unasked, soon after a start and every day, and slower than for somebody who waits", async () => {
    const stage = await KeepingStage.open();
    const bytes = Buffer.alloc(600_000, "0123456789");
    for (let index = 0; index < 3; index++) await stage.keepInFile(keyOf(index), bytes);
    const next = await stage.restart();
    const slotOf = (index: number): number => next.found(keyOf(index))!.record.slot;
    const verified = (): number => [1, 2].filter((index) => next.shared.isVerified(slotOf(index))).length;
    next.folder.corruptBody(bodyOf(next, 0), 1);
    await passTime(next, 9_900);
    assert.deepEqual([next.keeper.stats().entries, verified()], [3, 0], "the start has the disk to itself");
    await passTime(next, 120);
    assert.ok(verified() < 2, "1.8 MB take more than 20 ms");
    await passTime(next, 300);
    assert.deepEqual([next.found(keyOf(0)), next.keeper.stats().removed.damaged, verified()], [null, 1, 2]);
    // What was good once need not be for ever.
    next.folder.corruptBody(bodyOf(next, 1), 599_999);
    for (let look = 0; look < 8639; look++) {
      next.clock.advance(10_000);
      await new Promise(setImmediate);
    }
    assert.notEqual(next.found(keyOf(1)), null, "the day is not over");
    await passTime(next, 21_000);
    assert.deepEqual([next.found(keyOf(1)), next.keeper.stats().removed.damaged], [null, 2]);
    await next.keeper.close();
    assert.equal(next.folder.openFiles, 0);
  });

  test("takes its time with many small ones, too, when nobody waits", async () => {
    const stage = await KeepingStage.open();
    const ids = Array.from({ length: 600 }, (_, index) => entryIdOf(keyOf(index), "")).sort();
    for (let index = 0; index < ids.length; index++) await stage.keep(keyOf(index), "small");
    const next = await stage.restart();
    next.folder.corruptRecord(ids[0]!, 100);
    next.folder.corruptRecord(ids.at(-1)!, 100);
    const damaged = (): number => next.keeper.stats().removed.damaged;
    await passTime(next, 10_100);
    assert.equal(damaged(), 1);
    await passTime(next, 600);
    assert.equal(damaged(), 2);
    const asked = next.keeper.verify();
    await passTime(next, 20);
    assert.deepEqual(await asked, { entries: 598, bytes: 598 * 5, damaged: [] });
    await next.keeper.close();
  });

  test("drops nothing when this process cannot open any more files", async () => {
    const stage = await KeepingStage.open();
    await stage.keepInFile(keyOf(0), Buffer.alloc(5000));
    const tooMany = Object.assign(new Error("EMFILE: too many open files"), { code: "EMFILE" });
    stage.folder.fault = (operation) => (operation === "openBody" ? tooMany : null);
    await assert.rejects(stage.over(stage.keeper.verify()), /EMFILE/);
    stage.folder.fault = null;
    assert.equal((await stage.over(stage.keeper.verify())).entries, 1);
  });
});

describe("a list", () => {
  test("tells what is there, sorted and searched, and nothing that was purged", async () => {
    const clock = new VirtualClock();
    const stage = await KeepingStage.open({ folder: new MemoryCacheFolder(clock) });
    await stage.keep("https://h/first\nsecret=1", "1", { tags: ["a"] });
    clock.advance(5000);
    await stage.keepInFile("https://h/large", Buffer.alloc(10_000));
    await stage.keep("https://other/", "3");
    stage.shared.use(stage.found("https://other/")!.record.slot, 1);
    const urls = async (order: "size" | "age" | "uses" | "expires", search = "", limit = 10) =>
      (await stage.keeper.list({ order, search, limit })).entries.map(({ url }) => url);
    assert.equal((await urls("size"))[0], "https://h/large");
    assert.equal((await urls("uses"))[0], "https://other/");
    assert.deepEqual(await urls("size", "other"), ["https://other/"]);
    assert.equal((await urls("size", "", 2)).length, 2);
    assert.deepEqual(await stage.keeper.list({ order: "age", search: "first", limit: 5 }), {
      matching: 1,
      entries: [
        {
          url: "https://h/first",
          status: 200,
          bytes: 512,
          ageSeconds: 5,
          freshSeconds: 3595,
          uses: 0,
          tags: ["a"],
          variant: {},
        },
      ],
    });
    stage.folder.slowness.remove = 1000;
    void stage.keeper.purge({ kind: "host", text: "h" }, { soft: false });
    await settle();
    assert.deepEqual(await urls("age"), ["https://other/"]);
  });

  test("tells variants of a URL apart, and covers what may be a secret", async () => {
    const stage = await KeepingStage.open();
    const names = ["accept-encoding", "cookie", "origin"];
    const values = ["accept-encoding=gzip,x=\n\n", "cookie=id=1\n", "origin\n"];
    await stage.keep("https://varies/", "4", { head: headOf(1, { vary: names }), vary: { names, values } });
    const { entries } = await stage.keeper.list({ order: "age", search: "varies", limit: 5 });
    assert.deepEqual(
      entries.map(({ variant }) => variant),
      [{ "accept-encoding": "gzip,x=\n", cookie: "(secret)", origin: null }],
    );
  });
});

describe("a disk that fails", () => {
  test("turns storing off with one line, what is there is found, and it is tried again", async () => {
    const stage = await KeepingStage.open();
    await stage.keep(keyOf(0), "there");
    stage.folder.fault = (operation) =>
      operation === "put" || operation === "append" ? diskError("ENOSPC", "full") : null;
    for (let index = 1; index < 20; index++) {
      assert.deepEqual(await stage.keep(keyOf(index), "new"), { isKept: false, reason: "off" });
      stage.clock.advance(120_000);
      await settle();
    }
    assert.deepEqual([stage.textOf(keyOf(0)), stage.events], ["there", ["ENOSPC: full"]]);
    stage.folder.fault = null;
    stage.clock.advance(1_200_000);
    await settle();
    assert.equal(stage.keeper.stats().trouble, null);
    assert.ok((await stage.keep(keyOf(1), "new")).isKept);
    assert.deepEqual(stage.events, ["ENOSPC: full", "recovered"]);
    assert.deepEqual([stage.folder.bodies, stage.folder.openFiles], [[], 0], "nothing is left of the trials");
  });

  test("that cannot remove what must not be found lets nothing be found until it has", async () => {
    const stage = await KeepingStage.open();
    await stage.keep(keyOf(0), "obsolete");
    await stage.keep(keyOf(1), "good");
    stage.folder.fault = (operation) => (operation === "remove" ? diskError("EIO", "failing") : null);
    await stage.keeping.invalidate(keyOf(0));
    assert.deepEqual([stage.textOf(keyOf(0)), stage.textOf(keyOf(1))], [null, null]);
    stage.clock.advance(600_000);
    await settle();
    assert.deepEqual([stage.textOf(keyOf(0)), stage.textOf(keyOf(1))], [null, null]);
    stage.folder.fault = null;
    stage.clock.advance(600_000);
    await settle();
    assert.deepEqual([stage.textOf(keyOf(0)), stage.textOf(keyOf(1))], [null, "good"]);
  });

  test("that nothing can be evicted from stays within its books", async () => {
    const stage = await KeepingStage.open({ bytesMax: 10 * 512 });
    for (let index = 0; index < 10; index++) await stage.keep(keyOf(index), "x");
    stage.folder.fault = (operation) => (operation === "remove" ? diskError("EIO", "failing") : null);
    await stage.keep(keyOf(10), "x");
    await stage.keeping.settled();
    stage.folder.fault = null;
    stage.clock.advance(600_000);
    await settle();
    for (let index = 20; index < 40; index++) await stage.keep(keyOf(index), "x");
    await stage.keeping.settled();
    const { entries, bytes } = stage.keeper.stats();
    assert.deepEqual([entries, bytes], [stage.folder.records.size, stage.folder.records.size * 512]);
    assert.ok(entries <= 10);
  });
});
