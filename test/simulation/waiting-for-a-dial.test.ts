// A request for which a connection is being made takes one that comes free before; the new one is then for whoever comes next.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createTestProxy, SimulatedNetwork, type TestProxyOptions } from "../../src/testing/index.ts";
import { createStage } from "../support/stage.ts";

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
/** A connection takes twice as long, what is said on one that is there half of that. */
const LATENCY_MS = 5;

function requestFor(path: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
}

function dialsOf(network: SimulatedNetwork): string[] {
  return network.leftovers().filter((text) => text.includes("dial"));
}

/** The first client's request is at the origin; a connection for the second one's has just begun to be made. */
function dialling(options: TestProxyOptions = {}) {
  const network = new SimulatedNetwork({ latencyMs: LATENCY_MS });
  const proxy = createTestProxy({ ...options, network });
  const first = proxy.connect().sends(requestFor("/1"));
  network.advance(5 * LATENCY_MS);
  const server = proxy.origin.accepts();
  assert.equal(server.receivesHead().startLine, "GET /1 HTTP/1.1");
  const second = proxy.connect().sends(requestFor("/2"));
  network.advance(LATENCY_MS);
  proxy.origin.acceptsNothing();
  return { proxy, network, server, first, second };
}

describe("a request for which a connection is being made", () => {
  it("takes one that comes free before, and the next request has the new one", () => {
    const { proxy, network, server, first, second } = dialling();
    server.sends(OK);
    network.advance(2 * LATENCY_MS);
    assert.equal(first.receivesHead().startLine, "HTTP/1.1 200 OK");
    assert.equal(server.receivesHead().startLine, "GET /2 HTTP/1.1");
    const idle = proxy.origin.accepts();
    const third = proxy.connect().sends(requestFor("/3"));
    network.advance(2 * LATENCY_MS);
    assert.equal(idle.receivesHead().startLine, "GET /3 HTTP/1.1");
    idle.sends(OK);
    server.sends(OK);
    network.advance(2 * LATENCY_MS);
    for (const client of [second, third]) assert.equal(client.receivesHead().startLine, "HTTP/1.1 200 OK");
    proxy.origin.acceptsNothing();
    assert.deepEqual(proxy.finish(), []);
  });

  describe("in front of a server that closes connections", () => {
    const POST = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";

    it("which have not served: what cannot be sent again takes one that has", () => {
      const { proxy, network, server, first } = dialling();
      server.sends(OK);
      network.advance(2 * LATENCY_MS);
      const unused = proxy.origin.accepts();
      server.receivesHead();
      unused.closes();
      server.sends(OK);
      network.advance(2 * LATENCY_MS);
      first.sends(POST);
      network.advance(2 * LATENCY_MS);
      assert.equal(server.receivesHead().startLine, "POST / HTTP/1.1");
      proxy.origin.acceptsNothing();
    });

    it("right behind their answers: what cannot be sent again takes one that has not served", () => {
      const network = new SimulatedNetwork({ latencyMs: LATENCY_MS });
      const proxy = createTestProxy({ network });
      const clients = ["/1", "/2"].map((path) => proxy.connect().sends(requestFor(path)));
      network.advance(5 * LATENCY_MS);
      const [keeping, closing] = [proxy.origin.accepts(), proxy.origin.accepts()];
      for (const server of [keeping, closing]) server.receivesHead();
      proxy.connect().sends(requestFor("/3"));
      network.advance(LATENCY_MS);
      keeping.sends(OK);
      network.advance(2 * LATENCY_MS);
      const unused = proxy.origin.accepts();
      for (const server of [keeping, closing]) server.sends(OK);
      network.advance(LATENCY_MS);
      closing.closes();
      network.advance(2 * LATENCY_MS);
      clients[0]!.sends(POST);
      network.advance(2 * LATENCY_MS);
      assert.equal(unused.receivesHead().startLine, "POST / HTTP/1.1");
      proxy.origin.acceptsNothing();
    });
  });

  it("waits for the new one when none comes free", () => {
    const { proxy, network, server, second } = dialling();
    network.advance(2 * LATENCY_MS);
    const own = proxy.origin.accepts();
    network.advance(LATENCY_MS);
    assert.equal(own.receivesHead().startLine, "GET /2 HTTP/1.1");
    own.sends(OK);
    server.sends(OK);
    network.advance(2 * LATENCY_MS);
    assert.equal(second.receivesHead().startLine, "HTTP/1.1 200 OK");
    assert.deepEqual(proxy.finish(), []);
  });

  it("is served in turn with others for which one is being made", () => {
    const { proxy, network, server, second } = dialling();
    const third = proxy.connect().sends(requestFor("/3"));
    network.advance(0);
    server.sends(OK);
    network.advance(LATENCY_MS);
    // The second one's arrives at the same moment as its own connection would have been there.
    network.advance(LATENCY_MS);
    assert.equal(server.receivesHead().startLine, "GET /2 HTTP/1.1");
    network.advance(3 * LATENCY_MS);
    const next = proxy.origin.accepts();
    assert.equal(next.receivesHead().startLine, "GET /3 HTTP/1.1");
    for (const peer of [server, next]) peer.sends(OK);
    network.advance(2 * LATENCY_MS);
    for (const client of [second, third]) assert.equal(client.receivesHead().startLine, "HTTP/1.1 200 OK");
    assert.deepEqual(proxy.finish(), []);
  });

  it("does not hear of it when the new one cannot be made after that", () => {
    const { proxy, network, server, second } = dialling();
    network.failDials("origin:80");
    server.sends(OK);
    network.advance(4 * LATENCY_MS);
    assert.equal(server.receivesHead().startLine, "GET /2 HTTP/1.1");
    server.sends(OK);
    network.advance(2 * LATENCY_MS);
    assert.equal(second.receivesHead().startLine, "HTTP/1.1 200 OK");
    assert.deepEqual(proxy.finish(), []);
  });

  it("keeps a place of the maximum for the new one, which is for who waits for a place", () => {
    const { proxy, network, server, second } = dialling({ connectionsMax: 2 });
    const third = proxy.connect().sends(requestFor("/3"));
    // At the proxy a moment before the answer, and behind the second one: it has no place.
    network.advance(0);
    server.sends(OK);
    network.advance(2 * LATENCY_MS);
    const [older, newer] = [server, proxy.origin.accepts()];
    network.advance(2 * LATENCY_MS);
    const paths = [older, newer].map((peer) => peer.receivesHead().startLine);
    assert.deepEqual(paths.toSorted(), ["GET /2 HTTP/1.1", "GET /3 HTTP/1.1"]);
    proxy.origin.acceptsNothing();
    for (const peer of [older, newer]) peer.sends(OK);
    network.advance(2 * LATENCY_MS);
    for (const client of [second, third]) assert.equal(client.receivesHead().startLine, "HTTP/1.1 200 OK");
    assert.deepEqual(proxy.finish(), []);
  });

  it("is given one that is being made for nobody any more, so that there are never more than were needed at once", () => {
    const { proxy, network, server, first, second } = dialling();
    // Slower than the answers: nothing of it is seen until the end.
    network.failDials("origin:80", "connection_timeout");
    const clients = [first, second];
    for (let count = 0; count < 50; count++) {
      server.sends(OK);
      network.advance(2 * LATENCY_MS);
      assert.equal(server.receivesHead().startLine, `GET /${count + 2} HTTP/1.1`);
      const next = proxy.connect().sends(requestFor(`/${count + 3}`));
      network.advance(LATENCY_MS);
      clients.push(next);
      assert.deepEqual(dialsOf(network), ["a dial of origin:80 is pending"]);
    }
    for (const client of clients.slice(0, -2)) assert.equal(client.receivesHead().startLine, "HTTP/1.1 200 OK");
    proxy.origin.acceptsNothing();
    assert.deepEqual(proxy.finish(), []);
  });

  it("waits for one that others asked for, at the maximum of connections", () => {
    const { proxy, network, server, second } = dialling({ connectionsMax: 2 });
    network.advance(0);
    server.sends(OK);
    network.advance(LATENCY_MS);
    // The second one's goes to the first connection, and the place of the maximum is that of the dial.
    const third = proxy.connect().sends(requestFor("/3"));
    network.advance(3 * LATENCY_MS);
    assert.equal(server.receivesHead().startLine, "GET /2 HTTP/1.1");
    const own = proxy.origin.accepts();
    assert.equal(own.receivesHead().startLine, "GET /3 HTTP/1.1");
    for (const peer of [server, own]) peer.sends(OK);
    network.advance(2 * LATENCY_MS);
    for (const client of [second, third]) assert.equal(client.receivesHead().startLine, "HTTP/1.1 200 OK");
    assert.deepEqual(proxy.finish(), []);
  });

  it("takes none of another server, which the balance has not chosen for it", () => {
    const stage = createStage({ servers: ["origin:80", "other:80"], network: { latencyMs: LATENCY_MS } });
    const { network, origin } = stage;
    const other = network.origin("other:80");
    stage.client().sends(requestFor("/1"));
    network.advance(5 * LATENCY_MS);
    const server = origin.accepts();
    server.receivesHead();
    stage.client().sends(requestFor("/2"));
    network.advance(LATENCY_MS);
    server.sends(OK);
    network.advance(4 * LATENCY_MS);
    assert.equal(other.accepts().receivesHead().startLine, "GET /2 HTTP/1.1");
    assert.equal(server.unread, "");
    stage.pool.destroy();
  });

  it("is no more counted there when the balance looks for the fewest requests", () => {
    const stage = createStage({
      servers: ["origin:80", "other:80"],
      pool: { balance: "least-connections" },
      network: { latencyMs: LATENCY_MS },
    });
    const { network, origin } = stage;
    const other = network.origin("other:80");
    for (const path of ["/1", "/2"]) stage.client().sends(requestFor(path));
    network.advance(5 * LATENCY_MS);
    const server = origin.accepts();
    network.failDials("origin:80", "connection_timeout");
    // Among equals it is the other one's turn.
    for (const path of ["/3", "/4"]) stage.client().sends(requestFor(path));
    network.advance(LATENCY_MS);
    for (const path of ["/1", "/4"]) {
      assert.equal(server.receivesHead().startLine, `GET ${path} HTTP/1.1`);
      server.sends(OK);
      network.advance(2 * LATENCY_MS);
    }
    for (const peer of [other.accepts(), other.accepts()]) {
      peer.takes();
      peer.sends(OK);
    }
    network.advance(2 * LATENCY_MS);
    assert.deepEqual(dialsOf(network), ["a dial of origin:80 is pending"]);
    stage.client().sends(requestFor("/5"));
    network.advance(2 * LATENCY_MS);
    assert.equal(server.receivesHead().startLine, "GET /5 HTTP/1.1");
    stage.pool.destroy();
  });

  it("leaves no dial behind when the pool goes while nobody waits for the new one", () => {
    const stage = createStage({ network: { latencyMs: LATENCY_MS } });
    const { network, origin, pool } = stage;
    stage.client().sends(requestFor("/1"));
    network.advance(5 * LATENCY_MS);
    const server = origin.accepts();
    server.receivesHead();
    network.failDials("origin:80", "connection_timeout");
    stage.client().sends(requestFor("/2"));
    network.advance(LATENCY_MS);
    server.sends(OK);
    network.advance(2 * LATENCY_MS);
    assert.equal(server.receivesHead().startLine, "GET /2 HTTP/1.1");
    assert.deepEqual(dialsOf(network), ["a dial of origin:80 is pending"]);
    assert.equal(pool.waiting, 0);
    assert.ok(!pool.isEmpty);
    pool.destroy();
    assert.deepEqual(dialsOf(network), []);
    assert.ok(pool.isEmpty);
  });
});
