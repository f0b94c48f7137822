// Another attempt is made when it is safe and may help, and never otherwise (RFC 9110, section 9.2.2).
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ProxyError } from "../../src/core/errors.ts";
import type { ConnectionHandler } from "../../src/core/ports.ts";
import type { Feature } from "../../src/pipeline/phases.ts";
import type { Peer } from "../../src/testing/index.ts";
import { createStage, type Stage } from "../support/stage.ts";

const OK = "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nhi";
const LAST = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

const silent: ConnectionHandler = { onBytes() {}, onDrain() {}, onEnd() {}, onClose() {} };

/** A stage with one idle connection to the upstream, whose far end is `server`. */
function withPooledConnection(stage: Stage) {
  const client = stage.client().sends(GET);
  const server = stage.origin.accepts();
  server.receivesHead();
  server.sends(OK);
  client.receives(OK);
  return { client, server };
}

describe("retries", () => {
  it("a pooled connection that closes just now is replaced, unseen by the client", () => {
    const stage = createStage();
    const { client, server } = withPooledConnection(stage);
    client.sends(GET);
    server.receivesHead();
    server.closes();
    const second = stage.origin.accepts();
    second.receivesHead();
    second.sends(OK);
    client.receives(OK);
    assert.equal(stage.ended[1]?.attempts, 2);
    assert.equal(stage.ended[1]?.error, null);
  });

  it("POST is not repeated once a byte of it was written", () => {
    const stage = createStage();
    const { client, server } = withPooledConnection(stage);
    client.sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
    server.receives(/^POST/);
    server.closes();
    client.receives(/^HTTP\/1\.1 502 .*error=connection_terminated/s);
    stage.origin.acceptsNothing();
  });

  describe("a server that closes after each answer, and does not say so", () => {
    const POST = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";

    /** One connection rests, that the server is about to close as it has closed the one before. */
    function aboutToClose(stage: Stage, how: "at rest" | "asked again") {
      const { client, server } = withPooledConnection(stage);
      if (how === "asked again") {
        client.sends(GET);
        server.receivesHead();
      }
      server.closes();
      if (how === "at rest") {
        stage.network.run();
        client.sends(GET);
      }
      const second = stage.origin.accepts();
      second.receivesHead();
      second.sends(OK);
      client.receives(OK);
      assert.equal(stage.pool.idleConnections, 1);
      return { client, second };
    }

    /** Somebody has tried again what the server would do, in vain. */
    function triedInVain(stage: Stage) {
      const { client, second } = aboutToClose(stage, "at rest");
      client.sends(GET);
      second.receivesHead();
      second.closes();
      const third = stage.origin.accepts();
      third.receivesHead();
      third.sends(OK);
      client.receives(OK);
      assert.equal(stage.ended.at(-1)?.attempts, 2);
      return { client, third };
    }

    function isAnsweredByNew(stage: Stage, client: Peer): Peer {
      const server = stage.origin.accepts();
      server.receives(/^[A-Z]+ \/.*\r\n\r\n/s);
      server.sends(OK);
      client.receives(OK);
      assert.equal(stage.ended.at(-1)?.attempts, 1);
      return server;
    }

    for (const [how, request] of [
      ["at rest", POST],
      ["asked again", POST],
      ["at rest", `PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n${"x".repeat(70_000)}`],
      ["at rest", "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"],
    ] as const) {
      it(`that it closed one ${how} is remembered: ${request.slice(0, 4)}gets a new one, not one that is kept`, () => {
        const stage = createStage();
        const { client, second } = aboutToClose(stage, how);
        client.sends(request);
        isAnsweredByNew(stage, client);
        second.receivesNothing();
        assert.equal(stage.pool.idleConnections, 2);
      });
    }

    it("what can be sent again takes what rests, on trial; the answer shows that the server keeps connections", () => {
      const stage = createStage();
      const { client, second } = aboutToClose(stage, "at rest");
      for (const request of ["PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", POST]) {
        client.sends(request);
        second.receives(/^P.*x$/s);
        second.sends(OK);
        client.receives(OK);
      }
      stage.origin.acceptsNothing();
    });

    it("one trial at a time: others that come meanwhile get new connections", () => {
      const stage = createStage();
      const { client, second } = aboutToClose(stage, "at rest");
      client.sends(POST);
      const third = isAnsweredByNew(stage, client);
      client.sends(GET);
      third.receivesHead();
      isAnsweredByNew(stage, stage.client().sends(GET));
      third.sends(OK);
      client.receives(OK);
      second.receivesNothing();
    });

    it("a trial in vain costs one attempt in ten seconds, however many requests there are", () => {
      const stage = createStage();
      const { client, third } = triedInVain(stage);
      third.closes();
      for (let count = 0; count < 30; count++) {
        client.sends(GET);
        isAnsweredByNew(stage, client).closes();
        stage.network.run();
      }
      stage.network.advance(10_000);
      client.sends(GET);
      const last = isAnsweredByNew(stage, client);
      client.sends(GET);
      last.receivesHead();
    });

    it("whose first attempt it cost tries no other: that is for somebody with attempts left", () => {
      const stage = createStage();
      const { client, server } = withPooledConnection(stage);
      client.sends(GET);
      server.receivesHead();
      const other = stage.client().sends(GET);
      const second = stage.origin.accepts();
      second.receivesHead();
      stage.network.failDials("origin:80", "connection_timeout");
      server.closes();
      stage.network.run();
      assert.equal(stage.pool.waiting, 1);
      second.sends(OK);
      other.receives(OK);
      second.receivesNothing();
      other.sends(GET);
      second.receivesHead();
      second.sends(OK);
      other.receives(OK);
      // It keeps its connections, then.
      second.receivesHead();
      second.sends(OK);
      client.receives(OK);
    });

    it("one that has rested for more than a second is for everybody, whatever the others did", () => {
      const stage = createStage();
      const { client, third } = triedInVain(stage);
      stage.network.advance(500);
      client.sends(GET);
      const fourth = isAnsweredByNew(stage, client);
      stage.network.advance(600);
      client.sends(POST);
      third.receives(/^POST .*x$/s);
      third.sends(OK);
      client.receives(OK);
      // It has shown that it keeps them: now the one that was used last is first again.
      client.sends(POST);
      third.receives(/^POST .*x$/s);
      fourth.receivesNothing();
    });

    it("one that had rested for longer than a second is no sign when it is closed", () => {
      const stage = createStage();
      const { client, server } = withPooledConnection(stage);
      stage.network.advance(1_100);
      server.closes();
      stage.network.run();
      client.sends(GET);
      const second = stage.origin.accepts();
      second.receivesHead();
      second.sends(OK);
      client.receives(OK);
      client.sends(POST);
      second.receives(/^POST .*x$/s);
    });

    for (const how of ["at rest", "asked again"]) {
      it(`one that had answered more than once is no sign when it is closed ${how}: the server had kept it`, () => {
        const stage = createStage();
        const { client, server } = withPooledConnection(stage);
        client.sends(GET);
        server.receivesHead();
        server.sends(OK);
        client.receives(OK);
        if (how === "asked again") {
          client.sends(GET);
          server.receivesHead();
        }
        server.closes();
        stage.network.run();
        if (how === "at rest") client.sends(GET);
        const second = stage.origin.accepts();
        second.receivesHead();
        second.sends(OK);
        client.receives(OK);
        client.sends(POST);
        second.receives(/^POST .*x$/s);
      });
    }

    it("no trial is made with what has no attempts left", () => {
      const stage = createStage({ upstreamUse: { retriesMax: 0 } });
      const { client, second } = aboutToClose(stage, "at rest");
      client.sends(GET);
      isAnsweredByNew(stage, client);
      second.receivesNothing();
    });

    it("one that has become too old is no trial", () => {
      const stage = createStage({ pool: { lifetimeMs: 500 } });
      const { client, second } = aboutToClose(stage, "at rest");
      stage.network.advance(600);
      client.sends(GET);
      second.seesEnd();
      const third = isAnsweredByNew(stage, client);
      client.sends(GET);
      third.receivesHead();
    });

    it("of several that have rested for more than a second, the one that was used last is taken", () => {
      const stage = createStage();
      const { client, second } = aboutToClose(stage, "at rest");
      client.sends(POST);
      const third = isAnsweredByNew(stage, client);
      stage.network.advance(1_100);
      client.sends(POST);
      third.receives(/^POST .*x$/s);
      second.receivesNothing();
    });

    it("what rests while nobody may have it is limited", () => {
      const stage = createStage();
      const { client } = aboutToClose(stage, "at rest");
      for (let count = 0; count < 100; count++) {
        client.sends(POST);
        isAnsweredByNew(stage, client);
      }
      assert.equal(stage.pool.idleConnections, 32);
      assert.equal(stage.pool.connections, 32);
    });

    for (const connectionsMax of [null, 3]) {
      it(`it is seen within seconds that it keeps them after all, also by POSTs alone: maximum ${connectionsMax}`, () => {
        const stage = createStage({ pool: { connectionsMax } });
        const { client } = aboutToClose(stage, "at rest");
        for (let count = 0; count < 15; count++) {
          client.sends(POST);
          isAnsweredByNew(stage, client);
          stage.network.advance(70);
        }
        stage.network.advance(50);
        const made = stage.origin.acceptedCount;
        const servers = stage.pool.connections;
        client.sends(POST);
        stage.network.run();
        assert.equal(stage.origin.acceptedCount, made);
        assert.equal(stage.pool.connections, servers);
      });
    }

    it("at the maximum of connections, one that rests makes room for the new one", () => {
      const stage = createStage({ pool: { connectionsMax: 1 } });
      const { client, second } = aboutToClose(stage, "at rest");
      client.sends(POST);
      second.seesEnd();
      isAnsweredByNew(stage, client);
      assert.equal(stage.pool.connections, 1);
    });

    it("at the maximum of connections, no more than one makes room", () => {
      const stage = createStage({ pool: { connectionsMax: 3 } });
      const clients = [1, 2, 3].map(() => stage.client().sends(GET));
      const servers = clients.map(() => stage.origin.accepts());
      for (const server of servers) server.receivesHead();
      servers[0]!.sends(OK);
      clients[0]!.receives(OK);
      servers[0]!.closes();
      stage.network.run();
      const more = stage.client().sends(GET);
      const third = stage.origin.accepts();
      third.receivesHead();
      for (const server of [servers[1]!, servers[2]!, third]) server.sends(OK);
      more.receives(OK);
      assert.equal(stage.pool.idleConnections, 3);
      more.sends(POST);
      isAnsweredByNew(stage, more);
      assert.equal(stage.pool.idleConnections, 3);
    });

    it("what waits for a new connection behind a POST gets the one that rests, which loses nothing", () => {
      const stage = createStage();
      const gets = Array.from({ length: 5 }, () => stage.client().sends(GET));
      const [first, ...others] = gets.map(() => stage.origin.accepts());
      for (const server of [first!, ...others]) server.receivesHead();
      first!.sends(OK);
      gets[0]!.receives(OK);
      first!.closes();
      stage.network.run();
      stage.network.failDials("origin:80", "connection_timeout");
      const post = stage.client().sends(POST);
      const get = stage.client().sends(GET);
      stage.network.run();
      for (const server of others) server.sends(OK);
      stage.network.run();
      assert.equal(stage.pool.connections, 4);
      const tried = others.find(({ unread }) => unread.startsWith("GET"))!;
      tried.receivesHead();
      tried.sends(OK);
      get.receives(OK);
      // The server keeps connections, then: the POST need not wait any longer.
      const served = others.find(({ unread }) => unread.startsWith("POST"))!;
      served.receives(/^POST .*x$/s);
      served.sends(OK);
      post.receives(OK);
    });
  });

  it("PUT is repeated with its body, what came before and what comes after", () => {
    const stage = createStage();
    const client = stage.client().sends("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234");
    const first = stage.origin.accepts();
    first.receives(/01234$/);
    first.closes();
    const second = stage.origin.accepts();
    second.receives(/\r\n\r\n01234$/);
    client.sends("56789");
    second.receives("56789");
    second.sends(OK);
    client.receives(OK);
    assert.equal(stage.ended[0]?.requestBodyBytes, 10);
  });

  it("a body that outgrew the replay buffer is not repeated", () => {
    const stage = createStage();
    const client = stage.client().sends("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    client.sends("x".repeat(80_000));
    const first = stage.origin.accepts();
    first.receives(/x$/);
    first.closes();
    client.receives(/^HTTP\/1\.1 502 /);
    stage.origin.acceptsNothing();
  });

  it("nothing is repeated once a byte of the answer has come", () => {
    const stage = createStage();
    const client = stage.client().sends(GET);
    const server = stage.origin.accepts();
    server.receivesHead();
    server.sends("HTTP/1.1 200").ends();
    client.receives(/^HTTP\/1\.1 502 .*error=http_response_incomplete/s);
    stage.origin.acceptsNothing();
  });

  it("a refused connection is tried at another server first", () => {
    const stage = createStage({ servers: ["origin:80", "other:80"] });
    const other = stage.network.origin("other:80");
    stage.origin.stops();
    const client = stage.client().sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
    const server = other.accepts();
    server.receives(/^POST .*x$/s);
    server.sends(OK);
    client.receives(OK);
    assert.equal(stage.ended[0]?.attempts, 2, "no byte was written to the first: even POST may go on");
    // For a while the other one is asked first.
    client.sends(GET);
    server.receivesHead();
    server.sends(OK);
    client.receives(OK);
    assert.equal(stage.ended[1]?.attempts, 1);
  });

  it("a server that is down costs nobody an answer, however many ask at once and whatever the budget", () => {
    const stage = createStage({
      servers: ["origin:80", "other:80"],
      pool: { retryBudgetMin: 0, retryBudgetShare: 0 },
    });
    const other = stage.network.origin("other:80");
    stage.origin.stops();
    const clients = Array.from({ length: 20 }, () => stage.client().sends(GET));
    for (const _ of clients) {
      const server = other.accepts();
      server.receivesHead();
      server.sends(LAST).ends();
    }
    for (const client of clients) client.receives(/^HTTP\/1\.1 204 /);
    assert.equal(stage.ended.filter(({ attempts }) => attempts === 2).length, 10);
    // When both are down, each request is refused by each of them once.
    other.stops();
    for (const _ of clients)
      stage
        .client()
        .sends(GET)
        .receives(/^HTTP\/1\.1 502 /);
    assert.deepEqual([...new Set(stage.ended.slice(20).map(({ attempts }) => attempts))], [2]);
  });

  it("where the only other server has no place left, it is waited for, whatever the budget", () => {
    const pool = { connectionsMax: 1, retryBudgetMin: 0, retryBudgetShare: 0 };
    const stage = createStage({ servers: ["origin:80", "other:80"], pool });
    stage.origin.stops();
    const first = stage.client().sends(GET);
    const server = stage.network.origin("other:80").accepts();
    server.receivesHead();
    const second = stage.client().sends(GET);
    stage.network.run();
    server.sends(OK);
    first.receives(OK);
    server.receivesHead();
    server.sends(OK);
    second.receives(OK);
  });

  it("a server that stays down is tried by one request at a time, and ever more rarely", () => {
    const stage = createStage({ servers: ["origin:80", "other:80"] });
    const other = stage.network.origin("other:80");
    stage.origin.stops();
    const trials: number[] = [];
    for (let second = 0, accepted = 0; second < 100; second++) {
      const before = stage.ended.length;
      const clients = [stage.client().sends(GET), stage.client().sends(GET)];
      stage.network.run();
      for (; accepted < other.acceptedCount; accepted++) {
        const server = other.accepts();
        server.receivesHead();
        server.sends(LAST).ends();
      }
      for (const client of clients) client.receives(/^HTTP\/1\.1 204 /);
      for (const { attempts } of stage.ended.slice(before)) if (attempts === 2) trials.push(second);
      stage.passes(1_000);
    }
    assert.deepEqual(trials, [0, 2, 6, 14, 30, 60, 90]);
  });

  it("a server that answers nobody who connects is left out, though all its clients leave before that is certain", () => {
    const stage = createStage({ servers: ["origin:80", "other:80"] });
    const other = stage.network.origin("other:80");
    stage.network.failDials("origin:80", "connection_timeout");
    const ask = (): Peer => {
      const clients = [stage.client().sends(GET), stage.client().sends(GET)];
      stage.network.run();
      const server = other.accepts();
      server.receivesHead();
      server.sends(LAST).ends();
      stage.network.run();
      const [answered, left] = clients[0]!.unread === "" ? clients.toReversed() : clients;
      answered!.receives(/^HTTP\/1\.1 204 /);
      return left!;
    };
    for (let n = 0; n < 3; n++) {
      const left = ask();
      stage.passes(900);
      left.receivesNothing();
      left.resets();
    }
    stage.passes(500);
    assert.equal(stage.report().failures, 1);
    for (let n = 0; n < 4; n++) {
      const client = stage.client().sends(GET);
      const server = other.accepts();
      server.receivesHead();
      server.sends(LAST).ends();
      client.receives(/^HTTP\/1\.1 204 /);
      assert.equal(stage.ended.at(-1)?.attempts, 1);
    }
  });

  it("a server that closes without an answer is not the next one that is asked", () => {
    // By its hash the request belongs to one of the two: whichever it is, it fails.
    const stage = createStage({ servers: ["origin:80", "other:80"], pool: { balance: "hash" } });
    const origins = [stage.origin, stage.network.origin("other:80")];
    const client = stage.client().sends(GET);
    stage.network.run();
    const [asked, other] = origins[0]!.acceptedCount === 1 ? origins : origins.toReversed();
    asked!.accepts().closes();
    const server = other!.accepts();
    server.receivesHead();
    server.sends(OK);
    client.receives(OK);
    assert.equal(stage.ended[0]?.attempts, 2);
  });

  it("a pooled connection that was lost long ago is replaced by a new one, not by one that rested even longer", () => {
    const stage = createStage({ network: { latencyMs: 10 } });
    const clients = Array.from({ length: 5 }, () => stage.client().sends(GET));
    stage.network.advance(100);
    const servers = clients.map(() => stage.origin.accepts().sends(OK));
    stage.network.advance(100);
    assert.equal(stage.pool.idleConnections, 5);
    // The origin has forgotten its connections; the proxy learns of each when it is used, at the earliest.
    for (const server of servers) server.connection.handler = { ...silent, onBytes: () => void server.resets() };
    const client = stage.client().sends(GET);
    stage.network.advance(100);
    const server = stage.origin.accepts();
    server.receivesHead();
    server.sends(OK);
    stage.network.advance(100);
    client.receives(OK);
    assert.equal(stage.ended.at(-1)?.attempts, 2);
  });

  it("end at their number, with the last error", () => {
    const stage = createStage({ upstreamUse: { retriesMax: 2 } });
    stage.origin.stops();
    const client = stage.client().sends(GET);
    client.receives(/^HTTP\/1\.1 502 .*error=connection_refused/s);
    assert.equal(stage.ended[0]?.attempts, 3);
  });

  it("end when the budget is spent", () => {
    const stage = createStage({ pool: { retryBudgetMin: 0, retryBudgetShare: 0 } });
    stage.origin.stops();
    stage
      .client()
      .sends(GET)
      .receives(/^HTTP\/1\.1 502 /);
    assert.equal(stage.ended[0]?.attempts, 1);
  });

  it("a name that does not resolve is 502, a connection that hangs 504", () => {
    const unknown = createStage({ servers: ["nowhere:80"], upstreamUse: { retriesMax: 0 } });
    unknown.network.failDials("nowhere:80", "dns_error");
    unknown
      .client()
      .sends(GET)
      .receives(/^HTTP\/1\.1 502 .*error=dns_error/s);
    const silent = createStage({ upstreamUse: { retriesMax: 0 } });
    silent.network.failDials("origin:80", "connection_timeout");
    const client = silent.client().sends(GET);
    client.receivesNothing();
    silent.passes(3_200);
    client.receives(/^HTTP\/1\.1 504 .*error=connection_timeout/s);
  });
});

describe("the maximum of connections", () => {
  it("makes requests wait for their turn, in order", () => {
    const stage = createStage({ pool: { connectionsMax: 1 } });
    const first = stage.client().sends(GET);
    const second = stage.client().sends(GET);
    const server = stage.origin.accepts();
    server.receivesHead();
    stage.origin.acceptsNothing();
    server.sends(OK);
    first.receives(OK);
    server.receivesHead();
    server.sends(OK);
    second.receives(OK);
    assert.equal(stage.origin.acceptedCount, 1);
  });

  it("leaves the answer whole behind which the next one has the connection, whatever becomes of that", () => {
    const fails: Feature = {
      name: "fails",
      upstreamRequest(exchange) {
        if (exchange.request.path === "/fails") exchange.fail(new ProxyError("http_request_denied", "not this one"));
      },
    };
    const stage = createStage({ pool: { connectionsMax: 1 }, use: [fails] });
    const first = stage.client().sends("GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\r\n");
    const server = stage.origin.accepts();
    server.receivesHead();
    const second = stage.client().sends("GET /fails HTTP/1.1\r\nHost: a\r\n\r\n");
    stage.network.run();
    server.sends("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 7\r\n\r\n");
    first.receives(/\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 7\r\n\r\n$/);
    second.receivesHead();
  });

  it("refuses when the queue is full, or the wait too long", () => {
    const stage = createStage({ pool: { connectionsMax: 1, queueMax: 1 } });
    stage.client().sends(GET);
    stage.origin.accepts();
    const waiting = stage.client().sends(GET);
    stage.network.run();
    stage
      .client()
      .sends(GET)
      .receives(/^HTTP\/1\.1 503 .*Retry-After: 1\r\n/s);
    stage.passes(5_200);
    waiting.receives(/^HTTP\/1\.1 503 .*error=connection_limit_reached/s);
  });

  it("forgets who left the queue", () => {
    const stage = createStage({ pool: { connectionsMax: 1 } });
    const first = stage.client().sends(GET);
    const server = stage.origin.accepts();
    server.receivesHead();
    const leaver = stage.client().sends(GET);
    stage.network.run();
    leaver.closes();
    stage.network.run();
    assert.equal(stage.pool.waiting, 0);
    server.sends(OK);
    first.receives(OK);
    server.receivesNothing();
  });
});
