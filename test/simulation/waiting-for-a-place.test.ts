// An origin at its maximum of connections: requests wait in the order in which they came, for a bounded time, and a client
// that leaves frees its place in the queue.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { QUEUE_TIMEOUT_MS } from "../../src/core/limits.ts";
import { createTestProxy } from "../../src/testing/index.ts";

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

function requestFor(path: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
}

/** Three clients, of which the first has the only connection to the origin. */
function queued() {
  const proxy = createTestProxy({ connectionsMax: 1 });
  const clients = ["/1", "/2", "/3"].map((path) => {
    const client = proxy.connect().sends(requestFor(path));
    proxy.network.run();
    return client;
  });
  const server = proxy.origin.accepts();
  assert.equal(server.receivesHead().startLine, "GET /1 HTTP/1.1");
  proxy.origin.acceptsNothing();
  const [first, second, third] = clients;
  return { proxy, server, first: first!, second: second!, third: third! };
}

describe("a request that waits for a connection", () => {
  it("gets the one that becomes free, in turn", () => {
    const { proxy, server, first, second, third } = queued();
    for (const [client, next] of [
      [first, "GET /2 HTTP/1.1"],
      [second, "GET /3 HTTP/1.1"],
      [third, null],
    ] as const) {
      server.sends(OK);
      assert.equal(client.receivesHead().startLine, "HTTP/1.1 200 OK");
      if (next !== null) assert.equal(server.receivesHead().startLine, next);
    }
    proxy.origin.acceptsNothing();
    assert.deepEqual(proxy.finish(), []);
  });

  it("gets a new one when the old one closes", () => {
    const { proxy, server, first, second } = queued();
    server.sends("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").ends();
    first.receivesHead();
    const next = proxy.origin.accepts();
    assert.equal(next.receivesHead().startLine, "GET /2 HTTP/1.1");
    next.sends(OK);
    second.receivesHead();
    assert.equal(next.receivesHead().startLine, "GET /3 HTTP/1.1");
    assert.deepEqual(proxy.finish(), []);
  });

  it("leaves the queue with its client", () => {
    const { proxy, server, first, second } = queued();
    second.closes();
    proxy.network.run();
    server.sends(OK);
    first.receivesHead();
    assert.equal(server.receivesHead().startLine, "GET /3 HTTP/1.1");
    assert.deepEqual(proxy.finish(), []);
  });

  it("takes over the place of a client that leaves while its request is under way", () => {
    const { proxy, server, first } = queued();
    first.resets();
    server.seesEnd();
    assert.equal(proxy.origin.accepts().receivesHead().startLine, "GET /2 HTTP/1.1");
    assert.deepEqual(proxy.finish(), []);
  });

  it("takes over the place of one whose connection cannot be made", () => {
    const proxy = createTestProxy({ connectionsMax: 1 });
    proxy.network.failDials("origin:80", "connection_timeout");
    const first = proxy.connect().sends("POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    proxy.network.run();
    proxy.connect().sends(requestFor("/2"));
    proxy.network.run();
    first.closes();
    proxy.network.run();
    proxy.network.healDials("origin:80");
    proxy.network.advance(4_000);
    const server = proxy.origin.accepts();
    assert.equal(server.receivesHead().startLine, "GET /2 HTTP/1.1");
    assert.deepEqual(proxy.finish(), []);
  });

  it("is refused when none becomes free in time", () => {
    const { proxy, second, third } = queued();
    proxy.network.advance(QUEUE_TIMEOUT_MS + 1_000);
    for (const client of [second, third]) {
      const head = client.receivesHead();
      assert.match(head.startLine, /^HTTP\/1\.1 503 /);
      assert.equal(head.get("proxy-status"), "headgate; error=connection_limit_reached");
    }
    assert.deepEqual(proxy.finish(), []);
  });
});
