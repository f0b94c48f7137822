// Clients that end or reset while nobody reads from them, and nobody writes to them: what they asked for must end, not wait until it is
// read; and what they sent before an end must not be lost to it.

import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import tls from "node:tls";
import { VirtualClock } from "../../src/testing/virtual-clock.ts";
import { serving, TlsLayerStage, trusted } from "../support/tls-layer-stage.ts";
import type { Recording } from "../support/transport-stage.ts";
import { testOnSockets } from "../support/transport-under-test.ts";

/** More than any transport waits until it asks after a client. */
const PASSING_MS = 10_000;

const SECURED = { serverName: "app.internal", ca: trusted } as const;

/** A raw socket to a port, and what speaks over it. */
function secure(socket: net.Socket): tls.TLSSocket {
  return tls.connect({ socket, servername: SECURED.serverName, ca: SECURED.ca }).on("error", () => {});
}

interface Client {
  readonly socket: net.Socket;
  readonly speaker: net.Socket;
  readonly far: Recording;
}

const WAYS: readonly [string, (stage: TlsLayerStage) => Promise<Client>][] = [
  [
    "TCP",
    async (stage) => {
      const served = await stage.serve();
      const socket = await stage.client(served.port);
      return { socket, speaker: socket, far: await served.next() };
    },
  ],
  [
    "TLS",
    async (stage) => {
      const listening = { certificates: [serving], minVersion: serving.minVersion } as const;
      const served = await stage.serve({ tls: listening });
      const socket = await stage.client(served.port);
      return { socket, speaker: secure(socket), far: await served.next() };
    },
  ],
  [
    "TLS that was put on a connection",
    async (stage) => {
      const served = await stage.serve();
      const socket = await stage.client(served.port);
      const { connection } = await served.next();
      const speaker = secure(socket);
      return { socket, speaker, far: await stage.serveTls(connection) };
    },
  ],
];

for (const [way, connect] of WAYS) {
  for (const unread of ["nothing", "something"]) {
    testOnSockets(`${way}: a client that resets with ${unread} unread is told`, async () => {
      const clock = new VirtualClock();
      await using stage = new TlsLayerStage({}, clock);
      const { socket, speaker, far } = await connect(stage);
      socket.on("error", () => {});
      speaker.write("first");
      await far.untilText("first");
      far.connection.pause();
      if (unread === "something") {
        speaker.write(Buffer.alloc(100_000));
        await nextTurn();
      }
      socket.resetAndDestroy();
      await once(socket, "close");
      while (far.error === undefined) {
        clock.advance(PASSING_MS);
        await nextTurn();
      }
      assert.match(far.error?.message ?? "", /: the peer reset the connection \(ECONNRESET\)$/);
      assert.deepEqual(far.events, ["bytes", "close"]);
      clock.advance(PASSING_MS);
      assert.equal(clock.pendingTimers, 0, "nobody is asked after any more");
    });
  }

  testOnSockets(`${way}: a client that waits keeps its connection, and loses nothing`, async () => {
    const clock = new VirtualClock();
    await using stage = new TlsLayerStage({}, clock);
    const { socket, speaker, far } = await connect(stage);
    speaker.write("first");
    await far.untilText("first");
    far.connection.pause();
    speaker.write(" second");
    for (let times = 0; times < 5; times++) {
      clock.advance(PASSING_MS);
      await nextTurn();
    }
    assert.equal(far.text, "first");
    far.connection.resume();
    await far.untilText("first second");
    // What was sent meanwhile must be what is written now, and no byte of asking.
    far.connection.writeLatin1("answer");
    far.connection.pause();
    clock.advance(PASSING_MS);
    far.connection.end();
    clock.advance(PASSING_MS);
    let text = "";
    for await (const chunk of speaker) text += String(chunk);
    assert.equal(text, "answer");
    assert.equal(far.error, undefined);
    socket.destroy();
  });
}

for (const [way, connect] of WAYS) {
  testOnSockets(
    `${way}: the end of a client that nobody reads from is told behind its bytes, when it is read from again`,
    async () => {
      await using stage = new TlsLayerStage();
      const { speaker, far } = await connect(stage);
      far.react = () => far.connection.pause();
      speaker.end("all of it");
      await far.untilText("all of it");
      // A record of TLS says the end, and may be read together with the one before it.
      for (let turn = 0; turn < 20; turn++) await nextTurn();
      assert.deepEqual(far.events, ["bytes"]);
      far.connection.resume();
      await far.until(() => far.events.includes("end"));
      assert.deepEqual(far.events, ["bytes", "end"]);
      far.connection.end();
      await far.untilClosed();
    },
  );
}

testOnSockets("an origin that has answered and reset: its answer is read first", async () => {
  const clock = new VirtualClock();
  await using stage = new TlsLayerStage({}, clock);
  const accepted = Promise.withResolvers<net.Socket>();
  const port = await stage.start(net.createServer(accepted.resolve));
  const near = await stage.dial({ port });
  near.connection.pause();
  const origin = await accepted.promise;
  await new Promise((resolve) => origin.write("answer", resolve));
  origin.resetAndDestroy();
  await once(origin, "close");
  for (let times = 0; times < 5; times++) {
    clock.advance(PASSING_MS);
    await nextTurn();
  }
  near.connection.resume();
  const error = await near.untilClosed();
  assert.equal(near.text, "answer");
  assert.equal(error?.type, "connection_terminated");
});
