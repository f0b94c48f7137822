// More clients ask at once than the process may have files open: requests share the connections to the origin that there can be, and
// nobody who was accepted is told that there is none.

import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import net from "node:net";
import { test } from "node:test";
import { Folder, Running } from "../cli/headgate.ts";

/** Node itself takes about twenty, and a worker ten. */
const DESCRIPTORS = 128;
const CLIENTS = 2 * DESCRIPTORS;

/** What the proxy said to one that asks, "" when it was not accepted. */
async function askedOnce(port: number): Promise<string> {
  const socket = net.connect(port, "127.0.0.1").on("error", () => {});
  socket.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  let said = "";
  socket.on("data", (bytes: Buffer) => (said += bytes.toString("latin1")));
  // Not `once`: a reset would reject it.
  await new Promise((resolve) => socket.on("close", resolve));
  return said.split("\r\n")[0]!;
}

test("more clients than descriptors: all that are accepted are answered", { timeout: 60_000 }, async (context) => {
  // No connection comes free before others have asked.
  const origin = http.createServer((_request, response) => setTimeout(() => response.end(), 20)).listen(0, "127.0.0.1");
  await once(origin, "listening");
  context.after(() => {
    origin.closeAllConnections();
    origin.close();
  });
  using folder = new Folder();
  const proxy = `http://127.0.0.1:${(origin.address() as net.AddressInfo).port}`;
  const server = `{ listen: "127.0.0.1:0", proxy: { to: "${proxy}", queue: { timeout: 30s } } }`;
  folder.file("headgate.yaml", `workers: 1\nadmin: "off"\nlog: { access: "off" }\nservers: { web: ${server} }\n`);
  await using running = await Running.startLimited(DESCRIPTORS, folder.path, "run");
  const answers = await Promise.all(Array.from({ length: CLIENTS }, () => askedOnce(running.port("web"))));
  const answered = answers.filter((answer) => answer !== "");
  assert.deepEqual([...new Set(answered)], ["HTTP/1.1 200 OK"]);
  // On Node's own sockets, who is too many is accepted and closed before anybody is asked.
  const isNative = running.stderr.includes("native") || running.stdout.includes("native");
  // On the native one a client may be closed for whose descriptor another thread was quicker; others wait.
  assert.ok(answered.length >= (isNative ? CLIENTS - 4 : DESCRIPTORS / 4), `${answered.length}`);
  await running.untilLogged(/requests wait for connections that come free/);
  // Nothing is the server's fault.
  assert.doesNotMatch(running.stdout + running.stderr, /is left out|connection refused/);
  running.process.kill("SIGTERM");
  assert.equal(await running.ended(), 0);
});
