// Readers that do not read: what is queued is told, who writes is told when it has left, and a paused side takes nothing.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { QUEUE_HIGH_WATER_BYTES } from "../../src/core/limits.ts";
import { type Recording, TransportStage } from "../support/transport-stage.ts";

const CHUNK = Buffer.alloc(32 * 1024, "x");

/** Writes until bytes stay queued from one turn to the next: the kernel takes no more. Returns the bytes written. */
async function fill(near: Recording): Promise<number> {
  for (let written = 0; ; ) {
    near.connection.write(CHUNK);
    written += CHUNK.length;
    await nextTurn();
    if (near.connection.queuedBytes > QUEUE_HIGH_WATER_BYTES) return written;
  }
}

/** Behind it, whatever was sent before has had its turns to arrive. */
async function bytesPassElsewhere(stage: TransportStage): Promise<void> {
  const { near, far } = await stage.pair();
  near.connection.writeLatin1("x");
  await far.untilText("x");
}

test("a reader that does not read: bytes queue up, and onDrain comes once when all of them have left", async () => {
  await using stage = new TransportStage();
  const { near, far } = await stage.pair();
  far.connection.pause();
  const written = await fill(near);
  assert.ok(near.connection.queuedBytes <= written, "no more is queued than was written");
  assert.ok(near.connection.queuedBytes <= QUEUE_HIGH_WATER_BYTES + CHUNK.length);
  assert.deepEqual(near.events, []);
  far.connection.resume();
  await near.until(() => near.events.includes("drain"));
  assert.equal(near.connection.queuedBytes, 0);
  await far.until(() => far.bytes === written);
  await nextTurn();
  assert.deepEqual(near.events, ["drain"]);
});

test("onDrain comes anew after each time above the mark", async () => {
  await using stage = new TransportStage();
  const { near, far } = await stage.pair();
  for (let round = 1; round <= 3; round++) {
    far.connection.pause();
    await fill(near);
    far.connection.resume();
    await near.until(() => near.events.length === round);
  }
  assert.deepEqual(near.events, ["drain", "drain", "drain"]);
});

test("onDrain comes for every burst that was above the mark, and for no other", async () => {
  await using stage = new TransportStage();
  const { near, far } = await stage.pair();
  let total = 0;
  let expected = 0;
  for (const [size, count] of [
    [1_000, 100],
    [50_000, 3],
    [QUEUE_HIGH_WATER_BYTES + 1, 1],
    [60_000, 100],
    [8_000_000, 1],
  ] as const) {
    let wasAbove = false;
    for (let write = 0; write < count; write++) {
      near.connection.write(Buffer.alloc(size));
      total += size;
      if (near.connection.queuedBytes > QUEUE_HIGH_WATER_BYTES) wasAbove = true;
    }
    assert.equal(near.events.length, expected, "not within the call");
    if (wasAbove) expected++;
    await far.until(() => far.bytes === total);
    await near.until(() => near.events.length === expected);
    await nextTurn();
    await nextTurn();
    assert.equal(near.events.length, expected, `after ${count} writes of ${size} bytes`);
    assert.equal(near.connection.queuedBytes, 0);
  }
  assert.ok(expected > 0, "some burst was above");
});

test("below the mark nobody is told", async () => {
  await using stage = new TransportStage();
  const { near, far } = await stage.pair();
  for (let count = 0; count < 20; count++) {
    near.connection.write(Buffer.alloc(QUEUE_HIGH_WATER_BYTES));
    await far.until(() => far.bytes === (count + 1) * QUEUE_HIGH_WATER_BYTES);
  }
  assert.deepEqual(near.events, []);
});

for (const side of ["accepted", "dialled"] as const) {
  test(`a paused ${side} connection gets no bytes until it is resumed, then all of them`, async () => {
    await using stage = new TransportStage();
    const { near, far } = await stage.pair();
    const [writer, reader] = side === "accepted" ? [near, far] : [far, near];
    reader.connection.pause();
    reader.connection.pause();
    writer.connection.writeLatin1("one");
    await bytesPassElsewhere(stage);
    assert.equal(reader.bytes, 0);
    reader.connection.resume();
    reader.connection.resume();
    await reader.untilText("one");
    reader.react = () => reader.connection.pause();
    writer.connection.writeLatin1("two");
    await reader.untilText("onetwo");
    writer.connection.writeLatin1("three");
    await bytesPassElsewhere(stage);
    assert.equal(reader.text, "onetwo");
    reader.react = null;
    reader.connection.resume();
    await reader.untilText("onetwothree");
  });

  test(`a ${side} connection that is paused by its owner at once gets no bytes, nor the end before the bytes`, async () => {
    await using stage = new TransportStage();
    const served = await stage.serve({}, (far) => {
      if (side === "accepted") far.connection.pause();
      else {
        far.connection.writeLatin1("early");
        far.connection.end();
      }
    });
    const near = await stage.dial({ port: served.port }, ({ connection }) => {
      if (side === "dialled") connection.pause();
    });
    const far = await served.next();
    const reader = side === "accepted" ? far : near;
    if (side === "accepted") {
      near.connection.writeLatin1("early");
      near.connection.end();
    }
    await bytesPassElsewhere(stage);
    assert.deepEqual(reader.events, []);
    reader.connection.resume();
    await reader.until(() => reader.events.includes("end"));
    assert.deepEqual(reader.events, ["bytes", "end"]);
    assert.equal(reader.text, "early");
  });
}

test("connections that pause one another within one turn are told when they are resumed, and of the end behind it", async () => {
  await using stage = new TransportStage();
  const pairs = await Promise.all(Array.from({ length: 20 }, () => stage.pair()));
  const fars = pairs.map(({ far }) => far);
  const paused = new Set<Recording>();
  for (const far of fars) {
    // Whoever is told holds all those back that were not, and lets the last of them go on.
    far.react = () => {
      assert.equal(paused.has(far), false, "not while it is paused");
      for (const other of fars) {
        if (other.bytes > 0) continue;
        other.connection.pause();
        paused.add(other);
      }
      const next = [...paused].at(-1);
      if (next === undefined) return;
      paused.delete(next);
      next.connection.resume();
    };
  }
  for (const [index, { near }] of pairs.entries()) {
    near.connection.writeLatin1(`to ${index}`);
    near.connection.end();
  }
  for (const [index, far] of fars.entries()) {
    await far.until(() => far.events.includes("end"));
    assert.deepEqual([far.events, far.text], [["bytes", "end"], `to ${index}`]);
  }
});

test("pausing in the middle of a stream stops it at once", async () => {
  await using stage = new TransportStage();
  const { near, far } = await stage.pair();
  let calls = 0;
  far.react = () => {
    calls++;
    far.connection.pause();
  };
  const total = 4 * 1024 * 1024;
  near.connection.write(Buffer.alloc(total));
  for (let expected = 1; far.bytes < total; expected++) {
    await far.until(() => calls === expected);
    await nextTurn();
    assert.equal(calls, expected, "one call for each resume");
    far.connection.resume();
  }
});

test("what is written behind an event is counted until it has left, also where more had to be told before than is told at once", async () => {
  await using stage = new TransportStage();
  const [slow, asking, drained] = await Promise.all([stage.pair(), stage.pair(), stage.pair()]);
  slow.near.connection.pause();
  slow.far.connection.write(Buffer.alloc(16 << 20));
  let before = -1;
  while (slow.far.connection.queuedBytes !== before) {
    before = slow.far.connection.queuedBytes;
    await bytesPassElsewhere(stage);
  }
  assert.ok(before > 0);
  let drains = 0;
  drained.far.onDrain = () => {
    if (drains++ < 2) drained.far.connection.write(Buffer.alloc(140_000));
  };
  let written = 0;
  asking.far.react = () => {
    asking.far.connection.writeLatin1("answer");
    queueMicrotask(() => {
      slow.far.connection.write(Buffer.alloc(1000));
      written = 1000;
    });
  };
  const uncounted = Promise.withResolvers<number>();
  setTimeout(() => {
    setImmediate(() => uncounted.resolve(before + written - slow.far.connection.queuedBytes));
    asking.near.connection.writeLatin1("ask");
    drained.far.connection.write(Buffer.alloc(140_000));
  }, 0);
  assert.equal(await uncounted.promise, 0);
  await asking.near.untilText("answer");
});
