// Stored bodies: verified by whoever reads them first after a start, then sent unseen; a bad block breaks that answer and drops the
// entry. No descriptor is closed under what is being sent.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Asked, headOf, requestOf, settle, Taker } from "../../../test/support/cache-dialogue.ts";
import { CacheStage } from "../../../test/support/cache-stage.ts";
import type { MemoryCacheFolder } from "../../testing/cache-folder.ts";

const KEY = "http://host/a";
const BODY = Buffer.alloc(1_700_000, "0123456789abcdefghijklmno");

/** The folder that a process has left that had stored the body. */
async function folderWithBody(): Promise<MemoryCacheFolder> {
  const stage = await CacheStage.open();
  const { cache } = stage.thread();
  const asked = Asked.of(cache, KEY);
  await settle();
  asked.fill!.begin(headOf(BODY.length));
  for (let at = 0; at < BODY.length; at += 100_000) {
    asked.fill!.write(BODY, at, Math.min(BODY.length, at + 100_000));
    await settle();
  }
  asked.fill!.end();
  await settle(500);
  assert.ok(cache.find(KEY, requestOf()));
  return stage.folder.crash();
}

function readOf(stage: CacheStage): NonNullable<Taker["readFile"]> {
  return (descriptor, offset, length) => stage.folder.readDescriptor(descriptor, offset, length);
}

test("after a start it is read once, in blocks, and sent as a file from then on", async () => {
  const stage = await CacheStage.open({ folder: await folderWithBody() });
  const [one, two] = [stage.thread().cache, stage.thread().cache];
  const first = Taker.of(one.find(KEY, requestOf())!, 0, -1, readOf(stage));
  await settle(500);
  assert.ok(first.taken.equals(BODY));
  assert.deepEqual([first.outcome, first.filesSent], ["ended", 0]);
  for (const cache of [one, two]) {
    const part = Taker.of(cache.find(KEY, requestOf())!, 5, 1_600_000, readOf(stage));
    await settle(500);
    assert.ok(part.taken.equals(BODY.subarray(5, 1_600_000)));
    assert.deepEqual([part.outcome, part.filesSent], ["ended", 1]);
    cache.close();
  }
  assert.equal(stage.folder.openFiles, 0);
  await stage.close();
});

test("a part is verified with the blocks that it is in, and no more", async () => {
  const stage = await CacheStage.open({ folder: await folderWithBody() });
  const { cache } = stage.thread();
  const [body] = stage.folder.bodies;
  stage.folder.corruptBody(body!, 1_500_000);
  const part = Taker.of(cache.find(KEY, requestOf())!, 300_000, 700_000, readOf(stage));
  await settle(500);
  assert.ok(part.taken.equals(BODY.subarray(300_000, 700_000)));
  assert.equal(part.filesSent, 0);
  await stage.close();
});

test("a bad block breaks the answer before any of it is given, and the entry is dropped", async () => {
  const stage = await CacheStage.open({ folder: await folderWithBody() });
  const { cache } = stage.thread();
  const [body] = stage.folder.bodies;
  stage.folder.corruptBody(body!, 800_000);
  const taker = Taker.of(cache.find(KEY, requestOf())!, 0, -1, readOf(stage));
  await settle(500);
  assert.equal(taker.outcome, "aborted");
  assert.ok(taker.bytes <= 800_000);
  assert.ok(taker.taken.equals(BODY.subarray(0, taker.bytes)));
  assert.equal(cache.find(KEY, requestOf()), null);
  const again = Asked.of(cache, KEY);
  await settle();
  assert.deepEqual(again.outcomes, ["fill"]);
  assert.equal(stage.folder.openFiles, 0);
  await stage.close();
});

test("a file that is gone or shorter breaks the answer, and the entry is dropped", async () => {
  for (const spoil of [
    (folder: MemoryCacheFolder) => folder.truncateBody(folder.bodies[0]!, 1000),
    (folder: MemoryCacheFolder) => {
      folder.fault = (operation) =>
        operation === "openBody" ? Object.assign(new Error("no"), { code: "ENOENT" }) : null;
    },
  ]) {
    const stage = await CacheStage.open({ folder: await folderWithBody() });
    const { cache } = stage.thread();
    spoil(stage.folder);
    const answer = cache.find(KEY, requestOf())!;
    const taker = Taker.of(answer, 0, -1, readOf(stage));
    await settle(100);
    assert.deepEqual([taker.outcome, taker.bytes], ["aborted", 0]);
    assert.equal(answer.body.open(), false, "nobody else begins with it");
    assert.equal(cache.find(KEY, requestOf()), null);
    await stage.close();
  }
});
