// A process with few file descriptors (it is started under a limit) that greets its clients until none is left. It prints
// its port; then, for every line that it reads, the type of the error with which a dial fails, or "connected".

import { createInterface } from "node:readline";
import type { Connection } from "../../src/core/ports.ts";
import { SystemClock } from "../../src/io/clock.ts";
import { openTransport } from "../../src/io/open-transport.ts";

// A fault is what this is about: it is told by the transport, and does not end the process.
const transport = openTransport("auto", new SystemClock(), { onFault: () => {} });

function greet(connection: Connection): void {
  connection.handler = { onBytes() {}, onDrain() {}, onEnd: () => connection.end(), onClose() {} };
  connection.writeLatin1("hello");
}

const listener = await transport.listen({ host: "127.0.0.1", port: 0, path: null, tls: null }, greet);
const { port } = listener.address;
console.log(port);
for await (const _line of createInterface({ input: process.stdin })) {
  const outcome = await new Promise<string>((resolve) => {
    transport.dialer.dial(
      { host: "127.0.0.1", port, tls: null, timeoutMs: 60_000 },
      {
        // Kept open: it takes a descriptor, as the clients do.
        onConnected: (connection) => {
          connection.handler = { onBytes() {}, onDrain() {}, onEnd() {}, onClose() {} };
          resolve("connected");
        },
        onFailed: (error) => resolve(error.type),
      },
    );
  });
  console.log(outcome);
}
process.exit(0);
