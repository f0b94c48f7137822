// Peers whose process dies or stands still: what their connections are told, and that nothing waits for them for ever.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { QUEUE_HIGH_WATER_BYTES } from "../../src/core/limits.ts";
import { sendAndReset } from "../support/hasty-peer.ts";
import { TransportStage } from "../support/transport-stage.ts";

/** Connects, says "here" and what else it is told to, and never reads. */
const PEER = `
  const socket = require("node:net").connect(Number(process.argv[1]), "127.0.0.1");
  socket.pause();
  socket.write("here" + "x".repeat(Number(process.argv[2])));
  setInterval(() => {}, 1000);
`;

/** A process with a connection, that is gone behind the test whatever becomes of that. */
class Peer {
  readonly #child: ChildProcess;

  constructor(port: number, bytes: number) {
    this.#child = spawn(process.execPath, ["-e", PEER, `${port}`, `${bytes}`], { stdio: "inherit" });
  }

  standStill(): void {
    this.#child.kill("SIGSTOP");
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await gone;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }
}

test("a process that is killed has ended its side; nothing that was received is lost", async () => {
  await using stage = new TransportStage();
  const served = await stage.serve();
  await using peer = new Peer(served.port, 100_000);
  const far = await served.next();
  await far.until(() => far.bytes === 100_004);
  await peer.kill();
  await far.until(() => far.events.includes("end"));
  assert.equal(far.error, undefined);
  // Nobody is there to read it: the kernel answers with a reset.
  while (far.error === undefined) {
    far.connection.writeLatin1("too late");
    await nextTurn();
  }
  assert.equal((await far.untilClosed())?.type, "connection_terminated");
});

test("a process that is killed with unread bytes resets: an error, and what was queued is dropped", async () => {
  await using stage = new TransportStage();
  const served = await stage.serve();
  await using peer = new Peer(served.port, 0);
  const far = await served.next();
  await far.untilText("here");
  far.connection.write(Buffer.alloc(20_000_000));
  for (let turn = 0; turn < 5; turn++) await nextTurn();
  assert.ok(far.connection.queuedBytes > QUEUE_HIGH_WATER_BYTES);
  await peer.kill();
  const error = await far.untilClosed();
  assert.equal(error?.type, "connection_terminated");
  assert.equal(error?.side, "client");
  assert.equal(far.connection.queuedBytes, 0);
  assert.ok(!far.events.includes("drain"));
});

test("a paused connection whose peer resets is closed by destroy, or tells when it is resumed", async () => {
  await using stage = new TransportStage();
  const first = await stage.pair();
  first.far.connection.pause();
  first.near.connection.destroy(undefined, true);
  for (let turn = 0; turn < 5; turn++) await nextTurn();
  first.far.connection.destroy();
  await first.far.untilClosed();
  assert.deepEqual(first.far.events, ["close"]);

  const second = await stage.pair();
  second.far.connection.pause();
  second.near.connection.destroy(undefined, true);
  for (let turn = 0; turn < 5; turn++) await nextTurn();
  second.far.connection.resume();
  assert.equal((await second.far.untilClosed())?.type, "connection_terminated");
});

test("a process that stands still: bytes queue up, end and destroy work, and nothing is waited for", async () => {
  await using stage = new TransportStage();
  const served = await stage.serve();
  await using peer = new Peer(served.port, 0);
  const far = await served.next();
  await far.untilText("here");
  peer.standStill();
  far.connection.write(Buffer.alloc(20_000_000));
  far.connection.end();
  for (let turn = 0; turn < 5; turn++) await nextTurn();
  assert.ok(far.connection.queuedBytes > QUEUE_HIGH_WATER_BYTES);
  assert.equal(far.error, undefined);
  far.connection.destroy();
  assert.equal(await far.untilClosed(), null);
});

for (const host of ["127.0.0.1", null]) {
  test(`a peer that has reset before it was accepted is nobody on a unix socket (${host ?? "all addresses"})`, async () => {
    await using stage = new TransportStage();
    const families: number[] = [];
    const served = await stage.serve({ host }, ({ connection }) => families.push(connection.remote.family));
    sendAndReset(served.port, "here");
    const late = await stage.dial({ port: served.port, host: "127.0.0.1" });
    while ((await served.next()).connection.remote.port !== late.connection.local.port);
    // Either it is known by the address that it had, or nobody hears of it.
    assert.ok(
      families.every((family) => family === 4),
      `families ${families}`,
    );
  });
}
