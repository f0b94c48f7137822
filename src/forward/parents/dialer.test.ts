// Connections through a parent, on a network without sockets: what becomes of them in every stage, and that nothing is left behind.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { replayHint, seed } from "../../../test/support/seed.ts";
import { DeadlineWheel } from "../../core/deadlines.ts";
import type { ProxyError } from "../../core/errors.ts";
import type { Connection, DialHandler, DialTarget, DialTls, PendingDial, TlsLayer } from "../../core/ports.ts";
import { SimulatedNetwork } from "../../testing/network.ts";
import { SeededRandom } from "../../testing/seeded-random.ts";
import { ParentConnections, ParentTunnels, ParentUnreachable, type TunnelDialHandler } from "./dialer.ts";
import { Parent } from "./parent.ts";
import { parseParentUrl } from "./url.ts";

const TARGET: DialTarget = { host: "a.example", port: 443, tls: null, timeoutMs: 1_000 };
const ORIGIN_TLS = { serverName: "a.example" } as DialTls;
const CONNECT = "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\n\r\n";

/** Told what became of a dial; what a connection brings is kept. */
class Outcome implements TunnelDialHandler {
  connection: Connection | null = null;
  early = "";
  received = "";
  error: ProxyError | null = null;
  calls = 0;

  onConnected(connection: Connection, early?: Buffer): void {
    this.calls++;
    this.connection = connection;
    this.early = early?.toString("latin1") ?? "";
    connection.handler = {
      onBytes: (buffer, start, end) => {
        this.received += buffer.toString("latin1", start, end);
      },
      onDrain: () => {},
      onEnd: () => connection.destroy(),
      onClose: () => {},
    };
  }

  onFailed(error: ProxyError): void {
    this.calls++;
    this.error = error;
  }
}

/** Stands for TLS: says what it was given, and hands the connection on when it is told to. */
class LayerUnderTest implements TlsLayer {
  asked: { readonly early: string; readonly timeoutMs: number; readonly serverName: string } | null = null;
  cancelled = false;
  finish: () => void = () => {};

  serve(): PendingDial {
    throw new Error("nobody is served here");
  }

  connect(connection: Connection, early: Buffer, tls: DialTls, timeoutMs: number, handler: DialHandler): PendingDial {
    this.asked = { early: early.toString("latin1"), timeoutMs, serverName: tls.serverName };
    this.finish = () => handler.onConnected(connection);
    return {
      cancel: () => {
        this.cancelled = true;
        connection.destroy();
      },
    };
  }
}

function stage(url = "http://parent:3128", network = new SimulatedNetwork()) {
  const deadlines = new DeadlineWheel(network.clock);
  const tlsLayer = new LayerUnderTest();
  const around = { dialer: network, clock: network.clock, deadlines, tlsLayer };
  const parent = new Parent("p", parseParentUrl(url)!, null);
  const tunnels = new ParentTunnels(parent, around, null);
  const begin = (target: DialTarget = TARGET) => {
    const outcome = new Outcome();
    return { outcome, pending: tunnels.dialTunnel(target, null, outcome) };
  };
  const assertNothingLeft = (what = "") => {
    network.runUntilIdle();
    // The proxy may keep its own end.
    const ours = network.leftovers().filter((open) => /^(198\.51\.100\.1|a dial)/.test(open));
    assert.deepEqual(ours, [], what);
    assert.equal(deadlines.armedCount, 0, what);
  };
  const isAvoided = () => !parent.mayBeTried(network.clock.now());
  return { network, tlsLayer, around, parent, tunnels, begin, assertNothingLeft, isAvoided };
}

describe("a tunnel through an HTTP proxy", () => {
  it("is the handler's, with what came behind the answer, and what comes later", () => {
    const { network, begin, assertNothingLeft, isAvoided } = stage();
    const origin = network.origin("parent:3128");
    const { outcome } = begin();
    const proxy = origin.accepts();
    proxy.receives(CONNECT);
    proxy.sends(`${OK}early`);
    network.run();
    assert.deepEqual([outcome.calls, outcome.early], [1, "early"]);
    proxy.sends("later");
    network.run();
    assert.equal(outcome.received, "later");
    assert.equal(isAvoided(), false);
    outcome.connection!.destroy();
    assertNothingLeft();
  });

  it("gives what came early to TLS, with the time that is left", () => {
    const { network, tlsLayer, begin, assertNothingLeft } = stage();
    const origin = network.origin("parent:3128");
    const { outcome } = begin({ ...TARGET, tls: ORIGIN_TLS });
    const proxy = origin.accepts();
    proxy.receives(CONNECT);
    network.advance(400);
    proxy.sends(`${OK}\x16`);
    network.run();
    assert.deepEqual(tlsLayer.asked, { early: "\x16", timeoutMs: 600, serverName: "a.example" });
    assert.equal(outcome.calls, 0);
    tlsLayer.finish();
    assert.equal(outcome.calls, 1);
    outcome.connection!.destroy();
    assertNothingLeft();
  });

  it("for who asks first, must not begin to speak", () => {
    const { network, tunnels, assertNothingLeft } = stage();
    const origin = network.origin("parent:3128");
    const outcome = new Outcome();
    tunnels.dial(TARGET, outcome);
    const proxy = origin.accepts();
    proxy.receives(CONNECT);
    proxy.sends(`${OK}early`);
    network.run();
    assert.match(outcome.error!.message, /a\.example:443 spoke before it was asked/);
    assertNothingLeft();
  });

  it("fails when the proxy cannot be reached, which is avoided then", () => {
    const { network, begin, assertNothingLeft, isAvoided } = stage();
    network.failDials("parent:3128");
    const { outcome } = begin();
    network.run();
    assert.ok(outcome.error instanceof ParentUnreachable);
    assert.match(outcome.error.message, /^proxy http:\/\/parent:3128: /);
    assert.ok(isAvoided());
    assertNothingLeft();
  });

  it("fails in time when the proxy says nothing, or only the half", () => {
    for (const said of ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 100 Continue\r\n\r\n"]) {
      const { network, begin, assertNothingLeft, isAvoided } = stage();
      const origin = network.origin("parent:3128");
      const { outcome } = begin();
      const proxy = origin.accepts();
      proxy.receives(CONNECT);
      network.advance(900);
      proxy.sends(said);
      network.run();
      assert.equal(outcome.calls, 0);
      network.advance(250);
      assert.ok(outcome.error instanceof ParentUnreachable);
      assert.equal(outcome.error.type, "connection_timeout");
      assert.ok(isAvoided());
      assertNothingLeft();
    }
  });

  it("that the proxy refuses closes the connection, and the proxy is not avoided", () => {
    const { network, begin, assertNothingLeft, isAvoided } = stage();
    const origin = network.origin("parent:3128");
    const { outcome } = begin();
    const proxy = origin.accepts();
    proxy.receives(CONNECT);
    proxy.sends("HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\n");
    network.run();
    assert.ok(!(outcome.error instanceof ParentUnreachable));
    const { status, retryable, reason } = outcome.error!;
    assert.deepEqual([status, retryable, reason], [403, false, "parent_denied"]);
    assert.equal(isAvoided(), false);
    assertNothingLeft();
  });

  it("is given up in every stage without a call and without anything left", () => {
    for (const stages of [0, 1, 2, 3]) {
      const { network, tlsLayer, begin, assertNothingLeft } = stage();
      const origin = network.origin("parent:3128");
      const { outcome, pending } = begin({ ...TARGET, tls: ORIGIN_TLS });
      if (stages > 0) {
        const proxy = origin.accepts();
        proxy.receives(CONNECT);
        if (stages > 1) proxy.sends(stages === 2 ? "HTTP/1.1 2" : OK);
        network.run();
      }
      pending.cancel();
      pending.cancel();
      assert.equal(tlsLayer.cancelled, stages === 3);
      assertNothingLeft(`stage ${stages}`);
      assert.equal(outcome.calls, 0);
    }
  });
});

describe("a tunnel through a SOCKS proxy", () => {
  it("names the host, waits for each answer, and gives what came early", () => {
    const { network, begin, assertNothingLeft } = stage("socks5://u:p@parent:1080");
    const origin = network.origin("parent:1080");
    const { outcome } = begin();
    const proxy = origin.accepts();
    proxy.receives(Buffer.from([5, 2, 0, 2]));
    proxy.sends(Buffer.from([5, 2]));
    proxy.receives(Buffer.from([1, 1, 0x75, 1, 0x70]));
    proxy.sends(Buffer.from([1, 0]));
    proxy.receives(Buffer.from([5, 1, 0, 3, 9, ...Buffer.from("a.example"), 1, 0xbb]));
    proxy.sends(Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0x41]));
    network.run();
    assert.deepEqual([outcome.calls, outcome.early], [1, "A"]);
    outcome.connection!.destroy();
    assertNothingLeft();
  });

  it("fails for a host that SOCKS cannot name", () => {
    const { network, begin, assertNothingLeft, isAvoided } = stage("socks5://parent:1080");
    network.origin("parent:1080");
    const { outcome } = begin({ ...TARGET, host: "a".repeat(255) });
    network.run();
    assert.match(outcome.error!.message, /SOCKS cannot name the host/);
    assert.equal(isAvoided(), false);
    assertNothingLeft();
  });
});

it("connections to the proxy itself go to it, whatever they are for, and tell of its health", () => {
  const { network, around, parent, assertNothingLeft, isAvoided } = stage();
  const connections = new ParentConnections(parent, around);
  network.failDials("parent:3128");
  const failed = new Outcome();
  connections.dial(TARGET, failed);
  network.run();
  assert.ok(failed.error instanceof ParentUnreachable);
  assert.ok(isAvoided());
  network.healDials("parent:3128");
  network.origin("parent:3128");
  const connected = new Outcome();
  connections.dial(TARGET, connected);
  network.run();
  assert.equal(connected.calls, 1);
  assert.equal(isAvoided(), false);
  connected.connection!.destroy();
  assertNothingLeft();
});

it("whatever a proxy says, and whenever it ends: one call, and nothing left", () => {
  for (let round = 0; round < 400; round++) {
    const random = new SeededRandom(seed + round);
    const network = new SimulatedNetwork({ random, fragmentation: "random", latencyMs: random.below(200) });
    const isSocks = random.chance(0.3);
    const { begin, assertNothingLeft } = stage(isSocks ? "socks5://parent:3128" : "http://parent:3128", network);
    network.listen("parent:3128", (connection) => {
      const answer = isSocks
        ? Buffer.from([5, 0, 5, 0, 0, 1, 1, 2, 3, 4, 5, 6, 0x41])
        : Buffer.from(`HTTP/1.1 ${random.pick(["200", "100", "502"])} OK\r\nA: b\r\n\r\n${OK}A`);
      if (random.chance(0.5)) answer[random.below(answer.length)] = random.below(256);
      let said = 0;
      const speak = (): void => {
        const next = Math.min(answer.length, said + 1 + random.below(answer.length));
        connection.write(answer, said, next);
        said = next;
        if (random.chance(0.2)) connection.end();
        else if (random.chance(0.1)) connection.destroy(undefined, random.chance(0.5));
      };
      connection.handler = { onBytes: speak, onDrain() {}, onEnd: () => connection.destroy(), onClose() {} };
      if (random.chance(0.1)) speak();
    });
    const { outcome, pending } = begin();
    if (random.chance(0.2)) {
      network.clock.after(random.below(900), () => {
        if (outcome.calls === 0) {
          pending.cancel();
          outcome.calls++;
        }
      });
    }
    const what = `${replayHint}, round ${round}`;
    network.advance(2_000);
    assert.equal(outcome.calls, 1, what);
    outcome.connection?.destroy();
    assertNothingLeft(what);
  }
});
