// A process that listens on its descriptor 3, which it was started with, and greets every client. It prints where it
// listens; when its input ends it closes the listener, and prints whether the descriptor is still open.
// With the argument "duplicate" it runs on io/net, and descriptor 4 is a second one of the same socket.

import { fstatSync } from "node:fs";
import type { ConnectionHandler } from "../../src/core/ports.ts";
import { SystemClock } from "../../src/io/clock.ts";
import { NetTransport } from "../../src/io/net/transport.ts";
import { openTransport } from "../../src/io/open-transport.ts";

const [, , path = "", duplicate = ""] = process.argv;
const clock = new SystemClock();
const transport =
  duplicate === ""
    ? openTransport("auto", clock)
    : new NetTransport(clock, { duplicate: (descriptor) => descriptor + 1 });

const place = path === "" ? { host: "127.0.0.1", path: null } : { host: null, path };
const listener = await transport.listen({ ...place, port: 0, descriptor: 3, tls: null }, (connection) => {
  connection.handler = { onBytes() {}, onDrain() {}, onEnd() {}, onClose() {} } satisfies ConnectionHandler;
  connection.writeLatin1("hello from the descriptor");
  connection.end();
});
console.log(JSON.stringify(listener.address));
process.stdin.resume();
process.stdin.once("end", async () => {
  await listener.close();
  // A handle is closed at the end of its turn.
  setImmediate(() => {
    console.log(isOpen(3) ? "open" : "closed");
    process.exit(0);
  });
});

function isOpen(descriptor: number): boolean {
  try {
    return fstatSync(descriptor).isSocket();
  } catch {
    return false;
  }
}
