// A thread that listens and has nothing to do. It posts "rests" once. beside-sockets.test.ts runs it as a worker, and as a
// process, which closes the listener at SIGHUP, and says when it has nothing left to live for.

import { parentPort } from "node:worker_threads";
import { Driver } from "../driver.ts";

const driver = new Driver();
driver.listen();
if (parentPort !== null) parentPort.postMessage("rests");
else {
  // Neither keeps it alive.
  process.on("SIGHUP", () => {
    console.log("closes");
    driver.destroyAll();
  });
  process.on("beforeExit", () => console.log("leaves"));
  console.log("rests");
}
