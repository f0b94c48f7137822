// Dials, listeners and the order of events on the simulated network.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ProxyError } from "../core/errors.ts";
import type { Connection, ConnectionHandler, DialTarget } from "../core/ports.ts";
import { SimulatedNetwork } from "./network.ts";
import { SeededRandom } from "./seeded-random.ts";

const noCalls: ConnectionHandler = { onBytes() {}, onDrain() {}, onEnd() {}, onClose() {} };

/** A listener's end without a purpose yet, and the client that a test plays. */
function connected() {
  const network = new SimulatedNetwork();
  let accepted: Connection | null = null;
  network.listen("web", (connection) => {
    accepted = connection;
    connection.handler = noCalls;
  });
  const client = network.connect("web");
  network.run();
  return { network, client, connection: accepted as unknown as Connection };
}

const target = (host: string, port = 80): DialTarget => ({ host, port, tls: null, timeoutMs: 3000 });

function dialled(network: SimulatedNetwork, to: DialTarget) {
  const events: string[] = [];
  const state: { connection: Connection | null } = { connection: null };
  const pending = network.dial(to, {
    onConnected(connection) {
      events.push("connected");
      state.connection = connection;
      connection.handler = noCalls;
    },
    onFailed: (error) => void events.push(error.type),
  });
  return { events, pending, state };
}

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

  it("go only to addresses that the target's filter admits", () => {
    const network = new SimulatedNetwork();
    network.listen("origin", () => assert.fail("it connected"));
    const asked: string[] = [];
    const addresses = {
      refusalOf: (address: string) => {
        asked.push(address);
        return new ProxyError("destination_ip_prohibited", address);
      },
    };
    const { events } = dialled(network, { ...target("origin"), addresses });
    network.run();
    assert.deepEqual(events, ["destination_ip_prohibited"]);
    assert.deepEqual(asked, ["10.0.0.1"]);
    assert.deepEqual(network.leftovers(), []);
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
