// Keepers whose disk fails: whoever asks is answered, whoever leaves is let go, and nothing brings the process down.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { CacheConfig } from "../../caching/options.ts";
import type { AppLog } from "../app-log.ts";
import { type CacheKeeper, CacheKeepers } from "./keepers.ts";

class Stage {
  readonly told: string[] = [];
  /** Folders whose keeper was closed. */
  readonly closed: string[] = [];
  purge: CacheKeeper["purge"] = async () => ({ entries: 1 });
  close: () => Promise<void> = async () => {};
  readonly keepers = new CacheKeepers(
    async ({ directory }) =>
      ({
        threads: 0,
        change() {},
        purge: (...asked: Parameters<CacheKeeper["purge"]>) => this.purge(...asked),
        close: () => {
          this.closed.push(String(directory));
          return this.close();
        },
      }) as unknown as CacheKeeper,
    1,
    { error: (line: string) => void this.told.push(line) } as unknown as AppLog,
  );

  async use(...names: readonly string[]): Promise<void> {
    const configs = names.map((name) => ({ name, directory: `/var/cache/${name}` }) as CacheConfig);
    this.keepers.keep(await this.keepers.plan(configs));
  }
}

test("a purge that fails is answered with the reason and the name of the cache, once", async () => {
  const stage = new Stage();
  await stage.use("good", "bad");
  let calls = 0;
  stage.purge = async () => {
    if (++calls > 1) throw new Error("the purge is in force, but it goes later");
    return { entries: 3 };
  };
  const answer = await stage.keepers.purge(null, { kind: "url", text: "http://host/a" }, false);
  const reason = "cache bad: the purge is in force, but it goes later";
  assert.deepEqual(answer, { ok: false, why: "failed", reason });
});

test("one that cannot be closed well is told of, forgotten, and opened anew when it is wanted again", async () => {
  const stage = new Stage();
  await stage.use("a", "b");
  stage.close = async () => {
    throw new Error("EIO: bad disk");
  };
  await stage.use("b");
  await new Promise(setImmediate);
  assert.deepEqual(stage.told, ["cache a: EIO: bad disk"]);
  await stage.use("a", "b");
  await stage.keepers.close();
  assert.deepEqual(
    stage.closed.map((folder) => folder.at(-1)),
    ["a", "a", "b"],
  );
  assert.deepEqual(stage.told.slice(1), ["cache a: EIO: bad disk", "cache b: EIO: bad disk"]);
});
