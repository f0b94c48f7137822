// A worker thread that keeps the addon busy until it is terminated: connections to itself that never stop sending, some of
// them spliced, some closing all the time. It posts "busy" when bytes have passed. threads.test.ts runs it.

import { parentPort } from "node:worker_threads";
import { ACCEPTED, CONNECTED, DESTROY, END, READ } from "../../../src/io/native/wire.ts";
import { checked, Driver } from "../driver.ts";

const driver = new Driver();
const { port } = driver.listen();
// A batch of events, each answered by this, fits into the send slab.
const text = Buffer.alloc(1_000, "x");
const SOCKETS_MAX = 20;
const accepted: number[] = [];
let reads = 0;

function open(): void {
  while (driver.addon.inspect().sockets < SOCKETS_MAX) checked(driver.addon.connect("127.0.0.1", port, 0));
}

driver.onBatch = (batch) => {
  for (const { kind, slot } of batch) {
    if (kind === READ && ++reads === 20) parentPort?.postMessage("busy");
    if (kind === CONNECTED || kind === READ) driver.write(slot, text);
    if (kind === END) driver.command(DESTROY, slot);
    if (kind === ACCEPTED && accepted.push(slot) % 3 === 0)
      driver.addon.splice(accepted.at(-2)!, slot, Number.POSITIVE_INFINITY);
  }
  driver.events.length = 0;
};
open();

// Whose other end of a splice is gone stands still for ever, so nothing may get old.
setInterval(() => {
  driver.destroy(...accepted.splice(0, 3));
  open();
}, 2);
