// Several threads and one keeper: one thread fetches, the others read what it writes, and nobody waits for a thread that is gone.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Asked, headOf, requestOf, settle, Taker } from "../../../test/support/cache-dialogue.ts";
import { CacheStage } from "../../../test/support/cache-stage.ts";
import { ProxyError } from "../../core/errors.ts";
import { diskError } from "../../testing/cache-folder.ts";
import type { Cache, CachedAnswer, Fill } from "../cache.ts";
import { HOT_BODY_BYTES_MAX } from "./growing-body.ts";

const KEY = "http://host/a";
const BODY = Buffer.alloc(300_000, "0123456789abcdefghijk");

/** Of the body, in the beginning. */
const FIRST = 10;

/** One thread fetches, another one waits until there is something to read in the file. */
async function begun(stage: CacheStage) {
  const [one, two] = [stage.thread(), stage.thread()];
  const filler = Asked.of(one.cache, KEY);
  await settle();
  const early = Asked.of(two.cache, KEY);
  await settle();
  const own = Taker.of(filler.fill!.begin(headOf(-1)));
  await settle();
  assert.deepEqual([filler.outcomes, early.outcomes], [["fill"], []]);
  filler.fill!.write(BODY, 0, FIRST);
  await settle();
  assert.deepEqual(early.outcomes, ["answer"]);
  return { one, two, fill: filler.fill!, own, other: Taker.of(early.answer!) };
}

function assertAllBack(stage: CacheStage): void {
  assert.equal(stage.broker.flights, 0);
  assert.equal(stage.folder.openFiles, 0);
}

test("another thread reads while it is fetched, as far as it is in the file; a late one too", async () => {
  const stage = await CacheStage.open();
  const { two, fill, own, other } = await begun(stage);
  await settle();
  assert.equal(other.taken.toString(), BODY.toString("latin1", 0, FIRST));
  fill.write(BODY, FIRST, 200_000);
  await settle();
  assert.equal(other.bytes, 200_000);
  const late = Asked.of(two.cache, KEY);
  const latest = Asked.of(stage.thread().cache, KEY);
  await settle();
  const lateTaker = Taker.of(late.answer!, 5, 250_000);
  fill.write(BODY, 200_000, BODY.length);
  fill.end();
  await settle(300);
  const latestTaker = Taker.of(latest.answer!);
  await settle(300);
  assert.ok(own.taken.equals(BODY) && other.taken.equals(BODY) && latestTaker.taken.equals(BODY));
  assert.ok(lateTaker.taken.equals(BODY.subarray(5, 250_000)));
  assert.deepEqual(
    [own, other, lateTaker, latestTaker].map(({ outcome }) => outcome),
    new Array(4).fill("ended"),
  );
  assert.ok(two.cache.find(KEY, requestOf()) !== null);
  assertAllBack(stage);
  await stage.close();
});

test("who is not followed writes whole blocks, however small the pieces are that come", async () => {
  const stage = await CacheStage.open();
  let appends = 0;
  stage.folder.fault = (operation) => {
    if (operation === "append") appends++;
    return null;
  };
  const filler = Asked.of(stage.thread().cache, KEY);
  await settle();
  const own = Taker.of(filler.fill!.begin(headOf(-1)));
  for (let at = 0; at < BODY.length; at += 1000) {
    filler.fill!.write(BODY, at, Math.min(at + 1000, BODY.length));
    await settle();
  }
  filler.fill!.end();
  await settle(300);
  assert.ok(own.taken.equals(BODY) && own.outcome === "ended");
  assert.equal(appends, Math.ceil(BODY.length / HOT_BODY_BYTES_MAX));
  assertAllBack(stage);
  await stage.close();
});

test("who comes once there is a file waits for no whole block, and its fill goes on without the readers of its own thread", async () => {
  const stage = await CacheStage.open();
  const filler = Asked.of(stage.thread().cache, KEY);
  await settle();
  let isUnwanted = false;
  filler.fill!.onUnwanted = () => {
    isUnwanted = true;
  };
  const own = Taker.of(filler.fill!.begin(headOf(-1), { endsUnread: true }));
  filler.fill!.write(BODY, 0, 100_000);
  await settle();
  const late = Asked.of(stage.thread().cache, KEY);
  await settle();
  const other = Taker.of(late.answer!);
  await settle();
  assert.equal(other.bytes, 100_000);
  filler.fill!.write(BODY, 100_000, 100_001);
  await settle();
  assert.equal(other.bytes, 100_001);
  own.produced!.abort!(new ProxyError("http_request_error", "gone"));
  assert.equal(isUnwanted, false);
  filler.fill!.write(BODY, 100_001, BODY.length);
  filler.fill!.end();
  await settle(300);
  assert.ok(other.taken.equals(BODY) && other.outcome === "ended");
  assertAllBack(stage);
  await stage.close();
});

test("who is told of one that is over by then reads it, though its file goes at once", async () => {
  const stage = await CacheStage.open();
  const { two, fill } = await begun(stage);
  fill.write(BODY, FIRST, BODY.length);
  await settle(300);
  const late = Asked.of(two.cache, KEY);
  let taker: Taker | null = null;
  late.onOutcome = () => {
    // Stored and removed again, by another thread.
    stage.folder.fault = (operation) =>
      operation === "openBody" ? Object.assign(new Error("no"), { code: "ENOENT" }) : null;
    taker = Taker.of(late.answer!, 0, -1, (...range) => stage.folder.readDescriptor(...range));
  };
  fill.end();
  await settle(300);
  assert.deepEqual(late.outcomes, ["answer"]);
  assert.ok(taker!.taken.equals(BODY));
  stage.folder.fault = null;
  await stage.rest();
  assertAllBack(stage);
  await stage.close();
});

test("a small one that is over before there is a file comes whole", async () => {
  const stage = await CacheStage.open();
  const [one, two] = [stage.thread(), stage.thread()];
  const fill = await granted(one.cache);
  const early = Asked.of(two.cache, KEY);
  await settle();
  // The keeper tells the thread to make a file when all has ended.
  fill.begin(headOf(5));
  fill.write(BODY, 0, 5);
  fill.end();
  await settle();
  assert.deepEqual(early.outcomes, ["answer"]);
  const other = Taker.of(early.answer!);
  assert.deepEqual([other.taken.toString(), other.outcome], ["01234", "ended"]);
  assert.equal(stage.folder.bodies.length, 0);
  assertAllBack(stage);
  await stage.close();
});

test("a part of a representation keeps its place in other threads too, small or in a file", async () => {
  for (const length of [10, 200_000]) {
    const stage = await CacheStage.open();
    const [one, two] = [stage.thread(), stage.thread()];
    const filler = Asked.of(one.cache, KEY);
    await settle();
    const [start, end] = [1000, 1000 + length];
    filler.fill!.begin(headOf(BODY.length), { start, end });
    const follower = Asked.of(two.cache, KEY);
    filler.fill!.write(BODY, start, start + 5);
    await settle();
    const { body } = follower.answer!;
    assert.deepEqual([body.bytes, body.start, body.end], [BODY.length, start, end]);
    const takers = [Taker.of(follower.answer!, start, end), Taker.of(follower.answer!, start + 3, end - 2)];
    const outside = [Taker.of(follower.answer!, 0, 10), Taker.of(follower.answer!, end, end + 1)];
    filler.fill!.write(BODY, start + 5, end);
    filler.fill!.end();
    await settle(300);
    assert.ok(takers[0]!.taken.equals(BODY.subarray(start, end)));
    assert.ok(takers[1]!.taken.equals(BODY.subarray(start + 3, end - 2)));
    assert.deepEqual(
      [...takers, ...outside].map(({ outcome }) => outcome),
      ["ended", "ended", "aborted", "aborted"],
    );
    const found = two.cache.find(KEY, requestOf())!;
    assert.deepEqual([found.body.start, found.body.end, found.body.memory], [start, end, null]);
    const stored = Taker.of(found, start + 1, end);
    await settle(300);
    assert.ok(stored.taken.equals(BODY.subarray(start + 1, end)));
    two.cache.close();
    assertAllBack(stage);
    await stage.close();
  }
});

test("who dies while he waits is not given what he waited for", async () => {
  const stage = await CacheStage.open();
  const [one, two, three] = [stage.thread(), stage.thread(), stage.thread()];
  const filler = Asked.of(one.cache, KEY);
  await settle();
  const dead = Asked.of(two.cache, KEY);
  const living = Asked.of(three.cache, KEY);
  await settle();
  two.end();
  one.end();
  await settle();
  assert.deepEqual(
    [filler, dead, living].map(({ outcomes }) => outcomes),
    [["fill"], [], ["fill"]],
  );
  await stage.close();
});

test("a fill that fails breaks the answers in other threads too", async () => {
  const stage = await CacheStage.open();
  const { two, fill, other } = await begun(stage);
  fill.write(BODY, FIRST, 100_000);
  await settle();
  fill.fail(new ProxyError("connection_terminated", "gone"));
  await settle();
  assert.deepEqual([other.outcome, other.error?.type], ["aborted", "http_response_incomplete"]);
  const next = Asked.of(two.cache, KEY);
  await settle();
  assert.deepEqual(next.outcomes, ["fill"]);
  next.fill!.release("failed", 0);
  await settle();
  assert.equal(stage.folder.bodies.length, 0);
  assertAllBack(stage);
  await stage.close();
});

test("a thread that dies breaks what it was fetching, and whoever waited for its head fetches himself", async () => {
  const stage = await CacheStage.open();
  const { one, two, fill, other } = await begun(stage);
  fill.write(BODY, FIRST, 100_000);
  const waiting = Asked.of(one.cache, "http://host/b");
  await settle();
  const waiters = [1, 2].map(() => Asked.of(two.cache, "http://host/b"));
  await settle();
  assert.deepEqual(
    [waiting, ...waiters].map(({ outcomes }) => outcomes),
    [["fill"], [], []],
  );
  one.end();
  await settle();
  assert.equal(other.outcome, "aborted");
  assert.deepEqual(
    waiters.map(({ outcomes }) => outcomes),
    [["fill"], []],
  );
  waiters[0]!.fill!.begin(headOf(0));
  waiters[0]!.fill!.end();
  await settle();
  assert.deepEqual(waiters[1]!.outcomes, ["answer"]);
  assert.equal(Taker.of(waiters[1]!.answer!).outcome, "ended");
  assert.equal(stage.folder.bodies.length, 0);
  assert.equal(stage.broker.flights, 0);
  await stage.close();
});

test("a thread that dies while it follows leaves nothing behind", async () => {
  const stage = await CacheStage.open();
  const { two, fill } = await begun(stage);
  two.end();
  fill.write(BODY, FIRST, BODY.length);
  fill.end();
  await settle(300);
  assert.equal(stage.broker.flights, 0);
  await stage.close();
});

test("without progress, those who wait are let go, also later ones; who reads goes on when it comes back", async () => {
  const stage = await CacheStage.open({ stallMs: 8000 });
  const { cache } = stage.thread();
  const asked = [1, 2].map(() => Asked.of(cache, KEY));
  await settle();
  stage.clock.advance(7900);
  await settle();
  assert.deepEqual(asked[1]!.outcomes, []);
  stage.clock.advance(2000);
  await settle();
  assert.deepEqual(asked[1]!.outcomes, ["pass: stalled"]);
  const later = Asked.of(cache, KEY);
  await settle();
  assert.deepEqual(later.outcomes, ["pass: stalled"]);
  const own = Taker.of(asked[0]!.fill!.begin(headOf(-1)));
  const follower = Asked.of(cache, KEY);
  await settle();
  assert.deepEqual(follower.outcomes, ["answer"]);
  for (let second = 0; second < 30; second++) {
    asked[0]!.fill!.write(BODY, 0, 1);
    stage.clock.advance(1000);
  }
  const during = Asked.of(cache, KEY);
  await settle();
  assert.deepEqual(during.outcomes, ["answer"]);
  stage.clock.advance(10_000);
  const stalled = Asked.of(cache, KEY);
  await settle();
  assert.deepEqual(stalled.outcomes, ["pass: stalled"]);
  asked[0]!.fill!.write(BODY, 0, 1);
  const again = Asked.of(cache, KEY);
  await settle();
  assert.deepEqual(again.outcomes, ["answer"]);
  asked[0]!.fill!.end();
  assert.deepEqual([own.bytes, own.outcome], [31, "ended"]);
  await settle();
  assert.equal(stage.broker.flights, 0);
  await stage.close();
});

test("more fills than there may be: the next one passes", async () => {
  const stage = await CacheStage.open({ fillsMax: 2 });
  const { cache } = stage.thread();
  const asked = ["/a", "/b", "/c"].map((path) => Asked.of(cache, `http://host${path}`));
  await settle();
  assert.deepEqual(
    asked.map(({ outcomes }) => outcomes),
    [["fill"], ["fill"], ["pass: full"]],
  );
  asked[0]!.fill!.release("failed", 0);
  const next = Asked.of(cache, "http://host/c");
  await settle();
  assert.deepEqual(next.outcomes, ["fill"]);
  await stage.close();
});

test("a disk that fails: who reads in the thread that fetches gets everything, at the pace of the slowest; nothing is stored", async () => {
  const stage = await CacheStage.open();
  const { one, two, fill, own, other } = await begun(stage);
  fill.write(BODY, FIRST, 200_000);
  await settle();
  assert.equal(other.bytes, 200_000);
  const slow = Taker.of(await answered(one.cache));
  slow.produced!.pause();
  // What was being read comes still.
  await settle();
  const paused = slow.bytes;
  stage.folder.fault = (operation) => (operation === "append" ? diskError("ENOSPC", "no space left") : null);
  let drained = 0;
  fill.onDrain = () => drained++;
  let written = 200_000;
  for (; !fill.isFull; written += 50_000) {
    fill.write(BODY, 0, 50_000);
    await settle();
    assert.ok(written < 4_000_000, "the source is never paused");
  }
  assert.equal(slow.bytes, paused);
  assert.equal(other.outcome, "aborted");
  assert.deepEqual(stage.troubles, ["ENOSPC: no space left"]);
  assert.equal(own.bytes, written);
  const late = Asked.of(two.cache, KEY);
  await settle();
  assert.deepEqual(late.outcomes, ["pass: off"]);
  slow.produced!.resume();
  await settle(300);
  assert.equal(drained, 1);
  assert.equal(fill.isFull, false);
  fill.write(BODY, 0, 10);
  fill.end();
  await settle(300);
  assert.deepEqual([own.bytes, own.outcome], [written + 10, "ended"]);
  assert.ok(slow.taken.equals(own.taken));
  assert.equal(slow.outcome, "ended");
  stage.folder.fault = null;
  assert.equal(one.cache.find(KEY, requestOf()), null);
  assert.equal(stage.folder.bodies.length, 0);
  assertAllBack(stage);
  await stage.close();
});

for (const [where, operation] of [
  ["takes no file", "createBody"],
  ["takes nothing into one", "append"],
] as const) {
  test(`a disk that ${where}: other threads have got nothing that would break, and fetch for themselves`, async () => {
    const stage = await CacheStage.open();
    const [one, two] = [stage.thread(), stage.thread()];
    const fill = await granted(one.cache);
    const early = Asked.of(two.cache, KEY);
    await settle();
    stage.folder.fault = (attempted) => (attempted === operation ? diskError("ENOSPC", "no space left") : null);
    const own = Taker.of(fill.begin(headOf(-1)));
    await settle();
    fill.write(BODY, 0, 1000);
    await settle();
    assert.deepEqual(early.outcomes, ["pass: off"]);
    fill.write(BODY, 1000, BODY.length);
    fill.end();
    await settle(300);
    assert.ok(own.taken.equals(BODY));
    assert.deepEqual(stage.troubles, ["ENOSPC: no space left"]);
    assertAllBack(stage);
    await stage.close();
  });
}

test("an origin that breaks off before there is anything in the file leaves other threads to try again", async () => {
  const stage = await CacheStage.open();
  const [one, two] = [stage.thread(), stage.thread()];
  const fill = await granted(one.cache);
  const early = Asked.of(two.cache, KEY);
  await settle();
  fill.begin(headOf(-1));
  await settle();
  fill.fail(new ProxyError("connection_terminated", "gone"));
  await settle();
  assert.deepEqual(early.outcomes, ["pass: failed"]);
  assertAllBack(stage);
  await stage.close();
});

test("longer than may be stored: who reads gets everything, nobody else joins, and the others pass for a while", async () => {
  const stage = await CacheStage.open({ objectBytesMax: 100_000, bytesMax: 1_000_000 });
  const { cache } = stage.thread();
  const asked = Asked.of(cache, KEY);
  await settle();
  const fill = asked.fill!;
  const own = Taker.of(fill.begin(headOf(-1)));
  let unwanted = 0;
  fill.onUnwanted = () => unwanted++;
  fill.write(BODY, 0, 100_000);
  await settle();
  fill.write(BODY, 100_000, BODY.length);
  await settle();
  const late = Asked.of(cache, KEY);
  await settle();
  assert.deepEqual(late.outcomes, ["pass: too-large"]);
  assert.equal(unwanted, 0);
  own.produced!.abort!(new ProxyError("connection_terminated", "the client has left"));
  assert.equal(unwanted, 1);
  fill.fail(new ProxyError("connection_terminated", "given up"));
  await settle();
  assert.equal(stage.folder.bodies.length, 0);
  assertAllBack(stage);
  await stage.close();
});

test("who joins a long fill compares it with what was purged since another one has joined", async (t) => {
  const stage = await CacheStage.open();
  const { cache } = stage.thread();
  const { purges } = stage.keeper.keeping;
  const compared = t.mock.method(purges, "isMetSince");
  const filler = Asked.of(cache, KEY);
  await settle();
  filler.fill!.begin(headOf(-1, { tags: ["of the head"] }));
  filler.fill!.write(BODY, 0, FIRST);
  await settle();
  for (let count = 0; count < 20; count++) {
    const before = purges.mark;
    await stage.keeper.invalidateTag(`other ${count}`);
    const [one, other] = [Asked.of(cache, KEY), Asked.of(cache, KEY)];
    await settle();
    assert.deepEqual([one.outcomes, other.outcomes], [["answer"], ["answer"]]);
    assert.deepEqual(
      compared.mock.calls.slice(-2).map(({ arguments: [mark] }) => mark),
      [before, purges.mark],
    );
  }
  await stage.keeper.invalidateTag("of the head");
  const late = Asked.of(cache, KEY);
  await settle();
  assert.deepEqual(late.outcomes, ["fill"]);
  await stage.close();
});

test("who came behind a purge of its tags gets nothing of it, though an invalidation had met it before its tags were known", async () => {
  const stage = await CacheStage.open();
  const [one, two] = [stage.thread(), stage.thread()];
  const fill = await granted(one.cache);
  await stage.keeper.purge({ kind: "tag", text: "red" }, { soft: false });
  const waiting = Asked.of(two.cache, KEY);
  await settle();
  await one.cache.invalidate(KEY);
  const next = Asked.of(one.cache, KEY);
  await settle();
  assert.deepEqual([waiting.outcomes, next.outcomes], [[], ["fill"]]);
  fill.begin(headOf(-1, { tags: ["red"] }));
  fill.write(BODY, 0, BODY.length);
  fill.end();
  await settle(300);
  assert.deepEqual(waiting.outcomes, []);
  next.fill!.begin(headOf(3));
  next.fill!.write(BODY, 0, 3);
  next.fill!.end();
  await settle(300);
  assert.deepEqual(waiting.outcomes, ["answer"]);
  assert.equal(Taker.of(waiting.answer!).taken.toString(), "012");
  assertAllBack(stage);
  await stage.close();
});

test("longer than may be stored: the source waits for the slowest reader, and not for one that has left", async () => {
  const stage = await CacheStage.open({ objectBytesMax: 100_000, bytesMax: 1_000_000 });
  const fill = await granted(stage.thread().cache);
  const answer = fill.begin(headOf(-1));
  const [slow, other] = [Taker.of(answer), Taker.of(answer)];
  slow.produced!.pause();
  let drained = 0;
  fill.onDrain = () => drained++;
  let written = 0;
  for (; !fill.isFull; written += BODY.length) fill.write(BODY, 0, BODY.length);
  assert.deepEqual([slow.bytes, other.bytes, drained], [0, written, 0]);
  slow.produced!.abort!(new ProxyError("connection_terminated", "the client has left"));
  assert.deepEqual([fill.isFull, drained], [false, 1]);
  fill.end();
  await settle();
  assert.deepEqual([other.bytes, other.outcome], [written, "ended"]);
  assertAllBack(stage);
  await stage.close();
});

async function granted(cache: Cache): Promise<Fill> {
  const asked = Asked.of(cache, KEY);
  await settle();
  assert.deepEqual(asked.outcomes, ["fill"]);
  return asked.fill!;
}

async function answered(cache: Cache): Promise<CachedAnswer> {
  const asked = Asked.of(cache, KEY);
  await settle();
  assert.deepEqual(asked.outcomes, ["answer"]);
  return asked.answer!;
}
