// However clients come and leave, servers close, dials fail and time passes: an upstream never has more connections than its
// maximum, nor more than there were requests at once, and nobody waits for ever for a place that is free.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Peer, type ScriptedOrigin, SeededRandom } from "../../src/testing/index.ts";
import { replayHint, seed } from "../support/seed.ts";
import { createStage } from "../support/stage.ts";

const RUNS = 60;
const EVENTS = 60;
const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
/** It gets no connection whose end may be under way. */
const POST = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
const OK = "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nhi";

/** A server and the connections that it has taken. */
class Server {
  readonly #origin: ScriptedOrigin;
  readonly connections: Peer[] = [];

  constructor(origin: ScriptedOrigin) {
    this.#origin = origin;
  }

  accept(): void {
    while (this.connections.length < this.#origin.acceptedCount) this.connections.push(this.#origin.accepts());
  }

  /** Connections that neither side has ended. */
  get open(): number {
    return this.connections.filter(({ closed, ended }) => !closed && !ended).length;
  }

  answer(isWanted: () => boolean): void {
    for (const connection of this.connections) {
      if (connection.closed || !connection.unread.includes("\r\n\r\n") || !isWanted()) continue;
      connection.takes();
      connection.sends(OK);
    }
  }
}

function play(random: SeededRandom): void {
  const latencyMs = random.pick([1, 5]);
  const max = random.pick([1, 2, 3, 100]);
  const serversClose = random.chance(0.5);
  const names = random.chance(0.5) ? ["origin:80"] : ["origin:80", "other:80"];
  const stage = createStage({
    servers: names,
    pool: { connectionsMax: max, queueMax: 1_000, queueTimeoutMs: 10_000_000, idleMs: 3_000 },
    upstreamUse: { retriesMax: random.pick([0, 2]) },
    network: { latencyMs },
  });
  const servers = names.map((name, index) => new Server(index === 0 ? stage.origin : stage.network.origin(name)));
  const clients: Peer[] = [];
  const events: (() => void)[] = [
    () => void clients.push(stage.client().sends(GET)),
    () => void clients.push(stage.client().sends(serversClose ? random.pick([GET, POST]) : GET)),
    () => void (clients.length > 0 && random.pick(clients).closes()),
    () => void (serversClose && random.pick(servers).connections.at(-1)?.closes()),
    () => stage.network.failDials("origin:80"),
    () => stage.network.failDials("origin:80", "connection_timeout"),
    () => stage.network.healDials("origin:80"),
    () => stage.network.advance(3_500),
    () => {
      for (const server of servers) server.answer(() => random.chance(0.5));
    },
  ];
  let requestsMax = 0;
  let before = 0;
  const goOn = (ms: number) => {
    const now = clients.filter(({ closed, ended, unread }) => !closed && !ended && unread === "").length;
    // Of one that a client took back, the proxy hears later.
    requestsMax = Math.max(requestsMax, now, before);
    before = now;
    stage.network.advance(ms);
    for (const server of servers) server.accept();
    for (const server of servers) assert.ok(server.open <= max, `${server.open} connections, the maximum is ${max}`);
    const dials = stage.network.leftovers().filter((text) => text.includes("dial")).length;
    const made = stage.pool.connections + dials;
    // Those that rest while their ends may be under way are not used when a request comes.
    if (serversClose) return;
    // Of each server, since the balance may choose one without a connection.
    assert.ok(made <= requestsMax * servers.length, `${made} connections for ${requestsMax} requests`);
  };
  for (let event = 0; event < EVENTS; event++) {
    random.pick(events)();
    goOn(7);
  }
  stage.network.healDials("origin:80");
  // Those that hang already.
  goOn(3_500);
  for (let round = 0; round < EVENTS; round++) {
    for (const server of servers) server.answer(() => true);
    goOn(20);
  }
  assert.equal(stage.pool.waiting, 0);
  for (const client of clients) assert.ok(client.closed || client.unread.startsWith("HTTP/1.1 "), "a client waits");
}

describe("the maximum of connections", () => {
  it("holds whatever happens", () => {
    for (let run = 0; run < RUNS; run++) {
      try {
        play(new SeededRandom(seed + run));
      } catch (error) {
        throw new Error(`run ${run} (${replayHint}): ${error instanceof Error ? error.message : error}`, {
          cause: error,
        });
      }
    }
  });
});
