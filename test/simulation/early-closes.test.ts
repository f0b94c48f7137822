// Servers that close every connection some time after its answer, and do not say so: once the proxy has seen that, no request is lost
// to it, whatever it is and whenever it comes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Peer, type ScriptedOrigin, SeededRandom } from "../../src/testing/index.ts";
import { replayHint, seed } from "../support/seed.ts";
import { createStage } from "../support/stage.ts";

const RUNS = Number(process.env.HEADGATE_RUNS ?? 100);
const TURNS = 300;
const LATENCY_MS = 5;
const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const POST = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
const OK = "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nhi";

/** Answers one request on each connection, and closes it a while later; what came meanwhile is not looked at. */
class ClosingServer {
  readonly #origin: ScriptedOrigin;
  readonly #random: SeededRandom;
  readonly #waiting: Peer[] = [];
  #closing: { readonly connection: Peer; readonly atMs: number }[] = [];
  #accepted = 0;

  constructor(origin: ScriptedOrigin, random: SeededRandom) {
    this.#origin = origin;
    this.#random = random;
  }

  goOn(nowMs: number, closesAfterMs: readonly number[]): void {
    while (this.#accepted < this.#origin.acceptedCount) {
      this.#waiting.push(this.#origin.accepts());
      this.#accepted++;
    }
    for (const connection of [...this.#waiting]) {
      if (!connection.unread.includes("\r\n\r\n") || this.#random.chance(0.7)) continue;
      this.#waiting.splice(this.#waiting.indexOf(connection), 1);
      connection.takes();
      connection.sends(OK);
      this.#closing.push({ connection, atMs: nowMs + this.#random.pick(closesAfterMs) });
    }
    for (const { connection, atMs } of this.#closing) if (atMs <= nowMs) connection.ends();
    this.#closing = this.#closing.filter(({ atMs }) => atMs > nowMs);
  }
}

function play(random: SeededRandom): void {
  const names = random.chance(0.7) ? ["origin:80"] : ["origin:80", "other:80"];
  const stage = createStage({
    servers: names,
    pool: { connectionsMax: random.pick([1, 2, 5, null]), queueMax: 1_000, queueTimeoutMs: 10_000_000 },
    network: { latencyMs: LATENCY_MS },
  });
  const servers = names.map(
    (name, index) => new ClosingServer(index === 0 ? stage.origin : stage.network.origin(name), random),
  );
  const closesAfterMs = random.pick([[0], [0, 20], [20, 300], [0, 20, 300, 600]]);
  const clients: Peer[] = [];
  const sends = (client: Peer, request: string): void => void clients.push(client.sends(request));
  let nowMs = 0;
  const passes = (ms: number): void => {
    nowMs += ms;
    stage.network.advance(ms);
    for (const server of servers) server.goOn(nowMs, closesAfterMs);
  };
  // One request to each server, whose connection is gone before the next comes.
  for (const _ of names) {
    sends(stage.client(), GET);
    for (let turn = 0; turn < 100; turn++) passes(20);
  }
  assert.equal(stage.pool.connections, 0);
  const idle: Peer[] = [];
  for (let turn = 0; turn < TURNS; turn++) {
    let peer = random.chance(0.3) ? undefined : idle.pop();
    // It has been idle for too long.
    if (peer === undefined || peer.ended) peer = stage.client();
    sends(peer, random.pick([GET, POST]));
    passes(random.pick([0, 1, LATENCY_MS, 4 * LATENCY_MS, 50]));
    if (random.chance(0.01)) for (let step = 0; step < 600; step++) passes(20);
    for (const one of clients) {
      if (!one.unread.startsWith("HTTP/1.1 200") || idle.includes(one)) continue;
      one.takes();
      idle.push(one);
    }
  }
  for (let turn = 0; turn < 5_000 && stage.ended.length < clients.length; turn++) passes(20);
  for (let turn = 0; turn < 100; turn++) passes(20);
  // One that has not served anybody may rest still.
  const { waiting, connections, idleConnections } = stage.pool;
  assert.equal(waiting + connections - idleConnections, 0, "somebody waits, or has a connection");
  const lost = stage.ended.filter(({ status }) => status !== 200);
  assert.deepEqual(lost, []);
  assert.equal(stage.ended.length, clients.length);
}

test(`a server that closes right behind its answers loses no request once that was seen (${replayHint})`, () => {
  for (let run = 0; run < RUNS; run++) {
    try {
      play(new SeededRandom(seed + run));
    } catch (error) {
      throw new Error(`run ${run}: ${error instanceof Error ? error.message : error}`, { cause: error });
    }
  }
});
