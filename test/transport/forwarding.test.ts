// Bytes that are written on from within onBytes, where they lie: whole or in ranges, several times, to readers that do not
// read. What was written is what arrived, whatever becomes of the buffer afterwards.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Connection, ConnectionHandler } from "../../src/core/ports.ts";
import { SeededRandom } from "../../src/testing/seeded-random.ts";
import { assertPattern, pattern } from "../support/relay-stage.ts";
import { replayHint, seed } from "../support/seed.ts";
import { type Recording, TransportStage } from "../support/transport-stage.ts";

function onBytes(connection: Connection, take: ConnectionHandler["onBytes"]): void {
  connection.handler = { onBytes: take, onDrain() {}, onEnd() {}, onClose() {} };
}

/** Holds the writer back as a proxy does. */
function relay(from: Connection, to: Connection): void {
  onBytes(from, (buffer, start, end) => {
    to.write(buffer, start, end);
    if (to.queuedBytes > 128 * 1024) from.pause();
  });
  to.handler = { onBytes() {}, onDrain: () => from.resume(), onEnd() {}, onClose() {} };
}

test("a stream that is relayed, with a reader that stops and goes on", async () => {
  await using stage = new TransportStage();
  const [left, right] = [await stage.pair(), await stage.pair()];
  relay(left.far.connection, right.near.connection);
  const length = 12_000_000;
  left.near.connection.write(pattern(0, length));
  let calls = 0;
  right.far.react = () => {
    if (++calls % 7 !== 0) return;
    right.far.connection.pause();
    setImmediate(() => right.far.connection.resume());
  };
  await right.far.until(() => right.far.bytes === length);
  assertPattern(right.far, length);
});

test("many streams through one thread at once do not mix", async () => {
  await using stage = new TransportStage();
  const lanes = [];
  for (let index = 0; index < 16; index++) {
    const [left, right] = [await stage.pair(), await stage.pair()];
    relay(left.far.connection, right.near.connection);
    lanes.push({ left, right });
  }
  const length = 1_000_000;
  for (const [index, { left }] of lanes.entries()) left.near.connection.write(pattern(index * 977, length));
  for (const [index, { right }] of lanes.entries()) {
    await right.far.until(() => right.far.bytes === length);
    assert.ok(Buffer.concat(right.far.chunks).equals(pattern(index * 977, length)), `lane ${index}`);
  }
});

test("to several readers that do not read: each gets all of it later, though the buffer was used again", async () => {
  await using stage = new TransportStage();
  const source = await stage.pair();
  const sinks: { readonly near: Recording; readonly far: Recording }[] = [];
  for (let index = 0; index < 4; index++) sinks.push(await stage.pair());
  for (const { far } of sinks) far.connection.pause();
  let passed = 0;
  onBytes(source.far.connection, (buffer, start, end) => {
    passed += end - start;
    for (const { near } of sinks) near.connection.write(buffer, start, end);
  });
  const length = 8_000_000;
  source.near.connection.write(pattern(0, length));
  while (passed < length) await nextTurn();
  assert.ok(sinks.every(({ near }) => near.connection.queuedBytes > 0));
  for (const { far } of sinks) far.connection.resume();
  for (const { far } of sinks) {
    await far.until(() => far.bytes === length);
    assertPattern(far, length);
  }
});

test("behind so much else that is written in the same call that memory runs out of room", async () => {
  await using stage = new TransportStage();
  const [left, right, other] = [await stage.pair(), await stage.pair(), await stage.pair()];
  const filler = Buffer.alloc(3_000_000, "f");
  const { promise, resolve } = Promise.withResolvers<number>();
  onBytes(left.far.connection, (buffer, start, end) => {
    const before = pattern(0, end - start);
    right.near.connection.write(buffer, start, end);
    other.near.connection.write(filler);
    right.near.connection.write(buffer, start, end);
    other.near.connection.write(filler, 0, 1_048_576);
    right.near.connection.writeLatin1("|");
    right.near.connection.write(buffer, start, end);
    assert.ok(buffer.subarray(start, end).equals(before), "valid until the call returns");
    resolve(end - start);
  });
  left.near.connection.write(pattern(0, 10_000));
  const length = await promise;
  await right.far.until(() => right.far.bytes === 3 * length + 1);
  const one = pattern(0, length);
  assert.ok(Buffer.concat(right.far.chunks).equals(Buffer.concat([one, one, Buffer.from("|"), one])));
  await other.far.until(() => other.far.bytes === 4_048_576);
});

test(`ranges of every size, in any order, mixed with text (${replayHint})`, async () => {
  await using stage = new TransportStage();
  const random = new SeededRandom(seed);
  const between = (low: number, high: number) => low + Math.floor(random.next() * (high - low));
  const [left, right] = [await stage.pair(), await stage.pair()];
  const expected: Buffer[] = [];
  let passed = 0;
  onBytes(left.far.connection, (buffer, start, end) => {
    passed += end - start;
    for (let count = 0; count < 6; count++) {
      const from = between(start, end);
      const to = Math.min(end, from + between(1, random.next() < 0.5 ? 3_000 : 70_000));
      right.near.connection.write(buffer, from, to);
      expected.push(Buffer.from(buffer.subarray(from, to)));
      if (random.next() < 0.4) {
        right.near.connection.writeLatin1("caf\u00e9\r\n");
        expected.push(Buffer.from("caf\u00e9\r\n", "latin1"));
      }
    }
  });
  let sent = 0;
  while (sent < 3_000_000) {
    const length = between(1, 200_000);
    left.near.connection.write(pattern(sent, length));
    sent += length;
    if (random.next() < 0.5) await nextTurn();
  }
  while (passed < sent) await nextTurn();
  const whole = Buffer.concat(expected);
  await right.far.until(() => right.far.bytes === whole.length);
  assert.ok(Buffer.concat(right.far.chunks).equals(whole));
});

test("back to where they came from", async () => {
  await using stage = new TransportStage();
  const { near, far } = await stage.pair();
  onBytes(far.connection, (buffer, start, end) => far.connection.write(buffer, start, end));
  const length = 5_000_000;
  near.connection.write(pattern(0, length));
  await near.until(() => near.bytes === length);
  assertPattern(near, length);
});
