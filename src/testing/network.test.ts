// The simulated network keeps the contract of the ports: batching, backpressure, half-close, resets, dials.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ProxyError } from "../core/errors.ts";
import { QUEUE_HIGH_WATER_BYTES } from "../core/limits.ts";
import type { Connection, ConnectionHandler, DialTarget } from "../core/ports.ts";
import type { NetworkOptions } from "./network.ts";
import { SimulatedNetwork } from "./network.ts";
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

const target = (host: string, port = 80): DialTarget => ({ host, port, tls: null, timeoutMs: 3000 });

function dialled(network: SimulatedNetwork, to: DialTarget) {
  const events: string[] = [];
  const recorder = new Recorder();
  const state: { connection: Connection | null } = { connection: null };
  const pending = network.dial(to, {
    onConnected(connection) {
      events.push("connected");
      state.connection = connection;
      connection.handler = recorder;
    },
    onFailed: (error) => void events.push(error.type),
  });
  return { events, pending, state, recorder };
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

describe("dials", () => {
  it("connect to a listener, in a later turn", () => {
    const network = new SimulatedNetwork();
    const origin = network.origin("origin");
    const { events, state } = dialled(network, target("ORIGIN"));
    assert.deepEqual(events, []);
    const server = origin.accepts();
    assert.deepEqual(events, ["connected"]);
    state.connection!.writeLatin1("hello");
    server.receives("hello");
    assert.equal(state.connection!.remote.address, server.connection.local.address);
    assert.equal(state.connection!.remote.port, 80);
  });

  it("are refused where nobody listens, and fail as configured until healed", () => {
    const network = new SimulatedNetwork();
    const failing = () => {
      const { events } = dialled(network, target("origin"));
      network.run();
      return events;
    };
    assert.deepEqual(failing(), ["connection_refused"]);
    network.origin("origin");
    network.failDials("origin", "dns_error");
    assert.deepEqual(failing(), ["dns_error"]);
    network.failDials("origin", "tls_certificate_error");
    assert.deepEqual(failing(), ["tls_certificate_error"]);
    network.healDials("origin");
    assert.deepEqual(failing(), ["connected"]);
  });

  it("time out on the virtual clock", () => {
    const network = new SimulatedNetwork();
    network.failDials("origin", "connection_timeout");
    const { events } = dialled(network, target("origin"));
    network.advance(2999);
    assert.deepEqual(events, []);
    network.advance(1);
    assert.deepEqual(events, ["connection_timeout"]);
  });

  it("time out when the way is longer than that", () => {
    const network = new SimulatedNetwork({ latencyMs: 2000 });
    network.origin("origin");
    const { events } = dialled(network, target("origin"));
    network.runUntilIdle();
    assert.deepEqual(events, ["connection_timeout"]);
    assert.deepEqual(network.leftovers(), []);
  });

  it("call nobody once cancelled, and leave nothing open", () => {
    const network = new SimulatedNetwork({ latencyMs: 5 });
    const origin = network.origin("origin");
    const early = dialled(network, target("origin"));
    early.pending.cancel();
    network.runUntilIdle();
    const late = dialled(network, target("origin"));
    network.advance(7);
    late.pending.cancel();
    network.runUntilIdle();
    assert.deepEqual([...early.events, ...late.events], []);
    assert.equal(origin.acceptedCount, 1);
    origin.accepts().seesReset();
    assert.deepEqual(network.leftovers(), []);
  });

  it("carry what TLS agreed on, and reach unix sockets", () => {
    const network = new SimulatedNetwork();
    network.origin("secure:443");
    const options = { verify: true, ca: null, cert: null, key: null, minVersion: "TLSv1.2" } as const;
    const tls = { ...options, serverName: "secure", alpn: ["http/1.1"] };
    const secure = dialled(network, { host: "secure", port: 443, tls, timeoutMs: 100 });
    const origin = network.origin("unix:/run/app.sock");
    const unix = dialled(network, target("/run/app.sock", 0));
    network.run();
    assert.equal(secure.state.connection!.tls?.serverName, "secure");
    assert.deepEqual(unix.state.connection!.remote, { family: 0, address: "/run/app.sock", port: 0 });
    assert.equal(origin.acceptedCount, 1);
  });
});

describe("listeners", () => {
  it("stop accepting and leave what exists", async () => {
    const network = new SimulatedNetwork();
    const accepted: Connection[] = [];
    const listener = network.listen("web", (connection) => {
      connection.handler = noCalls;
      accepted.push(connection);
    });
    network.connect("web");
    network.run();
    const waiting = network.connect("web");
    await listener.close();
    waiting.seesReset();
    assert.equal(accepted.length, 1);
    assert.equal(accepted[0]!.closed, false);
    assert.throws(() => network.connect("web"), /nobody listens/);
  });

  it("refuse a place that is taken, and an acceptor that sets no handler", () => {
    const network = new SimulatedNetwork();
    network.listen("web", () => {});
    assert.throws(() => network.listen("web:80", () => {}), /listens on web:80 already/);
    network.connect("web");
    assert.throws(() => network.run(), /handler of a connection must be set/);
  });
});

describe("the order of events", () => {
  it("is replayed by the same seed and differs with another", () => {
    const orderOf = (seed: number) => {
      const network = new SimulatedNetwork({ random: new SeededRandom(seed) });
      const order: string[] = [];
      network.listen("web", (connection) => {
        connection.handler = {
          ...noCalls,
          onBytes: (buffer, start) => void order.push(String.fromCharCode(buffer[start]!)),
        };
      });
      for (const name of "abcdefgh") network.connect("web").sends(name);
      network.run();
      return order.join("");
    };
    assert.equal(orderOf(1), orderOf(1));
    assert.notEqual(orderOf(1), orderOf(2));
    assert.equal([...orderOf(1)].sort().join(""), "abcdefgh");
  });

  it("lets no event run inside of another", () => {
    const { network, client, connection } = connected();
    connection.handler = { ...noCalls, onBytes: () => void network.run() };
    client.sends("x");
    assert.throws(() => network.run(), /inside of another/);
  });

  it("runs what promises wait for in settle(), and real work in until()", async () => {
    const { network, client, connection } = connected();
    connection.handler = {
      ...noCalls,
      onBytes: async () => {
        for (let i = 0; i < 10; i++) await null;
        connection.writeLatin1("after promises");
      },
    };
    client.sends("x");
    client.receivesNothing();
    await network.settle();
    client.receives("after promises");
    let done = false;
    setTimeout(() => (done = true), 1);
    await network.until(() => done);
    assert.ok(done);
  });

  it("keeps time still in run() and moves it in advance()", () => {
    const network = new SimulatedNetwork({ latencyMs: 10 });
    const origin = network.origin("web");
    network.connect("web").sends("x");
    network.run();
    assert.equal(network.clock.now(), 0);
    network.advance(10);
    origin.accepts().receives("x");
    assert.equal(network.clock.now(), 10);
  });
});
