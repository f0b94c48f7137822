// When the servers of a configuration are asked, by a virtual clock; nobody is there to answer.

import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { seed } from "../../test/support/seed.ts";
import { SeededRandom } from "../testing/seeded-random.ts";
import { VirtualClock } from "../testing/virtual-clock.ts";
import { resolveUpstream, type UpstreamConfig, type UpstreamOverrides, upstreamOptions } from "../upstreams/options.ts";
import { ServerStates } from "../upstreams/server-states.ts";
import { createAppLog } from "./app-log.ts";
import { HealthChecks } from "./health-checks.ts";

let clock: VirtualClock;
let checks: HealthChecks;

beforeEach(() => {
  clock = new VirtualClock();
  const log = createAppLog({ level: "silent", isForPeople: false, write: () => {} });
  const statesOf = ({ servers }: UpstreamConfig): ServerStates => ServerStates.ofOneThread(servers.length);
  checks = new HealthChecks({ clock, random: new SeededRandom(seed), log, statesOf });
});

afterEach(() => checks.stop());

function upstreamOf(name: string, count: number, health: unknown): UpstreamConfig {
  const servers = Array.from({ length: count }, (_, index) => `unix:/nowhere/${name}-${index}.sock`);
  const { servers: parsed, ...overrides } = upstreamOptions.parse({ servers, health });
  return resolveUpstream(name, parsed, [overrides as UpstreamOverrides]);
}

/** When they begin, each moment once. */
function begun(): readonly number[] {
  const moments: number[] = [];
  for (let due = clock.nextDueMs; due !== null; due = clock.nextDueMs) {
    clock.advance(due - clock.now());
    moments.push(due);
  }
  return moments;
}

describe("the first checks", () => {
  it("do not begin at the same moment", () => {
    checks.keep([upstreamOf("one", 3, {}), upstreamOf("other", 2, {})]);
    assert.deepEqual(begun(), [0, 1, 2, 3, 4]);
  });

  it("begin within the interval", () => {
    checks.keep([upstreamOf("one", 5, { interval: "3ms" })]);
    assert.deepEqual(begun(), [0, 1, 2]);
  });

  it("of servers that a reload has brought wait for no others", () => {
    const one = upstreamOf("one", 3, {});
    checks.keep([one]);
    begun();
    checks.keep([one, upstreamOf("other", 2, {})]);
    assert.deepEqual(
      begun().map((ms) => ms - 2),
      [0, 1],
    );
  });

  it("do not come when they are not wanted any more", () => {
    checks.keep([upstreamOf("one", 3, {})]);
    checks.keep([]);
    assert.equal(clock.nextDueMs, null);
  });
});
