// How a tunnel ends: each direction for itself, and not before everything that was sent has arrived.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ProxyError } from "../../src/core/errors.ts";
import { BODY_PROGRESS_TIMEOUT_MS, LINGER_TIMEOUT_MS } from "../../src/core/limits.ts";
import type { Feature } from "../../src/pipeline/phases.ts";
import { createTestProxy, SimulatedNetwork } from "../../src/testing/index.ts";
import { describeBothWays } from "../support/both-ways.ts";

const UPGRADE = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const AGREED = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const BYTES = 100_000;
const IDLE_MS = 2 * BODY_PROGRESS_TIMEOUT_MS;

function tunnel(splices: boolean, kernelBufferBytes = 64_000) {
  const proxy = createTestProxy({
    network: new SimulatedNetwork({ kernelBufferBytes, splices }),
    limits: { tunnelIdleMs: IDLE_MS },
  });
  const client = proxy.connect().sends(UPGRADE);
  const server = proxy.origin.accepts();
  assert.equal(server.receivesHead().get("upgrade"), "websocket");
  server.sends(AGREED);
  assert.equal(client.receivesHead().startLine, "HTTP/1.1 101 Switching Protocols");
  return { proxy, client, server };
}

describeBothWays("a tunnel", (splices) => {
  it("goes on one way when the other has ended", () => {
    const { proxy, client, server } = tunnel(splices);
    client.sends("last words").ends();
    server.receives("last words");
    server.seesEnd();
    client.staysOpen();
    server.sends("answer");
    client.receives("answer");
    server.ends();
    client.seesEnd();
    assert.ok(client.closed && server.closed);
    assert.equal(proxy.ended[0]!.error, null);
    assert.deepEqual(proxy.finish(), []);
  });

  it("delivers everything to a side that reads slowly, after the other has closed in order", () => {
    const { proxy, client, server } = tunnel(splices, 1_000);
    server.stopsReading().ends();
    client.seesEnd();
    client.sends("b".repeat(BYTES)).ends();
    proxy.network.run();
    // Spliced, most of it is still the client's to send, and its end is not seen before its bytes have passed.
    assert.equal(client.closed, !splices, "the client's part is done");
    for (let i = 0; i < 100; i++) {
      proxy.network.advance(LINGER_TIMEOUT_MS - 1_000);
      server.readsOn();
      proxy.network.step();
      server.stopsReading();
    }
    server.readsOn();
    assert.equal(server.takes().length, BYTES);
    server.seesEnd();
    assert.deepEqual(proxy.finish(), []);
  });

  it("ends by a reset for a side that never reads what is left for it", () => {
    const { proxy, client, server } = tunnel(splices, 1_000);
    server.stopsReading().ends();
    client.seesEnd();
    client.sends("b".repeat(BYTES)).ends();
    proxy.network.advance(3 * BODY_PROGRESS_TIMEOUT_MS);
    server.readsOn();
    assert.ok(server.takes().length < BYTES);
    server.seesReset();
    assert.deepEqual(proxy.finish(), []);
  });

  it("is not idle while a side takes any of what waits for it", () => {
    const { proxy, client, server } = tunnel(splices, 1_000);
    server.stopsReading();
    client.sends("b".repeat(BYTES));
    proxy.network.run();
    for (let i = 0; i < 10; i++) {
      proxy.network.advance(IDLE_MS - 1_000);
      server.readsOn();
      proxy.network.step();
      server.stopsReading();
      proxy.network.run();
    }
    assert.equal(proxy.ended.length, 0);
    server.readsOn();
    assert.equal(server.takes().length, BYTES);
    assert.deepEqual(proxy.finish(), []);
  });

  it("that is idle ends, and by a reset for a side that loses what was on its way to it", () => {
    for (const reads of [true, false]) {
      const { proxy, client, server } = tunnel(splices, 1_000);
      if (!reads) server.stopsReading();
      client.sends("b".repeat(BYTES));
      proxy.network.run();
      proxy.network.advance(IDLE_MS - 100);
      assert.equal(proxy.ended.length, 0);
      proxy.network.advance(1_000 + IDLE_MS / 4);
      assert.equal(proxy.ended[0]?.error?.type, "connection_timeout");
      server.readsOn();
      server.takes();
      if (reads) server.seesEnd();
      else server.seesReset();
      assert.ok(client.ended || client.closed);
      assert.deepEqual(proxy.finish(), []);
    }
  });

  it("counts what passed, of which nothing is seen when it is spliced", () => {
    const { proxy, client, server } = tunnel(splices);
    client.sends("a".repeat(BYTES)).ends();
    assert.equal(server.takes().length, BYTES);
    server.sends("b".repeat(2 * BYTES)).ends();
    assert.equal(client.takes().length, 2 * BYTES);
    const { requestBodyBytes, responseBodyBytes, error } = proxy.ended[0]!;
    assert.deepEqual([requestBodyBytes, responseBodyBytes, error], [BYTES, 2 * BYTES, null]);
    assert.equal(proxy.network.splicedBytes, splices ? 3 * BYTES : 0);
  });

  it("whose client has ended and is gone when the server says goodbye has ended well; before that it has not", () => {
    for (const hasEnded of [true, false]) {
      const { proxy, client, server } = tunnel(splices);
      if (hasEnded) {
        client.ends();
        server.seesEnd();
      }
      client.resets();
      server.seesReset();
      assert.equal(proxy.ended[0]!.error?.type ?? null, hasEnded ? null : "connection_terminated");
      assert.deepEqual(proxy.finish(), []);
    }
  });

  it("whose client has had everything and is gone when the server has ended has ended well", () => {
    const { proxy, client, server } = tunnel(splices);
    server.sends("the answer").ends();
    client.receives("the answer");
    client.resets();
    server.seesReset();
    assert.equal(proxy.ended[0]!.error, null);
    assert.deepEqual(proxy.finish(), []);
  });

  it("passes a reset on at once, either way", () => {
    const first = tunnel(splices);
    first.client.resets();
    first.server.seesReset();
    assert.deepEqual(first.proxy.finish(), []);
    const second = tunnel(splices);
    second.server.resets();
    second.client.seesReset();
    assert.deepEqual(second.proxy.finish(), []);
  });
});

describe("a tunnel that a feature does not let begin", () => {
  for (const [name, status, upgrade] of [
    ["throws", 500, () => assert.fail("a bug of a plugin")],
    ["fails the exchange", 403, (exchange) => exchange.fail(new ProxyError("http_request_denied", "not this one"))],
  ] as const satisfies readonly (readonly [string, number, NonNullable<Feature["upgrade"]>])[]) {
    it(`leaves no connection behind: its hook ${name}`, () => {
      const proxy = createTestProxy({ use: [{ name: "refusing", upgrade }], onFault: () => {} });
      const client = proxy.connect().sends(UPGRADE);
      const server = proxy.origin.accepts();
      server.receivesHead();
      server.sends(`${AGREED}early bytes`);
      assert.match(client.receivesHead().startLine, new RegExp(`^HTTP/1\\.1 ${status} `));
      assert.ok(!client.takes().includes("early bytes"));
      server.seesReset();
      assert.deepEqual(proxy.finish(), []);
    });
  }
});
