// Purges: in force when they return, whatever they meet and however long that takes to remove; told how much it was; and through a
// crash.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { settle } from "../../../test/support/cache-dialogue.ts";
import { KeepingStage } from "../../../test/support/keeping-stage.ts";
import { seed } from "../../../test/support/seed.ts";
import { MemoryCacheFolder } from "../../testing/cache-folder.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import type { PurgePattern } from "../cache.ts";
import { DISK_STATES, SharedCache } from "../shared.ts";
import { entryIdOf } from "./entry-id.ts";
import { KeeperPurges, PURGES_MAX } from "./keeper-purges.ts";
import { judge } from "./purge-log.ts";
import { isMet, purgeTarget } from "./purge-patterns.ts";

const HARD = { soft: false };
const SOFT = { soft: true };

describe("what a purge meets", () => {
  const cases: readonly (readonly [PurgePattern["kind"], string, readonly string[], readonly string[]])[] = [
    ["url", "https://h/a?b", ["https://h/a?b", "https://h/a?b\nde"], ["https://h/a", "https://h/a?bc", "http://h/a?b"]],
    ["prefix", "https://h/a", ["https://h/a", "https://h/ab/c", "https://h/a\nx"], ["https://h/b", "https://h/"]],
    [
      "host",
      "H.example",
      ["https://h.example/", "http://h.example:81/a"],
      ["https://x.h.example/", "https://h.example.org/"],
    ],
    ["host", "h:81", ["http://h:81/"], ["http://h/", "http://h:811/"]],
    ["host", "[::1]", ["http://[::1]/", "http://[::1]:8080/a"], ["http://[::1:2]/"]],
    ["wildcard", "https://h/*.deb", ["https://h/.deb", "https://h/a/b.deb"], ["https://h/deb", "https://h/a.deb?x"]],
    ["wildcard", "*/a*b*c", ["https://h/abc", "https://h/a-b-b-c"], ["https://h/acb", "https://h/ab"]],
    ["wildcard", "https://h/ab*ba", ["https://h/abba", "https://h/ab.ba"], ["https://h/aba"]],
    ["wildcard", "https://h/a", ["https://h/a"], ["https://h/ab"]],
    ["wildcard", "*", ["https://h/a", ""], []],
  ];
  for (const [kind, text, met, others] of cases) {
    test(`${kind} ${text}`, () => {
      for (const key of met) assert.ok(isMet({ kind, text }, purgeTarget(key, [])), key);
      for (const key of others) assert.ok(!isMet({ kind, text }, purgeTarget(key, [text])), key);
    });
  }

  test("a tag is one of its own, and no part of one", () => {
    assert.ok(isMet({ kind: "tag", text: "b" }, purgeTarget("https://h/", ["a", "b"])));
    assert.ok(!isMet({ kind: "tag", text: "b" }, purgeTarget("https://h/b", ["a", "bb"])));
  });

  test("the tags of an answer are looked at once, however many purges it is compared with", () => {
    let looks = 0;
    const tags = new Proxy(
      Array.from({ length: 50 }, (_, index) => `tag ${index}`),
      {
        get(target, name, receiver) {
          looks++;
          return Reflect.get(target, name, receiver);
        },
      },
    );
    const purges = Array.from({ length: 1000 }, (_, index) => {
      return { number: index + 1, pattern: { kind: "tag", text: `other ${index}` } as const, isSoft: false };
    });
    assert.equal(judge(purges, 0, "https://h/", tags), "good");
    assert.ok(looks < 500, `${looks} looks`);
    assert.equal(
      judge([...purges, { ...purges[0]!, number: 1001, pattern: { kind: "tag", text: "tag 49" } }], 0, "", tags),
      "gone",
    );
  });

  test("a wildcard is what an expression with .* in its place would be, in linear time", () => {
    const letters = fc.string({ unit: fc.constantFrom("a", "b", "*"), maxLength: 12 });
    const url = fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 16 });
    fc.assert(
      fc.property(letters, url, (text, key) => {
        const expected = new RegExp(`^${text.replaceAll("*", ".*")}$`).test(key);
        assert.equal(isMet({ kind: "wildcard", text }, purgeTarget(key, [])), expected, `${text} ${key}`);
      }),
      { seed, numRuns: 1000 },
    );
    assert.ok(!isMet({ kind: "wildcard", text: `${"*a".repeat(5000)}*c` }, purgeTarget("a".repeat(10_000), [])));
  });
});

test("a purge is put on the list without a look at the others", () => {
  let looks = 0;
  const purges = new KeeperPurges(new MemoryCacheFolder(new VirtualClock()).openBooks(), SharedCache.ofOneThread(16));
  const add = (text: string, isSoft = false): void => {
    const pattern: PurgePattern = {
      kind: "tag",
      get text() {
        looks++;
        return text;
      },
    };
    purges.add(pattern, isSoft);
  };
  for (let index = 0; index < PURGES_MAX; index++) add(`tag ${index}`);
  looks = 0;
  add("tag 500", true);
  add("tag 500");
  assert.ok(looks < 10, `${looks} looks`);
  assert.deepEqual(
    purges.purges.slice(-2).map(({ number, isSoft }) => [number, isSoft]),
    [
      [PURGES_MAX, false],
      [PURGES_MAX + 2, false],
    ],
  );
  assert.equal(purges.purges.length, PURGES_MAX);
});

describe("a purge", () => {
  test("reads nothing twice of what it does not meet", async (t) => {
    const stage = await KeepingStage.open();
    for (let index = 0; index < 100; index++) {
      await stage.keep(`https://h/${index}`, "text", { tags: [`tag ${index}`, "all of them"] });
    }
    const read = t.mock.method(stage.keeping.around.books, "read");
    assert.deepEqual(await stage.over(stage.keeper.purge({ kind: "tag", text: "none of them" }, HARD)), { entries: 0 });
    assert.equal(read.mock.callCount(), 0);
    assert.deepEqual(await stage.over(stage.keeper.purge({ kind: "tag", text: "tag 7" }, HARD)), { entries: 1 });
    assert.ok(read.mock.callCount() < 10);
    assert.equal(stage.folder.records.size, 99);
  });

  test("is in force before what it meets is gone, and tells how much it was", async () => {
    const stage = await KeepingStage.open();
    const keys = Array.from({ length: 300 }, (_, index) => `https://${index % 3 === 0 ? "met" : "other"}/${index}`);
    await Promise.all(keys.map((key) => stage.keep(key, key)));
    // Removing takes its time; the list of purges does not wait for it.
    stage.folder.slowness.remove = 50;
    let outcome: { entries: number } | null = null;
    void stage.keeper.purge({ kind: "host", text: "met" }, HARD).then((done) => {
      outcome = done;
    });
    await settle();
    assert.equal(outcome, null);
    assert.ok(stage.folder.records.size > 200, "most of it is there still");
    for (const key of keys) assert.equal(stage.textOf(key), key.includes("met") ? null : key);
    // What is fetched from now on is stored and found.
    stage.folder.slowness.remove = 0;
    await Promise.all([stage.keep("https://met/0", "anew"), elapse(stage, 60_000)]);
    assert.equal(stage.textOf("https://met/0"), "anew");
    await elapse(stage, 60_000);
    // The one that was replaced was not there to be removed any more, or was gone already.
    assert.ok([99, 100].includes(outcome!.entries), String(outcome!.entries));
    assert.equal(stage.textOf("https://met/0"), "anew");
    assert.equal(stage.folder.records.size, 201);
    assert.deepEqual(stage.keeping.purges.purges, [], "the list is empty again");
  });

  test("turns stale what it meets when it is soft, until that is confirmed or fetched anew", async () => {
    const stage = await KeepingStage.open();
    await stage.keep("https://h/a", "a", { tags: ["x", "y"] });
    await stage.keep("https://h/b", "b", { tags: ["z"] });
    const before = stage.found("https://h/a")!;
    const purging = stage.keeper.purge({ kind: "tag", text: "y" }, SOFT);
    await settle(4);
    assert.deepEqual([stage.textOf("https://h/a"), stage.textOf("https://h/b")], ["soft: a", "b"]);
    assert.equal(stage.reader.judge(before.purges, "https://h/a", ["x", "y"]), "soft", "also what is held in memory");
    assert.deepEqual(await purging, { entries: 1 });
    assert.equal(stage.textOf("https://h/a"), "soft: a");
    const { record } = stage.found("https://h/a")!;
    assert.ok(record.kind === "answer");
    const head = { ...record.head, flags: 0 };
    await stage.keeping.refresh(entryIdOf("https://h/a", ""), record.version, head, stage.keeping.mark());
    assert.equal(stage.textOf("https://h/a"), "a");
    // A hard one that says the same is not done with a soft one.
    const purges = [
      stage.keeper.purge({ kind: "tag", text: "y" }, HARD),
      stage.keeper.purge({ kind: "tag", text: "y" }, SOFT),
    ];
    await Promise.all(purges);
    assert.equal(stage.textOf("https://h/a"), null);
  });

  test("meets what was begun before it, and what was confirmed before it", async () => {
    const stage = await KeepingStage.open();
    const since = stage.keeping.mark();
    const kept = await stage.keep("https://h/a", "old");
    assert.ok(kept.isKept);
    await stage.keeper.purge({ kind: "prefix", text: "https://h/" }, HARD);
    assert.deepEqual(await stage.keep("https://h/a", "begun before", { since }), { isKept: false, reason: "purged" });
    const file = await stage.writeBody(Buffer.from("body"));
    assert.deepEqual(await stage.keep("https://h/a", "", { since, body: file }), { isKept: false, reason: "purged" });
    assert.deepEqual(stage.folder.bodies, []);
    assert.equal(await stage.keeping.refresh(kept.id, kept.record.version, kept.record.head, since), null);
    assert.ok((await stage.keep("https://other/a", "not met", { since })).isKept);
    assert.ok((await stage.keep("https://h/a", "begun behind it")).isKept);
    // So does an invalidation of its key.
    const late = stage.keeping.mark();
    await stage.keeping.invalidate("https://h/a");
    assert.deepEqual(await stage.keep("https://h/a", "begun before", { since: late }), {
      isKept: false,
      reason: "purged",
    });
    assert.ok((await stage.keep("https://h/b", "another key", { since: late })).isKept);
  });

  test("meets what is being stored just now", async () => {
    for (const operation of ["put", "keepBody"] as const) {
      const stage = await KeepingStage.open();
      const body = await stage.writeBody(Buffer.from("body"));
      stage.folder.slowness[operation] = 100;
      const keeping = stage.keep("https://h/a", "", { body });
      await settle();
      const purging = stage.keeper.purge({ kind: "url", text: "https://h/a" }, HARD);
      await elapse(stage, 1000);
      await Promise.all([keeping, purging]);
      assert.equal(stage.found("https://h/a"), null, operation);
      await settle();
      assert.deepEqual([stage.folder.bodies, stage.keeper.stats().entries], [[], 0]);
    }
  });

  test("that was in force when the process was killed is in force afterwards", async () => {
    const stage = await KeepingStage.open();
    for (const name of ["a", "b", "c"]) await stage.keep(`https://h/${name}`, name);
    stage.folder.slowness.remove = 1_000_000;
    void stage.keeper.purge({ kind: "wildcard", text: "*/b" }, HARD);
    void stage.keeper.purge({ kind: "wildcard", text: "*/c" }, SOFT);
    await settle();
    const texts = (of: KeepingStage) => ["a", "b", "c"].map((name) => of.textOf(`https://h/${name}`));
    assert.deepEqual(texts(stage), ["a", null, "soft: c"]);
    const next = await stage.restart();
    assert.deepEqual(texts(next), ["a", null, "soft: c"]);
    await settle(200);
    assert.equal(next.folder.records.size, 2);
    assert.deepEqual(texts(next), ["a", null, "soft: c"]);
    assert.deepEqual(next.keeping.purges.purges, []);
    await next.keep("https://h/b", "anew");
    assert.equal(next.textOf("https://h/b"), "anew");
  });

  test("that cannot be written down lets nothing be found until it is, and one line is told", async () => {
    const stage = await KeepingStage.open();
    await stage.keep("https://h/a", "a");
    await stage.keep("https://h/b", "b");
    stage.folder.fault = (operation) => (operation === "writeFact" ? new Error("ENOSPC: full") : null);
    await assert.rejects(
      stage.keeper.purge({ kind: "url", text: "https://h/a" }, HARD),
      /could not be written .* nothing is found in the cache until it can be: ENOSPC: full/,
    );
    assert.deepEqual([stage.textOf("https://h/a"), stage.textOf("https://h/b")], [null, null]);
    assert.deepEqual(stage.events, ["ENOSPC: full"]);
    assert.equal(stage.keeper.stats().trouble, "ENOSPC: full");
    await elapse(stage, 3_600_000);
    assert.deepEqual([stage.textOf("https://h/b"), stage.events], [null, ["ENOSPC: full"]]);
    stage.folder.fault = null;
    await elapse(stage, 3_600_000);
    assert.deepEqual([stage.textOf("https://h/a"), stage.textOf("https://h/b")], [null, "b"]);
    await stage.keep("https://h/a", "anew");
    assert.deepEqual([stage.textOf("https://h/a"), stage.events], ["anew", ["ENOSPC: full", "recovered"]]);
  });

  test("that cannot be written down is in force after a restart, too: nothing of before is found", async () => {
    const stage = await KeepingStage.open();
    await stage.keep("https://h/a", "a");
    stage.folder.fault = (operation) => (operation === "writeFact" ? new Error("EIO") : null);
    await assert.rejects(stage.keeper.purge({ kind: "url", text: "https://h/a" }, HARD), /EIO/);
    const next = await stage.restart();
    assert.equal(next.textOf("https://h/a"), null);
  });

  test("says that it is in force when what it meets cannot be removed, and what it meets goes later", async () => {
    for (const operation of ["remove", "scan"] as const) {
      const stage = await KeepingStage.open();
      await stage.keep("https://h/a", "a");
      await stage.keep("https://h/b", "b");
      stage.folder.fault = (failing) => (failing === operation ? new Error("EIO: bad") : null);
      const purging = stage.keeper.purge({ kind: "url", text: "https://h/a" }, HARD);
      await assert.rejects(purging, /is in force, but .* goes later: (EIO: bad|what was purged could not be removed)/);
      assert.deepEqual([stage.textOf("https://h/a"), stage.textOf("https://h/b")], [null, "b"], operation);
      // The cache is turned off, and back; what was purged is not.
      assert.equal(stage.shared.state, DISK_STATES.storesNothing);
      stage.folder.fault = null;
      await elapse(stage, 3_600_000);
      assert.equal(stage.shared.state, DISK_STATES.works);
      assert.deepEqual([stage.textOf("https://h/a"), stage.textOf("https://h/b")], [null, "b"], operation);
      assert.equal(stage.folder.records.size, 1);
    }
  });

  test("is answered when the cache is closed: what was written is in force at the next start", async () => {
    const stage = await KeepingStage.open();
    await stage.keep("https://h/a", "a");
    await stage.keep("https://h/b", "b");
    stage.folder.slowness.writeFact = 100;
    stage.folder.slowness.remove = 100;
    const purging = stage.keeper.purge({ kind: "url", text: "https://h/a" }, HARD);
    const answered = assert.rejects(purging, /the cache is closed: the purge is in force/);
    await settle();
    await stage.over(stage.keeper.close());
    await answered;
    await assert.rejects(
      stage.keeper.purge({ kind: "url", text: "https://h/b" }, HARD),
      /the cache is closed: nothing was purged/,
    );
    stage.folder.slowness.writeFact = stage.folder.slowness.remove = 0;
    const next = await stage.restart();
    assert.deepEqual([next.textOf("https://h/a"), next.textOf("https://h/b")], [null, "b"]);
  });

  test("turns into one of everything when nothing can be removed, before there are too many", async () => {
    const stage = await KeepingStage.open();
    await stage.keep("https://h/a", "a");
    stage.folder.fault = (operation) => (operation === "scan" ? new Error("EIO") : null);
    for (let index = 0; index < 2001; index++) await stage.keeper.invalidateTag(`t${index}`);
    assert.ok(stage.keeping.purges.purges.length < 10);
    assert.equal(stage.textOf("https://h/a"), null);
  });

  test("does not wait for ever when there are very many, and forgets none", async () => {
    const stage = await KeepingStage.open();
    for (let index = 0; index < 1100; index++)
      await stage.keep(`https://h/${index}`, String(index), { tags: [`t${index}`] });
    const purges = Array.from({ length: 1100 }, (_, index) =>
      stage.keeper.purge({ kind: "tag", text: `t${index}` }, HARD),
    );
    await elapse(stage, 60_000);
    const outcomes = await Promise.all(purges);
    assert.deepEqual(new Set(outcomes.map(({ entries }) => entries)), new Set([1]));
    assert.equal(stage.folder.records.size, 0);
  });
});

async function elapse(stage: KeepingStage, ms: number): Promise<void> {
  for (let step = 0; step < 100; step++) {
    await settle();
    stage.clock.advance(ms / 100);
  }
  await settle();
}
