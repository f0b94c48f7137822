// One thread and its keeper: what is asked for is fetched once, given to all who wait, and found afterwards.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Asked, headOf, requestOf, settle, Taker } from "../../../test/support/cache-dialogue.ts";
import { CacheStage } from "../../../test/support/cache-stage.ts";
import { ProxyError } from "../../core/errors.ts";
import type { Cache, CachedAnswer, Fill } from "../cache.ts";

const KEY = "http://host/a";

function write(fill: Fill, text: string): void {
  const bytes = Buffer.from(text);
  fill.write(bytes, 0, bytes.length);
}

async function stored(cache: Cache, key: string, text: string, head = headOf(text.length)): Promise<CachedAnswer> {
  const asked = Asked.of(cache, key);
  await settle();
  assert.deepEqual(asked.outcomes, ["fill"]);
  asked.fill!.begin(head);
  write(asked.fill!, text);
  asked.fill!.end();
  await settle();
  const found = cache.find(key, requestOf());
  assert.ok(found);
  return found;
}

test("one fetches, the others wait for the head, then all read; afterwards it is found, without a message", async () => {
  const stage = await CacheStage.open();
  const { cache } = stage.thread();
  assert.equal(cache.find(KEY, requestOf()), null);
  const asked = [1, 2, 3].map(() => Asked.of(cache, KEY));
  await settle();
  assert.deepEqual(
    asked.map(({ outcomes }) => outcomes),
    [["fill"], [], []],
  );
  const fill = asked[0]!.fill!;
  const takers = [Taker.of(fill.begin(headOf(5)))];
  await settle();
  assert.deepEqual(
    asked.map(({ outcomes }) => outcomes),
    [["fill"], ["answer"], ["answer"]],
  );
  takers.push(Taker.of(asked[1]!.answer!));
  write(fill, "he");
  takers.push(Taker.of(asked[2]!.answer!));
  assert.deepEqual(
    takers.map(({ taken }) => taken.toString()),
    ["he", "he", "he"],
  );
  write(fill, "llo");
  fill.end();
  assert.deepEqual(
    takers.map(({ taken, outcome }) => `${taken} ${outcome}`),
    new Array(3).fill("hello ended"),
  );
  await settle();
  const found = cache.find(KEY, requestOf())!;
  assert.equal(found.body.memory?.toString(), "hello");
  assert.ok(found.version > 0);
  assert.equal(cache.find(KEY, requestOf()), found);
  assert.ok(cache.isIdle);
  assert.equal(stage.broker.flights, 0);
  assert.equal(stage.folder.openFiles, 0);
  await stage.close();
});

test("a long body goes to a file; who comes late or reads a part of it reads it from there", async () => {
  const stage = await CacheStage.open();
  const { cache } = stage.thread();
  const asked = Asked.of(cache, KEY);
  await settle();
  const fill = asked.fill!;
  const body = Buffer.alloc(700_001, "0123456789abcdefg");
  const answer = fill.begin(headOf(body.length));
  const early = Taker.of(answer);
  for (let at = 0; at < body.length; at += 50_000) {
    fill.write(body, at, Math.min(at + 50_000, body.length));
    await settle();
  }
  const late = Taker.of(answer);
  const part = Taker.of(answer, 100_001, 600_002);
  fill.end();
  await settle(400);
  assert.ok(early.taken.equals(body) && late.taken.equals(body));
  assert.ok(part.taken.equals(body.subarray(100_001, 600_002)));
  assert.deepEqual([early.outcome, late.outcome, part.outcome], ["ended", "ended", "ended"]);
  const found = cache.find(KEY, requestOf())!;
  assert.equal(found.body.memory, null);
  const again = Taker.of(found, 0, -1);
  await settle(400);
  assert.equal(again.outcome, "ended");
  assert.ok(again.taken.equals(body));
  assert.equal(stage.folder.openFiles, 1, "it may be asked for again");
  // The answer that was on its way can be read still.
  const latest = Taker.of(answer, 699_999);
  await settle();
  assert.deepEqual([latest.taken.toString(), latest.outcome], [body.subarray(699_999).toString(), "ended"]);
  cache.close();
  assert.equal(stage.folder.openFiles, 0);
  await stage.close();
});

test("what may not be stored lets all go but one, who looks whether it is still so; nobody waits for him", async () => {
  const stage = await CacheStage.open();
  const { cache } = stage.thread();
  const asked = [1, 2, 3].map(() => Asked.of(cache, KEY));
  await settle();
  asked[0]!.fill!.release("uncacheable", 5000);
  await settle();
  assert.deepEqual(
    asked.map(({ outcomes }) => outcomes.join()),
    ["fill", "fill", "pass: uncacheable"],
  );
  const other = Asked.of(stage.thread().cache, KEY);
  await settle();
  assert.deepEqual(other.outcomes, ["pass: uncacheable"]);
  asked[1]!.fill!.release("uncacheable", 5000);
  await settle();
  stage.clock.advance(101);
  const next = Asked.of(cache, KEY);
  await settle();
  assert.deepEqual(next.outcomes, ["fill"]);
  stage.clock.advance(5001);
  const later = Asked.of(cache, KEY);
  await settle();
  assert.deepEqual(later.outcomes, [], "it waits as for anything else");
  next.fill!.fail(new ProxyError("connection_terminated", "gone"));
  await stage.close();
});

test("what is not to be stored time after time is looked at more and more seldom, at least once a second", async () => {
  const stage = await CacheStage.open();
  const { cache } = stage.thread();
  const rests: number[] = [];
  for (let time = 0; time < 14; time++) {
    let restMs = 0;
    for (;;) {
      const asked = Asked.of(cache, KEY);
      await settle();
      asked.fill?.release("uncacheable", 60_000);
      await settle();
      if (asked.fill !== null) break;
      assert.deepEqual(asked.outcomes, ["pass: uncacheable"]);
      stage.clock.advance(50);
      restMs += 50;
    }
    rests.push(restMs);
  }
  assert.deepEqual(rests, [0, 0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000, 1000, 1000]);
  await stage.close();
});

test("what may be stored after all is for everybody again from its head on", async () => {
  const stage = await CacheStage.open();
  const { cache } = stage.thread();
  const first = Asked.of(cache, KEY);
  await settle();
  first.fill!.release("uncacheable", 5000);
  const second = Asked.of(cache, KEY);
  await settle();
  second.fill!.begin(headOf(5));
  const third = Asked.of(cache, KEY);
  await settle();
  assert.deepEqual(third.outcomes, ["answer"]);
  write(second.fill!, "12345");
  second.fill!.end();
  await settle();
  assert.equal(cache.find(KEY, requestOf())!.body.bytes, 5);
  await stage.close();
});

test("what was confirmed after all is for everybody again", async () => {
  const stage = await CacheStage.open();
  const { cache } = stage.thread();
  const found = await stored(cache, KEY, "12345");
  const first = Asked.of(cache, KEY, requestOf(), found);
  await settle();
  first.fill!.release("uncacheable", 5000);
  const second = Asked.of(cache, KEY, requestOf(), found);
  await settle();
  second.fill!.refresh(found, { ...found.head, freshMs: 1 });
  await settle();
  const [third, fourth] = [1, 2].map(() => Asked.of(cache, KEY, requestOf(), cache.find(KEY, requestOf())));
  await settle();
  assert.deepEqual([third!.outcomes, fourth!.outcomes], [["fill"], []]);
  third!.fill!.fail(new ProxyError("connection_terminated", "gone"));
  await stage.close();
});

test("a body that breaks off, or is not as long as its head said, breaks the answers of all and is not stored", async () => {
  const stage = await CacheStage.open();
  const { cache } = stage.thread();
  const ends: ((fill: Fill) => void)[] = [
    (fill) => fill.fail(new ProxyError("connection_terminated", "gone")),
    (fill) => fill.end(),
    (fill) => write(fill, "more than the head said"),
    (fill) => fill.release("failed", 0),
  ];
  for (const end of ends) {
    const asked = [1, 2].map(() => Asked.of(cache, KEY));
    await settle();
    const takers = [Taker.of(asked[0]!.fill!.begin(headOf(10)))];
    await settle();
    takers.push(Taker.of(asked[1]!.answer!));
    write(asked[0]!.fill!, "12345");
    end(asked[0]!.fill!);
    assert.deepEqual(
      takers.map(({ taken, outcome }) => `${taken} ${outcome}`),
      new Array(2).fill("12345 aborted"),
    );
    await settle();
    assert.equal(cache.find(KEY, requestOf()), null);
    assert.ok(cache.isIdle);
  }
  await stage.close();
});

test("variants: who gets another one than is fetched asks for his own, and each finds his own", async () => {
  const stage = await CacheStage.open();
  const { cache } = stage.thread();
  const languages = ["en", "de", "en", "fr"];
  const requests = languages.map((language) => requestOf([["Accept-Language", language]]));
  const asked = requests.map((request) => Asked.of(cache, KEY, request));
  await settle();
  const finish = (one: Asked, language: string): void => {
    one.fill!.begin(headOf(2, { vary: ["accept-language"] }));
    write(one.fill!, language);
    one.fill!.end();
  };
  asked[0]!.fill!.begin(headOf(2, { vary: ["accept-language"] }));
  await settle();
  assert.deepEqual(
    asked.map(({ outcomes }) => outcomes),
    [["fill"], ["fill"], ["answer"], ["fill"]],
  );
  write(asked[0]!.fill!, "en");
  asked[0]!.fill!.end();
  finish(asked[1]!, "de");
  finish(asked[3]!, "fr");
  await settle(200);
  for (const [index, request] of requests.entries()) {
    assert.equal(cache.find(KEY, request)?.body.memory?.toString(), languages[index]);
  }
  assert.equal(cache.find(KEY, requestOf([["Accept-Language", "it"]])), null);
  assert.equal(cache.find(KEY, requestOf([["accept-language", " EN "]]))?.body.memory?.toString(), "en");
  assert.equal(stage.broker.flights, 0);
  await stage.close();
});

test("variants: what a request literally said leads to what is stored now, whatever was stored before", async () => {
  const stage = await CacheStage.open();
  const { cache } = stage.thread();
  const en = [["Accept-Language", "en, de"]] as const;
  const spelled = [["Accept-Language", "de,EN"]] as const;
  const find = (lines: readonly (readonly [string, string])[]): string | undefined => {
    return cache.find(KEY, requestOf(lines))?.body.memory?.toString();
  };
  const store = async (lines: readonly (readonly [string, string])[], vary: string[], text: string) => {
    const asked = Asked.of(cache, KEY, requestOf(lines), cache.find(KEY, requestOf(lines)));
    await settle();
    asked.fill!.begin(headOf(text.length, { vary }));
    write(asked.fill!, text);
    asked.fill!.end();
    await settle(200);
  };
  await store(en, ["accept-language"], "first");
  for (let times = 0; times < 3; times++) assert.deepEqual([find(en), find(spelled)], ["first", "first"]);
  // The same variant, replaced: by another answer under the same id.
  await store(spelled, ["accept-language"], "second");
  for (let times = 0; times < 2; times++) assert.deepEqual([find(en), find(spelled)], ["second", "second"]);
  // By more than before: what was known of the one name says nothing any more.
  await store([...en, ["X-Kind", "a"]], ["accept-language", "x-kind"], "third");
  assert.deepEqual(
    [find(en), find([...spelled, ["X-Kind", "a"]]), find([...spelled, ["X-Kind", "b"]])],
    [undefined, "third", undefined],
  );
  assert.equal(find([...en, ["X-Kind", "a"]]), "third");
  await stage.thread().cache.invalidate(KEY);
  assert.deepEqual([find([...en, ["X-Kind", "a"]]), find([...spelled, ["X-Kind", "a"]])], [undefined, undefined]);
  await stage.close();
});

test("what is good still gets a new head; who waited for that looks again", async () => {
  const stage = await CacheStage.open();
  const { cache } = stage.thread();
  const before = await stored(cache, KEY, "body");
  const asked = [1, 2].map(() => Asked.of(cache, KEY, requestOf(), before));
  await settle();
  assert.deepEqual(
    asked.map(({ outcomes }) => outcomes),
    [["fill"], []],
  );
  asked[0]!.fill!.refresh(before, headOf(4, { freshMs: 7 }));
  await settle();
  assert.deepEqual(asked[1]!.outcomes, ["stored"]);
  const after = cache.find(KEY, requestOf())!;
  assert.equal(after.head.freshMs, 7);
  assert.equal(after.body.memory?.toString(), "body");
  assert.ok(after.version > before.version);
  // Who still has the one from before looks again.
  const late = Asked.of(cache, KEY, requestOf(), before);
  await settle();
  assert.deepEqual(late.outcomes, ["stored"]);
  cache.refresh(KEY, requestOf(), after, headOf(4, { freshMs: 8 }));
  await settle();
  assert.equal(cache.find(KEY, requestOf())!.head.freshMs, 8);
  await stage.close();
});

test("what is invalidated is not found from that moment on, and what was begun before is not stored", async () => {
  const stage = await CacheStage.open();
  const { cache } = stage.thread();
  const other = stage.thread().cache;
  await stored(cache, KEY, "body");
  const tagged = await stored(cache, "http://host/tagged", "tagged", headOf(6, { tags: ["red"] }));
  const begun = Asked.of(cache, "http://host/begun");
  await settle();
  begun.fill!.begin(headOf(3));
  // The disk takes its time, and so does the certainty that nobody finds it.
  stage.folder.slowness.remove = stage.folder.slowness.writeFact = 1000;
  let isDone = false;
  const done = Promise.all([cache.invalidate(KEY), cache.invalidate("http://host/begun"), cache.invalidateTag("red")]);
  assert.equal(cache.find(KEY, requestOf()), null);
  assert.equal(cache.find("http://host/tagged", requestOf()), null);
  const again = [Asked.of(cache, KEY), Asked.of(cache, "http://host/tagged", requestOf(), tagged)];
  const anew = Asked.of(other, "http://host/begun");
  void done.then(() => {
    isDone = true;
  });
  await settle();
  assert.equal(isDone, false);
  for (const { outcomes } of [...again, anew]) assert.deepEqual(outcomes, ["fill"]);
  for (let second = 0; second < 5; second++) {
    stage.clock.advance(1000);
    await settle();
  }
  assert.equal(isDone, true);
  stage.folder.slowness.remove = stage.folder.slowness.writeFact = 0;
  assert.equal(other.find(KEY, requestOf()), null);
  assert.equal(other.find("http://host/tagged", requestOf()), null);
  write(begun.fill!, "old");
  begun.fill!.end();
  await settle();
  assert.equal(cache.find("http://host/begun", requestOf()), null);
  await stage.close();
});

test("who gives up is told nothing, and what he was to fetch another one fetches", async () => {
  const stage = await CacheStage.open();
  const { cache } = stage.thread();
  const asked = [1, 2, 3].map(() => Asked.of(cache, KEY));
  asked[0]!.pending!.cancel();
  asked[2]!.pending!.cancel();
  await settle();
  assert.deepEqual(
    asked.map(({ outcomes }) => outcomes),
    [[], ["fill"], []],
  );
  asked[1]!.fill!.release("failed", 0);
  await settle();
  assert.ok(cache.isIdle);
  assert.equal(stage.broker.flights, 0);
  await stage.close();
});

test("what says by which fields answers vary is used with each of them, so that it does not go before they do", async () => {
  const stage = await CacheStage.open();
  const { cache } = stage.thread();
  const request = requestOf([["Accept-Language", "en"]]);
  const asked = Asked.of(cache, KEY, request);
  await settle();
  asked.fill!.begin(headOf(5, { vary: ["accept-language"] }));
  write(asked.fill!, "hello");
  asked.fill!.end();
  await settle();
  assert.ok(cache.find(KEY, request));
  const uses = [...stage.shared.frequencies.subarray(0, 3)].filter((count) => count > 0);
  assert.deepEqual(uses, [1, 1]);
  await stage.close();
});
