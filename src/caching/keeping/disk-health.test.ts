// What is owed while the disk fails: each thing once, and nothing is found before all of it is done.

import assert from "node:assert/strict";
import { test } from "node:test";
import { settle } from "../../../test/support/cache-dialogue.ts";
import { MemoryCacheFolder } from "../../testing/cache-folder.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import { DISK_STATES, SharedCache } from "../shared.ts";
import { DiskHealth } from "./disk-health.ts";

test("the same is owed once, however often it is asked for; what comes to be owed meanwhile is done before anything is found", async () => {
  const clock = new VirtualClock();
  const shared = SharedCache.ofOneThread(16);
  const events = { onTrouble() {}, onRecovered() {} };
  const books = new MemoryCacheFolder(clock).openBooks();
  const health = new DiskHealth({ books, clock, shared, events, newBodyId: () => 1 });
  const done: string[] = [];
  const fails = new Error("the disk fails");
  const act =
    (what: string, meanwhile: () => void = () => {}) =>
    async () => {
      done.push(`${what}, ${shared.diskState === DISK_STATES.servesNothing ? "nothing is found" : "too late"}`);
      meanwhile();
    };
  for (let count = 0; count < 1000; count++) health.owe(fails, "one", act("one"));
  health.owe(
    fails,
    "other",
    act("other", () => health.owe(fails, "other", act("other again"))),
  );
  clock.advance(10_000);
  await settle();
  assert.deepEqual(done, ["one, nothing is found", "other, nothing is found", "other again, nothing is found"]);
  assert.equal(shared.diskState, DISK_STATES.works);
  health.close();
});
