/** Whether somebody listens on a port of this machine already, and answers there. Loopback only. */
import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { Child } from "./children.ts";

/** Programs that load a large configuration may take this long until they listen. */
const START_MS_MAX = 20_000;
const POLL_MS = 20;
/** Then it is asked again, unless it has ended. */
const ANSWER_MS_MAX = 2_000;

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}

/** No request: whoever serves says so or closes, without a word to an origin, where a listening socket alone says nothing. */
const NO_REQUEST = "x\r\n\r\n";

function isServed(port: number, msMax: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(NO_REQUEST));
    const settle = (served: boolean) => {
      socket.destroy();
      resolve(served);
    };
    socket.setTimeout(msMax, () => settle(false));
    socket.once("data", () => settle(true));
    socket.once("end", () => settle(true));
    socket.once("error", () => settle(false));
  });
}

/** Waits until somebody listens on the port; rejects, with the child's last words, when it ends or takes too long. */
export async function listening(port: number, child: Child): Promise<void> {
  await until("listen", () => isOpen(port), child, POLL_MS);
}

/** The same of a proxy, until it also serves: some listen before that, and a short load right then would find nobody. */
export async function serving(port: number, child: Child, pollMs = POLL_MS): Promise<void> {
  await until("serve", () => isServed(port, ANSWER_MS_MAX), child, pollMs);
}

async function until(what: string, ask: () => Promise<boolean>, child: Child, pollMs: number): Promise<void> {
  const deadline = performance.now() + START_MS_MAX;
  while (!(await ask())) {
    if (!child.running) throw new Error(child.lastLine);
    if (performance.now() > deadline) throw new Error(`does not ${what} after ${START_MS_MAX / 1000} s`);
    await delay(pollMs);
  }
}
