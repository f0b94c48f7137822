// Ends that come at an awkward moment: a reset where an end was under way, a peer that is gone while it is written to, an
// answer that came before the peer had gone. What was said still arrives, and nobody waits for ever.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { after } from "node:test";
import { ProxyError } from "../../src/core/errors.ts";
import { QUEUE_HIGH_WATER_BYTES } from "../../src/core/limits.ts";
import { ListenError } from "../../src/io/failures.ts";
import { RelayStage, turns } from "../support/relay-stage.ts";
import { needs } from "../support/requirements.ts";
import { TransportStage } from "../support/transport-stage.ts";
import { testOnNative, testOnSockets, testSplicing } from "../support/transport-under-test.ts";

const folder = mkdtempSync(path.join(os.tmpdir(), "headgate-ends-"));
after(() => rmSync(folder, { recursive: true }));
let sockets = 0;

testOnSockets("write, end and a reset at once: the peer never takes a part for the whole", async () => {
  await using stage = new TransportStage();
  const { near, far } = await stage.pair();
  near.connection.writeLatin1("all of it");
  near.connection.end();
  near.connection.destroy(new ProxyError("http_response_incomplete", "it is not wanted any more"), true);
  await far.until(() => far.events.includes("end") || far.error !== undefined);
  // What was queued is dropped with its end, or has left with it.
  if (far.events.includes("end")) assert.equal(far.text, "all of it");
});

/** A client of this unix socket that says so much, and does not read any more; it goes when its standard input ends. */
async function stopReading(socket: string, bytes: number) {
  const program = `use Socket; socket(my $s, PF_UNIX, SOCK_STREAM, 0); connect($s, sockaddr_un($ARGV[0])) or die; print $s "x" x $ARGV[1]; $s->flush; shutdown($s, 0); print "done\\n"; <STDIN>`;
  const args = ["-MIO::Handle", "-e", `$| = 1; ${program}`, socket, `${bytes}`];
  const peer = spawn("perl", args, { stdio: ["pipe", "pipe", "inherit"] });
  await once(peer.stdout, "data");
  return {
    async leave() {
      peer.stdin.end();
      await once(peer, "exit");
    },
  };
}

testOnSockets("a unix peer that does not read any more, and is not gone: who writes to it is told", async () => {
  if (needs("perl") !== false) return;
  await using stage = new TransportStage();
  const socket = path.join(folder, "shut");
  const served = await stage.serve({ path: socket });
  const peer = await stopReading(socket, 0);
  const accepted = await served.next();
  accepted.connection.write(Buffer.alloc(2 * QUEUE_HIGH_WATER_BYTES));
  assert.equal((await accepted.untilClosed())?.type, "connection_terminated");
  await peer.leave();
});

for (const isSpliced of [false, true]) {
  testOnNative(`the same behind what it had said, which ${isSpliced ? "goes elsewhere" : "is read"}`, async () => {
    if (needs("perl") !== false) return;
    await using stage = new TransportStage();
    const socket = path.join(folder, `shut-${isSpliced}`);
    const served = await stage.serve({ path: socket }, ({ connection }) => connection.pause());
    const { near, far } = await stage.pair();
    const length = 100_000;
    const peer = await stopReading(socket, length);
    const accepted = await served.next();
    if (isSpliced) accepted.connection.spliceTo(near.connection, Number.POSITIVE_INFINITY, { onSpliced() {} });
    await turns(2);
    accepted.connection.resume();
    accepted.connection.write(Buffer.alloc(2 * QUEUE_HIGH_WATER_BYTES));
    assert.equal((await accepted.untilClosed())?.type, "connection_terminated");
    const taker = isSpliced ? far : accepted;
    await taker.until(() => taker.bytes === length);
    await peer.leave();
  });
}

testOnSockets("a connection that is resumed and destroyed at once, after a file, counts once", async () => {
  await using stage = new TransportStage();
  const file = path.join(folder, "file");
  writeFileSync(file, "file");
  const descriptor = openSync(file, "r");
  const { near, far } = await stage.pair();
  const sent = Promise.withResolvers<void>();
  near.connection.sendFile(descriptor, 0, 4, sent.resolve);
  await sent.promise;
  await far.untilText("file");
  closeSync(descriptor);
  near.connection.pause();
  await turns(2);
  near.connection.resume();
  near.connection.destroy();
  await far.until(() => far.events.includes("end"));
  assert.equal(near.error, null);
  assert.equal(stage.transport.openConnections, 1);
});

testOnSockets("a unix peer that closes has ended; only who writes to it learns that it is gone", async () => {
  await using stage = new TransportStage();
  const file = path.join(folder, `${sockets++}.sock`);
  const served = await stage.serve({ path: file });
  const client = net.connect(file);
  client.write("all of it", () => client.destroy());
  const far = await served.next();
  await far.until(() => far.events.includes("end"));
  await turns(20);
  assert.equal(far.text, "all of it");
  assert.deepEqual(far.events, ["bytes", "end"]);
  far.connection.writeLatin1("too late");
  assert.equal((await far.untilClosed())?.type, "connection_terminated");
});

testOnSockets("a unix peer that closes and is answered with an end: an orderly close", async () => {
  await using stage = new TransportStage();
  const file = path.join(folder, `${sockets++}.sock`);
  const served = await stage.serve({ path: file });
  const client = net.connect(file);
  client.write("all of it", () => client.destroy());
  const far = await served.next();
  await far.until(() => far.events.includes("end"));
  await turns(20);
  far.connection.end();
  assert.equal(await far.untilClosed(), null);
});

testOnSockets("a path that is too long, or no path, fails as any other", async () => {
  await using stage = new TransportStage();
  for (const host of ["/x".repeat(200), "/x\0y"]) {
    await assert.rejects(stage.dial({ host, port: 0 }), ProxyError);
    await assert.rejects(stage.serve({ path: host }), ListenError);
  }
  await turns(1);
  assert.equal(stage.transport.openConnections, 0);
});

testOnSockets("an answer that came before a reset is read, though a write finds the reset first", async () => {
  await using stage = new TransportStage();
  for (const length of [500, 100_000]) {
    const accepted = Promise.withResolvers<net.Socket>();
    const server = net.createServer({ pauseOnConnect: true }, accepted.resolve).listen(0, "127.0.0.1");
    await once(server, "listening");
    const near = await stage.dial({ port: (server.address() as net.AddressInfo).port });
    const origin = await accepted.promise;
    near.connection.write(Buffer.alloc(1000));
    await turns(5);
    // In one turn: nobody has read when the next bytes are written. What was not read there makes a reset of the close.
    origin.write(Buffer.alloc(length, "413 "));
    origin.destroy();
    origin.once("close", () => {
      near.connection.write(Buffer.alloc(100_000));
      near.connection.write(Buffer.alloc(100_000));
    });
    const error = await near.untilClosed();
    assert.equal(near.bytes, length);
    assert.equal(error?.type, "connection_terminated");
    server.close();
  }
});

testOnSockets("paused with unread bytes while the peer resets: who writes is told", async () => {
  await using stage = new TransportStage();
  const { near, far } = await stage.pair();
  far.connection.pause();
  await turns(2);
  near.connection.write(Buffer.alloc(1000));
  await turns(5);
  near.connection.destroy(undefined, true);
  await turns(5);
  // Whoever paused it waits for what he writes to be taken.
  for (let count = 0; far.error === undefined && count < 20; count++) {
    far.connection.write(Buffer.alloc(QUEUE_HIGH_WATER_BYTES));
    await turns(1);
  }
  assert.equal((await far.untilClosed())?.type, "connection_terminated");
});

testOnSockets("paused with unread bytes and a full queue while the peer resets: it is told at once", async () => {
  await using stage = new TransportStage();
  const { near, far } = await stage.pair();
  far.connection.pause();
  near.connection.pause();
  near.connection.write(Buffer.alloc(1000));
  far.connection.write(Buffer.alloc(20_000_000));
  await turns(5);
  assert.ok(far.connection.queuedBytes > QUEUE_HIGH_WATER_BYTES);
  near.connection.destroy(undefined, true);
  assert.equal((await far.untilClosed())?.type, "connection_terminated");
});

testSplicing("an answer before the end of a spliced request arrives, though the origin has reset", async () => {
  for (let times = 0; times < 20; times++) {
    await using stage = new RelayStage();
    const { client, front, back, origin } = await stage.relay();
    front.connection.spliceTo(back.connection, 100_000_000, { onSpliced() {} });
    origin.connection.pause();
    client.connection.write(Buffer.alloc(20_000_000));
    await turns(times);
    // Unread bytes make a reset of this close, behind the answer.
    const answer = Buffer.alloc(30_000, "413 ");
    origin.connection.write(answer);
    await turns(1);
    origin.connection.destroy();
    await back.untilClosed();
    assert.equal(back.bytes, answer.length);
    client.connection.destroy();
  }
});

testSplicing("the same when the answer is spliced as well, and its reader is slow", async () => {
  await using stage = new RelayStage();
  const { client, front, back, origin } = await stage.relay();
  front.connection.spliceTo(back.connection, 100_000_000, { onSpliced() {} });
  back.connection.spliceTo(front.connection, 100_000_000, { onSpliced() {} });
  client.connection.pause();
  origin.connection.pause();
  client.connection.write(Buffer.alloc(30_000_000));
  await turns(20);
  const length = 100_000;
  origin.connection.write(Buffer.alloc(length, "413 "));
  await turns(2);
  origin.connection.destroy();
  await turns(5);
  client.connection.resume();
  await client.until(() => client.bytes >= length || client.error !== undefined);
  assert.equal(client.bytes, length);
  await back.untilClosed();
});

testSplicing("an end that is asked for during a splice is sent when the source is lost", async () => {
  await using stage = new RelayStage();
  const { client, front, back, origin } = await stage.relay();
  front.connection.spliceTo(back.connection, 1000, { onSpliced() {} });
  client.connection.writeLatin1("some");
  await origin.untilText("some");
  back.connection.end();
  await turns(2);
  assert.deepEqual(origin.events, ["bytes"]);
  client.connection.destroy(undefined, true);
  await front.untilClosed();
  await origin.until(() => origin.events.includes("end"));
});
