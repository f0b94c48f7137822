// A client that breaks while this thread is busy, so that all it did is met at once: that it is gone is told, with the error.

import assert from "node:assert/strict";
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { type TestContext, test } from "node:test";
import { Worker } from "node:worker_threads";
import { TestFolder } from "../support/folder.ts";
import { type Recording, TransportStage } from "../support/transport-stage.ts";

/** In a thread of their own, which acts while this one stands still. `done` is raised when the kernel has all of it. */
const CLIENTS = `
const net = require("node:net");
const { once } = require("node:events");
const { parentPort, workerData: { port, count, done } } = require("node:worker_threads");
const sockets = Array.from({ length: count }, () => net.connect(port, "127.0.0.1").on("error", () => {}));
parentPort.on("message", async (what) => {
  const act = (socket) => {
    if (what !== "reset") return new Promise((resolve) => socket.write(what, resolve));
    const closed = once(socket, "close");
    socket.resetAndDestroy();
    return closed;
  };
  await Promise.all(sockets.map(act));
  Atomics.add(done, 0, 1);
  Atomics.notify(done, 0);
});`;

const PATIENCE_MS = 60_000;

class Clients {
  readonly #done = new Int32Array(new SharedArrayBuffer(4));
  readonly #worker: Worker;

  constructor(context: TestContext, port: number, count: number) {
    const workerData = { port, count, done: this.#done };
    this.#worker = new Worker(CLIENTS, { eval: true, workerData });
    context.after(() => this.#worker.terminate());
  }

  /** Each sends the text, or resets its connection, while nothing else happens in this thread. */
  do(what: string): void {
    const before = this.#done[0]!;
    this.#worker.postMessage(what);
    assert.notEqual(Atomics.wait(this.#done, 0, before, PATIENCE_MS), "timed-out");
  }
}

test("a reset that comes before the answer and its end is told as an error", async (context) => {
  await using stage = new TransportStage();
  const served = await stage.serve();
  const clients = new Clients(context, served.port, 1);
  const far = await served.next();
  clients.do("question");
  await far.untilText("question");
  clients.do("reset");
  far.connection.write(Buffer.alloc(50_000));
  far.connection.end(true);
  assert.equal((await far.untilClosed())?.type, "connection_terminated");
});

test("a client that is paused by another's bytes in the turn of its own, and resets: told without being resumed", async (context) => {
  await using stage = new TransportStage();
  const fars: Recording[] = [];
  const paused = Promise.withResolvers<Recording>();
  let isPaused = false;
  const served = await stage.serve({}, (far) => {
    fars.push(far);
    far.react = () => {
      if (isPaused) return;
      isPaused = true;
      const other = fars.find((one) => one !== far)!;
      other.connection.pause();
      paused.resolve(other);
    };
  });
  const clients = new Clients(context, served.port, 2);
  await served.next();
  await served.next();
  clients.do("x");
  const far = await paused.promise;
  clients.do("reset");
  assert.equal((await far.untilClosed())?.type, "connection_terminated");
});

test("a unix socket whose mode cannot be set does not go on listening", async () => {
  await using stage = new TransportStage();
  using folder = new TestFolder();
  const file = folder.file("s");
  const { chmodSync } = fs;
  fs.chmodSync = () => {
    throw Object.assign(new Error("no"), { code: "EPERM" });
  };
  syncBuiltinESMExports();
  try {
    await assert.rejects(stage.serve({ host: null, path: file, mode: 0o600 }), { code: "EPERM" });
  } finally {
    fs.chmodSync = chmodSync;
    syncBuiltinESMExports();
  }
  await stage.serve({ host: null, path: file, mode: 0o600 });
});
