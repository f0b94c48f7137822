// No socket is left for one more connection to the origin (open files, local ports): requests share what there is, and one at a time
// tries whether there is a socket again.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { QUEUE_TIMEOUT_MS } from "../../src/core/limits.ts";
import { createTestProxy, SimulatedNetwork } from "../../src/testing/index.ts";

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
/** Twice as long takes a connection. */
const LATENCY_MS = 5;
/** After which another attempt was made, or more than one. */
const RETRIED_MS = 400;

function requestFor(path: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
}

/** The first of the clients has a connection to the origin, for which it was in time; the others ask when no socket is left. */
function short(count: number) {
  const network = new SimulatedNetwork({ latencyMs: LATENCY_MS });
  const proxy = createTestProxy({ network });
  const paths = Array.from({ length: count }, (_, index) => `/${index + 1}`);
  const clients = paths.map((path, index) => {
    if (index === 1) network.failDials("origin:80", "connection_limit_reached");
    const client = proxy.connect().sends(requestFor(path));
    network.advance(5 * LATENCY_MS);
    return client;
  });
  const server = proxy.origin.accepts();
  assert.equal(server.receivesHead().startLine, "GET /1 HTTP/1.1");
  proxy.origin.acceptsNothing();
  return { proxy, network, server, clients };
}

describe("a request for which no socket is left", () => {
  it("waits for a connection that comes free, in turn", () => {
    const { proxy, network, server, clients } = short(4);
    for (const [index, client] of clients.entries()) {
      server.sends(OK);
      network.advance(2 * LATENCY_MS);
      assert.equal(client.receivesHead().startLine, "HTTP/1.1 200 OK");
      if (index < 3) assert.equal(server.receivesHead().startLine, `GET /${index + 2} HTTP/1.1`);
    }
    proxy.origin.acceptsNothing();
    assert.deepEqual(proxy.finish(), []);
  });

  it("gets a connection of its own once there is a socket, one after another", () => {
    const { proxy, network, server, clients } = short(4);
    network.advance(3 * RETRIED_MS);
    proxy.origin.acceptsNothing();
    network.healDials("origin:80");
    network.advance(RETRIED_MS);
    for (const path of ["/2", "/3", "/4"]) {
      const own = proxy.origin.accepts();
      assert.equal(own.receivesHead().startLine, `GET ${path} HTTP/1.1`);
      own.sends(OK);
    }
    server.sends(OK);
    network.advance(2 * LATENCY_MS);
    for (const client of clients) assert.equal(client.receivesHead().startLine, "HTTP/1.1 200 OK");
    // It is over: as many connections at once as are asked for.
    for (let count = 0; count < 6; count++) proxy.connect().sends(requestFor("/later"));
    network.advance(4 * LATENCY_MS);
    for (let count = 0; count < 2; count++) proxy.origin.accepts();
    proxy.origin.acceptsNothing();
  });

  it("is tried for by one at a time", () => {
    const { network } = short(30);
    let most = 0;
    for (let ms = 0; ms < 2 * RETRIED_MS; ms++) {
      network.advance(1);
      most = Math.max(most, network.leftovers().filter((text) => text.includes("dial")).length);
    }
    assert.equal(most, 1);
  });

  it("gets one when another request's connection closes, without waiting for the next attempt", () => {
    const { proxy, network, server, clients } = short(2);
    network.healDials("origin:80");
    server.sends("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").ends();
    network.advance(6 * LATENCY_MS);
    const own = proxy.origin.accepts();
    assert.equal(own.receivesHead().startLine, "GET /2 HTTP/1.1");
    own.sends(OK);
    network.advance(2 * LATENCY_MS);
    assert.equal(clients[1]!.receivesHead().startLine, "HTTP/1.1 200 OK");
    assert.deepEqual(proxy.finish(), []);
  });

  it("fails when it has waited for as long as others do", () => {
    const { proxy, network, clients } = short(2);
    network.advance(QUEUE_TIMEOUT_MS + RETRIED_MS);
    assert.equal(clients[1]!.receivesHead().startLine, "HTTP/1.1 503 Service Unavailable");
    const [ended] = proxy.ended;
    assert.equal(ended!.error!.type, "connection_limit_reached");
    assert.ok(ended!.error!.cause instanceof Error);
  });

  it("waits where nobody has a connection, too", () => {
    const network = new SimulatedNetwork({ latencyMs: LATENCY_MS });
    const proxy = createTestProxy({ network });
    network.failDials("origin:80", "connection_limit_reached");
    const client = proxy.connect().sends(requestFor("/"));
    network.advance(RETRIED_MS);
    network.healDials("origin:80");
    network.advance(RETRIED_MS);
    proxy.origin.accepts().sends(OK);
    network.advance(2 * LATENCY_MS);
    assert.equal(client.receivesHead().startLine, "HTTP/1.1 200 OK");
    assert.deepEqual(proxy.finish(), []);
  });

  it("leaves nothing behind when its client goes", () => {
    const { proxy, network, server, clients } = short(2);
    clients[1]!.closes();
    network.advance(RETRIED_MS);
    server.sends(OK);
    network.advance(2 * LATENCY_MS);
    assert.equal(clients[0]!.receivesHead().startLine, "HTTP/1.1 200 OK");
    proxy.origin.acceptsNothing();
    assert.deepEqual(proxy.finish(), []);
  });
});
