// Connecting on real sockets: every way in which it fails has its error, its deadline and its cancellation. Races and
// stages that real sockets cannot be brought to are tested without them (src/io/dialing).

import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import net from "node:net";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { ProxyError } from "../../src/core/errors.ts";
import type { DialTarget } from "../../src/core/ports.ts";
import type { LookupCallback } from "../../src/io/dialing/name-cache.ts";
import { VirtualClock } from "../../src/testing/virtual-clock.ts";
import { DeafServer } from "../support/deaf-server.ts";
import { freePort } from "../support/free-port.ts";
import { DIAL_MS_MAX, TransportStage } from "../support/transport-stage.ts";

/** Descriptors of this process; they are closed in a later turn than they are given up. */
const countSockets = (): number => (existsSync("/proc/self/fd") ? readdirSync("/proc/self/fd").length : 0);

/** Dials, and notes how it ends. */
function begin(stage: TransportStage, target: Partial<DialTarget>) {
  const outcome: { error: ProxyError | null; connected: boolean } = { error: null, connected: false };
  const pending = stage.transport.dialer.dial(
    { host: "127.0.0.1", port: 1, tls: null, timeoutMs: 1_000, ...target },
    {
      onConnected: (connection) => {
        outcome.connected = true;
        connection.destroy();
      },
      onFailed: (error) => {
        outcome.error = error;
      },
    },
  );
  return { outcome, pending };
}

test("connection refused, in a later turn, with the address and what it means", async () => {
  await using stage = new TransportStage();
  const port = await freePort();
  const { outcome } = begin(stage, { port });
  assert.deepEqual(outcome, { error: null, connected: false });
  while (outcome.error === null) await nextTurn();
  await assert.rejects(stage.dial({ port }), {
    name: "ProxyError",
    type: "connection_refused",
    side: "upstream",
    retryable: true,
    message: `cannot connect to 127.0.0.1:${port}: connection refused, nothing accepts connections there (ECONNREFUSED)`,
  });
  assert.equal(stage.transport.openConnections, 0);
});

test("a unix socket that does not exist", async () => {
  await using stage = new TransportStage();
  await assert.rejects(stage.dial({ host: "/nowhere/at-all.sock", port: 0 }), {
    type: "destination_unavailable",
    message: "cannot connect to unix:/nowhere/at-all.sock: there is no such socket (ENOENT)",
  });
});

test("a path that no unix socket can have", async () => {
  await using stage = new TransportStage();
  const host = `/tmp/${"x".repeat(200)}.sock`;
  const error = await stage.dial({ host, port: 0 }).then(
    () => null,
    (failure: ProxyError) => failure,
  );
  assert.ok(error !== null, "the path is never cut to one that could be there");
  assert.ok(error.message.startsWith(`cannot connect to unix:${host}: `), error.message);
});

test("a name that is not known, also when that is remembered", async () => {
  await using stage = new TransportStage({
    lookup: (_name, callback) => process.nextTick(callback, Object.assign(new Error("x"), { code: "ENOTFOUND" }), []),
  });
  for (let attempt = 0; attempt < 2; attempt++) {
    const dialled = stage.dial({ host: "no.such.example", port: 80 });
    await assert.rejects(dialled, {
      type: "dns_error",
      message:
        "cannot connect to no.such.example:80: cannot resolve no.such.example: the name is not known (ENOTFOUND)",
    });
  }
});

test("a name is resolved and dialled; its address is the connection's", async () => {
  await using stage = new TransportStage({
    lookup: (name, callback) => {
      assert.equal(name, "app.internal");
      setImmediate(callback, null, [{ address: "127.0.0.3", family: 4 }]);
    },
  });
  const served = await stage.serve({ host: "127.0.0.3" });
  const near = await stage.dial({ host: "app.internal", port: served.port });
  assert.deepEqual(near.connection.remote, { family: 4, address: "127.0.0.3", port: served.port });
});

test("an address that refuses costs nothing, and the other one of the name serves", async () => {
  await using stage = new TransportStage({
    lookup: (_name, callback) =>
      setImmediate(callback, null, [
        { address: "127.0.0.4", family: 4 },
        { address: "127.0.0.5", family: 4 },
      ]),
  });
  const served = await stage.serve({ host: "127.0.0.5" });
  const near = await stage.dial({ host: "two.example", port: served.port });
  assert.equal(near.connection.remote.address, "127.0.0.5");
  await served.next();
  assert.equal(stage.transport.openConnections, 2, "nothing is left of the attempt that failed");
});

test("a host that does not answer: a time-out, and nothing is left; cancelled, it says nothing", async () => {
  await using deaf = await DeafServer.start();
  await using stage = new TransportStage();
  const sockets = countSockets();
  const cancelled = begin(stage, { port: deaf.port });
  assert.equal(stage.transport.openConnections, 1);
  cancelled.pending.cancel();
  assert.equal(stage.transport.openConnections, 0);
  const dialled = stage.dial({ port: deaf.port, timeoutMs: 300 });
  assert.equal(stage.transport.openConnections, 1);
  await assert.rejects(dialled, {
    type: "connection_timeout",
    message: `cannot connect to 127.0.0.1:${deaf.port}: no answer within 300 ms`,
  });
  assert.equal(stage.transport.openConnections, 0);
  assert.deepEqual(cancelled.outcome, { error: null, connected: false });
  while (countSockets() > sockets) await nextTurn();
});

test("the deadline covers the TLS handshake, which can be cancelled too", async (t) => {
  const tls = {
    serverName: "a",
    verify: true,
    ca: null,
    cert: null,
    key: null,
    minVersion: "TLSv1.2",
    alpn: [],
  } as const;
  for (const ending of ["deadline", "cancellation"] as const) {
    await t.test(ending, async () => {
      const clock = new VirtualClock();
      await using stage = new TransportStage({}, clock);
      const { promise, resolve } = Promise.withResolvers<net.Socket>();
      const port = await stage.start(net.createServer(resolve));
      const { outcome, pending } = begin(stage, { port, tls });
      const socket = await promise;
      await new Promise((done) => socket.once("data", done));
      const closed = new Promise((done) => socket.once("close", done));
      if (ending === "cancellation") pending.cancel();
      else clock.advance(1_000);
      await closed;
      if (ending === "cancellation") assert.equal(outcome.error, null);
      else {
        assert.equal(outcome.error!.type, "connection_timeout");
        assert.equal(outcome.error!.message, `TLS handshake with 127.0.0.1:${port}: not finished within 1000 ms`);
      }
      assert.equal(outcome.connected, false);
      assert.equal(clock.pendingTimers, 0);
    });
  }
});

test("cancelling while a name is resolved or a socket connects: nothing is told after it", async (t) => {
  await t.test("resolving", async () => {
    const clock = new VirtualClock();
    const answers: LookupCallback[] = [];
    await using stage = new TransportStage({ lookup: (_name, callback) => answers.push(callback) }, clock);
    const { outcome, pending } = begin(stage, { host: "a.example" });
    pending.cancel();
    answers[0]!(null, [{ address: "127.0.0.1", family: 4 }]);
    clock.advance(10_000);
    assert.deepEqual(outcome, { error: null, connected: false });
    assert.equal(stage.transport.openConnections, 0);
  });
  await t.test("connecting", async () => {
    const clock = new VirtualClock();
    await using stage = new TransportStage({}, clock);
    const served = await stage.serve();
    const { outcome, pending } = begin(stage, { port: served.port });
    pending.cancel();
    for (let turn = 0; turn < 10; turn++) await nextTurn();
    clock.advance(10_000);
    assert.deepEqual(outcome, { error: null, connected: false });
  });
  await t.test("one of many that connect in one turn cancels the others", async () => {
    await using stage = new TransportStage();
    const served = await stage.serve();
    const pendings: { cancel(): void }[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    let connected = 0;
    for (let count = 0; count < 20; count++) {
      const pending = stage.transport.dialer.dial(
        { host: "127.0.0.1", port: served.port, tls: null, timeoutMs: DIAL_MS_MAX },
        {
          onConnected: (connection) => {
            connected++;
            for (const other of pendings) other.cancel();
            connection.destroy();
            resolve();
          },
          onFailed: assert.fail,
        },
      );
      pendings.push(pending);
    }
    await promise;
    for (let turn = 0; turn < 10; turn++) await nextTurn();
    assert.equal(connected, 1);
  });
  await t.test("after the end it does nothing", async () => {
    await using stage = new TransportStage();
    const served = await stage.serve();
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const pending = stage.transport.dialer.dial(
      { host: "127.0.0.1", port: served.port, tls: null, timeoutMs: DIAL_MS_MAX },
      {
        onConnected: (connection) => {
          pending.cancel();
          resolve(connection.closed);
          connection.destroy();
        },
        onFailed: assert.fail,
      },
    );
    assert.equal(await promise, false);
  });
});

test("bytes that the server sends first are not lost", async () => {
  await using stage = new TransportStage();
  const port = await stage.start(net.createServer((socket) => socket.end("220 welcome")));
  const near = await stage.dial({ port });
  await near.until(() => near.events.includes("end"));
  assert.equal(near.text, "220 welcome");
  assert.deepEqual(near.events, ["bytes", "end"]);
});

test("bytes written in onConnected leave at once", async () => {
  await using stage = new TransportStage();
  const served = await stage.serve();
  stage.transport.dialer.dial(
    { host: "127.0.0.1", port: served.port, tls: null, timeoutMs: DIAL_MS_MAX },
    {
      onConnected: (connection) => {
        connection.handler = { onBytes() {}, onDrain() {}, onEnd: () => connection.end(), onClose() {} };
        connection.writeLatin1("hello");
      },
      onFailed: assert.fail,
    },
  );
  const far = await served.next();
  await far.untilText("hello");
});
