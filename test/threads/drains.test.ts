// SIGTERM reaches every worker: each stops accepting, lets its exchanges end, and closes. A second signal cuts all of them.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Status } from "../../src/server/control.ts";
import { run } from "../admin/command-run.ts";
import { Folder, Running } from "../cli/headgate.ts";
import { isRefused } from "../support/free-port.ts";
import { Origin } from "../support/origin.ts";
import { RawClient } from "../support/raw-client.ts";
import { get, MANY, program, statusOf } from "./workers.ts";

const WAITING = 100;

async function withRequestsUnderWay(
  fields: string,
  run: (running: Running, clients: readonly RawClient[], answers: readonly ServerResponse[]) => Promise<void>,
): Promise<void> {
  const answers: ServerResponse[] = [];
  const { promise: allAsked, resolve } = Promise.withResolvers<void>();
  await using origin = await Origin.start((_request, response) => {
    answers.push(response);
    if (answers.length === MANY) resolve();
  });
  using folder = new Folder();
  const web = `servers: { web: { listen: "127.0.0.1:0", proxy: "${origin.url}" } }`;
  folder.file("headgate.yaml", `workers: 2\n${web}\nlog: { access: "off" }\n${fields}`);
  await using running = await Running.start(folder.path, "run");
  const clients: RawClient[] = [];
  for (let i = 0; i < MANY; i++) clients.push((await RawClient.connect(running.port("web"))).send(get()));
  await allAsked;
  await run(running, clients, answers);
  assert.equal(await running.ended(), 0);
  assert.equal(running.entries.at(-1)?.msg, "stopped");
  for (const client of clients) client[Symbol.dispose]();
}

test("a drain lets the exchanges of all workers end, and nobody accepts any more", () =>
  // Longer than a timer of the machine can be.
  withRequestsUnderWay("drainTimeout: 30d", async (running, clients, answers) => {
    const port = running.port("web");
    running.signal("SIGTERM");
    await running.untilLogged(/^SIGTERM: no new connections/);
    while (!(await isRefused(port)));
    for (const response of answers) response.end("done");
    for (const client of clients) {
      const { body, fields } = await client.answer();
      assert.deepEqual([body, fields.get("connection")], ["done", "close"]);
      client.socket.end();
    }
  }));

test("a reload that starts workers is refused by the end of the process, and does not hold it up", async () => {
  using folder = new Folder();
  folder.file("headgate.ts", program(""));
  await using running = await Running.start(folder.path, "run");
  const hangs = `console.log("hangs"); await new Promise(() => setInterval(() => {}, 1_000));`;
  folder.file(
    "headgate.ts",
    `import { isMainThread } from "node:worker_threads"; if (!isMainThread) { ${hangs} } ${program("")}`,
  );
  const reload = run(folder.path, "reload");
  await running.untilStdout((text) => text.includes("hangs"));
  running.signal("SIGTERM");
  const { status, stderr } = await reload;
  assert.deepEqual([status, stderr], [1, "the process is about to end\n"]);
  assert.equal(await running.ended(), 0);
});

test("who waits to be accepted when a worker is told to end is answered", async () => {
  using folder = new Folder();
  const [stands, go] = [folder.file("stands"), folder.file("go")];
  const blocks = `if (path === "/block") setImmediate(() => { writeFileSync("${stands}", ""); while (!existsSync("${go}")); });`;
  const text = program("")
    .replace("workers: 2", "workers: 1")
    .replace("const { path } = exchange.request;", (line) => `${line} ${blocks}`);
  folder.file("headgate.ts", `import { existsSync, writeFileSync } from "node:fs";\n${text}`);
  await using running = await Running.start(folder.path, "run");
  const port = running.port("web");
  using blocking = await RawClient.connect(port);
  await blocking.send(get("/block")).answer();
  // Or it would hear of the signal before it stands still.
  while (!existsSync(stands)) await nextTurn();
  running.signal("SIGTERM");
  await running.untilLogged(/^SIGTERM: no new connections/);
  // By then it has been told, and will hear of it before it hears of clients.
  while ((await statusOf(running)).workers[0]?.state !== "draining");
  // More than it accepts at a time.
  const clients = await Promise.all(Array.from({ length: WAITING }, () => RawClient.connect(port)));
  for (const client of clients) client.send(get());
  folder.file("go", "");
  for (const client of clients) assert.equal((await client.answer()).status, 200);
  for (const client of [...clients, blocking]) client.socket.end();
  assert.equal(await running.ended(), 0);
});

test("a second signal cuts the connections of all workers", () =>
  withRequestsUnderWay("", async (running, clients) => {
    running.signal("SIGTERM");
    await running.untilLogged(/^SIGTERM: no new connections/);
    running.signal("SIGINT");
    await Promise.all(clients.map((client) => client.untilEnded()));
  }));

test("each worker has one row while all of them end, and what has ended keeps its counts", () =>
  withRequestsUnderWay("", async (running, clients, answers) => {
    running.signal("SIGTERM");
    await running.untilLogged(/^SIGTERM: no new connections/);
    const closed = clients.map(async (client) => {
      await client.answer();
      client.socket.end();
    });
    for (const response of answers.slice(1)) response.end("done");
    let workers = (await statusOf(running)).workers;
    // The other one has the exchange that is left.
    while (!workers.some(({ state }) => state === "ended")) workers = (await statusOf(running)).workers;
    assert.deepEqual(
      workers.map(({ id }) => id),
      [1, 2],
    );
    assert.deepEqual(workers.map(({ state }) => state).sort(), ["draining", "ended"]);
    while (sum(workers) < MANY - 1) workers = (await statusOf(running)).workers;
    assert.equal(sum(workers), MANY - 1);
    answers[0]!.end("done");
    await Promise.all(closed);
  }));

function sum(workers: Status["workers"]): number {
  return workers.reduce((total, { requests }) => total + requests, 0);
}
