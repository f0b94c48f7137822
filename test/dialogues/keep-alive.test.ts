// Connections are kept on both sides, answers come in the order of the requests, and a broken end is never reused.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createStage } from "../support/stage.ts";

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nhi";

describe("keep-alive", () => {
  it("serves request after request on one connection each side", () => {
    const stage = createStage();
    const client = stage.client();
    client.sends(GET);
    const server = stage.origin.accepts();
    for (let i = 0; i < 3; i++) {
      if (i > 0) client.sends(GET);
      server.receives(
        "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\n\r\n",
      );
      server.sends(OK);
      client.receives(OK);
    }
    assert.equal(stage.origin.acceptedCount, 1);
    assert.equal(stage.pool.idleConnections, 1);
    assert.deepEqual(
      stage.ended.map((one) => one.status),
      [200, 200, 200],
    );
  });

  it("answers pipelined requests in order, one at a time", () => {
    const stage = createStage();
    const client = stage.client().sends(GET.replace("/", "/1") + GET.replace("/", "/2") + GET.replace("/", "/3"));
    const server = stage.origin.accepts();
    for (const path of ["/1", "/2", "/3"]) {
      assert.equal(server.receivesHead().startLine, `GET ${path} HTTP/1.1`);
      server.receivesNothing();
      server.sends(`HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\n${path}`);
      client.receives(`HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\n${path}`);
    }
  });

  it("answers HTTP/1.0 and closes, or keeps the connection when asked to", () => {
    const stage = createStage();
    const client = stage.client().sends("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
    const server = stage.origin.accepts();
    server.receivesHead();
    server.sends(OK);
    client.receives("HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhi");
    client.sends("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    server.receivesHead();
    server.sends(OK);
    client.receives("HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi");
    assert.equal(client.ended, true);
  });

  describe("a connection that closes behind an answer", () => {
    const LAST = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

    /** The client has its answer, and has seen our end. */
    function answered(request: string, more = "") {
      const stage = createStage();
      const client = stage.client().sends(request);
      const server = stage.origin.accepts();
      server.receivesHead();
      if (more !== "") client.sends(more);
      stage.network.run();
      server.sends(OK);
      client.receives("HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi");
      client.seesEnd();
      return { stage, client };
    }

    for (const request of [LAST, "GET / HTTP/1.0\r\nHost: a\r\n\r\n"]) {
      it(`is gone with it when the client had said that it was the last: ${JSON.stringify(request.slice(0, 14))}`, () => {
        const { stage } = answered(request);
        assert.deepEqual([stage.driver.size, stage.deadlines.armedCount], [0, 1]);
      });
    }

    it("is read on when the client has sent more all the same, so that no reset overtakes the answer", () => {
      const { stage, client } = answered(LAST, GET);
      client.sends(GET);
      stage.network.run();
      assert.deepEqual([client.reset, stage.driver.size], [false, 1]);
    });

    for (const [what, request] of [
      ["its framing", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"],
      [
        "what it expects",
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: more\r\nContent-Length: 9\r\nConnection: close\r\n\r\n",
      ],
      ["a chunk", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nno size\r\n"],
      ["its method", "TRACE / HTTP/1.0\r\nHost: a\r\n\r\na body that was not announced"],
      ["that it wants a tunnel", "CONNECT a:1 HTTP/1.0\r\nHost: a:1\r\n\r\n"],
    ] as const) {
      it(`is read on when the request was refused for ${what}: the rest of it may be under way`, () => {
        const stage = createStage();
        const client = stage.client().sends(request);
        client.receives(/^HTTP\/1\.1 4\d\d .*\r\nConnection: close\r\n/s);
        client.seesEnd();
        client.sends("the rest");
        stage.network.run();
        assert.deepEqual([client.reset, stage.driver.size], [false, 1]);
        client.ends();
        stage.network.run();
        assert.equal(stage.driver.size, 0);
      });
    }

    it("is read on when only we have said so: the next request may be under way", () => {
      const stage = createStage();
      const client = stage.client().sends(GET);
      const server = stage.origin.accepts();
      server.receivesHead();
      stage.driver.drain();
      server.sends(OK);
      client.receives("HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi");
      client.seesEnd();
      client.sends(GET);
      stage.network.run();
      assert.deepEqual([client.reset, stage.driver.size], [false, 1]);
      client.ends();
      stage.network.run();
      assert.equal(stage.driver.size, 0);
    });
  });

  it("names the server for an HTTP/1.0 client that named none", () => {
    const stage = createStage();
    stage.client().sends("GET / HTTP/1.0\r\n\r\n");
    assert.equal(stage.origin.accepts().receivesHead().get("host"), "origin:80");
  });

  it("closes behind its answer when the client asks for it", () => {
    const stage = createStage();
    const client = stage.client().sends("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    stage.origin.accepts().sends(OK).receivesHead();
    client.receives("HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi");
    assert.equal(client.ended, true);
    client.ends();
    stage.network.run();
    assert.equal(client.closed, true);
  });

  it("does not reuse an upstream that closes, or that sends more than its answer", () => {
    for (const answer of [OK.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"), `${OK}extra`]) {
      const stage = createStage();
      const client = stage.client().sends(GET);
      stage.origin.accepts().sends(answer).receivesHead();
      client.receives(OK);
      assert.equal(stage.pool.connections, 0);
      client.sends(GET);
      stage.origin.accepts().sends(OK).receivesHead();
      client.receives(OK);
    }
  });

  it("does not reuse an upstream that announces a body where there is none", () => {
    for (const framing of ["Content-Length: 5", "Transfer-Encoding: chunked"]) {
      const stage = createStage();
      const client = stage.client().sends(GET);
      stage.origin.accepts().sends(`HTTP/1.1 204 No Content\r\nDate: x\r\n${framing}\r\n\r\n`);
      client.receives("HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n");
      assert.equal(stage.pool.connections, 0);
    }
    const stage = createStage();
    const client = stage.client().sends(GET);
    stage.origin.accepts().sends("HTTP/1.1 204 No Content\r\nDate: x\r\nContent-Length: 0\r\n\r\n");
    client.receivesHead();
    assert.equal(stage.pool.idleConnections, 1, "many servers say that; it says nothing");
  });

  it("drops a pooled connection on which the upstream speaks unasked", () => {
    const stage = createStage();
    const client = stage.client().sends(GET);
    const server = stage.origin.accepts();
    server.sends(OK).receivesHead();
    client.receives(OK);
    server.sends("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison");
    stage.network.run();
    assert.equal(stage.pool.connections, 0);
    client.sends(GET);
    stage.origin.accepts().sends(OK).receivesHead();
    client.receives(OK);
  });

  it("closes idle connections at their deadlines, the upstream's by its own word less a margin", () => {
    const stage = createStage();
    const client = stage.client().sends(GET);
    const server = stage.origin.accepts();
    server.sends(OK.replace("\r\n\r\n", "\r\nKeep-Alive: timeout=5\r\n\r\n")).receivesHead();
    client.receives(OK);
    stage.passes(3_900);
    assert.equal(stage.pool.idleConnections, 1);
    stage.passes(300);
    assert.equal(stage.pool.idleConnections, 0);
    assert.equal(server.closed || server.ended, true);
    stage.passes(76_000);
    assert.equal(client.ended, true, "the client's idle time is over");
  });

  it("is idle behind an empty line, which old clients send behind a body: no answer comes unasked", () => {
    const stage = createStage();
    const client = stage.client().sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi\r\n");
    const server = stage.origin.accepts();
    server.receivesHead();
    server.sends(OK);
    client.receives(OK);
    server.receives("hi");
    stage.passes(60_000);
    client.receivesNothing().staysOpen();
    client.sends("\r");
    stage.network.run();
    client.sends("\nGET / HTTP/1.1\r\nHost: a\r\n");
    stage.passes(5_000);
    client.sends("\r\n");
    const next = stage.origin.accepts();
    next.receivesHead();
    next.sends(OK);
    client.receives(OK);
    client.sends("\r\n");
    stage.passes(76_000);
    client.seesEnd();
  });

  it("drains: busy connections close behind their answer", () => {
    const stage = createStage();
    const busy = stage.client().sends(GET);
    const server = stage.origin.accepts();
    server.receivesHead();
    stage.driver.drain();
    stage.network.run();
    assert.equal(busy.ended, false);
    server.sends(OK);
    busy.receives("HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi");
    assert.equal(busy.ended, true);
  });

  for (const [what, head, body] of [
    ["of its answer", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "hi"],
    ["of its answer in chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "2\r\nhi\r\n0\r\n\r\n"],
  ] as const) {
    it(`drains: who has got the head ${what}, and was not told to leave, may ask once more`, () => {
      const stage = createStage();
      const [asking, silent] = [stage.client(), stage.client()];
      const servers = [asking, silent].map((client) => {
        client.sends(GET);
        const server = stage.origin.accepts();
        server.receivesHead();
        server.sends(head);
        assert.doesNotMatch(client.takes().toString("latin1"), /close/);
        return server;
      });
      stage.driver.drain();
      stage.passes(5_000);
      for (const server of servers) server.sends(body);
      stage.network.run();
      for (const client of [asking, silent]) client.takes();
      assert.deepEqual([asking.ended, silent.ended], [false, false]);
      stage.passes(900);
      asking.sends(GET);
      servers.at(-1)!.receivesHead();
      servers.at(-1)!.sends(OK);
      asking.receives("HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi");
      asking.seesEnd();
      stage.passes(200);
      silent.seesEnd();
      for (const client of [asking, silent]) client.ends();
      stage.network.run();
      assert.equal(stage.driver.size, 0);
    });
  }

  it("drains: who has begun to ask behind an answer whose head did not say so has the time that a head has", () => {
    const stage = createStage();
    const client = stage.client().sends(GET);
    const server = stage.origin.accepts();
    server.receivesHead();
    server.sends("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
    client.sends(GET.slice(0, 10));
    stage.network.run();
    stage.driver.drain();
    server.sends("hi");
    stage.network.run();
    stage.passes(2_000);
    client.takes();
    client.sends(GET.slice(10));
    server.receivesHead();
    server.sends(OK);
    client.receives("HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi");
    client.seesEnd();
  });

  for (const [who, haveAsked] of [
    ["has only just connected", false],
    ["rests", true],
  ] as const) {
    it(`drains: who ${who} may ask once, and not for long`, () => mayAskOnce(haveAsked));
  }

  function mayAskOnce(haveAsked: boolean): void {
    const stage = createStage({ handler: (exchange) => void exchange.respond({ status: 204 }) });
    const [asking, slow, silent] = [stage.client(), stage.client(), stage.client()];
    if (haveAsked) for (const client of [asking, slow, silent]) client.sends(GET).receives(/^HTTP\/1\.1 204 /);
    stage.network.run();
    stage.driver.drain();
    stage.passes(900);
    asking.sends(GET).receives(/^HTTP\/1\.1 204 .*\r\nConnection: close\r\n/s);
    asking.seesEnd();
    slow.sends(GET.slice(0, 10));
    stage.network.run();
    assert.equal(silent.ended, false);
    stage.passes(200);
    silent.seesEnd();
    slow.sends(GET.slice(10)).receives(/^HTTP\/1\.1 204 .*\r\nConnection: close\r\n/s);
    for (const client of [asking, slow, silent]) client.ends();
    stage.network.run();
    assert.deepEqual([stage.driver.size, stage.deadlines.size], [0, 0]);
  }

  it("tells whoever has a connection, or waits for one, that the pool was destroyed", () => {
    const stage = createStage({ pool: { connectionsMax: 1 } });
    const busy = stage.client().sends(GET);
    stage.origin.accepts().receivesHead();
    const waiting = stage.client().sends(GET);
    stage.network.run();
    stage.pool.destroy();
    busy.receives(/^HTTP\/1\.1 503 .*error=destination_unavailable/s);
    waiting.receives(/^HTTP\/1\.1 503 .*error=destination_unavailable/s);
    assert.equal(stage.pool.connections + stage.pool.waiting, 0);
    stage.origin.acceptsNothing();
  });

  it("leaves nothing behind", () => {
    const stage = createStage();
    const client = stage.client().sends(GET);
    const server = stage.origin.accepts();
    server.sends(OK).receivesHead();
    client.receives(OK);
    client.closes();
    stage.pool.destroy();
    stage.network.run();
    assert.equal(stage.driver.size, 0);
    assert.equal(stage.pool.connections, 0);
    assert.equal(stage.deadlines.armedCount, 0);
  });
});
