// Who gives a body stops when the one who takes it is slow: whatever gives it, and through whatever it passes.
import assert from "node:assert/strict";
import { it } from "node:test";
import { QUEUE_HIGH_WATER_BYTES } from "../../src/core/limits.ts";
import type { BodySink } from "../../src/pipeline/body.ts";
import { PassThrough } from "../../src/pipeline/body.ts";
import type { Feature } from "../../src/pipeline/phases.ts";
import { createTestProxy, SimulatedNetwork, type TestProxyOptions } from "../../src/testing/index.ts";
import { describeBothWays } from "../support/both-ways.ts";

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const PIECE = Buffer.alloc(16_384, "b");
const TRANSFORMING: Feature = {
  name: "transforming",
  requestBody: (_exchange, next, source) => new PassThrough(next, source),
  upstreamResponseBody: (_exchange, next, source) => new PassThrough(next, source),
  responseBody: (_exchange, next, source) => new PassThrough(next, source),
};

/** Gives `pieces` pieces, one in each turn, unless it is paused. */
function producing(pieces: number, given: { pieces: number }) {
  return (sink: BodySink) => {
    let paused = false;
    const give = () => {
      while (!paused && given.pieces < pieces) {
        given.pieces++;
        sink.write(PIECE, 0, PIECE.length);
      }
      if (!paused) sink.end();
    };
    queueMicrotask(give);
    return {
      pause() {
        paused = true;
      },
      resume() {
        paused = false;
        queueMicrotask(give);
      },
    };
  };
}

function proxyThat(splices: boolean, options: TestProxyOptions = {}) {
  return createTestProxy({ network: new SimulatedNetwork({ splices }), ...options });
}

for (const [name, use] of [
  ["straight", []],
  ["through transforms", [TRANSFORMING, TRANSFORMING]],
] as const) {
  describeBothWays(`backpressure, ${name}`, (splices) => {
    it("stops a body of our own while the client does not read", async () => {
      const given = { pieces: 0 };
      const proxy = proxyThat(splices, {
        use: [
          ...use,
          {
            name: "answering",
            request: (exchange) => void exchange.respond({ status: 200, body: producing(100, given) }),
          },
        ],
      });
      const client = proxy.connect().stopsReading().sends(GET);
      await proxy.network.settle();
      assert.ok(
        given.pieces * PIECE.length < QUEUE_HIGH_WATER_BYTES + 6 * PIECE.length,
        `${given.pieces} pieces given`,
      );
      client.readsOn();
      await proxy.network.settle();
      assert.equal(given.pieces, 100);
      assert.ok(client.unread.endsWith("\r\n0\r\n\r\n"));
      assert.deepEqual(proxy.finish(), []);
    });

    it("stops the origin while the client does not read", () => {
      const proxy = proxyThat(splices, { use });
      const client = proxy.connect().stopsReading().sends(GET);
      const server = proxy.origin.accepts();
      server.receivesHead();
      server.sends("HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n").sends(Buffer.alloc(2_000_000));
      proxy.network.run();
      const passed = server.connection.sentBytes;
      assert.ok(passed < QUEUE_HIGH_WATER_BYTES + 4 * 65_536, `${passed} bytes were taken from the origin`);
      client.readsOn().receivesHead();
      assert.equal(client.takes().length, 2_000_000);
      assert.deepEqual(proxy.finish(), []);
    });

    it("stops the client while the origin does not read", () => {
      const proxy = proxyThat(splices, { use });
      const client = proxy.connect().sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n");
      const server = proxy.origin.accepts();
      server.stopsReading();
      client.sends(Buffer.alloc(2_000_000));
      proxy.network.run();
      const passed = client.connection.sentBytes;
      assert.ok(passed < QUEUE_HIGH_WATER_BYTES + 4 * 65_536, `${passed} bytes were taken from the client`);
      server.readsOn().receivesHead();
      assert.equal(server.takes().length, 2_000_000);
      server.sends("HTTP/1.1 204 No Content\r\n\r\n");
      client.receivesHead();
      assert.deepEqual(proxy.finish(), []);
    });
  });
}

describeBothWays("backpressure", (splices) => {
  it("stops a client that sends requests ahead of their answers", () => {
    const proxy = proxyThat(splices);
    const client = proxy.connect();
    client.sends(GET.repeat(10_000));
    proxy.origin.accepts().receivesHead();
    const { sentBytes } = client.connection;
    assert.ok(sentBytes < 3 * 65_536, `${sentBytes} bytes were taken from the client`);
    assert.deepEqual(proxy.finish(), []);
  });

  it("stops either side of a tunnel while the other does not read, and goes on when it does", () => {
    const proxy = proxyThat(splices);
    const client = proxy
      .connect()
      .sends("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    const server = proxy.origin.accepts();
    server.receivesHead();
    server.sends("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    client.receivesHead();
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      const before = from.connection.sentBytes;
      to.stopsReading();
      from.sends(Buffer.alloc(2_000_000));
      proxy.network.run();
      const passed = from.connection.sentBytes - before;
      assert.ok(passed < QUEUE_HIGH_WATER_BYTES + 4 * 65_536, `${passed} bytes were taken`);
      to.readsOn();
      assert.equal(to.takes().length, 2_000_000);
    }
    assert.deepEqual(proxy.finish(), []);
  });
});
