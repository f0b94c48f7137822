// A client that reads slowly gets its whole answer, also when the connection ends behind it; one that stops reading for good
// is cut in a way that it can see.
import assert from "node:assert/strict";
import { it } from "node:test";
import { BODY_PROGRESS_TIMEOUT_MS, LINGER_TIMEOUT_MS } from "../../src/core/limits.ts";
import { createTestProxy, SimulatedNetwork } from "../../src/testing/index.ts";
import { describeBothWays } from "../support/both-ways.ts";

const BODY_BYTES = 100_000;

/** A client that asks and does not read; the origin has answered with a large body. */
function unreadAnswer(splices: boolean, request: string, head: string) {
  const proxy = createTestProxy({ network: new SimulatedNetwork({ kernelBufferBytes: 1_000, splices }) });
  const client = proxy.connect().stopsReading().sends(request);
  const server = proxy.origin.accepts();
  server.receivesHead();
  server.sends(head).sends("b".repeat(BODY_BYTES));
  if (!head.includes("Content-Length")) server.ends();
  proxy.network.run();
  return { proxy, client };
}

const CLOSING = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
const OLD = "GET / HTTP/1.0\r\nHost: a\r\n\r\n";
const WITH_LENGTH = `HTTP/1.1 200 OK\r\nContent-Length: ${BODY_BYTES}\r\n\r\n`;
const UNTIL_CLOSE = "HTTP/1.1 200 OK\r\n\r\n";

describeBothWays("a client that reads slowly", (splices) => {
  for (const [name, request, head] of [
    ["after asking to close", CLOSING, WITH_LENGTH],
    ["a body that ends with the connection", OLD, UNTIL_CLOSE],
  ] as const) {
    it(`gets its whole answer: ${name}`, () => {
      const { proxy, client } = unreadAnswer(splices, request, head);
      let body = "";
      // 1,000 bytes every four seconds: far longer than any time that a connection lingers.
      for (let i = 0; i < 99; i++) {
        proxy.network.advance(LINGER_TIMEOUT_MS - 1_000);
        client.readsOn();
        assert.ok(proxy.network.step());
        client.stopsReading();
      }
      client.readsOn();
      client.receivesHead();
      body += client.takes().toString("latin1");
      assert.equal(body.length, BODY_BYTES);
      client.seesEnd();
      assert.deepEqual(proxy.finish(), []);
    });
  }

  it("gets its whole answer although its request goes on and is thrown away", () => {
    const proxy = createTestProxy({
      network: new SimulatedNetwork({ kernelBufferBytes: 1_000, splices }),
      handler: (exchange) => void exchange.respond({ status: 200, body: "b".repeat(BODY_BYTES) }),
    });
    const client = proxy.connect().stopsReading().sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n");
    proxy.network.advance(4 * LINGER_TIMEOUT_MS);
    client.readsOn().receivesHead();
    assert.equal(client.takes().length, BODY_BYTES);
    assert.deepEqual(proxy.finish(), []);
  });
});

describeBothWays("a client that stops reading", (splices) => {
  for (const [name, request, head] of [
    ["an answer with a length", CLOSING, WITH_LENGTH],
    ["an answer that ends with the connection", OLD, UNTIL_CLOSE],
  ] as const) {
    it(`is cut by a reset: ${name}`, () => {
      const { proxy, client } = unreadAnswer(splices, request, head);
      proxy.network.advance(3 * BODY_PROGRESS_TIMEOUT_MS);
      client.readsOn();
      assert.ok(client.takes().length < BODY_BYTES);
      client.seesReset();
      assert.deepEqual(proxy.finish(), []);
    });
  }

  it("in the middle of an endless answer is cut by a reset, and the origin's connection is closed", () => {
    const proxy = createTestProxy({ network: new SimulatedNetwork({ kernelBufferBytes: 1_000, splices }) });
    const client = proxy.connect().stopsReading().sends(OLD);
    const server = proxy.origin.accepts();
    server.receivesHead();
    server.sends(UNTIL_CLOSE).sends("b".repeat(10 * BODY_BYTES));
    proxy.network.advance(3 * BODY_PROGRESS_TIMEOUT_MS);
    client.readsOn();
    client.takes();
    client.seesReset();
    assert.ok(server.closed || server.ended);
    assert.equal(proxy.ended[0]!.error?.type, "connection_write_timeout");
    assert.deepEqual(proxy.finish(), []);
  });
});
