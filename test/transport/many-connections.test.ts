// Many connections at once: none is lost, none gets another one's bytes, and one that floods does not starve the others.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { TransportStage } from "../support/transport-stage.ts";

/** More than one batch of events holds, on any transport. */
const PAIRS = 1_300;

test("thousands of sockets that are ready in one turn all talk, and all are closed", async () => {
  await using stage = new TransportStage();
  const served = await stage.serve({}, (far) => {
    far.react = (bytes) => far.connection.write(bytes);
  });
  const nears = await Promise.all(Array.from({ length: PAIRS }, () => stage.dial({ port: served.port })));
  for (const [index, near] of nears.entries()) near.connection.writeLatin1(`${index};`);
  for (const [index, near] of nears.entries()) await near.untilText(`${index};`);
  const byPort = new Map(nears.map((near) => [near.connection.local.port, near]));
  for (let count = 0; count < nears.length; count++) {
    const far = await served.next();
    assert.equal(far.text, byPort.get(far.connection.remote.port)!.text);
  }
  assert.equal(stage.transport.openConnections, 2 * PAIRS);
  for (const near of nears) near.connection.destroy();
  await Promise.all(nears.map((near) => near.untilClosed()));
});

/** Connects and writes as fast as the other side takes it, in a thread of its own. */
const FLOOD = `
  const { workerData } = require("node:worker_threads");
  const socket = require("node:net").connect(workerData, "127.0.0.1");
  const chunk = Buffer.alloc(1 << 18);
  const write = () => { while (socket.write(chunk)); };
  socket.on("connect", write).on("drain", write).on("error", () => {});
`;

/** What may pass of a flood while 50 others are asked once: several reads of any sensible size, and never all there is. */
const FLOOD_BYTES_PER_ROUND_MAX = 16 * 1024 * 1024;

test("one connection that floods does not starve fifty small ones", async () => {
  await using stage = new TransportStage();
  const flooded = await stage.serve();
  const flood = new Worker(FLOOD, { eval: true, workerData: flooded.port });
  try {
    const flooding = await flooded.next();
    let floodBytes = 0;
    flooding.connection.handler = {
      onBytes: (_buffer, start, end) => {
        floodBytes += end - start;
      },
      onDrain() {},
      onEnd() {},
      onClose() {},
    };
    const served = await stage.serve({}, (far) => {
      far.react = (bytes) => far.connection.write(bytes);
    });
    const nears = await Promise.all(Array.from({ length: 50 }, () => stage.dial({ port: served.port })));
    const before = floodBytes;
    // Until the flood has had its turn as well: its thread may have to wait for a processor.
    let rounds = 0;
    while (rounds < 40 || floodBytes === before) {
      rounds++;
      for (const near of nears) near.connection.writeLatin1("x");
      for (const near of nears) await near.until(() => near.bytes === rounds);
    }
    const passed = floodBytes - before;
    assert.ok(passed < rounds * FLOOD_BYTES_PER_ROUND_MAX, `${passed} bytes of the flood passed meanwhile`);
  } finally {
    await flood.terminate();
  }
});

test("a peer that answers every byte at once does not starve timers, nor others", async () => {
  await using stage = new TransportStage();
  const { near, far } = await stage.pair();
  let echoes = 0;
  far.react = (bytes) => far.connection.write(bytes);
  near.react = (bytes) => {
    echoes++;
    near.connection.write(bytes);
  };
  near.connection.writeLatin1("x");
  const other = await stage.pair();
  await new Promise((resolve) => setTimeout(resolve, 5));
  other.near.connection.writeLatin1("hello");
  await other.far.untilText("hello");
  assert.ok(echoes > 0);
  near.connection.destroy();
});
