// A file that is looked at when somebody has a use for it, and what of its changes is told.

import assert from "node:assert/strict";
import { mkdirSync, rmSync } from "node:fs";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { TestFolder } from "../../../test/support/folder.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import { LOOK_INTERVAL_MS, WatchedFile } from "./watched-file.ts";

test("a file comes, changes, is written again, cannot be read, and goes", async () => {
  using folder = new TestFolder();
  const clock = new VirtualClock();
  const told: string[] = [];
  const file = new WatchedFile(clock, folder.file("watched"), (text) => told.push(text));
  const look = async (): Promise<string[]> => {
    clock.advance(LOOK_INTERVAL_MS - 1);
    assert.equal(file.look(), false, "not all the time");
    clock.advance(1);
    assert.equal(file.look(), true);
    while (file.isLooking) await nextTurn();
    return told.splice(0);
  };
  assert.equal(file.text, "");
  assert.deepEqual(await look(), []);
  folder.write("watched", "one");
  assert.deepEqual(await look(), ["one"]);
  folder.write("watched", "two");
  assert.deepEqual(await look(), ["two"]);
  rmSync(folder.file("watched"));
  folder.write("watched", "two");
  assert.deepEqual(await look(), [], "the same text is no change");
  rmSync(folder.file("watched"));
  mkdirSync(folder.file("watched"));
  assert.deepEqual(await look(), []);
  assert.equal(file.text, "two", "what cannot be read stays what it was");
  rmSync(folder.file("watched"), { recursive: true });
  assert.deepEqual(await look(), [""]);
  assert.equal(new WatchedFile(clock, folder.write("other", "there"), () => {}).text, "there");
});

test("one look at a time", async () => {
  const clock = new VirtualClock();
  const file = new WatchedFile(clock, "/nowhere/at/all", assert.fail);
  clock.advance(LOOK_INTERVAL_MS);
  assert.equal(file.look(), true);
  clock.advance(LOOK_INTERVAL_MS);
  assert.equal(file.look(), false);
  while (file.isLooking) await nextTurn();
  assert.equal(file.look(), true);
});
