// TLS on a connection that is there already, when it does not come about: every failure has its error and its side, and
// nothing is left open.

import assert from "node:assert/strict";
import { once } from "node:events";
import { closeSync, existsSync, openSync } from "node:fs";
import type net from "node:net";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import tls from "node:tls";
import type { ProxyError } from "../../src/core/errors.ts";
import type { Connection, PendingDial } from "../../src/core/ports.ts";
import { SeededRandom } from "../../src/testing/seeded-random.ts";
import { VirtualClock } from "../../src/testing/virtual-clock.ts";
import { issueCertificate } from "../support/certificates.ts";
import { replayHint, seed } from "../support/seed.ts";
import {
  countDescriptors,
  dialing,
  serving,
  TlsLayerStage,
  trusted,
  untilDescriptors,
} from "../support/tls-layer-stage.ts";
import type { Recording } from "../support/transport-stage.ts";

/** A client of Node's own whose other end is a connection of the transport. */
async function rawClient(stage: TlsLayerStage): Promise<{ readonly client: net.Socket; readonly far: Recording }> {
  const served = await stage.serve();
  const client = await stage.client(served.port);
  client.on("error", () => {}).resume();
  return { client, far: await served.next() };
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await nextTurn();
}

/** The two sides: what each is called in errors, and how its handshake begins. */
const sides = [
  ["client", (stage: TlsLayerStage, connection: Connection) => stage.serveTls(connection)],
  ["upstream", (stage: TlsLayerStage, connection: Connection) => stage.connectTls(connection)],
] as const;

test("certificates and alerts: the client says what it refuses, the server that it was refused", async (t) => {
  await using stage = new TlsLayerStage();
  const cases: readonly [string, Partial<typeof dialing>, RegExp][] = [
    ["the authority is not trusted", { ca: null }, /authority is not one of those that are trusted/],
    ["another name", { serverName: "other.internal" }, /ERR_TLS_CERT_ALTNAME_INVALID/],
  ];
  for (const [what, options, message] of cases) {
    await t.test(what, async () => {
      const { near, far } = await stage.pair();
      const server = stage.serveTls(far.connection).then((secured) => secured.untilClosed());
      const failed = (error: ProxyError): boolean => {
        assert.match(
          error.message,
          /^TLS handshake with (app|other)\.internal by way of 127\.0\.0\.1:\d+: the certificate/,
        );
        assert.match(error.message, message);
        assert.deepEqual([error.type, error.side], ["tls_certificate_error", "upstream"]);
        return true;
      };
      await assert.rejects(stage.connectTls(near.connection, { connect: { ...dialing, ...options } }), failed);
      // By TLS 1.3 the server is ready before it knows: then its connection ends at once.
      await server.catch((error: ProxyError) => assert.equal(error.side, "client"));
    });
  }
});

test("what cannot be used is the configuration's fault, and closes the connection", async () => {
  await using stage = new TlsLayerStage();
  const { near, far } = await stage.pair();
  const broken = { ...serving, key: issueCertificate({ names: ["x"] }).key };
  const connect = { ...dialing, cert: broken.cert, key: broken.key };
  const expected = { type: "proxy_configuration_error", side: "proxy" };
  await Promise.all([
    assert.rejects(stage.serveTls(far.connection, { serve: broken }), expected),
    assert.rejects(stage.connectTls(near.connection, { connect }), expected),
  ]);
});

for (const [side, begin] of sides) {
  test(`the peer of the ${side}'s side goes away, at every moment and in every way`, async () => {
    await using stage = new TlsLayerStage();
    for (const moment of ["before", "before, unread", "within"]) {
      for (const goAway of [
        (client: net.Socket) => client.resetAndDestroy(),
        (client: net.Socket) => client.destroy(),
        (client: net.Socket) => client.end(),
        // A record that is not finished.
        (client: net.Socket) => client.end(Buffer.of(22, 3, 1, 2, 0, 1, 0)),
      ]) {
        for (const wait of [0, 1, 3]) {
          const { client, far } = await rawClient(stage);
          if (moment === "before, unread") far.connection.pause();
          if (moment !== "within") goAway(client);
          await turns(wait);
          const outcome = assert.rejects(begin(stage, far.connection), { type: "connection_terminated", side });
          if (moment === "within") {
            await turns(wait);
            goAway(client);
          }
          await outcome;
          client.destroy();
        }
      }
    }
  });

  test(`garbage instead of TLS, on the ${side}'s side`, async () => {
    await using stage = new TlsLayerStage();
    const { client, far } = await rawClient(stage);
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    await assert.rejects(begin(stage, far.connection), { type: "tls_protocol_error", side });
  });

  test(`a connection that is closed, or that we have ended, on the ${side}'s side`, async () => {
    await using stage = new TlsLayerStage();
    for (const close of [
      (far: Recording) => far.connection.destroy(),
      (far: Recording) => far.connection.end(),
      async (far: Recording) => {
        far.connection.destroy();
        await far.untilClosed();
      },
    ]) {
      const { client, far } = await rawClient(stage);
      await close(far);
      await assert.rejects(begin(stage, far.connection), { type: "connection_terminated", side });
      client.destroy();
    }
  });

  test(`the deadline passes: nothing said, or what was written before is not taken, on the ${side}'s side`, async () => {
    const clock = new VirtualClock();
    await using stage = new TlsLayerStage({}, clock);
    for (const bytes of [0, 20_000_000]) {
      const { client, far } = await rawClient(stage);
      if (bytes > 0) client.pause();
      far.connection.write(Buffer.alloc(bytes));
      const outcome = assert.rejects(begin(stage, far.connection), {
        type: "connection_timeout",
        side,
        message: /^TLS handshake .*: not finished within 20000 ms$/,
      });
      await turns(5);
      clock.advance(19_999);
      assert.equal(stage.transport.openConnections, 1);
      clock.advance(1);
      await outcome;
      client.destroy();
    }
  });
}

test("a connection that still sends a file is refused, and gives the file back", async () => {
  await using stage = new TlsLayerStage();
  const { client, far } = await rawClient(stage);
  const file = openSync(import.meta.filename, "r");
  const sent = new Promise<void>((resolve) => far.connection.sendFile(file, 0, 1_000, resolve));
  const failure = { type: "proxy_internal_error", side: "proxy", message: /a file, or a splice, is still on its way/ };
  await assert.rejects(stage.serveTls(far.connection), failure);
  await sent;
  closeSync(file);
  assert.deepEqual(far.events, []);
  client.destroy();
});

test("cancelled at any moment: nobody is told, and the connection is closed", async () => {
  await using stage = new TlsLayerStage();
  for (const layer of ["serve", "connect"] as const) {
    for (const [bytes, wait] of [
      [0, 0],
      [0, 1],
      [0, 3],
      [20_000_000, 0],
      [20_000_000, 3],
    ] as const) {
      const { client, far } = await rawClient(stage);
      far.connection.write(Buffer.alloc(bytes));
      client.write(Buffer.of(22, 3, 1));
      const gone = new Promise((resolve) => client.once("close", resolve));
      let pending: PendingDial | null = null;
      const begin = layer === "serve" ? stage.serveTls : stage.connectTls;
      const told = begin.call(stage, far.connection, {
        early: Buffer.of(22),
        onPending: (dial) => {
          pending = dial;
        },
      });
      told.then(() => assert.fail("it was connected"), assert.fail);
      await turns(wait);
      pending!.cancel();
      pending!.cancel();
      assert.equal(stage.transport.openConnections, 0);
      client.end();
      await gone;
      await turns(3);
    }
  }
});

test("TLS that breaks after the handshake is told as an error, on both sides", async () => {
  await using stage = new TlsLayerStage();
  for (const breaks of ["near", "far"] as const) {
    const other = breaks === "near" ? "far" : "near";
    const { relayed, inject } = await relay(stage);
    const secured = await stage.secure(relayed.near, relayed.far);
    secured.near.connection.writeLatin1("x");
    await secured.far.untilText("x");
    inject(breaks, Buffer.from("this is no TLS record"));
    const error = await secured[breaks].untilClosed();
    assert.deepEqual([error?.type, error?.side], ["tls_protocol_error", breaks === "near" ? "upstream" : "client"]);
    secured[other].connection.destroy();
  }
});

test("a client of TLS 1.2 may not begin a second handshake", async () => {
  await using stage = new TlsLayerStage();
  const served = await stage.serve();
  const socket = await stage.client(served.port);
  const { connection } = await served.next();
  const secured = stage.serveTls(connection);
  const client = tls.connect({ socket, ca: trusted, servername: "app.internal", maxVersion: "TLSv1.2" });
  await once(client, "secureConnect");
  await secured;
  const outcome = new Promise((resolve) => {
    // Another one may follow.
    client.on("error", resolve);
    client.renegotiate({ rejectUnauthorized: false }, resolve);
  });
  assert.match(String(await outcome), /no renegotiation/);
});

/** Two connections of the transport and something between them that can add bytes of its own. */
async function relay(stage: TlsLayerStage) {
  const served = await stage.serve();
  const middle = await stage.serve();
  const near = await stage.dial({ port: middle.port });
  const left = await middle.next();
  const right = await stage.dial({ port: served.port });
  const far = await served.next();
  left.react = (bytes) => right.connection.write(bytes);
  right.react = (bytes) => left.connection.write(bytes);
  const inject = (to: "near" | "far", bytes: Buffer): void => (to === "near" ? left : right).connection.write(bytes);
  return { relayed: { near, far }, inject };
}

test("a handler that throws loses its connection, never the process", async () => {
  await using stage = new TlsLayerStage();
  const { near, far } = await stage.pair();
  const client = stage.connectTls(near.connection);
  stage.transport.tls.serve(far.connection, Buffer.alloc(0), serving, 5_000, {
    onConnected: () => {
      throw new Error("planted");
    },
    onFailed: assert.fail,
  });
  const secured = await client;
  await secured.until(() => secured.events.length > 0);
  assert.deepEqual(
    stage.faults.splice(0).map(({ message }) => message),
    ["planted"],
  );
});

test(`whatever arrives instead of a ClientHello fails, and leaves no descriptor open (${replayHint})`, {
  skip: !existsSync("/proc/self/fd") && "skipped: needs Linux",
}, async () => {
  const chance = new SeededRandom(seed);
  await using stage = new TlsLayerStage();
  const served = await stage.serve();
  const hello = await captureHello(stage);
  const before = countDescriptors();
  for (let round = 0; round < 60; round++) {
    const bytes = Buffer.from(hello);
    for (let count = chance.between(0, 4); count > 0; count--) bytes[chance.below(bytes.length)] = chance.below(256);
    const length = chance.chance(0.5) ? bytes.length : chance.below(bytes.length);
    const early = chance.below(length + 1);
    const client = await stage.client(served.port);
    client.on("error", () => {}).resume();
    const far = await served.next();
    client.write(bytes.subarray(early, length));
    const told = stage.serveTls(far.connection, { early: bytes.subarray(0, early) });
    const outcome = assert.rejects(told, ({ side }: ProxyError) => side === "client");
    await turns(chance.below(3));
    if (chance.chance(0.3)) client.resetAndDestroy();
    else client.end();
    await outcome;
    client.destroy();
  }
  await untilDescriptors(before);
});

async function captureHello(stage: TlsLayerStage): Promise<Buffer> {
  const { near, far } = await stage.pair();
  stage.connectTls(near.connection).catch(() => {});
  await far.until(() => far.bytes > 0);
  far.connection.destroy();
  return Buffer.concat(far.chunks);
}
