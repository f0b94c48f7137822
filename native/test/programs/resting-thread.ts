// A thread that listens and has nothing to do. It posts "rests" once. beside-sockets.test.ts runs it as a worker, and as a
// process, which closes the listener when its input ends, and has nothing to live for then.

import { parentPort } from "node:worker_threads";
import { Driver } from "../driver.ts";

const driver = new Driver();
driver.listen();
if (parentPort !== null) parentPort.postMessage("rests");
else {
  console.log("rests");
  process.stdin.on("end", () => driver.destroyAll()).resume();
}
