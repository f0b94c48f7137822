// Leases as whoever asks for them sees them, also one that asks anew or calls off while it is told: each is told once, and nothing is
// left behind.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DeadlineWheel } from "../../src/core/deadlines.ts";
import type { UpstreamHandler, UpstreamStream } from "../../src/pipeline/upstream.ts";
import { type Peer, SeededRandom, SimulatedNetwork } from "../../src/testing/index.ts";
import { Places, placesBytes } from "../../src/upstreams/places.ts";
import { UpstreamPool } from "../../src/upstreams/pool.ts";
import { StandInExchange } from "../support/stand-in-exchange.ts";

const LIFETIME_MS = 30_000;
const sender = new StandInExchange({});

/** The pool of one of two threads, with the other thread's view of the places. */
function createPool(connectionsMax: number) {
  const network = new SimulatedNetwork({ latencyMs: 5 });
  const origin = network.origin("origin:80");
  const deadlines = new DeadlineWheel(network.clock);
  const shape = { servers: 1, columns: 2, buffer: new SharedArrayBuffer(placesBytes({ servers: 1, columns: 2 })) };
  const told: string[] = [];
  const [own, other] = ["own", "other"].map(
    (name, column) => new Places({ ...shape, column, tellOthers: () => void told.push(name) }),
  ) as [Places, Places];
  const another = (max = connectionsMax): UpstreamPool =>
    new UpstreamPool(
      {
        name: "origin",
        servers: [
          { url: "http://origin", scheme: "http", host: "origin", port: 80, authority: "origin", weight: 1, tls: null },
        ],
        balance: "round-robin",
        hashBy: { kind: "client" },
        connectTimeoutMs: 3_000,
        idleMs: 2 * LIFETIME_MS,
        lifetimeMs: LIFETIME_MS,
        connectionsMax: max,
        queueMax: 10,
        queueTimeoutMs: 10 * LIFETIME_MS,
        retryBudgetShare: 0.2,
        retryBudgetMin: 10,
      },
      { dialer: network, clock: network.clock, deadlines, random: new SeededRandom(1), places: () => own },
    );
  return { network, origin, pool: another(), another, other, told };
}

class Asker implements UpstreamHandler {
  readonly streams: UpstreamStream[] = [];
  readonly failures: string[] = [];
  ends = 0;
  whenFailed = (): void => {};

  onStream(stream: UpstreamStream): void {
    this.streams.push(stream);
  }
  onLeaseFailed({ type }: { readonly type: string }): void {
    this.failures.push(type);
    this.whenFailed();
  }
  onUpstreamEnd(): void {
    this.ends++;
  }
  onUpstreamError({ type }: { readonly type: string }): void {
    this.failures.push(type);
    this.whenFailed();
  }
  onUpstreamHead(response: { readonly fields: { release(): void } }): void {
    response.fields.release();
  }
  onUpstreamInformational(): void {}
  onUpstreamBody(): void {}
  onUpstreamBodyAhead(): null {
    return null;
  }
  onUpstreamSwitch(): void {}
  onUpstreamDrain(): void {}
}

/** A connection that has answered one request, and rests. */
function rested(connectionsMax: number) {
  const all = createPool(connectionsMax);
  const { network, origin, pool } = all;
  const asker = new Asker();
  pool.lease(sender, asker);
  network.advance(20);
  const server = origin.accepts();
  answer(all, asker, server);
  return { ...all, server };
}

function send(asker: Asker): void {
  const stream = asker.streams.at(-1)!;
  stream.sendHead(sender, null, { host: "preserve", responseTimeoutMs: 10_000, bodyTimeoutMs: 10_000, retriesMax: 0 });
  stream.end(null);
}

function answer({ network }: { readonly network: SimulatedNetwork }, asker: Asker, server: Peer): void {
  send(asker);
  network.advance(5);
  server.takes();
  server.sends("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  network.advance(5);
}

/** One has a connection, the other had one made and got the first one's: that which is being made is nobody's. */
function withUnasked(connectionsMax: number) {
  const all = rested(connectionsMax);
  const { network, pool, server } = all;
  const [first, second] = [new Asker(), new Asker()];
  pool.lease(sender, first);
  network.failDials("origin:80", "connection_timeout");
  pool.lease(sender, second);
  answer(all, first, server);
  assert.deepEqual([first.ends, second.streams.length, pool.waiting], [1, 1, 0]);
  assert.equal(dials(network), 1);
  return { ...all, second };
}

function dials(network: SimulatedNetwork): number {
  return network.leftovers().filter((text) => text.includes("dial")).length;
}

describe("leases of a pool", () => {
  it("that is closed leave no connection that is being made for nobody", () => {
    const { network, pool, second } = withUnasked(2);
    pool.close();
    assert.equal(dials(network), 0);
    assert.ok(!pool.isEmpty);
    second.streams[0]!.abort(second);
    assert.ok(pool.isEmpty);
  });

  it("that is destroyed are refused, also to who asks anew when it hears of the end", () => {
    const { network, pool, second } = withUnasked(3);
    const third = new Asker();
    const again: Asker[] = [];
    for (const asker of [second, third]) {
      asker.whenFailed = () => {
        const next = new Asker();
        again.push(next);
        pool.lease(sender, next);
      };
    }
    pool.lease(sender, third);
    pool.destroy();
    assert.deepEqual(
      again.map(({ failures }) => failures),
      [["destination_unavailable"], ["destination_unavailable"]],
    );
    assert.deepEqual([dials(network), pool.waiting, pool.isEmpty], [0, 0, true]);
  });

  it("that were called off by one that heard of the end are not refused as well", () => {
    const { pool } = createPool(1);
    const askers = [new Asker(), new Asker(), new Asker()];
    for (const asker of askers) pool.lease(sender, asker);
    for (const asker of askers) {
      asker.whenFailed = () => {
        for (const other of askers) if (other !== asker) pool.cancel(other);
      };
    }
    pool.destroy();
    assert.equal(askers.flatMap(({ failures }) => failures).length, 1);
  });

  it("are granted once, when a connection that rests turns out to be too old", () => {
    const { network, pool, other } = rested(2);
    network.advance(LIFETIME_MS + 2_000);
    const ticket = other.wait();
    const asker = new Asker();
    pool.lease(sender, asker);
    assert.equal(asker.streams.length + dials(network), 0);
    other.waitOver(ticket);
    pool.placesChanged();
    assert.equal(dials(network), 1);
    network.advance(20);
    assert.deepEqual([asker.streams.length, pool.connections], [1, 1]);
  });

  it("do not fail with a connection that was being made before they were asked for", () => {
    const { network, origin, pool } = withUnasked(2);
    network.advance(2_000);
    const asker = new Asker();
    pool.lease(sender, asker);
    assert.equal(dials(network), 1);
    network.healDials("origin:80");
    network.advance(1_000);
    network.advance(20);
    assert.deepEqual([asker.failures, asker.streams.length], [[], 1]);
    origin.accepts();
    assert.equal(dials(network), 0);
  });

  it("fail with their own, which is made once when all of them fail", () => {
    const { network, pool } = withUnasked(2);
    network.advance(2_000);
    const asker = new Asker();
    pool.lease(sender, asker);
    network.advance(3_900);
    assert.deepEqual(asker.failures, []);
    network.advance(200);
    assert.deepEqual(asker.failures, ["connection_timeout"]);
    assert.deepEqual([dials(network), pool.waiting], [0, 0]);
  });

  it("have the place that an earlier pool of the same upstream leaves, in the same thread", () => {
    for (const end of ["abort", "cancel", "fail"] as const) {
      const { network, pool, another } = createPool(1);
      const [old, next] = [new Asker(), new Asker()];
      if (end === "fail") network.failDials("origin:80", "connection_refused");
      pool.lease(sender, old);
      if (end === "abort") network.advance(20);
      pool.close();
      const after = another();
      after.lease(sender, next);
      assert.equal(after.waiting, 1);
      if (end === "abort") old.streams[0]!.abort(old);
      else if (end === "cancel") pool.cancel(old);
      else network.advance(10);
      network.healDials("origin:80");
      network.advance(20);
      assert.equal(next.streams.length, 1, end);
    }
  });

  it("of an earlier pool have the connection that comes to rest, or rests, in a later one of the same thread", () => {
    for (const isBusy of [true, false]) {
      const { network, origin, pool, another } = createPool(1);
      pool.close();
      const after = another();
      const [first, waiting] = [new Asker(), new Asker()];
      after.lease(sender, first);
      network.advance(20);
      const server = origin.accepts();
      if (!isBusy) answer({ network }, first, server);
      pool.lease(sender, waiting);
      if (isBusy) answer({ network }, first, server);
      network.advance(20);
      assert.deepEqual([waiting.streams.length, pool.connections, after.connections], [1, 1, 0]);
    }
  });

  it("of a later pool come behind those of an earlier one that wait, in the same thread", () => {
    const { network, origin, pool, another } = createPool(1);
    const askers = [new Asker(), new Asker(), new Asker()] as const;
    pool.lease(sender, askers[0]);
    network.advance(20);
    pool.lease(sender, askers[1]);
    pool.close();
    const after = another();
    after.lease(sender, askers[2]);
    for (const [index, asker] of askers.entries()) {
      assert.deepEqual(
        askers.map(({ streams }) => streams.length),
        [1, index > 0 ? 1 : 0, index > 1 ? 1 : 0],
      );
      answer({ network }, asker, origin.accepts());
      network.advance(20);
    }
    assert.deepEqual([pool.isEmpty, after.connections, after.waiting], [true, 1, 0]);
  });

  it("of an earlier pool have the maximum of the one that takes its place, and keep nobody from what is free", () => {
    const { network, pool, another } = createPool(1);
    const [first, second, third] = [new Asker(), new Asker(), new Asker()];
    for (const asker of [first, second]) pool.lease(sender, asker);
    const after = another(3);
    pool.close(after.options);
    after.lease(sender, third);
    network.advance(20);
    assert.deepEqual([first.streams.length, second.streams.length, third.streams.length], [1, 1, 1]);
  });

  it("of an earlier pool that are called off let those of a later one have their turn, in the same thread", () => {
    const { network, pool, another } = createPool(1);
    const [first, second, third] = [new Asker(), new Asker(), new Asker()];
    for (const asker of [first, second]) pool.lease(sender, asker);
    pool.close();
    another(2).lease(sender, third);
    network.advance(20);
    assert.deepEqual([second.streams.length, third.streams.length], [0, 0]);
    pool.cancel(second);
    network.advance(20);
    assert.equal(third.streams.length, 1);
  });

  it("of another thread come before a connection that is being made for nobody", () => {
    const { network, pool, other, told } = withUnasked(2);
    told.length = 0;
    assert.ok(!other.isFree(0, 2));
    other.wait();
    assert.deepEqual(told, ["other"]);
    pool.placesChanged();
    assert.equal(dials(network), 0);
    assert.ok(other.take(0, 2));
    assert.ok(!other.isFree(0, 2));
  });

  it("of another thread are not sent after a connection that a request waits for", () => {
    const { network, pool, other, told } = withUnasked(2);
    pool.lease(sender, new Asker());
    told.length = 0;
    other.wait();
    assert.deepEqual(told, []);
    pool.placesChanged();
    assert.equal(dials(network), 1);
  });

  it("that wait again where no socket was left are not in each other's way, while another thread waits", () => {
    const { network, pool, other } = createPool(1);
    const [first, second, third] = [new Asker(), new Asker(), new Asker()];
    pool.lease(sender, first);
    network.advance(20);
    pool.lease(sender, second);
    pool.lease(sender, third);
    const ticket = other.wait();
    network.failDials("origin:80", "connection_limit_reached");
    first.streams[0]!.abort(first);
    network.advance(50);
    assert.equal(pool.waiting, 2, "the second one was first, found no socket, and waits as the first again");
    network.healDials("origin:80");
    assert.ok(other.othersComeFirst(ticket, 1));
    network.advance(1_000);
    assert.deepEqual([second.streams.length, third.streams.length], [1, 0]);
  });
});
