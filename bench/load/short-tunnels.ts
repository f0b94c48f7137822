/**
 * Load: short tunnels. On each of a number of connections: connect, CONNECT, one request, its answer, close; then anew, for a
 * time. A tunnel counts when both sides have closed, so that what a proxy does to end it is part of it.
 *
 *     short-tunnels.ts PORT CONNECTIONS SECONDS DESTINATION_PORT
 *
 * It writes one line: {"tunnels","seconds","p50Ms","p99Ms"}. Tunnels that stand when the time is over are finished, and count.
 * Exit status 1, with the reason, when one fails.
 */
import { connect } from "node:net";
import { percentile } from "../report/statistics.ts";

/** What one tunnel may take. */
const TUNNEL_MS_MAX = 10_000;

const [port, connections, seconds, destinationPort] = process.argv.slice(2).map(Number);
const destination = `127.0.0.1:${destinationPort}`;
const opening = `CONNECT ${destination} HTTP/1.1\r\nHost: ${destination}\r\n\r\n`;
const request = `GET / HTTP/1.1\r\nHost: ${destination}\r\n\r\n`;

function fail(reason: string): never {
  console.error(reason);
  process.exit(1);
}

/** Where the answer that begins with the head ends, or -1 while it is not known. */
function answerEnd(text: string): number {
  const headEnd = text.indexOf("\r\n\r\n");
  if (headEnd === -1) return -1;
  const length = /\r\ncontent-length: *(\d+)/i.exec(text.slice(0, headEnd + 2))?.[1];
  if (length === undefined) fail("the answer does not say how long it is");
  return headEnd + 4 + Number(length);
}

/** Resolves when the tunnel is closed on both sides. */
function tunnel(): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ port: port!, host: "127.0.0.1", noDelay: true }, () => socket.write(opening));
    let received = "";
    let stands = false;
    let answered = false;
    socket.on("data", (bytes: Buffer) => {
      received += bytes.toString("latin1");
      if (!stands) {
        const headEnd = received.indexOf("\r\n\r\n");
        if (headEnd === -1) return;
        if (!/^HTTP\/1\.[01] 200 /.test(received)) fail(`no tunnel: ${received.split("\r\n")[0]}`);
        stands = true;
        received = received.slice(headEnd + 4);
        socket.write(request);
      }
      const end = answerEnd(received);
      if (end === -1 || received.length < end) return;
      if (received.length > end || !received.startsWith("HTTP/1.1 200 ")) fail("that is not the origin's answer");
      answered = true;
      socket.end();
    });
    socket.setTimeout(TUNNEL_MS_MAX, () => fail(answered ? "a tunnel does not close" : "a tunnel does not answer"));
    socket.on("error", (error) => fail(`a tunnel failed: ${error.message}`));
    socket.on("close", () => {
      if (!answered) fail("a tunnel was closed before its answer had come");
      resolve();
    });
  });
}

const durations: number[] = [];
const startedAt = performance.now();
const endsAt = startedAt + seconds! * 1000;

async function repeat(): Promise<void> {
  while (performance.now() < endsAt) {
    const openedAt = performance.now();
    await tunnel();
    durations.push(performance.now() - openedAt);
  }
}

await Promise.all(Array.from({ length: connections! }, repeat));
const elapsed = (performance.now() - startedAt) / 1000;
const [p50Ms, p99Ms] = [percentile(durations, 0.5), percentile(durations, 0.99)];
console.log(JSON.stringify({ tunnels: durations.length, seconds: elapsed, p50Ms, p99Ms }));
