// Filtered dials on real sockets: plain and TLS, literals and names. Nothing arrives at an address that was refused, not even a
// connection; and names that another cache resolves, by DNS, with rebinding.

import assert from "node:assert/strict";
import net from "node:net";
import { test } from "node:test";
import { ProxyError } from "../../src/core/errors.ts";
import type { AddressFilter, Dialer, DialTarget, DialTls } from "../../src/core/ports.ts";
import { namesByDns } from "../../src/io/dns/names.ts";
import { VirtualClock } from "../../src/testing/virtual-clock.ts";
import { DnsServer } from "../support/dns-server.ts";
import { DIAL_MS_MAX, TransportStage } from "../support/transport-stage.ts";

const TLS: DialTls = {
  serverName: "app.internal",
  verify: false,
  ca: null,
  cert: null,
  key: null,
  minVersion: "TLSv1.2",
  alpn: [],
};

const withoutLoopback: AddressFilter = {
  refusalOf: (address) =>
    address === "127.0.0.1" || address === "::1"
      ? new ProxyError("destination_ip_prohibited", `${address} is this machine's own`)
      : null,
};

/** Connects and closes at once; the address, or the error. */
function dial(dialer: Dialer, target: Partial<DialTarget>): Promise<string | ProxyError> {
  return new Promise((resolve) => {
    dialer.dial(
      { host: "a.example", port: 1, tls: null, timeoutMs: DIAL_MS_MAX, addresses: withoutLoopback, ...target },
      {
        onConnected: (connection) => {
          resolve(connection.remote.address);
          connection.destroy();
        },
        onFailed: resolve,
      },
    );
  });
}

/** A server of Node's own on 127.0.0.1 that counts connections, and what the kernel has completed before it was closed. */
async function startCounting(stage: TransportStage): Promise<{ port: number; count: () => Promise<number> }> {
  let accepted = 0;
  const server = net.createServer((socket) => {
    accepted++;
    socket.destroy();
  });
  const port = await stage.start(server);
  const count = async (): Promise<number> => {
    // Connections are accepted in their order: when this one is, all that came before are.
    const before = accepted;
    const own = await stage.client(port);
    await new Promise((resolve) => own.once("end", resolve).resume());
    assert.ok(accepted > before);
    return accepted - 1;
  };
  return { port, count };
}

for (const tls of [null, TLS]) {
  const kind = tls === null ? "plain" : "TLS";

  test(`${kind}: a literal in any form, and a name, that lead to a refused address`, async () => {
    await using stage = new TransportStage({
      lookup: (_name, callback) =>
        setImmediate(callback, null, [
          { address: "::1", family: 6 },
          { address: "::ffff:127.0.0.1", family: 6 },
          { address: "127.0.0.1", family: 4 },
        ]),
    });
    const { port, count } = await startCounting(stage);
    for (const host of ["127.0.0.1", "::ffff:127.0.0.1", "::ffff:7f00:1", "a.example"]) {
      const dialled = dial(stage.transport.dialer, { host, port, tls });
      if (net.isIP(host) !== 0) assert.equal(stage.transport.openConnections, 0, "no socket was made");
      const error = await dialled;
      assert.ok(error instanceof ProxyError, host);
      assert.equal(error.type, "destination_ip_prohibited");
      assert.equal(error.message, `${host === "a.example" ? "::1" : "127.0.0.1"} is this machine's own`);
      assert.equal(error.retryable, false);
      assert.equal(stage.transport.openConnections, 0);
    }
    assert.equal(await count(), 0);
  });
}

test("another cache's names, on the same transport: a mixed answer leads to what is admitted only", async () => {
  await using server = await DnsServer.start((_name, type) =>
    type === "A" ? { addresses: ["127.0.0.1", "127.0.0.2"] } : { addresses: ["::1"] },
  );
  await using stage = new TransportStage({ lookup: () => assert.fail("the transport's own names") });
  const dialer = stage.transport.dialerWith(namesByDns(new VirtualClock(), { servers: [server.address] }));
  const { port, count } = await startCounting(stage);
  const admitted = await stage.serve({ host: "127.0.0.2", port });
  assert.equal(await dial(dialer, { port }), "127.0.0.2");
  await admitted.next();
  assert.equal(await count(), 0);
});

for (const tls of [null, TLS]) {
  test(`DNS rebinding, ${tls === null ? "plain" : "TLS"}: the name leads to another address the second time, and is refused`, async () => {
    let address = "127.0.0.2";
    await using server = await DnsServer.start((_name, type) =>
      type === "A" ? { addresses: [address], ttl: 0 } : { code: "NXDOMAIN" },
    );
    await using stage = new TransportStage();
    const clock = new VirtualClock();
    const names = namesByDns(clock, { servers: [server.address] });
    const dialer = stage.transport.dialerWith(names);
    const { port, count } = await startCounting(stage);
    const served = await stage.serve({ host: "127.0.0.2", port });
    assert.equal(await dial(dialer, { port }), "127.0.0.2");
    await served.next();
    address = "127.0.0.1";
    assert.equal(await dial(dialer, { port }), "127.0.0.2", "for a second it is the same");
    names.flush();
    const error = await dial(dialer, { port, tls });
    assert.ok(error instanceof ProxyError);
    assert.equal(error.type, "destination_ip_prohibited");
    assert.equal(await count(), 0);
  });
}
