// A worker that dies takes its own connections with it and nothing else: the other one serves on without a failed request, and
// another one takes the dead one's place and its listening sockets.

import assert from "node:assert/strict";
import nodePath from "node:path";
import { describe, test } from "node:test";
import { Folder, Running } from "../cli/headgate.ts";
import { transportUnderTest } from "../support/transport-under-test.ts";
import { bodyFrom, Clients, get, program } from "./workers.ts";

/** Of a heap that a loop fills in no time. */
const SMALL_HEAP = { NODE_OPTIONS: "--max-old-space-size=64" };

/** The same command, which takes a silent worker for a stuck one much sooner. */
const IMPATIENT = nodePath.join(import.meta.dirname, "impatient.ts");

async function dies(
  path: string,
  cause: RegExp,
  start: (folder: string) => Promise<Running> = (folder) => Running.start(folder, "run"),
): Promise<void> {
  using folder = new Folder();
  folder.file("headgate.ts", program(""));
  await using running = await start(folder.path);
  const port = running.port("web");
  using clients = await Clients.connect(port);
  const [one = "", other = ""] = clients.bodies;
  assert.notEqual(other, "");
  const [victim] = clients.of(one);
  victim!.send(get(path));
  // As fast as they come, from before the death until after the new start.
  let isReplaced = false;
  const served = (async () => {
    const [survivor] = clients.of(other);
    let count = 0;
    while (!isReplaced || count < 10) {
      assert.equal(await bodyFrom(survivor!), other);
      count++;
    }
  })();
  const { level, msg } = await running.untilLogged(/^worker \d died of /);
  assert.equal(level, "error");
  assert.match(msg, cause);
  await Promise.all(clients.of(one).map((client) => client.untilEnded()));
  await running.untilLogged(/^worker \d serves again$/);
  isReplaced = true;
  await served;
  for (const client of clients.of(other)) assert.equal(await bodyFrom(client), other);
  // By the survivor and by a new thread.
  using later = await Clients.connect(port);
  assert.equal(later.bodies.length, 2, later.bodies.join());
  assert.ok(!later.bodies.includes(one), "a new thread");
}

describe("a worker that dies is replaced while the other serves", () => {
  test("when a plugin throws outside of every request", () =>
    dies("/crash", /a fault that nobody caught: thrown in a timer/));

  test("when a plugin ends it", () => dies("/exit", /process\.exit\(3\) was called in it/));

  test("when its heap is full", () =>
    dies("/fill", /its heap is full/, (folder) => Running.startWith(SMALL_HEAP, folder, "run")));

  test("when it runs in a loop for ever", () =>
    dies("/spin", /it did not answer for 5 s/, (folder) => Running.startProgram(IMPATIENT, folder)));
});

test("a worker whose loop V8 does not interrupt is replaced, and the process ends all the same", async () => {
  using folder = new Folder();
  folder.file("headgate.ts", program(""));
  await using running = await Running.startProgram(IMPATIENT, folder.path);
  using clients = await Clients.connect(running.port("web"));
  const [one = "", other = ""] = clients.bodies;
  clients.of(one)[0]!.send(get("/allocate"));
  const { level, msg } = await running.untilLogged(/^worker \d could not be ended/);
  assert.equal(level, "error");
  assert.match(msg, /still runs/);
  await running.untilLogged(/^worker \d serves again$/);
  assert.equal(await bodyFrom(clients.of(other)[0]!), other);
  // The listening sockets of `node:net` are the thread's own: who connects to the lost one's waits there.
  if (transportUnderTest !== "native") return;
  using later = await Clients.connect(running.port("web"));
  assert.equal(later.bodies.length, 2, later.bodies.join());
  assert.ok(!later.bodies.includes(one), "a new thread");
});
