// Files that change: written in place, replaced, swapped by a symbolic link, gone for a moment, or seen by nobody.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Clock } from "../../core/ports.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import { SystemClock } from "../clock.ts";
import { watchFiles } from "./watch-files.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "headgate-watch-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const at = (...parts: string[]) => path.join(folder, ...parts);

/** Counts changes; `until` waits for a number of them. */
function watching(paths: string[], clock: Clock = new SystemClock()) {
  let changes = 0;
  let last: readonly string[] = [];
  let changed = Promise.withResolvers<void>();
  const watch = watchFiles(paths, clock, (files) => {
    changes++;
    last = files;
    changed.resolve();
    changed = Promise.withResolvers<void>();
  });
  return {
    get changes() {
      return changes;
    },
    /** Those that the last call named, without their folder. */
    get last() {
      return last.map((file) => path.relative(folder, file)).sort();
    },
    async until(count: number) {
      // The watch keeps nothing alive.
      const alive = setInterval(() => {}, 1_000);
      while (changes < count) await changed.promise;
      clearInterval(alive);
    },
    [Symbol.dispose]: () => watch.close(),
  };
}

test("written in place, and replaced by a rename: one call for all files of a moment", async () => {
  writeFileSync(at("a.pem"), "1");
  writeFileSync(at("a.key"), "1");
  using watch = watching([at("a.pem"), at("a.key")]);
  writeFileSync(at("a.pem"), "2");
  writeFileSync(at("a.key"), "2");
  await watch.until(1);
  assert.deepEqual(watch.last, ["a.key", "a.pem"]);
  writeFileSync(at("new.pem"), "3");
  renameSync(at("new.pem"), at("a.pem"));
  await watch.until(2);
  assert.deepEqual(watch.last, ["a.pem"]);
  assert.equal(watch.changes, 2);
});

test("the symbolic links of a mounted volume are swapped, twice", async () => {
  mkdirSync(at("..v1"));
  writeFileSync(at("..v1", "tls.crt"), "1");
  symlinkSync("..v1", at("..data"));
  symlinkSync(path.join("..data", "tls.crt"), at("tls.crt"));
  using watch = watching([at("tls.crt")]);
  for (const version of [2, 3]) {
    mkdirSync(at(`..v${version}`));
    writeFileSync(at(`..v${version}`, "tls.crt"), String(version));
    symlinkSync(`..v${version}`, at("..data_tmp"));
    renameSync(at("..data_tmp"), at("..data"));
    rmSync(at(`..v${version - 1}`), { recursive: true });
    await watch.until(version - 1);
  }
});

test("a file that is gone is no change; when it is back, it is", async () => {
  const clock = new SystemClock();
  writeFileSync(at("a"), "1");
  writeFileSync(at("b"), "1");
  using watch = watching([at("a"), at("b"), at("later")], clock);
  unlinkSync(at("a"));
  writeFileSync(at("b"), "2");
  await watch.until(1);
  writeFileSync(at("a"), "1");
  await watch.until(2);
  writeFileSync(at("later"), "1");
  await watch.until(3);
});

test("a file that stays away is told of once, and again when it is back", { timeout: 30_000 }, async () => {
  const clock = new VirtualClock();
  writeFileSync(at("a"), "1");
  writeFileSync(at("b"), "1");
  using watch = watching([at("a"), at("b"), at("never")], clock);
  /** Each look reads files, which takes as long as it takes. */
  const pass = async (ms: number) => {
    for (let passed = 0; passed < ms; passed += 500) {
      clock.advance(500);
      await sleep(2);
    }
  };
  unlinkSync(at("a"));
  await pass(25_000);
  assert.equal(watch.changes, 0);
  // Back as it was, by a rename say, and away again: the time begins anew.
  writeFileSync(at("a"), "1");
  while (watch.changes < 1) await pass(500);
  unlinkSync(at("a"));
  await pass(25_000);
  assert.equal(watch.changes, 1);
  while (watch.changes < 2) await pass(500);
  assert.deepEqual(watch.last, ["a"]);
  await pass(120_000);
  assert.equal(watch.changes, 2);
  writeFileSync(at("a"), "1");
  while (watch.changes < 3) await pass(500);
  assert.deepEqual(watch.last, ["a"]);
});

test("other files of the folder, however busy, neither call nor hide a change", async () => {
  writeFileSync(at("a"), "1");
  using watch = watching([at("a")]);
  const noise = setInterval(() => writeFileSync(at("noise"), "x"), 20);
  await sleep(600);
  assert.equal(watch.changes, 0);
  writeFileSync(at("a"), "2");
  await watch.until(1);
  clearInterval(noise);
});

test("what no watch shows is found by looking again: a folder higher up is swapped", { timeout: 30_000 }, async () => {
  const clock = new VirtualClock();
  mkdirSync(at("v1"));
  writeFileSync(at("v1", "a"), "1");
  symlinkSync("v1", at("current"));
  using watch = watching([at("current", "a")], clock);
  /** Each look reads files, which takes as long as it takes. */
  const passTimeUntil = async (changes: number) => {
    while (watch.changes < changes) {
      clock.advance(500);
      await sleep(2);
    }
  };
  mkdirSync(at("v2"));
  writeFileSync(at("v2", "a"), "2");
  symlinkSync("v2", at("next"));
  renameSync(at("next"), at("current"));
  await passTimeUntil(1);
  // The new folder is watched.
  writeFileSync(at("v2", "a"), "3");
  await passTimeUntil(2);
  assert.equal(watch.changes, 2);
});

test("a folder that does not exist yet, and closing", async () => {
  const clock = new VirtualClock();
  const watch = watching([at("none", "a")], clock);
  mkdirSync(at("none"));
  writeFileSync(at("none", "a"), "1");
  watch[Symbol.dispose]();
  clock.advance(60_000);
  await sleep(20);
  assert.equal(watch.changes, 0);
  assert.equal(clock.pendingTimers, 0);
});
