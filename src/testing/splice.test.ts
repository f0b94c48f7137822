// A simulated splice keeps the contract of the port: unseen, bounded, counted, in order, and over when either end is.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ProxyError } from "../core/errors.ts";
import type { Connection, ConnectionHandler, Splice } from "../core/ports.ts";
import { type NetworkOptions, SimulatedNetwork } from "./network.ts";
import { SeededRandom } from "./seeded-random.ts";

class Recorder implements ConnectionHandler {
  readonly calls: string[] = [];
  onBytes(buffer: Buffer, start: number, end: number): void {
    this.calls.push(`bytes ${buffer.toString("latin1", start, end)}`);
  }
  onDrain(): void {
    this.calls.push("drain");
  }
  onEnd(): void {
    this.calls.push("end");
  }
  onClose(error: ProxyError | null): void {
    this.calls.push(error === null ? "close" : `close ${error.type}`);
  }
  onSpliced(): void {
    this.calls.push("spliced");
  }
}

/** Two connections to the same place; what comes from `left` can be spliced to `right`. */
function pair(options: NetworkOptions = {}) {
  const network = new SimulatedNetwork({ splices: true, ...options });
  const accepted: Connection[] = [];
  const recorders = [new Recorder(), new Recorder()] as const;
  network.listen("web", (connection) => {
    connection.handler = recorders[accepted.length]!;
    accepted.push(connection);
  });
  const left = network.connect("web");
  network.advance(2 * network.latencyMs);
  const right = network.connect("web");
  network.advance(2 * network.latencyMs);
  const [from, to] = accepted as [Connection, Connection];
  return { network, left, right, from, to, recorders, calls: recorders[0].calls };
}

function splice(world: ReturnType<typeof pair>, bytes = Number.POSITIVE_INFINITY): Splice {
  const made = world.from.spliceTo(world.to, bytes, world.recorders[0]);
  assert.ok(made !== null);
  return made;
}

describe("a splice", () => {
  it("hands on what comes, behind what was written, and shows none of it", () => {
    const world = pair();
    world.to.writeLatin1("written ");
    const { receivedBytes, sentBytes } = splice(world);
    assert.deepEqual([receivedBytes, sentBytes], [0, 0]);
    world.left.sends("spliced");
    world.right.receives("written spliced");
    assert.deepEqual(world.calls, []);
  });

  it("of a number of bytes is over behind them: the rest is shown", () => {
    const world = pair();
    const made = splice(world, 5);
    world.left.sends("12345678");
    world.right.receives("12345");
    assert.deepEqual(world.calls, ["spliced", "bytes 678"]);
    assert.deepEqual([made.receivedBytes, made.sentBytes], [5, 5]);
    world.to.writeLatin1("afterwards");
    world.right.receives("afterwards");
  });

  it("tells the peer's end when everything before it was handed on, and nothing else then", () => {
    const world = pair({ kernelBufferBytes: 100 });
    const made = splice(world, 5_000);
    world.right.stopsReading();
    world.left.sends("x".repeat(1_000)).ends();
    world.network.run();
    assert.deepEqual(world.calls, []);
    assert.ok(made.sentBytes < made.receivedBytes);
    world.right.readsOn().receives("x".repeat(1_000));
    assert.deepEqual(world.calls, ["end"]);
    world.to.end();
    world.right.seesEnd();
    assert.deepEqual([made.receivedBytes, made.sentBytes], [1_000, 1_000]);
  });

  it("that has handed on all it was asked for tells so before the peer's end", () => {
    const world = pair();
    splice(world, 5);
    world.left.sends("12345").ends();
    world.right.receives("12345");
    assert.deepEqual(world.calls, ["spliced", "end"]);
  });

  it("holds back a fast sender, and holds little itself", () => {
    const world = pair({ kernelBufferBytes: 1_000 });
    const made = splice(world);
    world.right.stopsReading();
    world.left.sends("x".repeat(500_000));
    world.network.run();
    assert.equal(made.receivedBytes - made.sentBytes, 64 * 1024);
    assert.ok(world.left.connection.queuedBytes > 400_000);
    world.right.readsOn();
    assert.equal(world.right.takes().length, 500_000);
    assert.deepEqual([made.receivedBytes, made.sentBytes], [500_000, 500_000]);
  });

  it("waits while the connection is paused", () => {
    const world = pair();
    world.from.pause();
    splice(world);
    world.left.sends("bytes");
    world.right.receivesNothing();
    world.from.resume();
    world.right.receives("bytes");
  });

  it("is over when where it goes to closes: what was in between is lost, what comes is shown, the counts stay", () => {
    const world = pair({ kernelBufferBytes: 10 });
    const made = splice(world);
    world.right.stopsReading();
    world.left.sends("x".repeat(30));
    world.network.run();
    assert.deepEqual([made.receivedBytes, made.sentBytes], [30, 10]);
    world.to.destroy();
    world.left.sends("shown");
    world.network.run();
    assert.deepEqual(world.calls, ["bytes shown"]);
    assert.deepEqual([made.receivedBytes, made.sentBytes], [30, 10]);
  });

  it("is over when where it comes from breaks", () => {
    const world = pair();
    splice(world);
    world.left.resets();
    world.network.run();
    assert.deepEqual(world.calls, ["close connection_terminated"]);
    world.to.writeLatin1("still open");
    world.right.receives("still open");
  });

  it("goes both ways between two connections, each way by itself", () => {
    const world = pair();
    splice(world);
    assert.ok(world.to.spliceTo(world.from, 3, world.recorders[1]) !== null);
    world.left.sends("there").ends();
    world.right.sends("back");
    world.right.receives("there");
    world.left.receives("bac");
    assert.deepEqual(world.recorders[1].calls, ["spliced", "bytes k"]);
  });

  it("bears nobody else who writes, nor a second one", () => {
    const world = pair();
    splice(world);
    assert.throws(() => world.to.writeLatin1("between"), /nobody else writes/);
    assert.throws(() => world.to.end(), /nobody else writes/);
    assert.throws(() => splice(world), /spliced already/);
  });

  it("is not there where one of the two is closed, or where the network has none", () => {
    const closed = pair();
    closed.to.destroy();
    assert.equal(closed.from.spliceTo(closed.to, 5, closed.recorders[0]), null);
    const without = pair({ splices: false });
    assert.equal(without.from.spliceTo(without.to, 5, without.recorders[0]), null);
  });

  it("by chance moves every byte once and in order, in whatever pieces", () => {
    for (let seed = 0; seed < 50; seed++) {
      const random = new SeededRandom(seed);
      const world = pair({
        random,
        fragmentation: "random",
        kernelBufferBytes: random.between(1, 2_000),
        latencyMs: random.pick([0, 5]),
      });
      const sent = Array.from({ length: 500 }, (_, index) => `${index};`).join("");
      const bytes = random.between(1, sent.length - 1);
      world.to.writeLatin1("first;");
      splice(world, bytes);
      world.left.sends(sent).ends();
      world.network.advance(1_000_000);
      world.right.receives(`first;${sent.slice(0, bytes)}`);
      const [done, ...shown] = world.calls;
      assert.equal(done, "spliced");
      assert.equal(shown.pop(), "end");
      assert.equal(shown.map((call) => call.slice("bytes ".length)).join(""), sent.slice(bytes), `seed ${seed}`);
    }
  });
});
