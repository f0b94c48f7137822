/** Whether somebody listens on a port of this machine already. Loopback only. */
import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { Child } from "./children.ts";

/** Programs that load a large configuration may take this long until they listen. */
const START_MS_MAX = 20_000;
const POLL_MS = 20;

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}

/** Waits until somebody listens on the port; rejects, with the child's last words, when it ends or takes too long. */
export async function listening(port: number, child: Child, pollMs = POLL_MS): Promise<void> {
  const deadline = performance.now() + START_MS_MAX;
  while (!(await isOpen(port))) {
    if (!child.running) throw new Error(child.lastLine || "ended at once");
    if (performance.now() > deadline) throw new Error(`does not listen after ${START_MS_MAX / 1000} s`);
    await delay(pollMs);
  }
}
