// A thread that the system has no room for: nothing is left of it, so that another one can be started as soon as there is room, however
// often that was tried. Where the room ends depends on the machine; here something that no thread can be given stands for it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { configOf } from "../../../test/support/proxy-under-test.ts";
import { sourceOf } from "./config-source.ts";
import { WorkerSpawner } from "./spawning.ts";

const output = { log: {} as never, isForPeople: false, write() {}, close: async () => {}, flushSync() {} };

test("a thread that cannot be made is a rejection, and leaves its place to others", async () => {
  const transport = (() => {}) as never;
  const spawner = new WorkerSpawner({ workers: 2, transport, output, writeAccess() {} });
  const config = configOf({ servers: { web: { listen: "127.0.0.1:0", respond: 204 } } });
  const { room } = spawner;
  for (let attempt = 0; attempt <= room; attempt++) {
    const loaded = { config, source: sourceOf(config, null, null), caches: { caches: [] } };
    await assert.rejects(spawner.start(1, loaded), { name: "DataCloneError" });
  }
  assert.equal(spawner.room, room);
  spawner.close();
});
