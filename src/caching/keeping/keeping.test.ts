// What a keeper stores is what a thread finds, as long as nothing has made it obsolete; limits hold, and what goes leaves nothing.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { headOf, settle } from "../../../test/support/cache-dialogue.ts";
import { KeepingStage } from "../../../test/support/keeping-stage.ts";
import { MemoryCacheFolder } from "../../testing/cache-folder.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import { entryIdOf, shardOf, variantOf } from "./entry-id.ts";
import { hashOf, type KeepOutcome } from "./keeping.ts";

const KEY = "https://host/a";
const ID = entryIdOf(KEY, "");

function reasonOf(outcome: KeepOutcome): string {
  return outcome.isKept ? "kept" : outcome.reason;
}

function versionOf(outcome: KeepOutcome): number {
  assert.ok(outcome.isKept);
  return outcome.record.version;
}

describe("what is stored", () => {
  test("is found by every thread, replaced whole, and told of by the epoch of its shard", async () => {
    const stage = await KeepingStage.open();
    assert.equal(stage.textOf(KEY), null);
    const first = versionOf(await stage.keep(KEY, "one"));
    const found = stage.found(KEY)!;
    assert.equal(stage.textOf(KEY), "one");
    assert.ok(stage.reader.isUnchanged(found.shard, found.epoch));
    assert.equal(stage.keeping.currentVersion(ID), first);
    const second = versionOf(await stage.keep(KEY, "two"));
    assert.ok(second > first);
    assert.ok(!stage.reader.isUnchanged(found.shard, found.epoch));
    assert.equal(stage.textOf(KEY), "two");
    assert.deepEqual([stage.keeper.stats().entries, stage.keeper.stats().removed.replaced], [1, 1]);
  });

  test("in a file has the file until it is replaced, evicted or refused", async () => {
    const stage = await KeepingStage.open({ objectBytesMax: 1000 });
    assert.ok((await stage.keepInFile(KEY, Buffer.alloc(900, "x"))).isKept);
    const [first] = stage.folder.bodies;
    const { record } = stage.found(KEY)!;
    assert.ok(record.kind === "answer" && record.body.kind === "file" && record.body.body === first);
    assert.ok(stage.shared.isVerified(record.slot), "it was written just now");
    assert.ok((await stage.keepInFile(KEY, Buffer.alloc(1000, "y"))).isKept);
    assert.equal(stage.folder.bodies.length, 1);
    assert.notEqual(stage.folder.bodies[0], first);
    assert.equal(reasonOf(await stage.keepInFile(KEY, Buffer.alloc(1001))), "large");
    assert.equal(stage.folder.bodies.length, 1);
    await stage.keeping.invalidate(KEY);
    assert.equal(stage.found(KEY), null);
    assert.deepEqual([stage.folder.bodies, stage.folder.openFiles], [[], 0]);
    assert.deepEqual([stage.keeper.stats().entries, stage.keeper.stats().bytes], [0, 0]);
  });

  test("gets a new head for the same body, while it is that version still", async () => {
    const stage = await KeepingStage.open();
    const version = versionOf(await stage.keep(KEY, "body"));
    const head = headOf(4, { freshMs: 77 });
    const refreshed = await stage.keeping.refresh(ID, version, head, stage.keeping.mark());
    assert.ok(refreshed !== null && refreshed.version > version);
    assert.equal(stage.textOf(KEY), "body");
    const { record } = stage.found(KEY)!;
    assert.ok(record.kind === "answer");
    assert.deepEqual([record.head.freshMs, record.version], [77, refreshed.version]);
    assert.equal(await stage.keeping.refresh(ID, version, head, stage.keeping.mark()), null, "an older version");
    await stage.keeping.invalidate(KEY);
    assert.equal(await stage.keeping.refresh(ID, refreshed.version, head, stage.keeping.mark()), null);
  });

  test("is not replaced by what was asked for before it was confirmed", async () => {
    const stage = await KeepingStage.open();
    const nowMs = stage.clock.wallMs();
    const keep = (text: string, requestedMs: number) =>
      stage.keep(KEY, text, { head: headOf(text.length, { requestedMs, receivedMs: nowMs }) });
    const version = versionOf(await keep("one", nowMs - 3000));
    const confirmed = headOf(3, { requestedMs: nowMs - 1000, receivedMs: nowMs });
    assert.ok((await stage.keeping.refresh(ID, version, confirmed, stage.keeping.mark())) !== null);
    assert.equal(reasonOf(await keep("slow", nowMs - 2000)), "older");
    assert.equal(stage.textOf(KEY), "one");
    assert.equal(reasonOf(await keep("two", nowMs - 1000)), "kept");
    // The clock was set back since.
    assert.equal(reasonOf(await keep("three", nowMs + 10_000)), "kept");
    assert.equal(reasonOf(await keep("four", nowMs)), "kept");
    assert.equal(stage.textOf(KEY), "four");
  });

  test("is dropped when it is the version that was meant, or does not verify", async () => {
    const stage = await KeepingStage.open();
    const version = versionOf(await stage.keep(KEY, "body"));
    assert.equal(await stage.keeping.drop(ID, version + 1, "damaged"), false);
    assert.equal(await stage.keeping.dropDamaged(ID), false, "it is not");
    assert.equal(stage.textOf(KEY), "body");
    stage.folder.corruptRecord(ID, 100);
    assert.equal(stage.textOf(KEY), null);
    assert.deepEqual(stage.damaged, [ID]);
    assert.equal(await stage.keeping.dropDamaged(ID), true);
    assert.deepEqual([...stage.folder.records.keys()], []);
    assert.equal(await stage.keeping.drop(ID, versionOf(await stage.keep(KEY, "again")), "damaged"), true);
    assert.deepEqual(
      [stage.textOf(KEY), stage.keeper.stats().removed.damaged, stage.keeper.stats().bytes],
      [null, 2, 0],
    );
  });

  test("is what it was when it cannot be replaced, and a slot that was not used is used again", async () => {
    const stage = await KeepingStage.open({ slots: 4 });
    await stage.keep(KEY, "old");
    for (let round = 0; round < 10; round++) {
      stage.folder.fault = (operation) => (operation === "put" ? new Error("EIO: failing") : null);
      assert.equal(reasonOf(await stage.keepInFile(KEY, Buffer.from("new"))), "off");
      assert.equal(stage.textOf(KEY), "old");
      stage.folder.fault = null;
      while (stage.shared.state !== 0) {
        stage.clock.advance(60_000);
        await stage.keep("https://host/other", "x");
      }
    }
    assert.deepEqual(stage.folder.bodies, []);
    assert.ok((await stage.keep(KEY, "new")).isKept);
    assert.equal(stage.textOf(KEY), "new");
  });
});

describe("answers that vary", () => {
  const keepFor = (stage: KeepingStage, text: string, names: string[], values: string[]): Promise<KeepOutcome> =>
    stage.keep(KEY, text, { head: headOf(text.length, { vary: names }), vary: { names, values } });

  const find = (stage: KeepingStage, values: readonly string[]): string | null => {
    const primary = stage.found(KEY)?.record;
    if (primary?.kind !== "vary") return null;
    const record = stage.reader.read(entryIdOf(KEY, variantOf(primary.generation, values)))?.record;
    return record?.kind === "answer" && record.body.kind === "inline" ? record.body.bytes.toString() : null;
  };

  test("stand beside each other; whoever knows what they vary by finds his own", async () => {
    const stage = await KeepingStage.open();
    await stage.keep(KEY, "for all");
    assert.ok((await keepFor(stage, "german", ["accept-language"], ["de"])).isKept);
    assert.ok((await keepFor(stage, "french", ["accept-language"], ["fr"])).isKept);
    assert.deepEqual([find(stage, ["de"]), find(stage, ["fr"]), find(stage, ["en"])], ["german", "french", null]);
    assert.equal(stage.textOf(KEY), null, "what stood there before they varied is gone");
    assert.deepEqual(stage.keeper.stats().entries, 3);
    assert.ok((await keepFor(stage, "Deutsch", ["accept-language"], ["de"])).isKept);
    assert.deepEqual([find(stage, ["de"]), find(stage, ["fr"])], ["Deutsch", "french"]);
  });

  test("that come to vary by more leave behind what was stored before", async () => {
    const stage = await KeepingStage.open();
    await keepFor(stage, "german", ["accept-language"], ["de"]);
    const names = ["accept-language", "accept-encoding"];
    assert.ok((await keepFor(stage, "german gzip", names, ["de", "gzip"])).isKept);
    assert.deepEqual([find(stage, ["de"]), find(stage, ["de", "gzip"])], [null, "german gzip"]);
    // Whoever began before that does not know its request's value.
    assert.equal(reasonOf(await keepFor(stage, "french", ["accept-language"], ["fr"])), "vary");
    assert.equal(reasonOf(await stage.keep(KEY, "for all")), "vary");
    // The order in which the names are told does not matter.
    assert.ok((await keepFor(stage, "anew", ["accept-encoding", "accept-language"], ["gzip", "de"])).isKept);
    assert.equal(find(stage, ["de", "gzip"]), "anew");
  });

  test("are gone all at once with their key, and what nobody can find any more is removed by the next purge", async () => {
    const stage = await KeepingStage.open();
    await keepFor(stage, "german", ["accept-language"], ["de"]);
    await keepFor(stage, "french", ["accept-language"], ["fr"]);
    await stage.keeping.invalidate(KEY);
    assert.deepEqual([find(stage, ["de"]), find(stage, ["fr"])], [null, null]);
    await keepFor(stage, "new german", ["accept-language"], ["de"]);
    assert.deepEqual([find(stage, ["de"]), find(stage, ["fr"])], ["new german", null]);
    assert.equal(stage.keeper.stats().entries, 4);
    await stage.keeper.purge({ kind: "host", text: "other" }, { soft: false });
    assert.equal(stage.keeper.stats().entries, 2);
    assert.equal(find(stage, ["de"]), "new german");
  });
});

describe("limits", () => {
  test("what came first goes when there is no room, and not more than has to", async () => {
    const stage = await KeepingStage.open({ bytesMax: 64 * 1024 });
    const keys = Array.from({ length: 40 }, (_, index) => `https://host/${index}`);
    for (const key of keys) {
      assert.ok((await stage.keepInFile(key, Buffer.alloc(4096, key))).isKept);
      assert.ok(stage.keeper.stats().bytes <= 64 * 1024);
    }
    const left = keys.filter((key) => stage.found(key) !== null);
    assert.deepEqual(left, keys.slice(-left.length));
    assert.ok(left.length >= 13, String(left.length));
    await stage.keeping.settled();
    const { entries, removed } = stage.keeper.stats();
    assert.deepEqual([entries, removed.size, stage.folder.bodies.length], [left.length, 40 - left.length, left.length]);
    assert.equal(reasonOf(await stage.keepInFile(KEY, Buffer.alloc(65 * 1024))), "large");
  });

  test("much that has to go is waited for once each, however much it is", async (t) => {
    const stage = await KeepingStage.open();
    const keys = Array.from({ length: 1000 }, (_, index) => `https://host/${index}`);
    await Promise.all(keys.map((key) => stage.keep(key, key)));
    let waitedFor = 0;
    const all = Promise.all.bind(Promise);
    t.mock.method(Promise, "all", (promises: Iterable<unknown>) => {
      const some = [...promises];
      waitedFor += some.length;
      return all(some);
    });
    Object.assign(stage.keeping.limits, { bytesMax: 10_000 });
    assert.ok(await stage.keeping.makeRoom(0));
    await stage.keeping.settled();
    assert.ok(stage.keeper.stats().entries < 20);
    assert.ok(waitedFor <= 1.1 * keys.length, `${waitedFor} for ${keys.length}`);
  });

  test("variants of one key make room for each other", async () => {
    const stage = await KeepingStage.open({ slots: 4 });
    for (let index = 0; index < 20; index++) {
      const vary = { names: ["accept"], values: [String(index)] };
      assert.ok((await stage.keep(KEY, "text", { vary })).isKept, String(index));
    }
    assert.ok(stage.keeper.stats().entries <= 4);
  });

  test("what nobody has used for the time that was set goes, and what was used stays", async () => {
    const stage = await KeepingStage.open({ inactiveMs: 3_600_000 });
    await stage.indexed();
    await stage.keep("https://host/used", "used");
    await stage.keep("https://host/not", "not");
    for (let minute = 0; minute < 90; minute++) {
      const { record } = stage.found("https://host/used")!;
      stage.shared.use(record.slot, Math.floor(stage.clock.wallMs() / 1000));
      for (let step = 0; step < 6; step++) {
        stage.clock.advance(10_000);
        await new Promise(setImmediate);
      }
      assert.equal(stage.textOf("https://host/not"), minute < 60 ? "not" : null, String(minute));
    }
    assert.equal(stage.textOf("https://host/used"), "used");
    assert.equal(stage.keeper.stats().removed.inactive, 1);
  });

  test("what must stay free stays free: nothing is stored, and what is there gives way", async () => {
    const folder = new MemoryCacheFolder(new VirtualClock(), { capacityBytes: 100_000 });
    const stage = await KeepingStage.open({ folder, freeBytesMin: 50_000 });
    for (let index = 0; index < 10; index++) {
      assert.ok((await stage.keepInFile(`https://host/${index}`, Buffer.alloc(3000))).isKept);
    }
    folder.foreignBytes = 30_000;
    stage.clock.advance(10_000);
    await settle(1000);
    const { entries, removed } = stage.keeper.stats();
    assert.ok(entries > 0 && entries < 10 && removed.free === 10 - entries, String(entries));
    assert.equal(folder.bodies.length, entries);
    // Until it has looked again, nothing new comes.
    assert.equal(reasonOf(await stage.keepInFile(KEY, Buffer.from("x"))), "full");
    folder.foreignBytes = 0;
    stage.clock.advance(10_000);
    await settle(1000);
    assert.ok((await stage.keepInFile(KEY, Buffer.from("x"))).isKept);
    assert.deepEqual(stage.events, [], "that is no trouble of the disk");
  });
});

test("a slot's hash is that of its id", async () => {
  const stage = await KeepingStage.open();
  for (let index = 0; index < 100; index++) {
    const kept = await stage.keep(`${KEY}${index}`, "x");
    assert.ok(kept.isKept);
    assert.equal(stage.keeping.slots.idOf(kept.record.slot), kept.id);
    assert.equal(stage.keeping.slots.hashOf(kept.record.slot), hashOf(kept.id));
  }
});

test("ids of one key are in all shards", () => {
  const shards = new Set(Array.from({ length: 20_000 }, (_, index) => shardOf(entryIdOf(KEY, String(index)))));
  assert.ok(shards.size > 4000 && Math.max(...shards) === 4095);
});
