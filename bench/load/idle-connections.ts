/**
 * Load: connections that are kept open and do nothing. Each asks for "/" once, so that it is a kept connection as any
 * client's, and then rests.
 *
 *     idle-connections.ts PORT CONNECTIONS
 *
 * It writes the line "open" when all rest, and stays until it is ended. Exit status 1, with the reason, when one fails or
 * is closed.
 */
import { connect } from "node:net";

/** More at once would overflow the listening queue of some targets. */
const OPENING_MAX = 64;
const request = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

const [port, connections] = process.argv.slice(2).map(Number);

function fail(reason: string): never {
  console.error(reason);
  process.exit(1);
}

/** Resolves when the whole answer has come. */
function open(): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(port!, "127.0.0.1", () => socket.write(request));
    let answer = "";
    socket.on("data", (bytes: Buffer) => {
      answer += bytes.toString("latin1");
      const headEnd = answer.indexOf("\r\n\r\n");
      if (headEnd === -1) return;
      if (!answer.startsWith("HTTP/1.1 200 ")) fail(`answered with: ${answer.split("\r\n")[0]}`);
      const length = /\r\ncontent-length: *(\d+)/i.exec(answer)?.[1];
      const whole = length === undefined ? answer.endsWith("0\r\n\r\n") : answer.length >= headEnd + 4 + Number(length);
      if (whole) resolve();
    });
    socket.on("error", (error) => fail(`a connection failed: ${error.message}`));
    socket.on("close", () => fail("a connection was closed"));
  });
}

let opened = 0;
async function openInTurn(): Promise<void> {
  while (opened < connections!) {
    opened++;
    await open();
  }
}
await Promise.all(Array.from({ length: OPENING_MAX }, openInTurn));
console.log("open");
