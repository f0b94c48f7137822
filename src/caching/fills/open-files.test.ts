// Files of stored bodies stay open between hits, and no longer than they are of use: a while after the last hit, until what is stored
// there is another answer, until the process is short of descriptors, until the cache is closed.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Asked, headOf, requestOf, settle, Taker } from "../../../test/support/cache-dialogue.ts";
import { CacheStage, type CacheStageOptions } from "../../../test/support/cache-stage.ts";
import type { CacheOperation } from "../../testing/cache-folder.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import { OPEN_FILE_REST_MS, OPEN_FILES_MAX, OpenFiles } from "./open-files.ts";
import type { ThreadCache } from "./thread-cache.ts";

const KEY = "http://host/a";
const BODY_BYTES = 200_000;
const TOO_MANY = Object.assign(new Error("too many open files"), { code: "EMFILE" });

const keyOf = (index: number): string => `http://host/${index}`;

async function store(cache: ThreadCache, key: string, text: string): Promise<void> {
  const body = Buffer.alloc(BODY_BYTES, text);
  const asked = Asked.of(cache, key, requestOf(), cache.find(key, requestOf()));
  await settle();
  asked.fill!.begin(headOf(body.length));
  asked.fill!.write(body, 0, body.length);
  asked.fill!.end();
  await settle(50);
}

/** A hit, to its end; whether what it got is what was stored. */
async function hit(stage: CacheStage, cache: ThreadCache, key: string, text: string): Promise<boolean> {
  const answer = cache.find(key, requestOf());
  assert.ok(answer, key);
  const taker = Taker.of(answer, 0, -1, (...range) => stage.folder.readDescriptor(...range));
  await settle(50);
  return taker.outcome === "ended" && taker.taken.equals(Buffer.alloc(BODY_BYTES, text));
}

interface Opened {
  readonly stage: CacheStage;
  readonly cache: ThreadCache;
  /** How often a body was opened. */
  opens: number;
  /** Whether an open fails for want of descriptors. */
  isShort: (opens: number) => boolean;
}

async function open(options: CacheStageOptions = {}): Promise<Opened> {
  const stage = await CacheStage.open(options);
  const opened: Opened = { stage, cache: stage.thread().cache, opens: 0, isShort: () => false };
  stage.folder.fault = (operation: CacheOperation) => {
    if (operation !== "openBody") return null;
    opened.opens++;
    return opened.isShort(opened.opens) ? TOO_MANY : null;
  };
  return opened;
}

test("hits one after another open the file once; it is closed a while after the last", async () => {
  const opened = await open();
  const { stage, cache } = opened;
  await store(cache, KEY, "one");
  for (let count = 0; count < 10; count++) {
    const before = opened.opens;
    assert.ok(await hit(stage, cache, KEY, "one"));
    assert.equal(opened.opens - before, count === 0 ? 1 : 0);
    stage.clock.advance(OPEN_FILE_REST_MS * 0.9);
    // The keeper may have verified it meanwhile.
    await settle(400);
    assert.equal(stage.folder.openFiles, 1);
  }
  stage.clock.advance(OPEN_FILE_REST_MS * 1.1);
  assert.equal(stage.folder.openFiles, 0);
  const before = opened.opens;
  assert.ok(await hit(stage, cache, KEY, "one"));
  assert.equal(opened.opens - before, 1);
  await stage.close();
});

test("what is read longer than that stays open", async () => {
  const { stage, cache } = await open();
  await store(cache, KEY, "one");
  const slow = Taker.of(cache.find(KEY, requestOf())!, 0, -1);
  slow.produced!.pause();
  stage.clock.advance(10 * OPEN_FILE_REST_MS);
  slow.produced!.resume();
  await settle(200);
  assert.equal(slow.outcome, "ended");
  assert.ok(slow.taken.equals(Buffer.alloc(BODY_BYTES, "one")));
  await stage.rest();
  assert.equal(stage.folder.openFiles, 0);
  await stage.close();
});

test("an answer that was replaced: the old file is closed as soon as that is found, and the new one is given", async () => {
  const { stage, cache } = await open();
  await store(cache, KEY, "one");
  assert.ok(await hit(stage, cache, KEY, "one"));
  await store(cache, KEY, "two");
  assert.ok(await hit(stage, cache, KEY, "two"));
  assert.deepEqual([stage.folder.openFiles, stage.folder.bodies.length], [1, 1]);
  await stage.close();
});

test("an answer that was removed: its file is closed when it is asked for, or after the while", async () => {
  for (const isAsked of [true, false]) {
    const { stage, cache } = await open();
    await store(cache, KEY, "one");
    assert.ok(await hit(stage, cache, KEY, "one"));
    await stage.keeper.purge({ kind: "url", text: KEY }, { soft: false });
    await settle(50);
    assert.deepEqual([stage.folder.openFiles, stage.folder.bodies], [1, []]);
    if (isAsked) assert.equal(cache.find(KEY, requestOf()), null);
    else await stage.rest();
    assert.equal(stage.folder.openFiles, 0);
    await stage.close();
  }
});

test("what hot memory does not keep is closed with its last reader", async () => {
  const { stage, cache } = await open({ hotBytesMax: 0 });
  await store(cache, KEY, "one");
  assert.ok(await hit(stage, cache, KEY, "one"));
  assert.equal(stage.folder.openFiles, 0);
  await stage.close();
});

test("what was opened to be given is opened once, also where hot memory does not keep it; not given, it is closed a while later", async () => {
  for (const hotBytesMax of [0, 1_000_000]) {
    const opened = await open({ hotBytesMax });
    const { stage, cache } = opened;
    await store(cache, KEY, "one");
    for (const isGiven of [true, false]) {
      const before = opened.opens;
      const answer = cache.find(KEY, requestOf())!;
      assert.ok(answer.body.open());
      assert.deepEqual([stage.folder.openFiles, opened.opens - before], [1, isGiven || hotBytesMax === 0 ? 1 : 0]);
      if (isGiven) {
        const taker = Taker.of(answer, 0, -1, (...range) => stage.folder.readDescriptor(...range));
        await settle(50);
        assert.ok(taker.taken.equals(Buffer.alloc(BODY_BYTES, "one")));
        assert.equal(opened.opens - before, 1);
      }
    }
    await stage.rest();
    assert.equal(stage.folder.openFiles, 0);
    await stage.close();
  }
});

test("no more than the limit stay open, and what is used often stays longest", async () => {
  const opened = await open();
  const { stage, cache } = opened;
  const count = OPEN_FILES_MAX + 20;
  for (let index = 0; index < count; index++) await store(cache, keyOf(index), String(index));
  for (let index = 0; index < count; index++) {
    assert.ok(await hit(stage, cache, keyOf(index), String(index)));
    assert.ok(await hit(stage, cache, keyOf(0), "0"));
    assert.ok(stage.folder.openFiles <= OPEN_FILES_MAX, `${stage.folder.openFiles} are open`);
  }
  assert.equal(stage.folder.openFiles, OPEN_FILES_MAX);
  const before = opened.opens;
  assert.ok(await hit(stage, cache, keyOf(0), "0"));
  assert.equal(opened.opens, before);
  await stage.close();
});

test("short of descriptors: what rests is closed, and the file is opened after all", async () => {
  const opened = await open();
  const { stage, cache } = opened;
  for (let index = 0; index < 5; index++) await store(cache, keyOf(index), String(index));
  for (let index = 0; index < 4; index++) assert.ok(await hit(stage, cache, keyOf(index), String(index)));
  assert.equal(stage.folder.openFiles, 4);
  const next = opened.opens + 1;
  opened.isShort = (opens) => opens === next;
  assert.ok(await hit(stage, cache, keyOf(4), "4"));
  assert.equal(stage.folder.openFiles, 1);
  // Nothing helps: this answer is broken, and the entry stays.
  opened.isShort = () => true;
  assert.equal(await hit(stage, cache, keyOf(0), "0"), false);
  opened.isShort = () => false;
  assert.ok(await hit(stage, cache, keyOf(0), "0"));
  await stage.close();
});

test("short of descriptors for a new file: what rests is closed, and the answer is stored", async () => {
  const { stage, cache } = await open();
  await store(cache, KEY, "one");
  assert.ok(await hit(stage, cache, KEY, "one"));
  stage.folder.fault = (operation) => (operation === "createBody" && stage.folder.openFiles > 0 ? TOO_MANY : null);
  await store(cache, keyOf(1), "two");
  assert.deepEqual([stage.folder.openFiles, stage.troubles], [0, []]);
  assert.ok(await hit(stage, cache, keyOf(1), "two"));
  await stage.close();
});

test("no descriptor at all for a new file: that answer is given and not stored, and the cache works on", async () => {
  const { stage, cache } = await open();
  const other = stage.thread().cache;
  const body = Buffer.alloc(BODY_BYTES, "one");
  stage.folder.fault = (operation) => (operation === "createBody" ? TOO_MANY : null);
  const asked = Asked.of(cache, KEY);
  await settle();
  const elsewhere = Asked.of(other, KEY);
  await settle();
  const taker = Taker.of(asked.fill!.begin(headOf(body.length)));
  asked.fill!.write(body, 0, body.length);
  await settle(50);
  // In the other thread somebody fetches it for himself, to be stored if that can be.
  assert.deepEqual(elsewhere.outcomes, ["fill"]);
  stage.folder.fault = null;
  asked.fill!.end();
  await settle(50);
  assert.ok(taker.outcome === "ended" && taker.taken.equals(body));
  assert.equal(cache.find(KEY, requestOf()), null);
  assert.deepEqual(stage.troubles, ["not stored: too many open files"]);
  elsewhere.fill!.begin(headOf(body.length));
  elsewhere.fill!.write(body, 0, body.length);
  elsewhere.fill!.end();
  await settle(50);
  assert.ok(await hit(stage, cache, KEY, "one"));
  assert.equal(stage.broker.flights, 0);
  await stage.close();
});

test("a cache that is closed leaves no file open, and what is being given from one still is", async () => {
  const { stage, cache } = await open();
  for (const key of [KEY, keyOf(1)]) await store(cache, key, "one");
  assert.ok(await hit(stage, cache, KEY, "one"));
  assert.ok(await hit(stage, cache, keyOf(1), "one"));
  const slow = Taker.of(cache.find(KEY, requestOf())!, 0, -1);
  cache.close();
  assert.equal(stage.folder.openFiles, 1);
  await settle(200);
  assert.ok(slow.taken.equals(Buffer.alloc(BODY_BYTES, "one")));
  assert.equal(stage.folder.openFiles, 0);
  await stage.close();
});

test("where all that are open are being read, a hit does not look at all of them; one that rests is closed sooner or later", () => {
  const files = new OpenFiles(new VirtualClock());
  let looks = 0;
  let closed = 0;
  const holder = (isRead: boolean) => ({
    isFileUsed: true,
    get isRead() {
      looks++;
      return isRead;
    },
    closeFile: () => void closed++,
  });
  for (let count = 0; count < OPEN_FILES_MAX; count++) assert.ok(files.keep(holder(count !== OPEN_FILES_MAX / 2)));
  let kept = 0;
  for (let count = 0; count < 20; count++) if (files.keep(holder(true))) kept++;
  assert.deepEqual([kept, closed], [1, 1]);
  assert.ok(looks < (20 * OPEN_FILES_MAX) / 4, `${looks} looks`);
});
