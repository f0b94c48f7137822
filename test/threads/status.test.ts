// What the admin address tells of the workers: who serves, how many connections and requests each has had, who died of what.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Folder, Running } from "../cli/headgate.ts";
import { until } from "../support/redis.ts";
import { Clients, get, MANY, program, statusOf } from "./workers.ts";

test("the status counts what each worker has, and tells of one that died", async () => {
  using folder = new Folder();
  folder.file("headgate.ts", program(""));
  await using running = await Running.start(folder.path, "run");
  using clients = await Clients.connect(running.port("web"));
  const [one = ""] = clients.bodies;
  // A thread may have counted an exchange a moment after its answer.
  await until(async () => (await statusOf(running)).workers.reduce((sum, { requests }) => sum + requests, 0) >= MANY);
  const { workers, listeners, state, config } = await statusOf(running);
  assert.deepEqual([state, config], ["serving", folder.file("headgate.ts")]);
  const url = `http://127.0.0.1:${running.port("web")}`;
  assert.deepEqual(listeners, [{ server: "web", url, isForward: false }]);
  assert.deepEqual(
    workers.map(({ id, state, restarts, lastFault }) => [id, state, restarts, lastFault]),
    [
      [1, "serving", 0, null],
      [2, "serving", 0, null],
    ],
  );
  const sum = (key: "connections" | "requests") => workers.reduce((total, worker) => total + worker[key], 0);
  assert.deepEqual([sum("connections"), sum("requests")], [MANY, MANY]);
  assert.ok(workers.some(({ connections }) => connections === clients.of(one).length));

  clients.of(one)[0]!.send(get("/crash"));
  await running.untilLogged(/serves again$/);
  const later = (await statusOf(running)).workers;
  assert.deepEqual(later.map(({ restarts }) => restarts).sort(), [0, 1]);
  const dead = later.find(({ restarts }) => restarts === 1);
  assert.equal(dead?.lastFault, "a fault that nobody caught: thrown in a timer");
  assert.deepEqual([dead?.connections, dead?.requests], [0, 0], "the new one begins at nothing");
});
