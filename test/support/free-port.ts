// Ports for tests and benches that have to name one before it is listened on: below those that the system gives to connections and
// to port 0 (32768 and up on Linux), so that nobody gets it in between.

import { once } from "node:events";
import net from "node:net";

const PORT_MIN = 20_000;
const PORT_MAX = 32_000;
/** Tests that run at the same time are processes with numbers close to each other: each has ports of its own, which it gives in turn. */
const OF_PROCESS = 100;
const FIRST = PORT_MIN + ((process.pid * OF_PROCESS) % (PORT_MAX - PORT_MIN));

let given = Math.floor(Math.random() * OF_PROCESS);

/** Nobody listens on it, on any address. With a distance, nor on the one that is so far above it. */
export async function freePort(distance = 0): Promise<number> {
  for (let tries = 0; ; tries++) {
    // All of them may be taken; then it is anybody's.
    const port = tries < OF_PROCESS ? FIRST + (given++ % OF_PROCESS) : anyPort(distance);
    if (port + distance >= PORT_MAX) continue;
    if ((await isFree(port)) && (distance === 0 || (await isFree(port + distance)))) return port;
  }
}

function anyPort(distance: number): number {
  return PORT_MIN + Math.floor(Math.random() * (PORT_MAX - distance - PORT_MIN));
}

async function isFree(port: number): Promise<boolean> {
  const server = net.createServer().listen(port);
  try {
    await once(server, "listening");
  } catch {
    return false;
  }
  server.close();
  await once(server, "close");
  return true;
}

/** Whether nobody listens on a port of 127.0.0.1. */
export async function isRefused(port: number): Promise<boolean> {
  const socket = net.connect(port, "127.0.0.1");
  const refused = await new Promise<boolean>((resolve) => {
    socket.once("connect", () => resolve(false));
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code === "ECONNREFUSED"));
  });
  socket.destroy();
  return refused;
}
