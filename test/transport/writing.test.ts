// What leaves: bytes in the order of the writes, copied when written, as few system calls as there are turns.

import assert from "node:assert/strict";
import net from "node:net";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { SeededRandom } from "../../src/testing/seeded-random.ts";
import { assertPattern, pattern } from "../support/relay-stage.ts";
import { replayHint, seed } from "../support/seed.ts";
import { TransportStage } from "../support/transport-stage.ts";
import { testOnSockets } from "../support/transport-under-test.ts";

test("the caller may reuse its bytes as soon as write has returned", async () => {
  await using stage = new TransportStage();
  const { near, far } = await stage.pair();
  for (const size of [1, 24, 25, 4_000, 64 * 1024, 64 * 1024 + 1, 300_000]) {
    const bytes = Buffer.alloc(size, "a");
    const before = far.bytes;
    near.connection.write(bytes);
    bytes.fill("b");
    await far.until(() => far.bytes === before + size);
  }
  assert.match(far.text, /^a+$/);
});

test("a range of bytes is written, in any kind of byte array", async () => {
  await using stage = new TransportStage();
  const { near, far } = await stage.pair();
  near.connection.write(Buffer.from("0123456789"), 2, 5);
  near.connection.write(Buffer.from("0123456789"), 8);
  near.connection.write(new Uint8Array([0x41, 0x42, 0x43]), 1);
  near.connection.write(Buffer.from("nothing"), 3, 3);
  near.connection.writeLatin1("caf\u00e9");
  near.connection.writeLatin1("");
  near.connection.write(Buffer.from("x".repeat(40)), 10, 40);
  await far.untilText(`23489BCcaf\u00e9${"x".repeat(30)}`);
});

test("what is put into room that was reserved leaves in its place, whatever its size", async () => {
  await using stage = new TransportStage();
  const { near, far } = await stage.pair();
  const { connection } = near;
  const [kibi, mebi] = [1024, 1024 * 1024];
  // Several that fill what is sent at once; around what that holds; and above it.
  const sizes = [1, 100, ...Array.from({ length: 8 }, () => 40 * kibi), 64 * kibi - 500, 64 * kibi, 64 * kibi + 1];
  sizes.push(mebi - 500, mebi, 3 * mebi);
  let expected = "";
  for (const size of sizes) {
    connection.writeLatin1("<");
    const before = connection.queuedBytes;
    const { bytes, view, start } = connection.reserve(size + 500);
    assert.ok(bytes.length >= start + size + 500);
    bytes.fill("a", start, start + size);
    view.setUint8(start, 0x41);
    connection.commit(start + size);
    // Large ones may have been handed to the kernel at once.
    if (size < kibi) assert.equal(connection.queuedBytes, before + size);
    connection.write(Buffer.from(">"));
    expected += `<A${"a".repeat(size - 1)}>`;
  }
  await far.untilText(expected);
});

test("room is given and nothing leaves once a connection was ended, or is closed", async () => {
  await using stage = new TransportStage();
  const { near, far } = await stage.pair();
  const put = () => {
    const { bytes, start } = near.connection.reserve(10);
    bytes.fill("x", start, start + 10);
    near.connection.commit(start + 10);
  };
  near.connection.writeLatin1("last");
  near.connection.end();
  put();
  await far.until(() => far.events.includes("end"));
  assert.equal(far.text, "last");
  near.connection.destroy();
  put();
  assert.equal(near.connection.queuedBytes, 0);
});

testOnSockets("writes of one turn leave as one segment", async () => {
  await using stage = new TransportStage();
  const chunks: number[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const port = await stage.start(
    net.createServer((socket) => {
      socket.on("data", (chunk) => {
        chunks.push(chunk.length);
        if (chunk.length > 1) resolve();
        else socket.write("go");
      });
    }),
  );
  const near = await stage.dial({ port });
  near.react = () => {
    for (let count = 0; count < 200; count++) near.connection.writeLatin1("abcde");
  };
  near.connection.writeLatin1("?");
  await promise;
  assert.deepEqual(chunks, [1, 1000]);
});

testOnSockets("writes outside an event leave in the same turn", async () => {
  await using stage = new TransportStage();
  const { near, far } = await stage.pair();
  near.connection.writeLatin1("a");
  near.connection.writeLatin1("b");
  assert.equal(near.connection.queuedBytes, 2);
  await Promise.resolve().then(() => near.connection.writeLatin1("c"));
  await new Promise((resolve) => process.nextTick(resolve));
  assert.equal(near.connection.queuedBytes, 0);
  await far.untilText("abc");
});

test("writes of every size arrive whole, also far above what is sent at once", async () => {
  await using stage = new TransportStage();
  const { near, far } = await stage.pair();
  const mebi = 1024 * 1024;
  let at = 0;
  for (const size of [1, 64 * 1024 - 1, 128 * 1024 + 1, mebi - 1, mebi, mebi + 1, 2 * mebi, 3, 5 * mebi + 7]) {
    near.connection.write(pattern(at, size));
    at += size;
    const text = pattern(at, size % 3_000_000).toString("latin1");
    near.connection.writeLatin1(text);
    at += text.length;
  }
  near.connection.end();
  await far.until(() => far.events.includes("end"));
  assertPattern(far, at);
});

test("queuedBytes grows by what is written, and never below zero shrinks", async () => {
  await using stage = new TransportStage();
  const { near, far } = await stage.pair();
  far.connection.pause();
  let total = 0;
  for (let turn = 0; turn < 60; turn++) {
    for (const size of [10, 30_000, 200_000]) {
      const before = near.connection.queuedBytes;
      near.connection.write(Buffer.alloc(size));
      total += size;
      const after = near.connection.queuedBytes;
      // Large writes may have been handed to the kernel at once, which takes as much as it has room for.
      assert.ok(after <= before + size && after >= 0, `${before} + ${size} became ${after}`);
      if (size === 10) assert.equal(after, before + size);
    }
    await nextTurn();
  }
  assert.ok(near.connection.queuedBytes > 1_000_000 && near.connection.queuedBytes < total);
  far.connection.resume();
  await far.until(() => far.bytes === total);
  assert.equal(near.connection.queuedBytes, 0);
});

test("thousands of small writes to many connections in one turn", async () => {
  await using stage = new TransportStage();
  const pairs = await Promise.all(Array.from({ length: 30 }, () => stage.pair()));
  for (let round = 0; round < 300; round++) {
    for (const [index, { near }] of pairs.entries()) near.connection.writeLatin1(`${index},${round};`);
  }
  for (const [index, { far }] of pairs.entries()) {
    await far.untilText(Array.from({ length: 300 }, (_, round) => `${index},${round};`).join(""));
  }
});

test("connections that write in turns do not mix", async () => {
  await using stage = new TransportStage();
  const pairs = [await stage.pair(), await stage.pair(), await stage.pair()];
  for (let round = 0; round < 50; round++) {
    for (const [index, { near }] of pairs.entries()) near.connection.writeLatin1(`${index}:${round};`);
  }
  for (const [index, { far }] of pairs.entries()) {
    await far.untilText(Array.from({ length: 50 }, (_, round) => `${index}:${round};`).join(""));
  }
});

test(`writes of any size on several connections arrive whole and in order (${replayHint})`, async () => {
  await using stage = new TransportStage();
  const random = new SeededRandom(seed);
  const between = (low: number, high: number) => low + Math.floor(random.next() * (high - low));
  const pairs = [await stage.pair(), await stage.pair(), await stage.pair()];
  const sent: Buffer[][] = pairs.map(() => []);
  for (let count = 0; count < 400; count++) {
    const index = between(0, pairs.length);
    const { near, far } = pairs[index]!;
    const size = random.next() < 0.9 ? between(1, 2_000) : between(2_000, 200_000);
    const bytes = Buffer.alloc(size, between(0, 256));
    if (random.next() < 0.5) near.connection.write(bytes);
    else {
      const { bytes: room, start } = near.connection.reserve(size + between(0, 2_000));
      bytes.copy(room, start);
      near.connection.commit(start + size);
    }
    sent[index]!.push(Buffer.from(bytes));
    bytes.fill(0);
    if (random.next() < 0.2) far.connection.pause();
    if (random.next() < 0.2) far.connection.resume();
    if (random.next() < 0.2) await new Promise((resolve) => setImmediate(resolve));
  }
  for (const [index, { near, far }] of pairs.entries()) {
    far.connection.resume();
    near.connection.end();
    await far.until(() => far.events.includes("end"));
    assert.ok(Buffer.concat(far.chunks).equals(Buffer.concat(sent[index]!)), `connection ${index}`);
  }
});

test(`what is written in an event, and in the microtasks, ticks and turns behind it, leaves in that order (${replayHint})`, async () => {
  await using stage = new TransportStage();
  const random = new SeededRandom(seed);
  const below = (end: number) => Math.floor(random.next() * end);
  const moments: ((write: () => void) => unknown)[] = [
    (write) => write(),
    queueMicrotask,
    process.nextTick,
    setImmediate,
    (write) => setTimeout(write, 0),
    (write) => process.nextTick(queueMicrotask, write),
  ];
  const pairs = await Promise.all(Array.from({ length: 4 }, () => stage.pair()));
  const expected = pairs.map(() => "");
  let pieces = 0;
  /** Writes that are still to come. */
  let pending = 0;
  const writeTo = (index: number) => () => {
    // Some is sent from where it is, some is copied, and some has to wait for the peer.
    const text = `${pieces++},`.repeat(below(10) === 0 ? 40_000 : 1 + below(900));
    expected[index] += text;
    if (below(2) === 0) pairs[index]!.far.connection.writeLatin1(text);
    else pairs[index]!.far.connection.write(Buffer.from(text));
    pending--;
  };
  for (const { far } of pairs) {
    far.react = () => {
      for (let count = below(6); count > 0; count--) {
        pending++;
        moments[below(moments.length)]!(writeTo(below(pairs.length)));
      }
    };
  }
  for (let round = 0; round < 100; round++) {
    for (const { near } of pairs) near.connection.writeLatin1("x");
    await nextTurn();
  }
  for (const { near } of pairs) near.connection.end();
  // Each of them writes to all others.
  for (const { far } of pairs) await far.until(() => far.events.includes("end"));
  while (pending > 0) await nextTurn();
  for (const [index, { near, far }] of pairs.entries()) {
    far.connection.end();
    await near.until(() => near.events.includes("end"));
    assert.equal(near.text, expected[index]);
  }
});

test("what was written in an event leaves, although the connection is destroyed in a microtask or a tick behind it", async () => {
  await using stage = new TransportStage();
  for (const later of [queueMicrotask, process.nextTick]) {
    const { near, far } = await stage.pair();
    far.react = () => {
      far.connection.writeLatin1("answer");
      later(() => far.connection.destroy());
    };
    near.connection.writeLatin1("ask");
    await near.until(() => near.events.includes("end") || near.events.includes("close"));
    assert.equal(near.text, "answer");
  }
});

test("what was written in an event, and in a tick behind it, leaves although the next tick throws", async () => {
  await using stage = new TransportStage();
  const { near, far } = await stage.pair();
  // Something comes of it at once, so that there is another event before the ticks go on.
  const first = "first, ".repeat(20_000);
  far.react = () => {
    far.connection.writeLatin1(first);
    process.nextTick(() => far.connection.writeLatin1("second"));
    process.nextTick(() => {
      throw new Error("planted");
    });
  };
  const thrown = Promise.withResolvers<unknown>();
  // Not as an event, which the test runner takes for a failure.
  process.setUncaughtExceptionCaptureCallback(thrown.resolve);
  near.connection.writeLatin1("ask");
  assert.match(String(await thrown.promise), /planted/);
  process.setUncaughtExceptionCaptureCallback(null);
  await nextTurn();
  far.connection.end();
  await near.until(() => near.events.includes("end"));
  assert.equal(near.text, `${first}second`);
});
