// How connections end: half by half, at once, by reset, and what may still be called then.

import assert from "node:assert/strict";
import net from "node:net";
import { describe, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { ProxyError } from "../../src/core/errors.ts";
import { TransportStage } from "../support/transport-stage.ts";
import { testOnNative, testOnSockets } from "../support/transport-under-test.ts";

test("each side ends for itself, and both are closed when both have ended", async () => {
  await using stage = new TransportStage();
  const { near, far } = await stage.pair();
  near.connection.writeLatin1("question");
  near.connection.end();
  await far.until(() => far.events.includes("end"));
  assert.equal(far.text, "question");
  assert.equal(far.connection.closed, false);
  far.connection.writeLatin1("answer");
  await near.untilText("answer");
  assert.deepEqual(near.events, ["bytes"], "our own end is not the peer's");
  far.connection.end();
  assert.equal(await near.untilClosed(), null);
  assert.equal(await far.untilClosed(), null);
  assert.deepEqual(near.events, ["bytes", "end", "close"]);
  assert.deepEqual(far.events, ["bytes", "end", "close"]);
  assert.equal(near.connection.closed, true);
});

test("end sends what is queued first, however much", async () => {
  await using stage = new TransportStage();
  const { near, far } = await stage.pair();
  far.connection.pause();
  near.connection.write(Buffer.alloc(10_000_000));
  near.connection.writeLatin1("last");
  near.connection.end();
  far.connection.resume();
  await far.until(() => far.events.includes("end"));
  assert.equal(far.bytes, 10_000_004);
});

describe("end, of a connection whose peer has said that it is done", () => {
  test("sends what is queued first, and is closed without an error when the peer has ended at the latest", async () => {
    for (const bytes of [0, 10, 10_000_000]) {
      await using stage = new TransportStage();
      const { near, far } = await stage.pair();
      near.connection.write(Buffer.alloc(bytes));
      near.connection.writeLatin1("last");
      near.connection.end(true);
      near.connection.writeLatin1("too late");
      await far.until(() => far.events.includes("end"));
      assert.equal(far.bytes, bytes + 4);
      far.connection.end();
      assert.equal(await near.untilClosed(), null);
      assert.equal(await far.untilClosed(), null);
      assert.deepEqual([near.bytes, near.connection.queuedBytes], [0, 0]);
    }
  });

  testOnNative("does not wait for the peer's end", async () => {
    await using stage = new TransportStage();
    const { near, far } = await stage.pair();
    near.connection.writeLatin1("last");
    near.connection.end(true);
    assert.equal(await near.untilClosed(), null);
    assert.deepEqual(near.events, ["close"]);
    await far.untilText("last");
    assert.equal(far.connection.closed, false);
  });

  test("waits for it where the peer has sent more all the same, which must not cost it the last bytes", async () => {
    await using stage = new TransportStage();
    const { near, far } = await stage.pair();
    near.connection.pause();
    far.connection.writeLatin1("not done");
    // It is there, and was not read.
    const others = await stage.pair();
    others.far.connection.writeLatin1("later");
    await others.near.untilText("later");
    near.connection.writeLatin1("last");
    near.connection.end(true);
    await far.until(() => far.events.includes("end"));
    assert.equal(far.text, "last");
    near.connection.resume();
    await near.untilText("not done");
    far.connection.end();
    assert.equal(await near.untilClosed(), null);
    assert.equal(await far.untilClosed(), null);
  });
});

test("destroy drops what is queued and tells its own handler once, in a later turn, with the error", async () => {
  await using stage = new TransportStage();
  const { near, far } = await stage.pair();
  const reason = new ProxyError("connection_read_timeout", "too slow");
  near.connection.writeLatin1("never sent");
  near.connection.destroy(reason);
  near.connection.destroy();
  assert.equal(near.connection.closed, true);
  assert.equal(near.connection.queuedBytes, 0);
  assert.deepEqual(near.events, []);
  assert.equal(await near.untilClosed(), reason);
  await far.until(() => far.events.includes("end"));
  assert.equal(far.text, "");
  assert.deepEqual(near.events, ["close"]);
});

testOnSockets("destroy with reset: the peer sees an error, not an end", async () => {
  await using stage = new TransportStage();
  for (const side of ["near", "far"] as const) {
    const pair = await stage.pair();
    const other = side === "near" ? "far" : "near";
    pair[side].connection.writeLatin1("half a mess");
    await pair[other].untilText("half a mess");
    pair[side].connection.destroy(undefined, true);
    const error = await pair[other].untilClosed();
    assert.equal(error?.type, "connection_terminated");
    assert.equal(error?.side, other === "far" ? "client" : "upstream");
    assert.match(
      error!.message,
      /^connection of (client|upstream) 127\.0\.0\.1:\d+: the peer reset the connection \(ECONNRESET\)$/,
    );
    assert.equal(await pair[side].untilClosed(), null);
    assert.ok(!pair[other].events.includes("end"));
  }
});

testOnSockets("calls on a closed connection do nothing", async () => {
  await using stage = new TransportStage();
  const { near, far } = await stage.pair();
  near.connection.destroy();
  const { connection } = near;
  const callAll = () => {
    connection.write(Buffer.alloc(200_000));
    connection.writeLatin1("x");
    connection.pause();
    connection.resume();
    connection.end();
    connection.destroy(new ProxyError("proxy_internal_error", "late"), true);
  };
  callAll();
  assert.equal(await near.untilClosed(), null);
  callAll();
  assert.equal(connection.queuedBytes, 0);
  await far.until(() => far.events.includes("end"));
  assert.deepEqual(near.events, ["close"]);
  assert.equal(connection.remote.address, "127.0.0.1");
  assert.equal(connection.local.address, "127.0.0.1");
});

test("writes after end are dropped", async () => {
  await using stage = new TransportStage();
  const { near, far } = await stage.pair();
  near.connection.writeLatin1("all");
  near.connection.end();
  near.connection.writeLatin1("more");
  near.connection.write(Buffer.alloc(500_000));
  near.connection.end();
  await far.until(() => far.events.includes("end"));
  assert.equal(far.text, "all");
  assert.equal(near.error, undefined);
});

test("a destroyed connection is told nothing of the bytes that were on their way", async () => {
  await using stage = new TransportStage();
  const { near, far } = await stage.pair();
  far.react = () => far.connection.destroy();
  near.connection.write(Buffer.alloc(3_000_000));
  await far.untilClosed();
  assert.deepEqual(far.events, ["bytes", "close"]);
  assert.equal(far.chunks.length, 1);
  await near.untilClosed();
});

testOnSockets("bytes that come with the end are delivered before it", async () => {
  await using stage = new TransportStage();
  const served = await stage.serve();
  const client = await stage.client(served.port);
  client.end("everything");
  const far = await served.next();
  await far.until(() => far.events.includes("end"));
  assert.deepEqual(far.events, ["bytes", "end"]);
  far.connection.end();
  await far.untilClosed();
});

testOnSockets(
  "writing to a peer that has gone ends in onClose with an error, and takes no memory meanwhile",
  async () => {
    await using stage = new TransportStage();
    const served = await stage.serve();
    const client = await stage.client(served.port);
    const far = await served.next();
    client.resetAndDestroy();
    while (far.error === undefined) {
      far.connection.write(Buffer.alloc(10_000));
      await nextTurn();
    }
    assert.equal(far.error?.type, "connection_terminated");
    assert.equal(far.connection.queuedBytes, 0);
  },
);

test("a handler can be replaced: the new one is told what comes after", async () => {
  await using stage = new TransportStage();
  const { near, far } = await stage.pair();
  near.connection.writeLatin1("old");
  await far.untilText("old");
  const events: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  far.connection.handler = {
    onBytes: (buffer, start, end) => events.push(buffer.toString("latin1", start, end)),
    onDrain: () => {},
    onEnd: () => {
      events.push("end");
      far.connection.end();
    },
    onClose: () => resolve(),
  };
  near.connection.writeLatin1("new");
  near.connection.end();
  await promise;
  assert.deepEqual(events, ["new", "end"]);
  assert.deepEqual(far.events, ["bytes"]);
});

test("a thousand connections opened and closed in every way leave nothing", async () => {
  await using stage = new TransportStage();
  const served = await stage.serve({}, (far) => {
    far.react = () => far.connection.writeLatin1("echo");
  });
  for (let batch = 0; batch < 20; batch++) {
    const nears = await Promise.all(Array.from({ length: 50 }, () => stage.dial({ port: served.port })));
    for (const [index, near] of nears.entries()) {
      const far = await served.next();
      if (index % 5 === 0) near.connection.destroy();
      else if (index % 5 === 1) far.connection.destroy(undefined, true);
      else if (index % 5 === 2) near.connection.destroy(undefined, true);
      else {
        near.connection.writeLatin1("hello");
        if (index % 5 === 3) near.connection.end();
        far.connection.end();
      }
    }
    for (const near of nears) near.connection.destroy();
  }
  assert.ok(stage.transport.openConnections > 0, "they are counted");
});

testOnSockets("a listener of Node's own that stops reading does not keep a destroyed connection open", async () => {
  await using stage = new TransportStage();
  const port = await stage.start(net.createServer((socket) => socket.pause()));
  const near = await stage.dial({ port });
  near.connection.write(Buffer.alloc(20_000_000));
  await nextTurn();
  near.connection.destroy();
  await near.untilClosed();
});
