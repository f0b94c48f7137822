// A worker thread with a transport of its own, which greets every client. Told "throw", it throws; told "spin", it never
// returns to its loop.

import { parentPort } from "node:worker_threads";
import { SystemClock } from "../../src/io/clock.ts";
import { openTransport } from "../../src/io/open-transport.ts";

const transport = openTransport("auto", new SystemClock(), {
  ownsThread: process.env.HEADGATE_TEST_OWNS_THREAD === "1",
});
const listener = await transport.listen({ host: "127.0.0.1", port: 0, path: null, tls: null }, (connection) => {
  connection.handler = {
    onBytes: (buffer, start, end) => connection.write(buffer, start, end),
    onDrain() {},
    onEnd: () => connection.end(),
    onClose() {},
  };
  connection.writeLatin1("hello");
});
parentPort!.on("message", (message) => {
  if (message === "throw") throw new Error("the worker's bug");
  for (;;);
});
parentPort!.postMessage(listener.address.port);
