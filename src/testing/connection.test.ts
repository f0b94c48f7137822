// An end of a simulated connection keeps the contract of the port: batching, backpressure, half-close, resets.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ProxyError } from "../core/errors.ts";
import { QUEUE_HIGH_WATER_BYTES } from "../core/limits.ts";
import type { Connection, ConnectionHandler } from "../core/ports.ts";
import { type NetworkOptions, SimulatedNetwork } from "./network.ts";
import { SeededRandom } from "./seeded-random.ts";

/** Writes down every call; keeps what it must not keep, too. */
class Recorder implements ConnectionHandler {
  readonly calls: string[] = [];
  readonly kept: Buffer[] = [];
  onBytes(buffer: Buffer, start: number, end: number): void {
    this.calls.push(`bytes ${buffer.toString("latin1", start, end)}`);
    this.kept.push(buffer.subarray(start, end));
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
}

/** A listener's end with a recorder on it, and the client that a test plays. */
function connected(options: NetworkOptions = {}) {
  const network = new SimulatedNetwork(options);
  const recorder = new Recorder();
  let accepted: Connection | null = null;
  network.listen("web", (connection) => {
    accepted = connection;
    connection.handler = recorder;
  });
  const client = network.connect("web");
  network.advance(2 * network.latencyMs);
  return { network, recorder, client, connection: accepted as unknown as Connection, calls: recorder.calls };
}

describe("bytes", () => {
  it("arrive in order, both ways, after the call that wrote them", () => {
    const { network, client, connection, calls } = connected();
    client.sends("one").sends(Buffer.from("two"));
    assert.deepEqual(calls, []);
    network.run();
    assert.deepEqual(calls, ["bytes onetwo"]);
    connection.writeLatin1("caf\xe9");
    connection.write(Buffer.from("-answer-"), 1, 7);
    client.receives("caf\xe9answer");
  });

  it("are copied by write: the caller's buffer may change at once", () => {
    const { client, connection } = connected();
    const bytes = Buffer.from("first");
    connection.write(bytes);
    bytes.fill(0x78);
    client.receives("first");
  });

  it("are gone when the call has returned, and stand among junk while it lasts", () => {
    const { network, client, recorder, connection } = connected();
    const around = new Set<number>();
    connection.handler = {
      ...noCalls,
      onBytes(buffer, start, end) {
        assert.ok(start > 0 && buffer.length > end);
        around.add(buffer[end]!).add(buffer[start - 1]!);
        recorder.onBytes(buffer, start, end);
      },
    };
    for (let i = 0; i < 12; i++) {
      client.sends("kept");
      network.run();
    }
    assert.equal(recorder.calls.length, 12);
    assert.ok(around.size >= 4, "junk varies");
    for (const kept of recorder.kept) assert.notEqual(kept.toString("latin1"), "kept");
  });

  it("come byte by byte when asked to", () => {
    const { network, client, calls } = connected({ fragmentation: "bytes" });
    client.sends("abc");
    network.run();
    assert.deepEqual(calls, ["bytes a", "bytes b", "bytes c"]);
  });

  it("come in random pieces that add up, replayed by the same seed", () => {
    const piecesOf = (seed: number) => {
      const { network, client, calls } = connected({ fragmentation: "random", random: new SeededRandom(seed) });
      client.sends("x".repeat(500));
      network.run();
      assert.equal(calls.map((call) => call.slice(6)).join("").length, 500);
      return calls;
    };
    assert.deepEqual(piecesOf(1), piecesOf(1));
    assert.notDeepEqual(piecesOf(1), piecesOf(2));
    assert.ok(piecesOf(1).length > 1);
  });

  it("take the latency of the way", () => {
    const { network, client, calls } = connected({ latencyMs: 30 });
    client.sends("x");
    network.advance(29);
    assert.deepEqual(calls, []);
    network.advance(1);
    assert.deepEqual(calls, ["bytes x"]);
  });
});

const noCalls: ConnectionHandler = { onBytes() {}, onDrain() {}, onEnd() {}, onClose() {} };

describe("backpressure", () => {
  it("queues what the kernels do not take, and says when all is gone", () => {
    const { network, client, connection, calls } = connected({ kernelBufferBytes: 10_000 });
    client.stopsReading();
    connection.write(Buffer.alloc(10_000 + QUEUE_HIGH_WATER_BYTES));
    network.run();
    assert.equal(connection.queuedBytes, QUEUE_HIGH_WATER_BYTES);
    client.readsOn();
    assert.equal(client.takes().length, 10_000 + QUEUE_HIGH_WATER_BYTES);
    assert.equal(connection.queuedBytes, 0);
    assert.deepEqual(calls, ["drain"]);
  });

  it("does not report a drain when the queue never was above the mark", () => {
    const { network, client, connection, calls } = connected({ kernelBufferBytes: 1 });
    client.stopsReading();
    connection.write(Buffer.alloc(QUEUE_HIGH_WATER_BYTES));
    network.run();
    client.readsOn();
    network.run();
    assert.equal(connection.queuedBytes, 0);
    assert.deepEqual(calls, []);
  });

  it("delivers nothing to a paused end, FIN included, and everything once it resumes", () => {
    const { network, client, connection, calls } = connected();
    connection.pause();
    client.sends("later").ends();
    network.run();
    assert.deepEqual(calls, []);
    connection.resume();
    connection.resume();
    network.run();
    assert.deepEqual(calls, ["bytes later", "end"]);
  });

  it("stops between two deliveries when the handler pauses in the first", () => {
    const { network, client, connection, recorder } = connected({ fragmentation: "bytes" });
    connection.handler = {
      ...noCalls,
      onBytes(buffer, start, end) {
        recorder.onBytes(buffer, start, end);
        connection.pause();
      },
    };
    client.sends("ab");
    network.run();
    assert.deepEqual(recorder.calls, ["bytes a"]);
  });
});

describe("the end of a connection", () => {
  it("is one-sided after FIN: the other side still sends", () => {
    const { client, connection, calls } = connected();
    client.sends("question").ends();
    client.staysOpen();
    assert.deepEqual(calls, ["bytes question", "end"]);
    connection.writeLatin1("answer");
    connection.end();
    connection.writeLatin1("never");
    client.receives("answer");
    client.seesEnd();
    assert.deepEqual(calls, ["bytes question", "end", "close"]);
    assert.ok(connection.closed);
  });

  it("keeps what was queued before end()", () => {
    const { network, client, connection } = connected({ kernelBufferBytes: 4 });
    client.stopsReading();
    connection.writeLatin1("0123456789");
    connection.end();
    network.run();
    client.readsOn();
    client.receives("0123456789");
    client.seesEnd();
  });

  it("comes once, later than destroy(), with its error; queued bytes are lost", () => {
    const { network, client, connection, calls } = connected();
    connection.writeLatin1("lost");
    connection.destroy();
    connection.destroy();
    assert.ok(connection.closed);
    assert.deepEqual(calls, []);
    connection.write(Buffer.from("ignored"));
    connection.end();
    connection.resume();
    network.run();
    assert.deepEqual(calls, ["close"]);
    client.receivesNothing().seesEnd();
  });

  it("is a reset when asked for", () => {
    const { client, connection } = connected();
    connection.writeLatin1("lost");
    connection.destroy(undefined, true);
    client.receivesNothing().seesReset();
  });

  it("is a reset for a side whose bytes were not read (RFC 2525 section 2.17)", () => {
    const { network, client, connection } = connected();
    connection.pause();
    client.sends("never read");
    network.run();
    connection.destroy();
    client.seesReset();
  });

  it("is a reset for a side that writes to one that is gone", () => {
    const { network, client, connection, calls } = connected();
    client.closes();
    network.run();
    assert.deepEqual(calls, ["end"]);
    connection.writeLatin1("who reads this?");
    network.run();
    assert.deepEqual(calls, ["end", "close connection_terminated"]);
  });

  it("reaches a paused side by RST, and an unpaused one behind what came before", () => {
    const paused = connected();
    paused.connection.pause();
    paused.client.sends("unread").resets();
    paused.network.run();
    assert.deepEqual(paused.calls, ["close connection_terminated"]);
    const reading = connected();
    reading.client.sends("read");
    reading.network.run();
    reading.client.resets();
    reading.network.run();
    assert.deepEqual(reading.calls, ["bytes read", "close connection_terminated"]);
  });

  it("comes after so many bytes when a fault is set, for both sides", () => {
    const { network, client, calls } = connected();
    client.breaksAfter(3).sends("abcdef");
    network.run();
    assert.deepEqual(calls, ["bytes abc", "close connection_terminated"]);
    client.seesReset();
    assert.deepEqual(network.leftovers(), []);
  });

  it("gives the calls to the handler that is there at the time", () => {
    const { network, client, connection, calls } = connected();
    const second = new Recorder();
    client.sends("a");
    network.run();
    connection.handler = second;
    client.sends("b").ends();
    network.run();
    assert.deepEqual(calls, ["bytes a"]);
    assert.deepEqual(second.calls, ["bytes b", "end"]);
  });
});

describe("a file", () => {
  const file = Buffer.from("0123456789");
  const files = {
    read: (_descriptor: number, at: number, length: number) =>
      at + length > 10 ? null : file.subarray(at, at + length),
  };

  it("leaves in order, and is given back later, when all of it has left", () => {
    const { network, client, connection, calls } = connected({ files, kernelBufferBytes: 4 });
    client.stopsReading();
    connection.writeLatin1("<");
    connection.sendFile(3, 2, 5, () => calls.push("given back"));
    connection.writeLatin1(">");
    assert.deepEqual([calls, connection.queuedBytes], [[], 7]);
    network.run();
    assert.deepEqual([calls, connection.unsentBytes], [[], 3]);
    client.readsOn().receives("<23456>");
    assert.deepEqual(calls, ["given back"]);
  });

  it("is given back when the connection closes, at once or later, and what was lost is known", () => {
    const { network, connection, calls } = connected({ files, kernelBufferBytes: 4 });
    connection.sendFile(3, 0, 10, () => calls.push("given back"));
    network.run();
    const other = connected({ files });
    other.connection.sendFile(3, 0, 10, () => other.calls.push("first"));
    other.connection.destroy();
    other.connection.sendFile(3, 0, 10, () => other.calls.push("second"));
    assert.deepEqual([other.calls, other.connection.unsentBytes], [[], 10]);
    other.network.run();
    other.connection.sendFile(3, 0, 10, () => other.calls.push("third"));
    assert.deepEqual(other.calls, ["close", "first", "second"]);
    other.network.run();
    assert.equal(other.calls.pop(), "third");
  });

  it("that is shorter, or cannot be read, closes with an error and a reset", () => {
    const { client, connection, calls } = connected({ files });
    connection.sendFile(3, 8, 3, () => calls.push("given back"));
    client.seesReset();
    assert.deepEqual(calls, ["close proxy_internal_error", "given back"]);
  });

  it("does not exist where there are none, and nobody may believe that it was sent", () => {
    assert.throws(() => connected().connection.sendFile(3, 0, 1, () => {}), /no files/);
  });
});
