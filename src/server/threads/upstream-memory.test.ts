// The memory of upstreams through reloads, as the main thread has it.

import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import type { Config } from "../../config/config.ts";
import { resolveUpstream, upstreamOptions } from "../../upstreams/options.ts";
import { ServerStates } from "../../upstreams/server-states.ts";
import { UpstreamMemory } from "./upstream-memory.ts";

let memory: UpstreamMemory;

beforeEach(() => {
  memory = new UpstreamMemory(2, "upstream-memory.test");
});

afterEach(() => memory.close());

/** Upstreams by name, with the ports of their servers. */
function configOf(upstreams: Readonly<Record<string, readonly number[]>>): Config {
  const resolved = Object.entries(upstreams).map(([name, ports]) => {
    const { servers } = upstreamOptions.parse({ servers: ports.map((port) => `http://127.0.0.1:${port}`) });
    return resolveUpstream(name, servers, []);
  });
  return { upstreams: resolved } as unknown as Config;
}

/** A worker's view of each upstream. */
function statesOf(config: Config, column: number): readonly ServerStates[] {
  return memory.blocksOf(config).map(({ states }) => new ServerStates(states, column));
}

function requestsOf(config: Config): readonly (readonly number[])[] {
  return config.upstreams.map((upstream) => memory.reportsOf(upstream).map(({ requests }) => requests));
}

describe("what is known of an upstream's servers", () => {
  const first = configOf({ one: [1, 2], other: [3] });

  it("is the same for all threads, and each upstream has its own", () => {
    const [one, other] = statesOf(first, 0);
    const [oneElsewhere] = statesOf(first, 1);
    one!.countRequest(1);
    oneElsewhere!.countRequest(1);
    other!.countRequest(0);
    assert.deepEqual(requestsOf(first), [[0, 2], [1]]);
  });

  it("lasts through reloads while its list of servers is there", () => {
    statesOf(first, 0)[0]!.countRequest(0);
    const second = configOf({ one: [1, 2], third: [4] });
    statesOf(second, 0);
    memory.keep(second);
    assert.deepEqual(requestsOf(second), [[1, 0], [0]]);
  });

  it("is forgotten with it, and who still has it is in nobody's way", () => {
    const [, other] = statesOf(first, 0);
    other!.countRequest(0);
    const second = configOf({ one: [1, 2] });
    memory.keep(second);
    other!.countRequest(0);
    const third = configOf({ one: [1, 2], next: [5], other: [3] });
    statesOf(third, 0);
    other!.countRequest(0);
    assert.deepEqual(requestsOf(third), [[0, 0], [0], [0]]);
  });

  it("knows nothing of connections of a thread that is gone", () => {
    const second = configOf({ one: [1, 2], many: Array.from({ length: 100 }, (_, index) => 10 + index) });
    for (const column of [0, 1]) for (const states of statesOf(second, column)) states.countConnection(1, 1);
    memory.closeColumn(1);
    const open = second.upstreams.map((upstream) => memory.reportsOf(upstream)[1]!.connections);
    assert.deepEqual(open, [1, 1]);
  });
});
