// What is written in small pieces to a reader that does not read waits in memory of its own: not in the slab that all connections of
// the thread share, of which each piece would keep the whole.
import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import { Arrivals } from "./arrivals.ts";
import { NetConnection } from "./connection.ts";
import { PausedClients } from "./paused-clients.ts";
import { WriteBatch } from "./write-batch.ts";

test("pieces behind bytes that wait keep nothing of the slab, and arrive in order", async (t) => {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  const peer = net.connect(port, "127.0.0.1").pause();
  const [socket] = (await once(server, "connection")) as [net.Socket];
  server.close();
  t.after(() => {
    peer.destroy();
    socket.destroy();
  });
  const batch = new WriteBatch();
  const pausedClients = new PausedClients(new VirtualClock());
  const owner = { batch, arrivals: new Arrivals(), pausedClients, reportFault: assert.fail, countConnection() {} };
  const end = { family: 4, address: "127.0.0.1", port } as const;
  const connection = new NetConnection(owner, socket, { remote: end, local: end, tls: null, side: "client" });

  const first = Buffer.alloc(8 * 1024, "-");
  let firsts = 0;
  for (; connection.queuedBytes === 0; firsts++) {
    connection.write(first);
    await nextTurn();
  }
  const { slab } = batch;
  const { floor } = slab;
  const pieces = Array.from({ length: 200 }, (_, index) => `${index},`);
  for (const piece of pieces) {
    connection.write(Buffer.from(piece));
    await nextTurn();
  }
  assert.ok(connection.queuedBytes > pieces.length, "they wait");
  assert.equal(batch.slab, slab);
  assert.equal(slab.floor, floor);

  connection.end();
  let text = "";
  for await (const chunk of peer) text += String(chunk);
  assert.equal(text.length, firsts * first.length + pieces.join("").length);
  assert.equal(text.slice(firsts * first.length), pieces.join(""));
});
