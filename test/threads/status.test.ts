// What the admin address tells of the workers: who serves, how many connections and requests each has had, who died of what.

import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import { Folder, Running } from "../cli/headgate.ts";
import { Origin } from "../support/origin.ts";
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

test("the status counts a death after which a reload, and no restart, brings the next worker", async () => {
  using folder = new Folder();
  const trap = `import { existsSync } from "node:fs"; if (existsSync("${folder.file("trap")}")) throw new Error("trapped");`;
  folder.file("headgate.ts", `${trap}\n${program("")}`.replace("workers: 2", "workers: 1"));
  await using running = await Running.start(folder.path, "run");
  using clients = await Clients.connect(running.port("web"), 1);
  folder.file("trap", "");
  clients.all[0]!.client.send(get("/crash"));
  await running.untilLogged(/^worker 1 cannot be started: .*trapped$/);
  folder.file("headgate.ts", program("", '"later"').replace("workers: 2", "workers: 1"));
  running.signal("SIGHUP");
  await running.untilLogged(/loaded again: servers changed: web$/);
  const [worker] = (await statusOf(running)).workers;
  assert.deepEqual(
    [worker?.state, worker?.restarts, worker?.lastFault],
    ["serving", 1, "a fault that nobody caught: thrown in a timer"],
  );
});

test("the status tells of the servers of upstreams, and the log of one that is away and comes back, once for all workers", async () => {
  using folder = new Folder();
  await using there = await Origin.start((_request, response) => response.end("there"));
  const awaySocket = path.join(folder.path, "away.sock");
  const upstreams = { app: { servers: [there.url, `unix:${awaySocket}`] } };
  const servers = { web: { listen: "127.0.0.1:0", proxy: "app" } };
  const file = folder.file("headgate.json", JSON.stringify({ workers: 2, log: { access: "off" }, upstreams, servers }));
  await using running = await Running.start(folder.path, "run", "--config", file);
  using clients = await Clients.connect(running.port("web"));
  assert.deepEqual(clients.bodies, ["there"]);
  const [up, away] = (await statusOf(running)).upstreams[0]!.servers;
  const { connections, ...ofUp } = up!;
  assert.deepEqual(ofUp, {
    url: there.url,
    state: "up",
    since: null,
    reason: null,
    requests: MANY,
    failures: 0,
    badAnswers: 0,
  });
  assert.ok(connections > 0);
  const { since, failures, ...ofAway } = away!;
  assert.deepEqual(ofAway, {
    url: `unix:${awaySocket}`,
    state: "unreachable",
    reason: "destination_unavailable",
    connections: 0,
    requests: 0,
    badAnswers: 0,
  });
  assert.ok(failures > 0);
  assert.ok(Math.abs(Date.now() - Date.parse(since!)) < 60_000);
  await running.untilLogged(/^upstream app: .*; unix:.*away\.sock is left out until it can be reached$/);

  await using _back = await Origin.start((_request, response) => response.end("back"), { path: awaySocket });
  await until(async () => (await clients.bodiesNow()).includes("back"));
  await running.untilLogged(/ is reached again$/);
  assert.equal((await statusOf(running)).upstreams[0]!.servers[1]!.state, "up");
  const told = running.entries.filter(({ msg }) => msg.startsWith("upstream app: ")).map(({ level }) => level);
  assert.deepEqual(told, ["warn", "info"]);
});
