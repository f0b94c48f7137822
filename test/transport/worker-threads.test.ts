// One transport a thread, side by side in one process: a thread that ends, however it does, closes its sockets and leaves
// the others alone.

import assert from "node:assert/strict";
import { once } from "node:events";
import path from "node:path";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { TransportStage } from "../support/transport-stage.ts";

const PROGRAM = path.join(import.meta.dirname, "..", "support", "transport-worker.ts");

async function start(): Promise<{ readonly worker: Worker; readonly port: number }> {
  const worker = new Worker(PROGRAM);
  const [port] = (await once(worker, "message")) as [number];
  return { worker, port };
}

test("threads serve side by side", async () => {
  await using stage = new TransportStage();
  const threads = await Promise.all([start(), start()]);
  const own = await stage.serve({}, (far) => far.connection.writeLatin1("hello"));
  for (const port of [threads[0]!.port, own.port, threads[1]!.port]) {
    const near = await stage.dial({ port });
    await near.untilText("hello");
    near.connection.writeLatin1("!");
    if (port !== own.port) await near.untilText("hello!");
  }
  await Promise.all(threads.map(({ worker }) => worker.terminate()));
});

for (const death of ["terminate", "throw", "terminate while it spins"] as const) {
  test(`${death}: the connections of the thread are closed, its port is free, the others serve on`, async () => {
    await using stage = new TransportStage();
    const { worker, port } = await start();
    const nears = await Promise.all(Array.from({ length: 20 }, () => stage.dial({ port })));
    for (const near of nears) {
      near.connection.write(Buffer.alloc(300_000));
      await near.until(() => near.bytes > 5);
    }
    const exited = new Promise((resolve) => worker.once("exit", resolve));
    worker.on("error", (error) => assert.match(String(error), /the worker's bug/));
    if (death !== "terminate") worker.postMessage(death === "throw" ? "throw" : "spin");
    if (death !== "throw") await worker.terminate();
    await exited;
    await Promise.all(nears.map((near) => near.until(() => near.events.includes("end") || near.error !== undefined)));
    for (const near of nears) near.connection.destroy();
    await assert.rejects(stage.dial({ port }), { type: "connection_refused" });
    const { near, far } = await stage.pair();
    near.connection.writeLatin1("alive");
    await far.untilText("alive");
  });
}

test("threads that come and go", async () => {
  await using stage = new TransportStage();
  for (let round = 0; round < 6; round++) {
    const { worker, port } = await start();
    const near = await stage.dial({ port });
    await near.untilText("hello");
    await worker.terminate();
    near.connection.destroy();
  }
});
