// Address racing, RFC 8305: which address is tried when, who wins, and what is said when all fail.

import assert from "node:assert/strict";
import net from "node:net";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { NetStage } from "../../../test/support/net-stage.ts";
import { ProxyError } from "../../core/errors.ts";
import { CONNECTION_ATTEMPT_DELAY_MS } from "../../core/limits.ts";
import type { Connection } from "../../core/ports.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import { interleave } from "./dial.ts";
import type { ResolvedAddress } from "./dns.ts";

const v4 = (address: string): ResolvedAddress => ({ address, family: 4 });
const v6 = (address: string): ResolvedAddress => ({ address, family: 6 });

/** Sockets that connect or fail when the test says so, and the order in which they were asked for. */
class Race {
  readonly clock = new VirtualClock();
  readonly stage: NetStage;
  readonly tried: string[] = [];
  readonly sockets = new Map<string, net.Socket>();
  outcome: Connection | ProxyError | null = null;

  constructor(addresses: readonly ResolvedAddress[], livePort: number) {
    const lookup = (_name: string, callback: (error: null, found: readonly ResolvedAddress[]) => void) =>
      callback(null, addresses);
    const connectSocket = (options: net.NetConnectOpts) => {
      const address = (options as net.TcpNetConnectOpts).host!;
      this.tried.push(address);
      const live = address.endsWith(".1");
      const socket = live ? net.connect({ ...options, host: "127.0.0.1", port: livePort }) : new net.Socket();
      this.sockets.set(address, socket);
      return socket;
    };
    this.stage = new NetStage({ lookup, connectSocket }, this.clock);
    this.stage.transport.dialer.dial(
      { host: "many.example", port: 80, tls: null, timeoutMs: 3_000 },
      {
        onConnected: (connection) => {
          this.outcome = connection;
        },
        onFailed: (error) => {
          this.outcome = error;
        },
      },
    );
  }

  async fail(address: string, code: string): Promise<void> {
    this.sockets.get(address)!.destroy(Object.assign(new Error(code), { code }));
    await nextTurn();
  }

  async finished(): Promise<Connection | ProxyError> {
    while (this.outcome === null) await nextTurn();
    return this.outcome;
  }
}

async function withLiveServer(run: (port: number) => Promise<void>): Promise<void> {
  await using stage = new NetStage();
  await run(await stage.start(net.createServer()));
}

test("families take turns, beginning with the one that the system prefers", () => {
  const mixed = interleave([v6("::a"), v6("::b"), v6("::c"), v4("10.0.0.1"), v4("10.0.0.2")]);
  assert.deepEqual(
    mixed.map(({ address }) => address),
    ["::a", "10.0.0.1", "::b", "10.0.0.2", "::c"],
  );
  assert.deepEqual(interleave([v4("10.0.0.1")]), [v4("10.0.0.1")]);
  assert.deepEqual(interleave([v4("10.0.0.1"), v4("10.0.0.2")]), [v4("10.0.0.1"), v4("10.0.0.2")]);
});

test("each address has a head start; the first that connects wins, the others are dropped", () =>
  withLiveServer(async (port) => {
    const race = new Race([v6("::dead"), v4("10.0.0.9"), v4("10.0.0.1")], port);
    assert.deepEqual(race.tried, ["::dead"]);
    race.clock.advance(CONNECTION_ATTEMPT_DELAY_MS - 1);
    assert.deepEqual(race.tried, ["::dead"]);
    race.clock.advance(1);
    assert.deepEqual(race.tried, ["::dead", "10.0.0.9"]);
    race.clock.advance(CONNECTION_ATTEMPT_DELAY_MS);
    assert.deepEqual(race.tried, ["::dead", "10.0.0.9", "10.0.0.1"]);
    assert.equal(race.stage.transport.openConnections, 3);
    const winner = await race.finished();
    assert.ok(!(winner instanceof ProxyError));
    assert.equal(winner.remote.address, "10.0.0.1");
    assert.equal(race.sockets.get("::dead")!.destroyed, true);
    assert.equal(race.sockets.get("10.0.0.9")!.destroyed, true);
    assert.equal(race.stage.transport.openConnections, 1);
    assert.equal(race.clock.pendingTimers, 0);
    winner.destroy();
    await race.stage[Symbol.asyncDispose]();
  }));

test("after a failure the next address is tried at once", () =>
  withLiveServer(async (port) => {
    const race = new Race([v6("::dead"), v4("10.0.0.9"), v4("10.0.0.1")], port);
    await race.fail("::dead", "ENETUNREACH");
    assert.deepEqual(race.tried, ["::dead", "10.0.0.9"]);
    await race.fail("10.0.0.9", "ECONNREFUSED");
    assert.deepEqual(race.tried, ["::dead", "10.0.0.9", "10.0.0.1"]);
    const winner = await race.finished();
    assert.ok(!(winner instanceof ProxyError));
    winner.destroy();
    await race.stage[Symbol.asyncDispose]();
  }));

test("all addresses fail: one error with every reason, named after the one that tells most", async () => {
  const race = new Race([v6("::dead"), v4("10.0.0.8"), v4("10.0.0.9")], 0);
  race.clock.advance(CONNECTION_ATTEMPT_DELAY_MS);
  await race.fail("10.0.0.8", "ECONNREFUSED");
  await race.fail("10.0.0.9", "EHOSTUNREACH");
  assert.equal(race.outcome, null);
  await race.fail("::dead", "ENETUNREACH");
  const error = await race.finished();
  assert.ok(error instanceof ProxyError);
  assert.equal(error.type, "connection_refused");
  assert.equal(
    error.message,
    "cannot connect to many.example:80 at 10.0.0.8: connection refused, nothing accepts connections there (ECONNREFUSED); " +
      "cannot connect to many.example:80 at 10.0.0.9: no route to the host (EHOSTUNREACH); " +
      "cannot connect to many.example:80 at ::dead: the network is unreachable (ENETUNREACH)",
  );
  assert.ok(error.cause instanceof AggregateError);
  assert.equal(error.cause.errors.length, 3);
  assert.equal(race.stage.transport.openConnections, 0);
  assert.equal(race.clock.pendingTimers, 0);
  await race.stage[Symbol.asyncDispose]();
});

test("no address answers in time: a time-out that also tells what failed before", async () => {
  const race = new Race([v4("10.0.0.8"), v4("10.0.0.9")], 0);
  await race.fail("10.0.0.8", "ECONNREFUSED");
  race.clock.advance(3_000);
  const error = await race.finished();
  assert.ok(error instanceof ProxyError);
  assert.equal(error.type, "connection_timeout");
  assert.match(
    error.message,
    /^cannot connect to many\.example:80: no answer within 3000 ms \(.*10\.0\.0\.8: connection refused.*\)$/,
  );
  assert.equal(race.stage.transport.openConnections, 0);
  await race.stage[Symbol.asyncDispose]();
});

test("with real sockets: an address that refuses costs nothing, and the other one serves", async () => {
  await using stage = new NetStage({
    lookup: (_name, callback) => setImmediate(callback, null, [v4("127.0.0.4"), v4("127.0.0.5")]),
  });
  const served = await stage.serve({ host: "127.0.0.5" });
  const near = await stage.dial({ host: "two.example", port: served.port });
  assert.equal(near.connection.remote.address, "127.0.0.5");
  await served.next();
});
