// Connecting: every way in which it fails has its error, its deadline and its cancellation.

import assert from "node:assert/strict";
import net from "node:net";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { NetStage } from "../../../test/support/net-stage.ts";
import type { ProxyError } from "../../core/errors.ts";
import type { DialTarget } from "../../core/ports.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import type { ConnectSocket } from "./dial.ts";
import type { LookupCallback } from "./dns.ts";

const neverConnects: ConnectSocket = () => new net.Socket();

/** A port on which nothing listens. */
async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Dials on a virtual clock, and notes how it ends. */
function begin(stage: NetStage, target: Partial<DialTarget>) {
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
  await using stage = new NetStage();
  const port = await freePort();
  await assert.rejects(stage.dial({ port }), {
    name: "ProxyError",
    type: "connection_refused",
    side: "upstream",
    retryable: true,
    message: `cannot connect to 127.0.0.1:${port}: connection refused, nothing accepts connections there (ECONNREFUSED)`,
  });
});

test("a unix socket that does not exist", async () => {
  await using stage = new NetStage();
  await assert.rejects(stage.dial({ host: "/nowhere/at-all.sock", port: 0 }), {
    type: "destination_unavailable",
    message: "cannot connect to unix:/nowhere/at-all.sock: there is no such socket (ENOENT)",
  });
});

test("a name that is not known, also when that is remembered", async () => {
  await using stage = new NetStage({
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
  await using stage = new NetStage({
    lookup: (name, callback) => {
      assert.equal(name, "app.internal");
      setImmediate(callback, null, [{ address: "127.0.0.3", family: 4 }]);
    },
  });
  const served = await stage.serve({ host: "127.0.0.3" });
  const near = await stage.dial({ host: "app.internal", port: served.port });
  assert.deepEqual(near.connection.remote, { family: 4, address: "127.0.0.3", port: served.port });
});

test("the deadline covers resolving, connecting and the TLS handshake", async (t) => {
  await t.test("resolving", async () => {
    const clock = new VirtualClock();
    await using stage = new NetStage({ lookup: () => {} }, clock);
    const { outcome } = begin(stage, { host: "slow.example", port: 80 });
    clock.advance(999);
    assert.equal(outcome.error, null);
    clock.advance(1);
    assert.equal(outcome.error!.type, "dns_timeout");
    assert.match(
      outcome.error!.message,
      /^cannot connect to slow\.example:80: the name was not resolved within 1000 ms$/,
    );
    assert.equal(clock.pendingTimers, 0);
  });
  await t.test("connecting", async () => {
    const clock = new VirtualClock();
    await using stage = new NetStage({ connectSocket: neverConnects }, clock);
    const { outcome } = begin(stage, {});
    assert.equal(stage.transport.openConnections, 1);
    clock.advance(1_000);
    assert.equal(outcome.error!.type, "connection_timeout");
    assert.equal(outcome.error!.message, "cannot connect to 127.0.0.1:1: no answer within 1000 ms");
    assert.equal(stage.transport.openConnections, 0);
    assert.equal(clock.pendingTimers, 0);
  });
  await t.test("the TLS handshake", async () => {
    const clock = new VirtualClock();
    await using stage = new NetStage({}, clock);
    const { promise, resolve } = Promise.withResolvers<net.Socket>();
    const port = await stage.start(net.createServer(resolve));
    const tls = {
      serverName: "a",
      verify: true,
      ca: null,
      cert: null,
      key: null,
      minVersion: "TLSv1.2",
      alpn: [],
    } as const;
    const { outcome } = begin(stage, { port, tls });
    const socket = await promise;
    await new Promise((done) => socket.once("data", done));
    const closed = new Promise((done) => socket.once("close", done));
    clock.advance(1_000);
    assert.equal(outcome.error!.type, "connection_timeout");
    assert.equal(outcome.error!.message, `TLS handshake with 127.0.0.1:${port}: not finished within 1000 ms`);
    await closed;
  });
});

test("cancelling is possible at every stage, and nothing is told after it", async (t) => {
  await t.test("while resolving", async () => {
    const clock = new VirtualClock();
    const answers: LookupCallback[] = [];
    await using stage = new NetStage({ lookup: (_name, callback) => answers.push(callback) }, clock);
    const { outcome, pending } = begin(stage, { host: "a.example" });
    pending.cancel();
    pending.cancel();
    answers[0]!(null, [{ address: "127.0.0.1", family: 4 }]);
    clock.advance(10_000);
    assert.deepEqual(outcome, { error: null, connected: false });
    assert.equal(stage.transport.openConnections, 0);
  });
  await t.test("with an error that waits to be told", async () => {
    await using stage = new NetStage({ lookup: (_name, callback) => callback(new Error("at once"), []) });
    const { outcome, pending } = begin(stage, { host: "a.example" });
    assert.equal(outcome.error, null, "never within the call");
    pending.cancel();
    await nextTurn();
    assert.equal(outcome.error, null);
  });
  await t.test("while connecting", async () => {
    const clock = new VirtualClock();
    await using stage = new NetStage({}, clock);
    const served = await stage.serve();
    const { outcome, pending } = begin(stage, { port: served.port });
    pending.cancel();
    for (let turn = 0; turn < 10; turn++) await nextTurn();
    clock.advance(10_000);
    assert.deepEqual(outcome, { error: null, connected: false });
  });
  await t.test("during the TLS handshake", async () => {
    await using stage = new NetStage();
    const { promise, resolve } = Promise.withResolvers<net.Socket>();
    const port = await stage.start(net.createServer(resolve));
    const tls = {
      serverName: "a",
      verify: true,
      ca: null,
      cert: null,
      key: null,
      minVersion: "TLSv1.2",
      alpn: [],
    } as const;
    const { outcome, pending } = begin(stage, { port, tls });
    const socket = await promise;
    await new Promise((done) => socket.once("data", done));
    const closed = new Promise((done) => socket.once("close", done));
    pending.cancel();
    await closed;
    assert.deepEqual(outcome, { error: null, connected: false });
  });
  await t.test("after the end it does nothing", async () => {
    await using stage = new NetStage();
    const served = await stage.serve();
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const pending = stage.transport.dialer.dial(
      { host: "127.0.0.1", port: served.port, tls: null, timeoutMs: 1_000 },
      {
        onConnected: (connection) => {
          pending.cancel();
          resolve(connection.closed);
          connection.destroy();
        },
        onFailed: () => {},
      },
    );
    assert.equal(await promise, false);
  });
});

test("bytes that the server sends first are not lost, also when the owner pauses at once", async () => {
  await using stage = new NetStage();
  const port = await stage.start(net.createServer((socket) => socket.end("220 welcome")));
  const near = await stage.dial({ port });
  await near.until(() => near.events.includes("end"));
  assert.equal(near.text, "220 welcome");
});

test("a socket that connects to itself is a refused connection", async () => {
  await using stage = new NetStage({
    connectSocket: (options) => {
      const port = (options as net.TcpNetConnectOpts).port;
      return net.connect({ ...options, port, localAddress: "127.0.0.1", localPort: port } as net.TcpNetConnectOpts);
    },
  });
  const port = await freePort();
  await assert.rejects(stage.dial({ port }), { type: "connection_refused" });
});
