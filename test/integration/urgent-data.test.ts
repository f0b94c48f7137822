// TCP urgent data (RFC 6093). To splice(2) its mark looks like the end of what there is: nothing behind it may be lost, and no
// answer that goes on may look complete. The urgent byte itself belongs to no message, and is not forwarded.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import net from "node:net";
import { test } from "node:test";
import { ProxyUnderTest } from "../support/proxy-under-test.ts";
import { RawClient } from "../support/raw-client.ts";
import { needs } from "../support/requirements.ts";

const OPTIONS = { timeout: 30_000, skip: needs("perl") };
/** More than may wait before a splice begins. */
const PART_BYTES = 100_000;
const SEND_URGENT = 'use Socket; open(my $s, "+<&=", 3) or die $!; defined(send($s, "!", MSG_OOB)) or die $!';
const HANDSHAKE = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCHING = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

/** Node has no call for it, but a child process shares the socket with us. All that was written before has left. */
async function sendUrgent(socket: net.Socket): Promise<void> {
  const child = spawn("perl", ["-e", SEND_URGENT], { stdio: ["ignore", "ignore", "inherit", socket] });
  const [status] = (await once(child, "exit")) as [number | null];
  assert.equal(status, 0);
}

/** An origin that says `head` to whoever comes, and then what the test says. */
async function startOrigin(head: string) {
  const { promise: asked, resolve } = Promise.withResolvers<net.Socket>();
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => {});
    socket.once("data", () => {
      socket.write(head);
      resolve(socket);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`;
  return {
    url,
    asked,
    async [Symbol.asyncDispose]() {
      (await asked).destroy();
      server.close();
    },
  };
}

for (const [framing, field] of [
  ["until the end of the connection", ""],
  ["with a length", `Content-Length: ${2 * PART_BYTES}\r\n`],
] as const) {
  test(`in the middle of an answer ${framing}: what stands behind it arrives`, OPTIONS, async () => {
    await using origin = await startOrigin(`HTTP/1.1 200 OK\r\n${field}Connection: close\r\n\r\n`);
    await using proxy = await ProxyUnderTest.start({ servers: { web: { listen: "127.0.0.1:0", proxy: origin.url } } });
    using client = await RawClient.connect(proxy.port("web"));
    client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    await client.untilText("\r\n\r\n");
    const head = client.receivedBytes;
    const socket = await origin.asked;
    socket.write("a".repeat(PART_BYTES));
    await client.until(() => client.receivedBytes === head + PART_BYTES, "the first part");
    await sendUrgent(socket);
    socket.end("b".repeat(PART_BYTES));
    await client.untilEnded();
    assert.equal(client.received.slice(head), "a".repeat(PART_BYTES) + "b".repeat(PART_BYTES));
    assert.equal(client.error, null);
  });
}

test("in a tunnel: what stands behind it arrives, and then the end", OPTIONS, async () => {
  await using origin = await startOrigin(SWITCHING);
  await using proxy = await ProxyUnderTest.start({ servers: { web: { listen: "127.0.0.1:0", proxy: origin.url } } });
  using client = await RawClient.connect(proxy.port("web"));
  client.send(HANDSHAKE);
  await client.untilText("\r\n\r\n");
  const socket = await origin.asked;
  let received = "";
  socket.on("data", (chunk: Buffer) => {
    received += chunk;
  });
  const ended = once(socket, "end");
  client.send("one");
  while (received !== "one") await once(socket, "data");
  await sendUrgent(client.socket);
  client.socket.end("twothree");
  await ended;
  assert.equal(received, "onetwothree");
});
