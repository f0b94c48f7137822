// Handlers that throw: their connection is closed, the fault is reported, everything else goes on.

import assert from "node:assert/strict";
import net from "node:net";
import { test } from "node:test";
import type { ProxyError } from "../../src/core/errors.ts";
import type { ConnectionHandler } from "../../src/core/ports.ts";
import { issueCertificate } from "../support/certificates.ts";
import { DIAL_MS_MAX, TransportStage } from "../support/transport-stage.ts";

const QUIET: ConnectionHandler = { onBytes() {}, onDrain() {}, onEnd() {}, onClose() {} };

for (const throwing of ["onBytes", "onDrain", "onEnd"] as const) {
  test(`${throwing} throws: the connection is destroyed with an internal error`, async () => {
    await using stage = new TransportStage();
    const { near, far } = await stage.pair();
    const bug = new Error(`bug in ${throwing}`);
    const { promise, resolve } = Promise.withResolvers<ProxyError | null>();
    far.connection.handler = {
      ...QUIET,
      [throwing]: () => {
        throw bug;
      },
      onClose: resolve,
    };
    if (throwing === "onBytes") near.connection.writeLatin1("x");
    else if (throwing === "onEnd") near.connection.end();
    else {
      near.connection.pause();
      far.connection.write(Buffer.alloc(20_000_000));
      near.connection.resume();
    }
    const error = await promise;
    assert.equal(error?.type, "proxy_internal_error");
    assert.equal(error?.cause, bug);
    assert.deepEqual(stage.faults.splice(0), [bug]);
    await near.untilClosed();
    const after = await stage.pair();
    after.near.connection.writeLatin1("fine");
    await after.far.untilText("fine");
  });
}

test("onClose throws: it is reported", async () => {
  await using stage = new TransportStage();
  const { near, far } = await stage.pair();
  const bug = new Error("bug in onClose");
  const { promise, resolve } = Promise.withResolvers<void>();
  far.connection.handler = {
    ...QUIET,
    onClose: () => {
      resolve();
      throw bug;
    },
  };
  near.connection.destroy();
  far.connection.end();
  await promise;
  assert.deepEqual(stage.faults.splice(0), [bug]);
});

test("what was written before the throw to another connection still leaves", async () => {
  await using stage = new TransportStage();
  const first = await stage.pair();
  const second = await stage.pair();
  first.far.react = () => {
    second.near.connection.writeLatin1("rescued");
    throw new Error("bug");
  };
  first.near.connection.writeLatin1("x");
  await second.far.untilText("rescued");
  assert.equal(stage.faults.splice(0).length, 1);
});

test("who accepts or dials throws: the connection is closed, the process goes on", async () => {
  await using stage = new TransportStage();
  const bug = new Error("bug while accepting");
  const served = await stage.serve({}, () => {
    throw bug;
  });
  const client = net.connect(served.port, "127.0.0.1");
  client.on("error", () => {});
  await new Promise((resolve) => client.once("close", resolve));
  assert.deepEqual(stage.faults.splice(0), [bug]);

  const quiet = await stage.serve();
  stage.transport.dialer.dial(
    { host: "127.0.0.1", port: quiet.port, tls: null, timeoutMs: DIAL_MS_MAX },
    {
      onConnected: () => {
        throw bug;
      },
      onFailed: () => {
        throw new Error("not reached");
      },
    },
  );
  const far = await quiet.next();
  await far.until(() => far.events.includes("end"));
  assert.deepEqual(stage.faults.splice(0), [bug]);
});

test("something that is no error is thrown: the fault is an error", async () => {
  await using stage = new TransportStage();
  const { near, far } = await stage.pair();
  far.react = () => {
    throw "text";
  };
  near.connection.writeLatin1("x");
  assert.equal((await far.untilClosed())?.message, "text");
  assert.match(stage.faults.splice(0)[0]!.message, /text/);
});

test("who is told of faults throws too: a warning, and bytes still leave", async () => {
  // Others that run in this process may warn of something else.
  const warned = Promise.withResolvers<void>();
  const onWarning = ({ message }: Error): void => {
    if (message === "bug in onFault") warned.resolve();
  };
  process.on("warning", onWarning);
  await using stage = new TransportStage({
    onFault: () => {
      throw new Error("bug in onFault");
    },
  });
  const { near, far } = await stage.pair();
  far.react = () => {
    throw new Error("bug");
  };
  near.connection.writeLatin1("x");
  await far.untilClosed();
  await warned.promise;
  process.off("warning", onWarning);
  const after = await stage.pair();
  after.near.connection.writeLatin1("fine");
  await after.far.untilText("fine");
});

test("who is told of failed handshakes throws: it is reported", async () => {
  await using stage = new TransportStage();
  const bug = new Error("bug in onTlsError");
  const certificate = issueCertificate({ names: ["a.example"] });
  const { port } = await stage.serve({
    tls: { certificates: [certificate], minVersion: "TLSv1.2" },
    onTlsError: () => {
      throw bug;
    },
  });
  const client = await stage.client(port);
  client.resume();
  client.write("this is no TLS record");
  await new Promise((resolve) =>
    client
      .once("close", resolve)
      .on("error", () => {})
      .on("end", () => client.end()),
  );
  assert.deepEqual(stage.faults.splice(0), [bug]);
});
