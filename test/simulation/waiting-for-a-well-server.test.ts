// Requests that wait for a server that is well, where another thread has connections that rest.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DeadlineWheel } from "../../src/core/deadlines.ts";
import type { UpstreamHandler, UpstreamStream } from "../../src/pipeline/upstream.ts";
import { SeededRandom, SimulatedNetwork } from "../../src/testing/index.ts";
import { Places, placesBytes } from "../../src/upstreams/places.ts";
import { UpstreamPool } from "../../src/upstreams/pool.ts";
import { ServerStates, statesBytes } from "../../src/upstreams/server-states.ts";
import { StandInExchange } from "../support/stand-in-exchange.ts";

const sender = new StandInExchange({});

/** The pools of two threads, of one upstream with two servers that take one connection each. */
function twoThreads() {
  const network = new SimulatedNetwork({ latencyMs: 5 });
  const origins = ["one:80", "two:80"].map((name) => network.origin(name));
  const deadlines = new DeadlineWheel(network.clock);
  const shape = { servers: 2, columns: 2 };
  const buffer = new SharedArrayBuffer(placesBytes(shape));
  const memory = new SharedArrayBuffer(statesBytes(2, 2));
  const views: Places[] = [0, 1].map(
    (column) =>
      new Places({
        ...shape,
        buffer,
        column,
        tellOthers: () => void network.clock.after(0, () => views[1 - column]!.changed()),
      }),
  );
  const states = [0, 1].map((column) => new ServerStates({ memory, capacity: 2, first: 0 }, column));
  const pools = [0, 1].map(
    (column) =>
      new UpstreamPool(
        {
          name: "both",
          servers: ["one", "two"].map((host) => ({
            url: `http://${host}`,
            scheme: "http",
            host,
            port: 80,
            authority: host,
            weight: 1,
            tls: null,
          })),
          balance: "round-robin",
          hashBy: { kind: "client" },
          connectTimeoutMs: 3_000,
          idleMs: 60_000,
          lifetimeMs: 600_000,
          connectionsMax: 1,
          queueMax: 10,
          queueTimeoutMs: 5_000,
          retryBudgetShare: 0.2,
          retryBudgetMin: 10,
        },
        {
          dialer: network,
          clock: network.clock,
          deadlines,
          random: new SeededRandom(1),
          places: () => views[column]!,
          states: () => states[column]!,
        },
      ),
  );
  return { network, origins, pools: pools as [UpstreamPool, UpstreamPool], states: states[0]! };
}

class Asker implements Partial<UpstreamHandler> {
  stream: UpstreamStream | null = null;
  failure = "";
  onStream(stream: UpstreamStream): void {
    this.stream = stream;
  }
  onLeaseFailed({ message }: Error): void {
    this.failure = message;
  }
  onUpstreamEnd(): void {}
  onUpstreamHead(response: { readonly fields: { release(): void } }): void {
    response.fields.release();
  }
  onUpstreamBody(): void {}
}

function lease(pool: UpstreamPool): Asker {
  const asker = new Asker();
  pool.lease(sender, asker as unknown as UpstreamHandler);
  return asker;
}

function send({ stream }: Asker): void {
  const waits = { responseTimeoutMs: 100_000, bodyTimeoutMs: 100_000 };
  stream!.sendHead(sender, null, { host: "preserve", retriesMax: 0, ...waits });
  stream!.end(null);
}

/** In the other thread a connection to each server has answered, and rests. */
function rested() {
  const all = twoThreads();
  const { network, origins, pools } = all;
  const [, elsewhere] = pools;
  for (const asker of [lease(elsewhere), lease(elsewhere)]) {
    network.advance(20);
    send(asker);
  }
  network.advance(20);
  for (const origin of origins) origin.accepts().sends("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  network.advance(20);
  assert.equal(elsewhere.idleConnections, 2);
  return all;
}

describe("a request that waits for a server that is well", () => {
  it("has the place of a connection to it that rests in another thread, not that of one to a server that is not", () => {
    const { network, pools, states } = rested();
    const [here, elsewhere] = pools;
    states.failsChecks(0, 1);
    const asker = lease(here);
    network.advance(100);
    assert.notEqual(asker.stream, null);
    assert.equal(elsewhere.idleConnections, 1);
  });

  it("has the place of one that rests in another thread when its server is well again", () => {
    const { network, pools, states } = rested();
    const [here, elsewhere] = pools;
    states.failsChecks(0, 1);
    send(lease(elsewhere));
    const asker = lease(here);
    network.advance(100);
    assert.equal(asker.stream, null);
    states.passesChecks(0);
    network.advance(1_000);
    assert.notEqual(asker.stream, null);
  });
});
