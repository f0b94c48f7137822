// Which servers of a pool get connections, by what is known of them and by whether they failed the request before; no
// connection is ever made.

import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { seed } from "../../test/support/seed.ts";
import { DeadlineWheel } from "../core/deadlines.ts";
import { ProxyError } from "../core/errors.ts";
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
let createPool: (balance: Balance) => UpstreamPool;
/** Ports that connections are made to, and who waits for the last one. */
let dialled: number[];
let lastDial: DialHandler;

beforeEach(() => {
  const clock = new VirtualClock();
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
  createPool = (balance) =>
    new UpstreamPool(
      { ...options, balance },
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
});
