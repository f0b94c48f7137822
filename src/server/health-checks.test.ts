// When the servers of a configuration are asked, by a virtual clock, and what is told of it. Mostly nobody is there to answer.

import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import net from "node:net";
import { afterEach, beforeEach, describe, it } from "node:test";
import { until } from "../../test/support/redis.ts";
import { seed } from "../../test/support/seed.ts";
import { SeededRandom } from "../testing/seeded-random.ts";
import { VirtualClock } from "../testing/virtual-clock.ts";
import { resolveUpstream, type UpstreamConfig, upstreamOptions } from "../upstreams/options.ts";
import { ServerStates } from "../upstreams/server-states.ts";
import { createAppLog } from "./app-log.ts";
import { HealthChecks } from "./health-checks.ts";

let clock: VirtualClock;
let checks: HealthChecks;
/** Of each upstream, by its name. */
let states: Map<string, ServerStates>;
/** Messages. */
let logged: string[];

beforeEach(() => {
  clock = new VirtualClock();
  states = new Map();
  logged = [];
  const write = (line: string): void => void logged.push((JSON.parse(line) as { msg: string }).msg);
  const log = createAppLog({ level: "info", isForPeople: false, write });
  const statesOf = ({ name, servers }: UpstreamConfig): ServerStates => {
    const ofUpstream = states.get(name) ?? ServerStates.ofOneThread(servers.length);
    states.set(name, ofUpstream);
    return ofUpstream;
  };
  checks = new HealthChecks({ clock, random: new SeededRandom(seed), log, statesOf });
});

afterEach(() => checks.stop());

function upstreamOf(name: string, urls: readonly string[], health: unknown): UpstreamConfig {
  const { servers, ...overrides } = upstreamOptions.parse({ servers: urls, health });
  return resolveUpstream(name, servers, [overrides]);
}

/** Of servers that nobody listens for. */
function deadUpstream(name: string, count: number, health: unknown): UpstreamConfig {
  const urls = Array.from({ length: count }, (_, index) => `unix:/nowhere/${name}-${index}.sock`);
  return upstreamOf(name, urls, health);
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

describe("the log", () => {
  it("says that a server passes that a request could not reach before", async () => {
    const server = net.createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const url = `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`;
    checks.keep([upstreamOf("app", [url], {})]);
    assert.equal(states.get("app")!.wasNotReached(0, "connection_refused", 1, 1), true);
    clock.advance(0);
    await until(() => logged.length > 0);
    assert.deepEqual(logged, [`${url} passes its health checks`]);
    assert.equal(states.get("app")!.isLost(0, 2), false);
    server.close();
  });
});

describe("why a server fails", () => {
  it("is what the last check found, and the log says it once", async () => {
    const server = http.createServer((_request, response) => response.writeHead(503).end()).listen(0, "127.0.0.1");
    await once(server, "listening");
    const upstream = upstreamOf("app", [`http://127.0.0.1:${(server.address() as net.AddressInfo).port}`], "/healthz");
    checks.keep([upstream]);
    clock.advance(0);
    await until(() => checks.reasonOf(upstream, 0) === "GET /healthz: status 503");
    server.close();
    await once(server, "close");
    clock.advance(clock.nextDueMs! - clock.now());
    await until(() => /connection refused/.test(checks.reasonOf(upstream, 0)!));
    assert.equal(logged.length, 1);
  });
});

describe("the first checks", () => {
  it("do not begin at the same moment", () => {
    checks.keep([deadUpstream("one", 3, {}), deadUpstream("other", 2, {})]);
    assert.deepEqual(begun(), [0, 1, 2, 3, 4]);
  });

  it("begin within the interval", () => {
    checks.keep([deadUpstream("one", 5, { interval: "3ms" })]);
    assert.deepEqual(begun(), [0, 1, 2]);
  });

  it("of servers that a reload has brought wait for no others", () => {
    const one = deadUpstream("one", 3, {});
    checks.keep([one]);
    begun();
    checks.keep([one, deadUpstream("other", 2, {})]);
    assert.deepEqual(
      begun().map((ms) => ms - 2),
      [0, 1],
    );
  });

  it("do not come when they are not wanted any more", () => {
    checks.keep([deadUpstream("one", 3, {})]);
    checks.keep([]);
    assert.equal(clock.nextDueMs, null);
  });
});
