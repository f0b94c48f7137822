// Which servers of a pool get connections, by what is known of them and by whether they failed the request before; no
// connection is ever made.

import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { seed } from "../../test/support/seed.ts";
import { DeadlineWheel } from "../core/deadlines.ts";
import { BACKLOG_FULL, ProxyError } from "../core/errors.ts";
import type { Dialer, DialHandler } from "../core/ports.ts";
import type { Sender, UpstreamHandler } from "../pipeline/upstream.ts";
import { SeededRandom } from "../testing/seeded-random.ts";
import { VirtualClock } from "../testing/virtual-clock.ts";
import { type Balance, resolveUpstream, upstreamOptions } from "./options.ts";
import { UpstreamPool } from "./pool.ts";
import { ServerStates } from "./server-states.ts";

const NOW_MS = 1_000;
const CLIENT = "192.0.2.1";
const SERVERS = ["http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3"];

let states: ServerStates;
let clock: VirtualClock;
let createPool: (balance: Balance, connectionsMax?: number, count?: number, queueMax?: number) => UpstreamPool;
/** Ports that connections are made to, and who waits for the last one. */
let dialled: number[];
let lastDial: DialHandler;

beforeEach(() => {
  clock = new VirtualClock();
  clock.advance(NOW_MS);
  dialled = [];
  const dialer: Dialer = {
    dial: ({ port }, handler) => {
      dialled.push(port);
      lastDial = handler;
      return { cancel() {} };
    },
  };
  states = ServerStates.ofOneThread(SERVERS.length);
  const { servers } = upstreamOptions.parse({ servers: SERVERS });
  const options = {
    ...resolveUpstream("app", servers, []),
    servers: servers.map((server) => ({ ...server, tls: null })),
  };
  const random = new SeededRandom(seed);
  createPool = (balance, connectionsMax, count = SERVERS.length, queueMax = 1_000) =>
    new UpstreamPool(
      {
        ...options,
        servers: options.servers.slice(0, count),
        queueMax,
        balance,
        ...(connectionsMax !== undefined && { connectionsMax }),
      },
      { clock, deadlines: new DeadlineWheel(clock), random, dialer, states: () => states },
    );
});

/** The ports that requests lead to. */
function chosen(): readonly number[] {
  const pool = createPool("round-robin");
  for (let i = 0; i < 12; i++) pool.lease({ attempts: 1 } as Sender, {} as UpstreamHandler);
  return [...new Set(dialled)].sort();
}

function lose(server: number): void {
  states.wasNotReached(server, "connection_refused", NOW_MS, NOW_MS);
}

describe("requests go", () => {
  it("to all servers that are well", () => assert.deepEqual(chosen(), [1, 2, 3]));

  it("to none that cannot be reached, or that fails its checks", () => {
    lose(0);
    states.failsChecks(1, NOW_MS);
    assert.deepEqual(chosen(), [3]);
  });

  it("to those that fail their checks before those that cannot be reached", () => {
    for (const server of [0, 1, 2]) states.failsChecks(server, NOW_MS);
    lose(1);
    assert.deepEqual(chosen(), [1, 3]);
  });

  it("to all when none can be reached", () => {
    for (const server of [0, 1, 2]) lose(server);
    assert.deepEqual(chosen(), [1, 2, 3]);
  });
});

describe("a request that a server has failed goes", () => {
  const refused = new ProxyError("connection_refused", "refused");

  it("to each of the others before it goes to one again, and is allowed to without a budget", () => {
    // So that what is known of the servers says nothing.
    for (const server of [0, 1, 2]) lose(server);
    // By itself it would always choose the same one.
    const pool = createPool("hash");
    for (let i = 0; i < 20; i++) {
      let failures = 0;
      const handler = { onLeaseFailed: () => failures++ } as Partial<UpstreamHandler> as UpstreamHandler;
      const from = dialled.length;
      for (let attempts = 1; attempts <= 3; attempts++) {
        pool.lease({ attempts, clientAddress: CLIENT } as Sender, handler);
        lastDial.onFailed(refused);
        assert.equal(failures, attempts);
        if (attempts < 3) assert.ok(pool.allowRetry(handler, true));
      }
      assert.deepEqual(dialled.slice(from).sort(), [1, 2, 3]);
      pool.lease({ attempts: 4, clientAddress: CLIENT } as Sender, handler);
      assert.equal(dialled.length, from + 4);
    }
  });

  it("also where the failure would come again there, as with a certificate that is wrong", () => {
    const pool = createPool("round-robin");
    const verdicts: boolean[] = [];
    const handler = { onLeaseFailed: ({ retryable }) => verdicts.push(retryable) } as Partial<UpstreamHandler>;
    for (let attempts = 1; attempts <= 3; attempts++) {
      pool.lease({ attempts } as Sender, handler as UpstreamHandler);
      lastDial.onFailed(new ProxyError("tls_certificate_error", "of another name"));
    }
    assert.deepEqual(dialled, [1, 2, 3]);
    assert.deepEqual(verdicts, [true, true, false]);
  });
});

describe("where the servers that are well are at their maximum, a request waits", () => {
  let pool: UpstreamPool;

  beforeEach(() => {
    pool = createPool("round-robin", 1);
  });

  function lease(attempts: number, handler: Partial<UpstreamHandler> = {}): UpstreamHandler {
    pool.lease({ attempts } as Sender, handler as UpstreamHandler);
    return handler as UpstreamHandler;
  }

  it("and is not sent to one that cannot be reached, or that fails its checks, until that is well again", () => {
    lose(0);
    states.failsChecks(1, NOW_MS);
    for (let i = 0; i < 3; i++) lease(1);
    assert.deepEqual(dialled, [3]);
    states.passesChecks(1);
    clock.advance(1_000);
    assert.deepEqual(dialled, [3, 2]);
    clock.advance(1_500);
    assert.deepEqual(dialled, [3, 2, 1]);
  });

  it("also one that could not be sent to another server, without a budget", () => {
    lease(1);
    lease(1);
    for (let i = 0; i < 20; i++) {
      const handler = lease(1, { onLeaseFailed: () => {} });
      assert.equal(dialled.at(-1), 3);
      lastDial.onFailed(new ProxyError("connection_refused", "refused"));
      assert.ok(pool.allowRetry(handler, true));
      lease(2, handler);
      assert.equal(pool.waiting, 3);
      pool.cancel(handler);
      states.passesChecks(2);
    }
  });

  it("and goes on as the first, where a connection fails that had been begun for one that has left", () => {
    const failed: string[] = [];
    const named = (name: string): UpstreamHandler => lease(1, { onLeaseFailed: () => failed.push(name) });
    const [, , last] = [named("a"), named("b"), named("c")];
    named("first");
    clock.advance(500);
    named("second");
    pool.cancel(last!);
    clock.advance(500);
    assert.deepEqual(dialled, [1, 2, 3]);
    states.failsChecks(2, NOW_MS);
    lastDial.onFailed(new ProxyError("connection_timeout", "nobody"));
    clock.advance(5_000);
    assert.deepEqual(failed, ["first", "second"]);
  });

  it("and where none is well, for one that fails its checks sooner than for one that cannot be reached", () => {
    for (const server of [0, 1, 2]) states.failsChecks(server, NOW_MS);
    lose(0);
    lose(1);
    for (let i = 0; i < 2; i++) lease(1);
    assert.deepEqual(dialled, [3]);
  });

  it("also one that has tried, for the others, a server that was away, though the queue is full meanwhile", () => {
    pool = createPool("round-robin", 1, 2, 1);
    lose(0);
    const failed: string[] = [];
    lease(1);
    const first = lease(1, { onLeaseFailed: ({ type }) => failed.push(type) });
    clock.advance(2_500);
    assert.deepEqual(dialled, [2, 1]);
    lease(1);
    lastDial.onFailed(new ProxyError("connection_timeout", "nobody"));
    assert.ok(pool.allowRetry(first, true));
    lease(2, first);
    assert.deepEqual(failed, ["connection_timeout"]);
    assert.equal(pool.waiting, 3);
  });
});

describe("a request to a server whose backlog is full", () => {
  const full = new ProxyError("destination_unavailable", "full", { reason: BACKLOG_FULL });

  it("goes to another one", () => {
    const pool = createPool("round-robin");
    let failed = 0;
    pool.lease(
      { attempts: 1 } as Sender,
      { onLeaseFailed: () => failed++ } as Partial<UpstreamHandler> as UpstreamHandler,
    );
    lastDial.onFailed(full);
    assert.equal(failed, 1);
    assert.ok(states.isAvoided(0, NOW_MS));
  });

  it("waits until there is room where there is no other one, and tries it now and then", () => {
    const pool = createPool("round-robin", undefined, 1);
    const handler = { onLeaseFailed: () => assert.fail() } as Partial<UpstreamHandler> as UpstreamHandler;
    pool.lease({ attempts: 1 } as Sender, handler);
    for (let dials = 1; dials < 4; dials++) {
      assert.equal(dialled.length, dials);
      lastDial.onFailed(full);
      assert.equal(pool.waiting, 1);
      clock.advance(300);
    }
    assert.ok(!states.isAvoided(0, NOW_MS));
  });
});
