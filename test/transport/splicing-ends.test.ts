// Splices that are held back, cut, or torn down: memory stays bounded, the right ends are told, nothing is left.

import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { ProxyError } from "../../src/core/errors.ts";
import { assertPattern, pattern, RelayStage, SplicedCount, turns } from "../support/relay-stage.ts";
import { testOnNative, testSplicing } from "../support/transport-under-test.ts";

/** What a splice may hold between two connections: the pipe of the kernel, which is 64 KiB to 1 MiB. */
const BETWEEN_BYTES_MAX = 1024 * 1024;

testSplicing("a slow reader: the splice holds no more than its pipe, and the writer is held back", async () => {
  await using stage = new RelayStage();
  const relay = await stage.relay();
  const { client, origin } = relay;
  origin.connection.pause();
  const splice = relay.splice(Number.POSITIVE_INFINITY);
  const length = 40_000_000;
  client.connection.write(pattern(0, length));
  client.connection.end();
  for (let turn = 0; turn < 50; turn++) {
    await turns(1);
    const between = splice.receivedBytes - splice.sentBytes;
    assert.ok(between >= 0 && between <= BETWEEN_BYTES_MAX, `${between} bytes are held`);
  }
  assert.ok(client.connection.queuedBytes > 10_000_000, "the client still has most of it");
  assert.ok(splice.sentBytes > 0);
  origin.connection.resume();
  await relay.front.until(() => relay.front.events.includes("end"));
  await origin.until(() => origin.bytes === length);
  assertPattern(origin, length);
  assert.equal(splice.sentBytes, length);
});

testSplicing("a reader that stops and goes on, many times", async () => {
  await using stage = new RelayStage();
  const relay = await stage.relay();
  const { client, origin } = relay;
  const spliced = new SplicedCount();
  const length = 20_000_000;
  relay.splice(length, spliced);
  client.connection.write(pattern(0, length));
  let calls = 0;
  origin.react = () => {
    if (++calls % 20 !== 0) return;
    origin.connection.pause();
    setImmediate(() => origin.connection.resume());
  };
  await spliced.until(1);
  await origin.until(() => origin.bytes === length);
  assertPattern(origin, length);
});

/** A relay in whose middle a splice is at work, on its way from a pattern of 20 MB. */
async function midway(stage: RelayStage) {
  const relay = await stage.relay();
  const spliced = new SplicedCount();
  const splice = relay.splice(50_000_000, spliced);
  relay.client.connection.write(pattern(0, 20_000_000));
  await relay.origin.until(() => relay.origin.bytes > 100_000);
  return { relay, splice, spliced };
}

for (const reset of [false, true]) {
  const verb = reset ? "resets" : "destroys";

  testSplicing(`the relay ${verb} the source in the middle: the target lives on, and may be written to`, async () => {
    await using stage = new RelayStage();
    const { relay, splice, spliced } = await midway(stage);
    const { client, front, back, origin } = relay;
    const reason = new ProxyError("connection_read_timeout", "too slow");
    front.connection.destroy(reason, reset);
    assert.equal(await front.untilClosed(), reason);
    await client.untilClosed();
    assert.deepEqual([back.error, spliced.count, front.events], [undefined, 0, ["close"]]);
    back.connection.writeLatin1("behind");
    await origin.until(() => origin.text.endsWith("behind"));
    // What was in between may be lost; what was handed on is whole.
    const passed = origin.bytes - "behind".length;
    assert.ok(passed >= splice.sentBytes && passed <= splice.receivedBytes);
    assert.ok(Buffer.concat(origin.chunks).subarray(0, passed).equals(pattern(0, passed)));
  });

  testSplicing(`the relay ${verb} the target in the middle: the source shows what comes behind`, async () => {
    await using stage = new RelayStage();
    const { relay, splice, spliced } = await midway(stage);
    const { front, back } = relay;
    const reason = new ProxyError("connection_write_timeout", "too slow");
    back.connection.destroy(reason, reset);
    assert.equal(await back.untilClosed(), reason);
    // The transport may hold it back until then.
    front.connection.resume();
    await front.until(() => front.bytes > 200_000);
    assert.ok(Buffer.concat(front.chunks).equals(pattern(splice.receivedBytes, front.bytes)));
    assert.deepEqual([front.error, spliced.count], [undefined, 0]);
  });
}

testSplicing(
  "the client resets in the middle: its connection tells, and the other side can be reset for it",
  async () => {
    await using stage = new RelayStage();
    const relay = await stage.relay();
    const { client, front, back, origin } = relay;
    relay.splice(50_000_000);
    client.connection.write(Buffer.alloc(10_000_000));
    await origin.until(() => origin.bytes > 100_000);
    client.connection.destroy(undefined, true);
    const error = await front.untilClosed();
    assert.equal(error?.type, "connection_terminated");
    assert.equal(error?.side, "client");
    assert.equal(back.error, undefined);
    back.connection.destroy(undefined, true);
    assert.equal((await origin.untilClosed())?.type, "connection_terminated");
  },
);

testSplicing("the origin resets in the middle: its connection tells, though nobody writes to it", async () => {
  await using stage = new RelayStage();
  const relay = await stage.relay();
  const { client, front, back, origin } = relay;
  relay.splice(50_000_000);
  client.connection.write(Buffer.alloc(10_000_000));
  await origin.until(() => origin.bytes > 100_000);
  origin.connection.destroy(undefined, true);
  const error = await back.untilClosed();
  assert.equal(error?.type, "connection_terminated");
  assert.equal(error?.side, "upstream");
  front.connection.destroy(undefined, true);
  assert.equal((await client.untilClosed())?.type, "connection_terminated");
});

testSplicing("the origin vanishes while the client is silent: its connection tells", async () => {
  await using stage = new RelayStage();
  const relay = await stage.relay();
  relay.splice(Number.POSITIVE_INFINITY);
  await turns(3);
  relay.origin.connection.destroy(undefined, true);
  await relay.back.untilClosed();
  relay.front.connection.destroy();
  await relay.client.until(() => relay.client.events.includes("end"));
});

testSplicing("the origin ends its side while the client still sends: onEnd there, and the splice goes on", async () => {
  await using stage = new RelayStage();
  const relay = await stage.relay();
  const spliced = new SplicedCount();
  relay.splice(2_000_000, spliced);
  relay.origin.connection.writeLatin1("answer");
  relay.origin.connection.end();
  await relay.back.until(() => relay.back.events.includes("end"));
  assert.equal(relay.back.text, "answer");
  relay.client.connection.write(pattern(0, 2_000_000));
  await spliced.until(1);
  await relay.origin.until(() => relay.origin.bytes === 2_000_000);
  assertPattern(relay.origin, 2_000_000);
});

testSplicing("destroyed in the turn in which it was begun", async () => {
  await using stage = new RelayStage();
  for (const side of ["front", "back"] as const) {
    const relay = await stage.relay();
    relay.client.connection.writeLatin1("on its way");
    const spliced = new SplicedCount();
    relay.splice(1_000, spliced);
    relay[side].connection.destroy();
    await relay[side].untilClosed();
    await turns(5);
    assert.equal(spliced.count, 0);
    relay.destroy();
  }
});

testSplicing("within onSpliced the next one begins, or either end is destroyed", async () => {
  await using stage = new RelayStage();
  const relay = await stage.relay();
  const spliced = new SplicedCount();
  const piece = 70_000;
  spliced.react = () => {
    if (spliced.count < 10) relay.splice(piece, spliced);
    else relay.front.connection.destroy();
  };
  relay.splice(piece, spliced);
  relay.client.connection.write(pattern(0, 10 * piece));
  await relay.front.untilClosed();
  assert.equal(spliced.count, 10);
  await relay.origin.until(() => relay.origin.bytes === 10 * piece);
  assertPattern(relay.origin, 10 * piece);
});

testOnNative("who is told that it passed throws: his connection is lost, the fault is reported", async () => {
  await using stage = new RelayStage();
  const relay = await stage.relay();
  const bug = new Error("bug in onSpliced");
  const spliced = new SplicedCount();
  spliced.react = () => {
    throw bug;
  };
  relay.splice(10, spliced);
  relay.client.connection.writeLatin1("0123456789");
  assert.equal((await relay.front.untilClosed())?.cause, bug);
  assert.deepEqual(stage.faults.splice(0), [bug]);
});

testOnNative("a hundred splices that end in every way leave no descriptor behind", async () => {
  const openDescriptors = (): number => readdirSync("/proc/self/fd").length;
  let before = 0;
  for (let round = 0; round < 4; round++) {
    await using stage = new RelayStage();
    const relays = await Promise.all(Array.from({ length: 25 }, () => stage.relay()));
    for (const [index, relay] of relays.entries()) {
      // Those whose reader stands still have bytes in their pipes when they are torn down.
      if (index % 2 === 0) relay.origin.connection.pause();
      relay.splice(index % 3 === 0 ? 100_000 : Number.POSITIVE_INFINITY);
      relay.spliceBack(Number.POSITIVE_INFINITY);
      relay.client.connection.write(Buffer.alloc(index % 2 === 0 ? 3_000_000 : 100_000));
    }
    await turns(20);
    for (const [index, relay] of relays.entries()) {
      const end = [relay.client, relay.front, relay.back, relay.origin][index % 4]!;
      end.connection.destroy(undefined, index % 3 === 0);
    }
    await turns(5);
    for (const relay of relays) relay.destroy();
    while (stage.transport.openConnections > 0) await turns(1);
    // The first round may open what is kept: pipes of the pool, and Node's own.
    if (round === 0) before = openDescriptors();
    else
      assert.ok(openDescriptors() <= before + 8, `round ${round}: ${openDescriptors()} descriptors, ${before} before`);
  }
});
