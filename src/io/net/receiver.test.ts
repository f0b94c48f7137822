// Sockets that a server accepted, in sockets of ours that receive into one buffer, and as they are where that cannot be done.

import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { type TestContext, test } from "node:test";
import tls from "node:tls";
import { issueCertificate } from "../../../test/support/certificates.ts";
import { SystemClock } from "../clock.ts";
import { Arrivals } from "./arrivals.ts";
import { Receiver, receiveBy, takeOver } from "./receiver.ts";
import { NetTransport } from "./transport.ts";

type Handle = Record<string, unknown>;

const handleOf = (socket: net.Socket): Handle | null => (socket as unknown as { _handle: Handle | null })._handle;

/** Both ends of a connection: the client, and what its server accepted. */
async function acceptOne(t: TestContext) {
  const server = net.createServer({ allowHalfOpen: true, noDelay: true }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  const client = net.connect(port, "127.0.0.1");
  t.after(() => {
    client.destroy();
    server.close();
  });
  return new Promise<{ client: net.Socket; accepted: net.Socket }>((resolve) => {
    server.on("connection", (accepted) => resolve({ client, accepted }));
  });
}

test("an accepted socket goes on as one that receives into the buffer, with its options and to its end", async (t) => {
  const { client, accepted } = await acceptOne(t);
  const receiver = new Receiver(new Arrivals());
  const { promise, resolve } = Promise.withResolvers<string>();
  const own = takeOver(accepted, receiver);
  assert.ok(own !== null, "this version of Node is as the others were");
  receiver.connection = {
    paused: false,
    handOver: (buffer, start, end) => resolve(buffer.toString("latin1", start, end)),
  };
  assert.equal(handleOf(accepted), null);
  assert.equal(own.remotePort, client.localPort);
  const ended = once(own, "end");
  const closed = once(own, "close");
  const answered = once(client, "data");
  client.end("ping");
  assert.equal(await promise, "ping");
  await ended;
  own.end("pong");
  assert.equal(String((await answered)[0]), "pong");
  await closed;
});

test("a socket whose handle is not what it was stays as it is", () => {
  for (const handle of [null, undefined, {}, { useUserBuffer: 1 }, { useUserBuffer() {} }]) {
    const accepted = { _handle: handle } as unknown as net.Socket;
    assert.equal(takeOver(accepted, new Receiver(new Arrivals())), null);
    assert.equal(handleOf(accepted), handle);
  }
});

test("where no socket can be taken over, connections receive all the same", async (t) => {
  const { accepted } = await acceptOne(t);
  const prototype = Object.getPrototypeOf(handleOf(accepted)) as Handle;
  assert.equal(Object.hasOwn(prototype, "useUserBuffer"), false);
  Object.assign(prototype, { useUserBuffer: undefined });
  t.after(() => Reflect.deleteProperty(prototype, "useUserBuffer"));
  assert.equal(takeOver(accepted, new Receiver(new Arrivals())), null);
  accepted.destroy();

  const transport = new NetTransport(new SystemClock());
  const listener = await transport.listen({ host: "127.0.0.1", port: 0, path: null, tls: null }, (connection) => {
    connection.handler = {
      onBytes: (buffer, start, end) => connection.write(buffer, start, end),
      onDrain() {},
      onEnd: () => connection.end(),
      onClose() {},
    };
  });
  const client = net.connect(listener.address.port, "127.0.0.1");
  const closed = once(client, "close");
  const answered = once(client, "data");
  client.end("ping");
  assert.equal(String((await answered)[0]), "ping");
  await closed;
  await listener.close();
});

/** Both ends of a TLS connection, its handshake done. */
async function secureOne(t: TestContext) {
  const { cert, key } = issueCertificate({ names: ["a.example"] });
  const server = tls.createServer({ cert, key }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  const client = tls.connect({ port, host: "127.0.0.1", ca: cert, servername: "a.example" });
  t.after(() => {
    client.destroy();
    server.close();
  });
  const [[accepted]] = await Promise.all([once(server, "secureConnection"), once(client, "secureConnect")]);
  return { client, accepted: accepted as tls.TLSSocket };
}

test("sockets of TLS receive into the buffer on either side, are paused, go on, and end", async (t) => {
  const { client, accepted } = await secureOne(t);
  for (const [from, to] of [
    [client, accepted],
    [accepted, client],
  ] as const) {
    const arrivals = new Arrivals();
    const receiver = new Receiver(arrivals);
    let got = "";
    let changed = Promise.withResolvers<void>();
    receiver.connection = {
      paused: false,
      handOver: (buffer, start, end) => {
        got += buffer.toString("latin1", start, end);
        changed.resolve();
      },
    };
    const untilGot = async (text: string) => {
      while (got !== text) {
        await changed.promise;
        changed = Promise.withResolvers();
      }
    };
    const chunks: unknown[] = [];
    assert.ok(receiveBy(to, receiver), "this version of Node is as the others were");
    to.on("data", (chunk) => chunks.push(chunk));
    from.write("ping");
    await untilGot("ping");
    to.pause();
    // More than one record, and than one read.
    const long = "0123456789".repeat(20_000);
    from.write(long);
    to.resume();
    await untilGot(`ping${long}`);
    assert.deepEqual(chunks, []);
  }
  const ended = once(accepted, "end");
  const closed = once(accepted, "close");
  client.end();
  await ended;
  await closed;
});

test("a socket of TLS whose inside is not what it was, or that has read something, stays as it is", async (t) => {
  const { client, accepted } = await secureOne(t);
  const receiver = new Receiver(new Arrivals());
  for (const other of [{}, { _handle: null }, { _handle: {} }, { _handle: { useUserBuffer() {} } }]) {
    assert.equal(receiveBy(other as unknown as tls.TLSSocket, receiver), false);
  }
  accepted.unshift(Buffer.from("early, "));
  assert.equal(receiveBy(accepted, receiver), false);
  let got = "";
  const { promise, resolve } = Promise.withResolvers<void>();
  accepted.on("data", (chunk: Buffer) => {
    got += chunk.toString();
    if (got === "early, late") resolve();
  });
  client.write("late");
  await promise;
});
