// Bytes that pass from one connection to another without being seen: how many, in which order, and what is told at the end.

import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { SeededRandom } from "../../src/testing/seeded-random.ts";
import { issueCertificate } from "../support/certificates.ts";
import { assertPattern, pattern, Relay, RelayStage, SplicedCount, turns } from "../support/relay-stage.ts";
import { replayHint, seed } from "../support/seed.ts";
import { TransportStage } from "../support/transport-stage.ts";
import { testOnNative, testOnSockets, testSplicing } from "../support/transport-under-test.ts";

const folder = mkdtempSync(path.join(os.tmpdir(), "headgate-splicing-"));
after(() => rmSync(folder, { recursive: true }));

test("to say whether it can changes nothing where it cannot", async () => {
  await using stage = new RelayStage();
  const { client, front, back } = await stage.relay();
  back.connection.end();
  assert.equal(front.connection.spliceTo(back.connection, 10, new SplicedCount()), null, "nothing can be sent there");
  client.connection.writeLatin1("seen");
  await front.untilText("seen");
});

test("a connection is never spliced to one of another kind", async () => {
  await using stage = new TransportStage();
  const { near } = await stage.pair();
  const stranger = { ...near.connection } as typeof near.connection;
  assert.equal(near.connection.spliceTo(stranger, 10, new SplicedCount()), null);
});

testOnSockets("a plain connection is never spliced to one that speaks TLS, nor the other way", async () => {
  await using stage = new RelayStage();
  const certificate = issueCertificate({ names: ["a.example"] });
  const served = await stage.serve({ tls: { certificates: [certificate], minVersion: "TLSv1.2" } });
  const tls = { serverName: "a.example", verify: false, ca: null, cert: null, key: null, alpn: [] } as const;
  const [secured] = await Promise.all([
    stage.dial({ port: served.port, tls: { ...tls, minVersion: "TLSv1.2" } }),
    served.next(),
  ]);
  const { near } = await stage.pair();
  assert.equal(near.connection.spliceTo(secured.connection, 10, new SplicedCount()), null);
  assert.equal(secured.connection.spliceTo(near.connection, 10, new SplicedCount()), null);
});

for (const length of [1, 100, 65_535, 65_536, 65_537, 1_000_000, 5_000_000]) {
  testSplicing(`exactly ${length} bytes pass unseen, then onBytes is called again`, async () => {
    await using stage = new RelayStage();
    const { client, front, back, origin } = await stage.relay().then((relay) => relay);
    const spliced = new SplicedCount();
    const splice = front.connection.spliceTo(back.connection, length, spliced);
    assert.ok(splice !== null);
    assert.deepEqual([splice.receivedBytes, splice.sentBytes], [0, 0]);
    client.connection.write(pattern(0, length));
    client.connection.writeLatin1("and the rest");
    await front.untilText("and the rest");
    await spliced.until(1);
    await origin.until(() => origin.bytes === length);
    await turns(5);
    assertPattern(origin, length);
    assert.equal(spliced.count, 1);
    assert.deepEqual([splice.receivedBytes, splice.sentBytes], [length, length]);
    assert.deepEqual(front.events, ["bytes"]);
    back.connection.writeLatin1("behind it");
    await origin.until(() => origin.text.endsWith("behind it"));
  });
}

testSplicing("what had arrived before is part of it", async () => {
  await using stage = new RelayStage();
  const relay = await stage.relay();
  relay.front.connection.pause();
  relay.client.connection.write(pattern(0, 200_000));
  await turns(5);
  const spliced = new SplicedCount();
  relay.splice(150_000, spliced);
  relay.front.connection.resume();
  await spliced.until(1);
  await relay.front.until(() => relay.front.bytes === 50_000);
  await relay.origin.until(() => relay.origin.bytes === 150_000);
  assertPattern(relay.origin, 150_000);
  assert.ok(Buffer.concat(relay.front.chunks).equals(pattern(150_000, 50_000)));
});

testSplicing("begun within onBytes: what this call holds is the caller's, everything behind it passes", async () => {
  await using stage = new RelayStage();
  const relay = await stage.relay();
  const { client, front, back, origin } = relay;
  const length = 3_000_000;
  const spliced = new SplicedCount();
  front.react = (bytes) => {
    front.react = null;
    back.connection.write(bytes);
    relay.splice(length - bytes.length, spliced);
  };
  client.connection.write(pattern(0, length));
  await spliced.until(1);
  await origin.until(() => origin.bytes === length);
  assertPattern(origin, length);
  assert.equal(front.events.length, 1);
});

testSplicing("until the end: all bytes are handed on, then onEnd, and never onSpliced", async () => {
  await using stage = new RelayStage();
  const relay = await stage.relay();
  const { client, front, back, origin } = relay;
  const spliced = new SplicedCount();
  const splice = relay.splice(Number.POSITIVE_INFINITY, spliced);
  const length = 4_000_000;
  client.connection.write(pattern(0, length));
  client.connection.end();
  await front.until(() => front.events.includes("end"));
  assert.deepEqual([splice.receivedBytes, splice.sentBytes], [length, length], "onEnd comes behind the last byte");
  back.connection.end();
  await origin.until(() => origin.events.includes("end"));
  assertPattern(origin, length);
  assert.deepEqual(front.events, ["end"]);
  assert.equal(spliced.count, 0);
});

testSplicing("the end comes before all that was asked for: onEnd, and never onSpliced", async () => {
  await using stage = new RelayStage();
  const relay = await stage.relay();
  const spliced = new SplicedCount();
  const splice = relay.splice(1_000, spliced);
  relay.client.connection.write(pattern(0, 999));
  relay.client.connection.end();
  await relay.front.until(() => relay.front.events.includes("end"));
  await relay.origin.until(() => relay.origin.bytes === 999);
  await turns(3);
  assert.equal(spliced.count, 0);
  assert.equal(splice.sentBytes, 999);
  relay.back.connection.writeLatin1("instead");
  await relay.origin.until(() => relay.origin.text.endsWith("instead"));
});

testSplicing("the end comes right behind the last byte: onSpliced, then onEnd", async () => {
  for (let round = 0; round < 20; round++) {
    await using stage = new RelayStage();
    const relay = await stage.relay();
    const spliced = new SplicedCount();
    spliced.react = () => assert.deepEqual(relay.front.events, []);
    relay.splice(10_000, spliced);
    relay.client.connection.write(pattern(0, 10_000));
    relay.client.connection.end();
    await relay.front.until(() => relay.front.events.includes("end"));
    assert.equal(spliced.count, 1);
    await relay.origin.until(() => relay.origin.bytes === 10_000);
  }
});

testSplicing("what was written to the target before goes first, however much it is", async () => {
  await using stage = new RelayStage();
  const relay = await stage.relay();
  const { client, back, origin } = relay;
  origin.connection.pause();
  const early = 6_000_000;
  back.connection.write(pattern(0, early));
  client.connection.write(pattern(early, 1_000_000));
  const spliced = new SplicedCount();
  relay.splice(1_000_000, spliced);
  await turns(5);
  assert.equal(spliced.count, 0, "it waits for its turn");
  origin.connection.resume();
  await spliced.until(1);
  await origin.until(() => origin.bytes === early + 1_000_000);
  assertPattern(origin, early + 1_000_000);
});

testOnNative("files that were sent to the target before go first, too", async () => {
  await using stage = new RelayStage();
  const relay = await stage.relay();
  const file = path.join(folder, "early.bin");
  writeFileSync(file, pattern(0, 12_000_000));
  const descriptor = openSync(file, "r");
  try {
    relay.origin.connection.pause();
    const { promise: sent, resolve } = Promise.withResolvers<void>();
    relay.back.connection.sendFile(descriptor, 0, 12_000_000, resolve);
    const spliced = new SplicedCount();
    relay.splice(1_000_000, spliced);
    relay.client.connection.write(pattern(12_000_000, 1_000_000));
    await turns(5);
    assert.equal(spliced.count, 0);
    relay.origin.connection.resume();
    await Promise.all([sent, spliced.until(1)]);
    await relay.origin.until(() => relay.origin.bytes === 13_000_000);
    assertPattern(relay.origin, 13_000_000);
  } finally {
    closeSync(descriptor);
  }
});

testSplicing("a source that is paused and resumed in the middle, many times", async () => {
  await using stage = new RelayStage();
  const relay = await stage.relay();
  const spliced = new SplicedCount();
  const length = 10_000_000;
  const splice = relay.splice(length, spliced);
  relay.client.connection.write(pattern(0, length));
  while (spliced.count === 0) {
    relay.front.connection.pause();
    await turns(1);
    const before = splice.receivedBytes;
    await turns(2);
    assert.equal(splice.receivedBytes, before, "nothing is taken from a paused source");
    relay.front.connection.resume();
    await turns(1);
  }
  await relay.origin.until(() => relay.origin.bytes === length);
  assertPattern(relay.origin, length);
});

testSplicing("more bytes are asked for than any counter of 32 bits holds", async () => {
  for (const bytes of [2 ** 31, 2 ** 32 + 5, Number.MAX_SAFE_INTEGER]) {
    await using stage = new RelayStage();
    const relay = await stage.relay();
    const spliced = new SplicedCount();
    const splice = relay.splice(bytes, spliced);
    relay.client.connection.write(pattern(0, 100_000));
    relay.client.connection.end();
    await relay.front.until(() => relay.front.events.includes("end"));
    assert.deepEqual([splice.sentBytes, spliced.count], [100_000, 0]);
    await relay.origin.until(() => relay.origin.bytes === 100_000);
  }
});

testSplicing("a source that is paused holds the splice, too", async () => {
  await using stage = new RelayStage();
  const relay = await stage.relay();
  relay.front.connection.pause();
  const splice = relay.splice(10_000);
  relay.client.connection.write(pattern(0, 10_000));
  await turns(10);
  assert.equal(splice.receivedBytes, 0);
  relay.front.connection.resume();
  await relay.origin.until(() => relay.origin.bytes === 10_000);
  assertPattern(relay.origin, 10_000);
});

testSplicing("a tunnel: both directions at once, each ends for itself", async () => {
  await using stage = new RelayStage();
  const relay = await stage.relay();
  const { client, front, back, origin } = relay;
  relay.splice(Number.POSITIVE_INFINITY);
  relay.spliceBack(Number.POSITIVE_INFINITY);
  const length = 3_000_000;
  client.connection.write(pattern(0, length));
  origin.connection.write(pattern(0, 2 * length));
  client.connection.end();
  await front.until(() => front.events.includes("end"));
  back.connection.end();
  await origin.until(() => origin.events.includes("end"));
  assertPattern(origin, length);
  origin.connection.writeLatin1("still");
  origin.connection.end();
  await back.until(() => back.events.includes("end"));
  front.connection.end();
  await client.until(() => client.events.includes("end"));
  assert.equal(client.bytes, 2 * length + 5);
  for (const end of [client, front, back, origin]) assert.equal(await end.untilClosed(), null);
});

testSplicing("a tunnel that is silent for a while, and then speaks byte by byte", async () => {
  await using stage = new RelayStage();
  const relay = await stage.relay();
  relay.splice(Number.POSITIVE_INFINITY);
  relay.spliceBack(Number.POSITIVE_INFINITY);
  relay.origin.react = (bytes) => relay.origin.connection.write(bytes);
  for (let count = 1; count <= 100; count++) {
    if (count % 10 === 0) await turns(5);
    relay.client.connection.write(pattern(count - 1, 1));
    await relay.client.until(() => relay.client.bytes === count);
  }
  assertPattern(relay.client, 100);
});

testSplicing(`short and long pieces in turn, and an end right behind the last (${replayHint})`, async () => {
  await using stage = new RelayStage();
  const random = new SeededRandom(seed);
  // About where copying ends and where a pipe is full.
  const lengths = [1, 100, 8_191, 8_192, 8_193, 16_384, 65_536, 65_537, 300_000];
  for (let run = 0; run < 40; run++) {
    const relay = await stage.relay();
    const { client, front, origin } = relay;
    const splice = relay.splice(Number.POSITIVE_INFINITY);
    let sent = 0;
    const pieces = 1 + Math.floor(random.next() * 12);
    for (let piece = 0; piece < pieces; piece++) {
      const length = random.pick(lengths);
      client.connection.write(pattern(sent, length));
      sent += length;
      if (random.chance(0.1)) origin.connection.pause();
      if (random.chance(0.5)) await turns(2);
      origin.connection.resume();
      if (random.chance(0.5)) await origin.until(() => origin.bytes === sent);
    }
    client.connection.end();
    await front.until(() => front.events.includes("end"));
    await origin.until(() => origin.bytes === sent);
    assertPattern(origin, sent);
    assert.deepEqual([splice.receivedBytes, splice.sentBytes], [sent, sent]);
    assert.deepEqual(front.events, ["end"]);
    relay.destroy();
  }
});

testSplicing(`messages with spliced bodies, one behind the other on the same connections (${replayHint})`, async () => {
  await using stage = new RelayStage();
  const relay = await stage.relay();
  const { client, front, back, origin } = relay;
  const random = new SeededRandom(seed);
  const bodies = Array.from({ length: 60 }, () => Math.floor(random.next() ** 4 * 400_000));
  // A message is eight digits and that many bytes. Whoever relays sees the digits, and copies what came with them.
  let head = "";
  let toCopy = 0;
  const take = (bytes: Buffer): void => {
    for (let at = 0; at < bytes.length; ) {
      if (toCopy > 0) {
        const length = Math.min(toCopy, bytes.length - at);
        back.connection.write(bytes, at, at + length);
        toCopy -= length;
        at += length;
        continue;
      }
      const digit = bytes.toString("latin1", at, ++at);
      head += digit;
      back.connection.writeLatin1(digit);
      if (head.length < 8) continue;
      const length = Number(head);
      head = "";
      if (length > bytes.length - at && length > 1_000) {
        back.connection.write(bytes, at);
        relay.splice(length - (bytes.length - at));
        return;
      }
      toCopy = length;
    }
  };
  front.react = take;
  const expected: Buffer[] = [];
  for (const [index, length] of bodies.entries()) {
    expected.push(Buffer.from(`${length}`.padStart(8, "0")), pattern(index * 7, length));
    for (const bytes of expected.slice(-2)) client.connection.write(bytes);
    if (random.next() < 0.3) await turns(2);
  }
  const whole = Buffer.concat(expected);
  await origin.until(() => origin.bytes === whole.length);
  assert.ok(Buffer.concat(origin.chunks).equals(whole));
});

testSplicing("over unix sockets, and from one to TCP", async () => {
  await using stage = new RelayStage();
  const file = path.join(folder, "tunnel.sock");
  const served = await stage.serve({ path: file });
  const pair = async () => {
    const [near, far] = await Promise.all([stage.dial({ host: file, port: 0 }), served.next()]);
    return { near, far };
  };
  for (const relay of [new Relay(await pair(), await pair()), new Relay(await pair(), await stage.pair())]) {
    const spliced = new SplicedCount();
    relay.splice(1_000_000, spliced);
    relay.client.connection.write(pattern(0, 1_000_000));
    await spliced.until(1);
    await relay.origin.until(() => relay.origin.bytes === 1_000_000);
    assertPattern(relay.origin, 1_000_000);
  }
});
