// Which servers of a pool get connections by what is known of them; no connection is ever made.

import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { seed } from "../../test/support/seed.ts";
import { DeadlineWheel } from "../core/deadlines.ts";
import type { Dialer } from "../core/ports.ts";
import type { Sender, UpstreamHandler } from "../pipeline/upstream.ts";
import { SeededRandom } from "../testing/seeded-random.ts";
import { VirtualClock } from "../testing/virtual-clock.ts";
import { resolveUpstream, upstreamOptions } from "./options.ts";
import { UpstreamPool } from "./pool.ts";
import { ServerStates } from "./server-states.ts";

const NOW_MS = 1_000;
const SERVERS = ["http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3"];

let states: ServerStates;
let pool: UpstreamPool;
/** Ports that connections are made to. */
let dialled: number[];

beforeEach(() => {
  const clock = new VirtualClock();
  clock.advance(NOW_MS);
  dialled = [];
  const dialer: Dialer = {
    dial: ({ port }) => {
      dialled.push(port);
      return { cancel() {} };
    },
  };
  states = ServerStates.ofOneThread(SERVERS.length);
  const { servers } = upstreamOptions.parse({ servers: SERVERS });
  pool = new UpstreamPool(
    { ...resolveUpstream("app", servers, []), servers: servers.map((server) => ({ ...server, tls: null })) },
    { clock, deadlines: new DeadlineWheel(clock), random: new SeededRandom(seed), dialer, states: () => states },
  );
});

/** The ports that requests lead to. */
function chosen(): readonly number[] {
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
