// A process that holds nothing but what its first argument says of a transport: a "listener", whose port it prints; a
// "connection" to the port in its second argument; or "nothing", after it had both. It sends back whatever it gets, and ends behind
// "exit in a microtask", "exit in a tick" and "throw in a tick".

import type { Connection } from "../../src/core/ports.ts";
import { SystemClock } from "../../src/io/clock.ts";
import { openTransport } from "../../src/io/open-transport.ts";

const [, , held = "", givenPort = ""] = process.argv;
const transport = openTransport("auto", new SystemClock());

const endings = new Map([
  ["exit in a microtask", () => queueMicrotask(() => process.exit(3))],
  ["exit in a tick", () => process.nextTick(() => process.exit(3))],
  [
    "throw in a tick",
    () => {
      process.once("uncaughtException", () => process.exit(3));
      process.nextTick(() => {
        throw new Error("planted");
      });
    },
  ],
]);

function echo(connection: Connection): void {
  connection.handler = {
    onBytes(buffer, start, end) {
      connection.write(buffer, start, end);
      endings.get(buffer.toString("latin1", start, end))?.();
    },
    onDrain() {},
    onEnd: () => connection.end(),
    onClose() {},
  };
}

function dial(port: number, onConnected: (connection: Connection) => void): void {
  const onFailed = (error: Error): void => {
    throw error;
  };
  transport.dialer.dial({ host: "127.0.0.1", port, tls: null, timeoutMs: 60_000 }, { onConnected, onFailed });
}

if (held === "connection") dial(Number(givenPort), echo);
else {
  const listener = await transport.listen({ host: "127.0.0.1", port: 0, path: null, tls: null }, echo);
  const { port } = listener.address;
  if (held === "listener") console.log(port);
  else {
    dial(port, (connection) => {
      echo(connection);
      connection.end();
      void listener.close();
    });
  }
}
