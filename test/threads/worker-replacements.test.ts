// What takes the place of a worker that died: it serves what was loaded, whatever became of the file since, and one that dies again
// and again comes back later each time.

import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { describe, test } from "node:test";
import { Folder, Running } from "../cli/headgate.ts";
import { RawClient } from "../support/raw-client.ts";
import { bodyFrom, Clients, get, program } from "./workers.ts";

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
