// Servers of all manners, each of which changes: whatever they do with their connections, nobody waits for ever, there are never more
// connections than the maximum, and no place is lost.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Peer, type ScriptedOrigin, SeededRandom, type SimulatedNetwork } from "../../src/testing/index.ts";
import { replayHint, seed } from "../support/seed.ts";
import { createStage, type Stage } from "../support/stage.ts";

const RUNS = Number(process.env.HEADGATE_RUNS ?? 40);
const TURNS = 150;
const LATENCY_MS = 5;
const STEP_MS = 20;
const QUEUE_MS = 5_000;

const REQUESTS = [
  "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
  "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx",
  "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx",
  "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
];
const OK = "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nhi";
const answerWith = (line: string) => OK.replace("Date", `${line}\r\nDate`);
const CLOSING = answerWith("Connection: close");

type End = (connection: Peer) => void;
const ends: End = (connection) => void connection.ends();
const closes: End = (connection) => void connection.closes();
const resets: End = (connection) => void connection.resets();

interface Manner {
  readonly answers: readonly string[];
  /** null: not at all. */
  readonly closesAfterMs: readonly (number | null)[];
  readonly how: readonly End[];
  readonly closesUnanswered: number;
}

const MANNERS: readonly Manner[] = [
  { answers: [OK], closesAfterMs: [null], how: [ends], closesUnanswered: 0 },
  { answers: [OK], closesAfterMs: [0, 20], how: [ends], closesUnanswered: 0 },
  { answers: [OK], closesAfterMs: [20, 300, 700], how: [ends, closes, resets], closesUnanswered: 0 },
  { answers: [OK], closesAfterMs: [0, 900, 1_500, null], how: [ends, resets], closesUnanswered: 0.05 },
  { answers: [OK, CLOSING], closesAfterMs: [0, null], how: [closes], closesUnanswered: 0.1 },
  { answers: [answerWith("Keep-Alive: timeout=2")], closesAfterMs: [2_000], how: [closes], closesUnanswered: 0 },
  { answers: [OK], closesAfterMs: [null], how: [closes, resets], closesUnanswered: 0.3 },
];
const KEEPING = MANNERS[0]!;

class Server {
  readonly connections: Peer[] = [];
  manner: Manner = KEEPING;
  readonly #origin: ScriptedOrigin;
  readonly #random: SeededRandom;
  #closing: { readonly connection: Peer; readonly atMs: number }[] = [];

  constructor(origin: ScriptedOrigin, random: SeededRandom) {
    this.#origin = origin;
    this.#random = random;
  }

  goOn(nowMs: number): void {
    const random = this.#random;
    while (this.connections.length < this.#origin.acceptedCount) this.connections.push(this.#origin.accepts());
    for (const { connection, atMs } of this.#closing) if (atMs <= nowMs) random.pick(this.manner.how)(connection);
    this.#closing = this.#closing.filter(({ atMs }) => atMs > nowMs);
    for (const connection of this.connections) {
      if (connection.ended && !connection.closed) connection.closes();
      if (connection.closed || !/\r\n\r\n/.test(connection.unread) || random.chance(0.5)) continue;
      this.#answer(connection, nowMs);
    }
  }

  #answer(connection: Peer, nowMs: number): void {
    const random = this.#random;
    const { answers, closesAfterMs, how, closesUnanswered } = this.manner;
    connection.takes();
    if (random.chance(closesUnanswered)) return random.pick(how)(connection);
    const answer = random.pick(answers);
    connection.sends(answer);
    if (answer === CLOSING) return void connection.ends();
    const afterMs = random.pick(closesAfterMs);
    if (afterMs !== null) this.#closing.push({ connection, atMs: nowMs + afterMs });
  }

  restarts(): void {
    for (const connection of this.connections) if (!connection.closed) connection.resets();
  }
}

function dialsOf(network: SimulatedNetwork): number {
  return network.leftovers().filter((text) => text.includes("dial")).length;
}

function play(random: SeededRandom): void {
  const names = random.pick([
    ["origin:80"],
    ["origin:80"],
    ["origin:80", "other:80"],
    ["origin:80", "other:80", "third:80"],
  ]);
  const connectionsMax = random.pick([1, 2, 5, null]);
  const retriesMax = random.pick([0, 1, 2]);
  const stage: Stage = createStage({
    servers: names,
    pool: {
      connectionsMax,
      balance: random.pick(["round-robin", "least-connections", "p2c", "random", "hash"]),
      queueMax: random.pick([0, 5, 1_000]),
      queueTimeoutMs: QUEUE_MS,
      lifetimeMs: random.pick([300, 3_600_000]),
      idleMs: random.pick([400, 3_000]),
    },
    upstreamUse: { retriesMax },
    network: { latencyMs: LATENCY_MS },
  });
  const { network, pool } = stage;
  const servers = names.map((name, at) => new Server(at === 0 ? stage.origin : network.origin(name), random));
  const clients: Peer[] = [];
  const idle: Peer[] = [];
  let asked = 0;
  let nowMs = 0;
  const passes = (ms: number): void => {
    nowMs += ms;
    network.advance(ms);
    for (const server of servers) server.goOn(nowMs);
    const made = pool.connections + dialsOf(network);
    assert.ok(connectionsMax === null || made <= connectionsMax * names.length, `${made} connections`);
    for (const client of clients) {
      if (!client.unread.startsWith("HTTP/1.1 ") || idle.includes(client)) continue;
      client.takes();
      if (!client.ended && !client.closed) idle.push(client);
    }
  };
  const asks = (request: string): void => {
    const at = idle.findIndex(({ ended, closed }) => !ended && !closed);
    const client = at >= 0 && random.chance(0.7) ? idle.splice(at, 1)[0]! : stage.client();
    if (!clients.includes(client)) clients.push(client);
    client.sends(request);
    asked++;
  };
  for (let turn = 0; turn < TURNS; turn++) {
    for (let count = random.pick([0, 1, 1, 4]); count > 0; count--) asks(random.pick(REQUESTS));
    if (random.chance(0.05)) random.pick(servers).manner = random.pick(MANNERS);
    if (random.chance(0.02)) random.pick(servers).restarts();
    if (random.chance(0.03))
      network.failDials(
        random.pick(names),
        random.pick(["connection_refused", "connection_timeout", "connection_limit_reached"]),
      );
    if (random.chance(0.1)) for (const name of names) network.healDials(name);
    if (random.chance(0.05) && clients.length > 0) random.pick(clients).closes();
    passes(random.pick([0, 1, LATENCY_MS, STEP_MS, 100]));
    if (random.chance(0.01)) for (let step = 0; step < 600; step++) passes(STEP_MS);
  }
  for (const name of names) network.healDials(name);
  for (const server of servers) server.manner = KEEPING;
  // Longer than dials and the queue take.
  for (let step = 0; step < 700; step++) passes(STEP_MS);
  assert.equal(pool.waiting, 0, "somebody waits");
  assert.equal(stage.ended.length <= asked, true);
  assert.equal(dialsOf(network), 0);
  assert.equal(pool.connections, 0, "a connection is left");
  assert.ok(pool.isEmpty);
  for (const { attempts } of stage.ended) assert.ok(attempts <= 1 + retriesMax);
  for (const client of clients) assert.ok(client.closed || client.ended || idle.includes(client), "a client waits");
  // No place is lost: as many as may at once.
  const together = connectionsMax ?? 5;
  for (let count = 0; count < together * 4; count++) stage.client().sends(REQUESTS[2]!);
  network.advance(3 * LATENCY_MS);
  const [first] = servers;
  if (names.length === 1) {
    const before = first!.connections.length;
    assert.equal(stage.origin.acceptedCount - before, connectionsMax ?? together * 4);
  }
  pool.destroy();
  network.run();
  assert.equal(pool.connections, 0);
  assert.equal(pool.waiting, 0);
}

test(`whatever servers do with their connections, nobody waits for ever and no place is lost (${replayHint})`, () => {
  for (let run = 0; run < RUNS; run++) {
    try {
      play(new SeededRandom(seed + run));
    } catch (error) {
      throw new Error(`run ${run}: ${error instanceof Error ? error.message : error}`, { cause: error });
    }
  }
});
