/**
 * Load: round trips through tunnels. It opens connections, makes a tunnel of each by an upgrade to WebSocket or by CONNECT,
 * and then on each sends a message and waits for it to come back, again and again for a time.
 *
 *     round-trips.ts websocket|connect PORT CONNECTIONS SECONDS [TARGET_PORT [MESSAGE_BYTES]]
 *
 * It writes one line to standard output: {"roundTrips","fewest","seconds","p50Ms","p99Ms"}, of the time after all tunnels stood,
 * and a line "open" before it, so that who measures can begin then; `fewest` are those of the slowest tunnel. Exit status 1, with the reason, when a tunnel fails.
 */
import { connect, type Socket } from "node:net";
import { percentile } from "../report/statistics.ts";

/** Below 126, so that a frame's length stands in one byte (RFC 6455, section 5.2). */
const MESSAGE_BYTES = 64;
const OPEN_MS_MAX = 10_000;
/** More at once would overflow the listening queue of some targets. */
const OPENING_MAX = 64;

const [kind, port, connections, seconds, targetPort, wantedBytes] = process.argv.slice(2);
const messageBytes = Number(wantedBytes ?? MESSAGE_BYTES);
const isWebSocket = kind === "websocket";

const opening = isWebSocket
  ? `GET /websocket HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
  : `CONNECT 127.0.0.1:${targetPort} HTTP/1.1\r\nHost: 127.0.0.1:${targetPort}\r\n\r\n`;
const openingStatus = isWebSocket ? /^HTTP\/1\.1 101 / : /^HTTP\/1\.[01] 200 /;

/** A client's frame is masked, here with zeros, and the server's is not: it comes back four bytes shorter. */
const payload = Buffer.alloc(messageBytes, 0x61);
const message = isWebSocket ? Buffer.concat([Buffer.from([0x82, 0x80 | messageBytes, 0, 0, 0, 0]), payload]) : payload;
const replyBytes = isWebSocket ? 2 + messageBytes : messageBytes;

const durations: number[] = [];
/** Of each tunnel. */
const counts: number[] = [];
let measuring = false;

function fail(reason: string): never {
  console.error(reason);
  process.exit(1);
}

/** Resolves when the tunnel stands. */
function open(): Promise<Socket> {
  return new Promise((resolve) => {
    const socket = connect(Number(port), "127.0.0.1", () => socket.write(opening));
    socket.setNoDelay(true);
    let head = "";
    const onHead = (bytes: Buffer) => {
      head += bytes.toString("latin1");
      if (!head.includes("\r\n\r\n")) return;
      if (!openingStatus.test(head)) fail(`no tunnel: ${head.split("\r\n")[0]}`);
      socket.off("data", onHead);
      resolve(socket);
    };
    socket.on("data", onHead);
    socket.on("error", (error) => fail(`a tunnel failed: ${error.message}`));
    socket.on("close", () => fail(`a tunnel was closed${head.includes("\r\n\r\n") ? "" : " before it stood"}`));
  });
}

function repeat(socket: Socket, tunnel: number): void {
  let missing = replyBytes;
  let sentAt = performance.now();
  counts[tunnel] = 0;
  socket.on("data", (bytes: Buffer) => {
    missing -= bytes.length;
    if (missing > 0) return;
    if (missing < 0) fail("more came back than was sent");
    const now = performance.now();
    if (measuring) {
      durations.push(now - sentAt);
      counts[tunnel]!++;
    }
    missing = replyBytes;
    sentAt = now;
    socket.write(message);
  });
  socket.write(message);
}

const timer = setTimeout(() => fail("the tunnels did not open in time"), OPEN_MS_MAX);
const sockets: Socket[] = [];
let opened = 0;
async function openInTurn(): Promise<void> {
  while (opened < Number(connections)) {
    opened++;
    sockets.push(await open());
  }
}
await Promise.all(Array.from({ length: OPENING_MAX }, openInTurn));
clearTimeout(timer);
sockets.forEach(repeat);
measuring = true;
console.log("open");
const startedAt = performance.now();
setTimeout(() => {
  const elapsed = (performance.now() - startedAt) / 1000;
  if (durations.length === 0) fail("nothing came back");
  const [p50Ms, p99Ms] = [percentile(durations, 0.5), percentile(durations, 0.99)];
  const report = { roundTrips: durations.length, fewest: Math.min(...counts), seconds: elapsed, p50Ms, p99Ms };
  console.log(JSON.stringify(report));
  process.exit(0);
}, Number(seconds) * 1000);
