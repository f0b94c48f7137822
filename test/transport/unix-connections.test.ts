// Connections over unix sockets keep the same contract as those over TCP: bytes, ends, backpressure. They have no reset.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { QUEUE_HIGH_WATER_BYTES } from "../../src/core/limits.ts";
import { assertPattern, pattern } from "../support/relay-stage.ts";
import { TransportStage } from "../support/transport-stage.ts";

const folder = mkdtempSync(path.join(os.tmpdir(), "headgate-unix-"));
after(() => rmSync(folder, { recursive: true }));
let sockets = 0;

async function pair(stage: TransportStage) {
  const file = path.join(folder, `${sockets++}.sock`);
  const served = await stage.serve({ path: file });
  const [near, far] = await Promise.all([stage.dial({ host: file, port: 0 }), served.next()]);
  return { near, far };
}

test("much, both ways, then each side ends for itself", async () => {
  await using stage = new TransportStage();
  const { near, far } = await pair(stage);
  const length = 5_000_000;
  near.connection.write(pattern(0, length));
  far.connection.write(pattern(0, length));
  near.connection.end();
  await far.until(() => far.events.includes("end"));
  await near.until(() => near.bytes === length);
  assertPattern(near, length);
  assertPattern(far, length);
  far.connection.writeLatin1("still");
  far.connection.end();
  assert.equal(await near.untilClosed(), null);
  assert.equal(await far.untilClosed(), null);
  assert.ok(near.text.endsWith("still"));
});

test("a reader that stops: bytes queue up, and onDrain comes once", async () => {
  await using stage = new TransportStage();
  const { near, far } = await pair(stage);
  far.connection.pause();
  const length = 8_000_000;
  near.connection.write(pattern(0, length));
  for (let turn = 0; turn < 5; turn++) await nextTurn();
  assert.ok(near.connection.queuedBytes > QUEUE_HIGH_WATER_BYTES);
  far.connection.resume();
  await near.until(() => near.events.length > 0);
  await far.until(() => far.bytes === length);
  assertPattern(far, length);
  assert.deepEqual(near.events, ["drain"]);
});

test("destroy, with and without a reset, ends the other side", async () => {
  await using stage = new TransportStage();
  for (const reset of [false, true]) {
    const { near, far } = await pair(stage);
    near.connection.writeLatin1("bye");
    await far.untilText("bye");
    near.connection.destroy(undefined, reset);
    assert.equal(await near.untilClosed(), null);
    await far.until(() => far.events.includes("end") || far.error !== undefined);
  }
});

test("writing to a peer that has gone", async () => {
  await using stage = new TransportStage();
  const { near, far } = await pair(stage);
  far.connection.destroy();
  await near.until(() => near.events.includes("end"));
  near.connection.writeLatin1("too late");
  assert.equal((await near.untilClosed())?.type, "connection_terminated");
});
