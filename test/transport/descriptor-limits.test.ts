// A process that has no file descriptor left: its dials fail with a reason, it lives on, and it serves again when there are.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import net from "node:net";
import path from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";

const PROGRAM = path.join(import.meta.dirname, "..", "support", "descriptor-limit.ts");
/** Node itself takes about thirty. */
const DESCRIPTORS = 80;

test("out of descriptors: dials reach a limit, clients that come are served when some have gone", async () => {
  const shell = `ulimit -n ${DESCRIPTORS}; exec "$0" "$1"`;
  const child = spawn("sh", ["-c", shell, process.execPath, PROGRAM], { stdio: ["pipe", "pipe", "inherit"] });
  const clients: net.Socket[] = [];
  try {
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const port = Number((await lines.next()).value);
    const connect = (): net.Socket => {
      const socket = net.connect(port, "127.0.0.1");
      socket.on("error", () => {});
      clients.push(socket);
      return socket;
    };
    for (let count = 0; count < DESCRIPTORS; count++) connect();
    let outcome = "";
    while (outcome !== "connection_limit_reached") {
      child.stdin.write("dial\n");
      ({ value: outcome } = (await lines.next()) as { value: string });
      assert.match(outcome, /^(connected|connection_limit_reached|connection_terminated)$/);
    }
    for (const socket of clients.splice(0)) socket.destroy();
    for (;;) {
      const socket = connect();
      const greeted = await Promise.race([
        once(socket, "data").then(() => true),
        once(socket, "close").then(() => false),
      ]);
      if (greeted) break;
    }
  } finally {
    for (const socket of clients) socket.destroy();
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  }
});
