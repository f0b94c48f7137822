// Files on a connection: in order with what is written, counted as queued, held back by a slow reader; the descriptor is
// given back once, whatever happens.

import assert from "node:assert/strict";
import { once } from "node:events";
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { QUEUE_HIGH_WATER_BYTES } from "../../src/core/limits.ts";
import { issueCertificate } from "../support/certificates.ts";
import { type Recording, TransportStage } from "../support/transport-stage.ts";
import { testOnNative } from "../support/transport-under-test.ts";

const folder = mkdtempSync(path.join(os.tmpdir(), "headgate-files-"));
const descriptors: number[] = [];
after(() => {
  for (const descriptor of descriptors) closeSync(descriptor);
  rmSync(folder, { recursive: true });
});

/** What one connection moves in a turn at least, and at most where many are ready. */
const MIB = 1024 * 1024;

/** More descriptors than a process of the tests has open. */
const NOT_OPEN = 15_000;

/** A file of numbered lines, so that a piece that is lost, doubled or moved shows. */
function fileOf(bytes: number): { readonly descriptor: number; readonly content: Buffer } {
  const content = Buffer.alloc(bytes);
  for (let at = 0; at < bytes; at += 16) content.write(`${at}`.padStart(15, ".").concat("\n"), at, "latin1");
  const file = path.join(folder, `${descriptors.length}.bin`);
  writeFileSync(file, content);
  const descriptor = openSync(file, "r+");
  descriptors.push(descriptor);
  return { descriptor, content };
}

/** Calls `then` when the connection drains, once. */
function onceDrained(recording: Recording, then: () => void): void {
  const { connection } = recording;
  connection.handler = {
    onBytes: (buffer, start, end) => recording.onBytes(buffer, start, end),
    onDrain: () => {
      connection.handler = recording;
      recording.onDrain();
      then();
    },
    onEnd: () => recording.onEnd(),
    onClose: (error) => recording.onClose(error),
  };
}

/** Sends, and counts how often the descriptor was given back. */
function send(near: Recording, descriptor: number, offset: number, length: number) {
  const { promise, resolve } = Promise.withResolvers<void>();
  const sending = { returned: 0, done: promise };
  near.connection.sendFile(descriptor, offset, length, () => {
    sending.returned++;
    resolve();
  });
  assert.equal(sending.returned, 0, "never within the call");
  return sending;
}

test("a file leaves in order with what is written before and behind it", async () => {
  await using stage = new TransportStage();
  const { near, far } = await stage.pair();
  const { descriptor, content } = fileOf(700_000);
  near.connection.writeLatin1("before;");
  const first = send(near, descriptor, 0, content.length);
  near.connection.writeLatin1(";between;");
  near.connection.write(Buffer.alloc(100_000, "x"));
  const second = send(near, descriptor, 16, 32);
  const { bytes, start } = near.connection.reserve(7);
  near.connection.commit(start + bytes.write(";behind", start, "latin1"));
  near.connection.end();
  near.connection.writeLatin1("never");
  await far.until(() => far.events.includes("end"));
  const expected = Buffer.concat([
    Buffer.from("before;"),
    content,
    Buffer.from(";between;"),
    Buffer.alloc(100_000, "x"),
    content.subarray(16, 48),
    Buffer.from(";behind"),
  ]);
  assert.ok(Buffer.concat(far.chunks).equals(expected));
  await Promise.all([first.done, second.done]);
  await nextTurn();
  assert.deepEqual([first.returned, second.returned], [1, 1]);
});

test("ranges of every kind: nothing, one byte, odd offsets, up to the end", async () => {
  await using stage = new TransportStage();
  const { near, far } = await stage.pair();
  const { descriptor, content } = fileOf(300_000);
  const expected: Buffer[] = [];
  for (const [offset, length] of [
    [0, 0],
    [299_999, 1],
    [1, 65_537],
    [131_072, 131_072],
    [7, 299_993],
  ] as const) {
    const sending = send(near, descriptor, offset, length);
    expected.push(content.subarray(offset, offset + length));
    await sending.done;
  }
  near.connection.end();
  await far.until(() => far.events.includes("end"));
  assert.ok(Buffer.concat(far.chunks).equals(Buffer.concat(expected)));
});

test("what is left of a file is queued: a slow reader holds it back, and onDrain comes once when all has left", async () => {
  await using stage = new TransportStage();
  const { near, far } = await stage.pair();
  far.connection.pause();
  const { descriptor, content } = fileOf(30_000_000);
  const sending = send(near, descriptor, 0, content.length);
  // A transport may give the kernel at once what it takes.
  const queued = near.connection.queuedBytes;
  assert.ok(queued > QUEUE_HIGH_WATER_BYTES && queued <= content.length);
  near.connection.writeLatin1("behind");
  assert.equal(near.connection.queuedBytes, queued + 6);
  for (let turn = 0; turn < 20; turn++) await nextTurn();
  assert.ok(near.connection.queuedBytes > QUEUE_HIGH_WATER_BYTES, "the kernel does not take all of it");
  assert.deepEqual([near.events, sending.returned], [[], 0]);
  far.connection.resume();
  await far.until(() => far.bytes === content.length + 6);
  await near.until(() => near.events.length > 0);
  await sending.done;
  assert.deepEqual(near.events, ["drain"]);
  assert.equal(near.connection.queuedBytes, 0);
  assert.ok(Buffer.concat(far.chunks).subarray(0, content.length).equals(content));
});

test("hundreds of small files in one turn, each told once and in order", async () => {
  await using stage = new TransportStage();
  const { near, far } = await stage.pair();
  const { descriptor, content } = fileOf(16 * 500);
  const told: number[] = [];
  for (let index = 0; index < 500; index++) {
    near.connection.sendFile(descriptor, index * 16, 16, () => told.push(index));
    if (index % 100 === 50) near.connection.writeLatin1("|");
  }
  await far.until(() => far.bytes === content.length + 5);
  while (told.length < 500) await nextTurn();
  assert.deepEqual(
    told,
    Array.from({ length: 500 }, (_, index) => index),
  );
  assert.equal(far.text.replaceAll("|", ""), content.toString("latin1"));
});

test("from beyond four gibibytes of a file", async () => {
  await using stage = new TransportStage();
  const { near, far } = await stage.pair();
  const { descriptor } = fileOf(16);
  const offset = 5 * 1024 ** 3;
  writeSync(descriptor, "far behind", offset);
  await send(near, descriptor, offset, 10).done;
  await far.untilText("far behind");
});

test("on many connections at once, of one descriptor", async () => {
  await using stage = new TransportStage();
  const { descriptor, content } = fileOf(900_000);
  const pairs = await Promise.all(Array.from({ length: 20 }, () => stage.pair()));
  const sendings = pairs.map(({ near }) => send(near, descriptor, 0, content.length));
  for (const { near } of pairs) near.connection.end();
  for (const { far } of pairs) {
    await far.until(() => far.events.includes("end"));
    assert.ok(Buffer.concat(far.chunks).equals(content));
  }
  await Promise.all(sendings.map(({ done }) => done));
});

test("bytes that arrive meanwhile are delivered, and the peer may end first", async () => {
  await using stage = new TransportStage();
  const { near, far } = await stage.pair();
  const { descriptor, content } = fileOf(5_000_000);
  far.connection.writeLatin1("question");
  far.connection.end();
  await near.until(() => near.events.includes("end"));
  await send(near, descriptor, 0, content.length).done;
  near.connection.end();
  assert.equal(await far.untilClosed(), null);
  assert.equal(near.text, "question");
  assert.equal(far.bytes, content.length);
});

for (const ending of ["destroy", "reset", "the peer's reset"] as const) {
  test(`${ending} in the middle: the descriptors are given back, once each`, async () => {
    await using stage = new TransportStage();
    const { near, far } = await stage.pair();
    far.connection.pause();
    const { descriptor } = fileOf(20_000_000);
    const first = send(near, descriptor, 0, 20_000_000);
    const second = send(near, descriptor, 0, 1_000);
    while (near.connection.queuedBytes === 20_001_000) await nextTurn();
    if (ending === "the peer's reset") far.connection.destroy(undefined, true);
    else near.connection.destroy(undefined, ending === "reset");
    await near.untilClosed();
    await Promise.all([first.done, second.done]);
    for (let turn = 0; turn < 5; turn++) await nextTurn();
    assert.deepEqual([first.returned, second.returned], [1, 1]);
    assert.equal(near.connection.queuedBytes, 0);
    const sent = 20_001_000 - near.connection.unsentBytes;
    assert.ok(sent > 0 && sent < 20_000_000, `${sent} bytes have left`);
    if (ending !== "the peer's reset") far.connection.resume();
    await far.until(() => far.events.includes("end") || far.error !== undefined);
    // One that is destroyed without a reset still delivers what the kernel had; a piece that Node held may have left in part.
    if (ending === "destroy") assert.ok(far.bytes >= sent && far.bytes < sent + 256 * 1024, `${far.bytes} of ${sent}`);
    assert.ok(far.bytes < 20_000_000);
  });
}

test("destroyed at once, or closed already: the descriptor is given back in a later turn", async () => {
  await using stage = new TransportStage();
  const { near } = await stage.pair();
  const { descriptor } = fileOf(1_000);
  const first = send(near, descriptor, 0, 1_000);
  near.connection.destroy();
  const second = send(near, descriptor, 0, 1_000);
  await Promise.all([first.done, second.done]);
  await near.untilClosed();
  await send(near, descriptor, 0, 1_000).done;
});

// The second one fills the socket before its end is reached.
for (const [said, is] of [
  [100_000, 70_000],
  [20_000_000, 12_345_678],
] as const) {
  test(`a file of ${is} bytes of which ${said} were said: an error and a reset, for the peer must not take it for whole`, async () => {
    await using stage = new TransportStage();
    const { near, far } = await stage.pair();
    const { descriptor } = fileOf(said);
    ftruncateSync(descriptor, is);
    const sending = send(near, descriptor, 0, said);
    const error = await near.untilClosed();
    assert.equal(error?.type, "proxy_internal_error");
    assert.match(error!.message, /shorter/);
    await sending.done;
    assert.equal((await far.untilClosed())?.type, "connection_terminated");
    assert.ok(!far.events.includes("end"));
    assert.ok(far.bytes <= is);
  });
}

test("many that are sent files in one turn share what it moves, though only one socket is ready among those that were dialled", async () => {
  await using stage = new TransportStage();
  const served = await stage.serve();
  const { descriptor } = fileOf(8 * MIB);
  const takers: { readonly near: Recording; readonly client: Socket }[] = [];
  for (let count = 0; count < 6; count++) {
    const client = await stage.client(served.port);
    client.resume();
    takers.push({ client, near: await served.next() });
  }
  const far = createServer();
  const accepted = once(far, "connection");
  const dialled = await stage.dial({ port: await stage.start(far) });
  const [peer] = (await accepted) as [Socket];
  // The first files make room in the kernel for more than a part of what a turn moves.
  for (const { near } of takers) await send(near, descriptor, 0, 8 * MIB).done;
  const moved: number[] = [];
  const isDone = Promise.all(
    takers.map(({ near }) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      near.react = () => {
        near.connection.sendFile(descriptor, 0, 8 * MIB, resolve);
        moved.push(8 * MIB - near.connection.queuedBytes);
      };
      return promise;
    }),
  );
  for (const { client } of takers) client.write("x");
  peer.write("x");
  await isDone;
  await dialled.until(() => dialled.bytes === 1);
  assert.equal(moved.length, takers.length);
  assert.ok(Math.max(...moved) <= MIB, `moved at once: ${moved}`);
});

test("a descriptor that cannot be read, or is none: an error, and it is given back", async () => {
  await using stage = new TransportStage();
  const writeOnly = openSync(path.join(folder, "write-only.bin"), "w");
  const directory = openSync(folder, "r");
  descriptors.push(writeOnly, directory);
  writeSync(writeOnly, Buffer.alloc(1_000));
  for (const descriptor of [writeOnly, directory, NOT_OPEN]) {
    const { near, far } = await stage.pair();
    const sending = send(near, descriptor, 0, 1_000);
    assert.equal((await near.untilClosed())?.type, "proxy_internal_error");
    await sending.done;
    await far.untilClosed();
    assert.equal(sending.returned, 1);
  }
});

test("who is told that it was sent may send the next one, and may throw", async () => {
  await using stage = new TransportStage();
  const { near, far } = await stage.pair();
  const { descriptor, content } = fileOf(50_000);
  let rest = 5;
  const again = (): void => {
    if (rest-- > 0) near.connection.sendFile(descriptor, 0, content.length, again);
    else near.connection.end();
  };
  again();
  await far.until(() => far.events.includes("end"));
  assert.equal(far.bytes, 5 * content.length);

  const other = await stage.pair();
  const bug = new Error("bug in onSent");
  other.near.connection.sendFile(descriptor, 0, 10, () => {
    throw bug;
  });
  assert.equal((await other.near.untilClosed())?.cause, bug);
  assert.deepEqual(stage.faults.splice(0), [bug]);
  await other.far.untilClosed();
});

test("over TLS", async () => {
  await using stage = new TransportStage();
  const certificate = issueCertificate({ names: ["a.example"] });
  const served = await stage.serve({ tls: { certificates: [certificate], minVersion: "TLSv1.2" } });
  const tls = { serverName: "a.example", verify: false, ca: null, cert: null, key: null, alpn: [] } as const;
  const [near, far] = await Promise.all([
    stage.dial({ port: served.port, tls: { ...tls, minVersion: "TLSv1.2" } }),
    served.next(),
  ]);
  const { descriptor, content } = fileOf(1_000_000);
  near.connection.writeLatin1("before;");
  const sending = send(near, descriptor, 0, content.length);
  near.connection.writeLatin1(";behind");
  near.connection.end();
  await far.until(() => far.events.includes("end"));
  await sending.done;
  assert.ok(Buffer.concat(far.chunks).equals(Buffer.concat([Buffer.from("before;"), content, Buffer.from(";behind")])));
});

test("over a unix socket", async () => {
  await using stage = new TransportStage();
  const served = await stage.serve({ path: path.join(folder, "files.sock") });
  const [near, far] = await Promise.all([
    stage.dial({ host: path.join(folder, "files.sock"), port: 0 }),
    served.next(),
  ]);
  const { descriptor, content } = fileOf(1_000_000);
  await send(near, descriptor, 0, content.length).done;
  near.connection.end();
  await far.until(() => far.events.includes("end"));
  assert.ok(Buffer.concat(far.chunks).equals(content));
});

// io/net hands over at once, and what the kernel takes at once never was above the high-water mark.
testOnNative("a drain that comes while a file is handed over, within another drain, is told", async () => {
  await using stage = new TransportStage();
  const { descriptor } = fileOf(5);
  const [first, second, blocked] = [await stage.pair(), await stage.pair(), await stage.pair()];
  blocked.far.connection.pause();
  blocked.near.connection.write(Buffer.alloc(16 << 20));
  const much = Buffer.alloc(QUEUE_HIGH_WATER_BYTES + 8_192);
  onceDrained(first.near, () => {
    second.near.connection.write(much);
    blocked.near.connection.sendFile(descriptor, 0, 5, () => {});
  });
  first.near.connection.write(much);
  await second.near.until(() => second.near.events.includes("drain"));
  assert.equal(second.near.connection.queuedBytes, 0);
});
