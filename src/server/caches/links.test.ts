/** Ports between threads: order, and that every end of a thread is the end of its port. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, it } from "node:test";
import { MessageChannel, Worker } from "node:worker_threads";
import { PortLink } from "./links.ts";

const IDLE = "const { parentPort } = require('node:worker_threads'); parentPort.on('message', () => {});";

describe("a link", () => {
  it("brings messages once, in order, in a later turn", async () => {
    const { port1, port2 } = new MessageChannel();
    const [left, right] = [new PortLink<number, number>(port1), new PortLink<number, number>(port2)];
    const got: number[] = [];
    const all = Promise.withResolvers<void>();
    right.onMessage = (message) => {
      got.push(message);
      if (message === 3) all.resolve();
    };
    port2.ref();
    for (const message of [1, 2, 3]) left.send(message);
    assert.deepEqual(got, []);
    await all.promise;
    assert.deepEqual(got, [1, 2, 3]);
    left.close();
    right.close();
  });

  it("tells of the end of the other thread, whether it has taken the port or not", async () => {
    for (const code of [IDLE, "process.exit(0)", "throw new Error('x')"]) {
      const { port1, port2 } = new MessageChannel();
      const closed = Promise.withResolvers<void>();
      new PortLink(port1, closed.resolve);
      port1.ref();
      const worker = new Worker(code, { eval: true });
      worker.on("error", () => {});
      worker.postMessage({ port: port2 }, [port2]);
      await once(worker, "online");
      await worker.terminate();
      await closed.promise;
    }
  });
});
