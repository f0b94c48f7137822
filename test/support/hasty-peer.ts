// A peer that has reset its connection before anybody could accept it.

import { execFileSync } from "node:child_process";

const PEER = `
  const [port, text] = process.argv.slice(1);
  const socket = require("node:net").connect(Number(port), "127.0.0.1", () => {
    socket.write(text, () => socket.resetAndDestroy());
  });
`;

/** It sends `text` and resets. A server of this thread accepts nothing meanwhile: the thread waits for the peer's process to end. */
export function sendAndReset(port: number, text: string): void {
  execFileSync(process.execPath, ["-e", PEER, `${port}`, text], { stdio: "inherit" });
}
