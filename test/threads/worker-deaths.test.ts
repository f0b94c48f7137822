// A worker that dies takes its own connections with it and nothing else: the other one serves on without a failed request, and
// another one takes the dead one's place and its listening sockets.

import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import nodePath from "node:path";
import { describe, test } from "node:test";
import { Folder, Running } from "../cli/headgate.ts";
import { RawClient } from "../support/raw-client.ts";
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

describe("a worker that dies while its file is not what was loaded", () => {
  /** `change` is made before it dies; it is replaced by one that serves what was loaded. */
  async function isReplacedAfter(change: (folder: Folder) => void): Promise<void> {
    using folder = new Folder();
    folder.file("headgate.ts", program(""));
    await using running = await Running.start(folder.path, "run");
    const port = running.port("web");
    using clients = await Clients.connect(port);
    const [one = ""] = clients.bodies;
    change(folder);
    clients.of(one)[0]!.send(get("/crash"));
    await running.untilLogged(/^worker \d died of /);
    const { msg } = await running.untilLogged(/^worker \d (serves again|cannot be started)/);
    assert.match(msg, /serves again$/);
    using later = await Clients.connect(port);
    assert.equal(later.bodies.length, 2, later.bodies.join());
    assert.ok(later.bodies.every((body) => body.startsWith("thread ")));
  }

  test("is replaced when the file was edited", () =>
    isReplacedAfter((folder) => folder.file("headgate.ts", program("", '"edited"'))));

  test("is replaced when the file is wrong", () =>
    isReplacedAfter((folder) => folder.file("headgate.ts", "export default {\n")));

  test("is replaced when the file is no more", () => isReplacedAfter((folder) => rmSync(folder.file("headgate.ts"))));
});

describe("a worker that dies again and again", () => {
  test("is started again later each time, and serves in the end", async () => {
    using folder = new Folder();
    folder.file("headgate.ts", program("").replace("workers: 2", "workers: 1"));
    await using running = await Running.start(folder.path, "run");
    const starts: number[] = [];
    for (let death = 0; death < 3; death++) {
      using client = await RawClient.connect(running.port("web"));
      client.send(get("/crash"));
      const { time: died } = await running.untilLogged(/^worker 1 died/);
      const { time: again } = await running.untilLogged(/^worker 1 serves again$/);
      starts.push(Date.parse(again) - Date.parse(died));
    }
    const [first = 0, second = 0, third = 0] = starts;
    assert.ok(first >= 100 && second >= 200 && third >= 400, starts.join());
    using client = await RawClient.connect(running.port("web"));
    assert.match(await bodyFrom(client), /^thread /);
  });
});
