// A worker has its thread to itself: there the native transport waits for its sockets itself, and libuv has a turn only where it is
// needed. Then no time counts as idle, of which there is plenty where libuv waits.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Folder, Running } from "../cli/headgate.ts";
import { transportUnderTest } from "../support/transport-under-test.ts";
import { bodyFrom, Clients, program } from "./workers.ts";

const IDLE_MS = "String(performance.eventLoopUtilization().idle)";

test("who waits for a worker's sockets", async () => {
  using folder = new Folder();
  folder.file("headgate.ts", program("", IDLE_MS));
  await using running = await Running.start(folder.path, "run");
  using clients = await Clients.connect(running.port("web"), 1);
  const idleMs = Number(await bodyFrom(clients.all[0]!.client));
  assert.ok(transportUnderTest === "native" ? idleMs === 0 : idleMs > 0, `${idleMs} ms with ${transportUnderTest}`);
});
