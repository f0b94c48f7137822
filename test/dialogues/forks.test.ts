// Requests that a feature sends by itself: where they go, what they say, whom they tell, and that they need no client.
import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { ProxyError } from "../../src/core/errors.ts";
import { pooledStorages } from "../../src/core/fields.ts";
import { RequestMessage, ResponseMessage } from "../../src/core/message.ts";
import type { AnswerSink, ProducedBody } from "../../src/pipeline/body.ts";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import type { Feature } from "../../src/pipeline/phases.ts";
import { ForkingFeature, ForkRecord } from "../support/forking.ts";
import { createStage, type Stage, type StageOptions } from "../support/stage.ts";

const GET = "GET /a?b=c HTTP/1.1\r\nHost: a\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nhi";
const EVENTS_OF_OK = ["head 200", "body hi", "end"];

interface ForkStage extends Stage {
  readonly forking: ForkingFeature;
}

let stages: ForkStage[] = [];

function createForkStage({ use = [], ...options }: StageOptions = {}): ForkStage {
  const forking = new ForkingFeature();
  const stage = { ...createStage({ ...options, use: [forking, ...use] }), forking };
  stages.push(stage);
  return stage;
}

afterEach(() => {
  for (const { forks, driver, pool, network, deadlines } of stages) {
    driver.drain();
    pool.close();
    network.run();
    driver.destroy();
    forks.destroy();
    pool.destroy();
    network.runUntilIdle();
    assert.deepEqual([driver.size, forks.size, pool.connections, deadlines.size], [0, 0, 0, 0]);
  }
  stages = [];
});

describe("a forked request", () => {
  it("goes where the exchange would go, and its answer to nobody but the handler", () => {
    const stage = createForkStage();
    const client = stage.client().sends(GET);
    const server = stage.origin.accepts();
    server.receives(
      "GET /a?b=c HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\n\r\n",
    );
    client.receives(/^HTTP\/1\.1 204 No Content\r\n/);
    assert.deepEqual(stage.forking.record.take(), []);
    server.sends(OK);
    stage.network.run();
    assert.deepEqual(stage.forking.record.take(), EVENTS_OF_OK);
    assert.equal(stage.forking.record.isForwarded, true);
    client.receivesNothing();
    assert.equal(stage.forks.size, 0);
    assert.equal(stage.ended.length, 1, "only the client's exchange is observed");
  });

  it("says nothing twice, and nothing of the client's own hop", () => {
    const stage = createForkStage({ via: "here" });
    const hop =
      "Connection: X-Mine, TE\r\nX-Mine: 1\r\nTE: trailers\r\nProxy-Authorization: Basic eDp5\r\nVia: 1.1 before\r\n";
    stage.client().sends(`GET / HTTP/1.1\r\nHost: a\r\n${hop}X-Forwarded-For: 1.2.3.4\r\n\r\n`);
    const head = stage.origin.accepts().receivesHead();
    assert.equal(head.get("via"), "1.1 before, 1.1 here");
    assert.equal(head.get("x-forwarded-for"), "192.0.2.1");
    assert.deepEqual([head.get("x-mine"), head.get("proxy-authorization")], [null, null]);
    assert.deepEqual([head.get("te"), head.get("connection")], ["trailers", "TE"]);
  });

  it("has no body, expects nothing and asks for no upgrade, whatever the client does", () => {
    const stage = createForkStage();
    const fields = "Content-Length: 4\r\nExpect: 100-continue\r\nTrailer: X-T\r\n";
    stage.client().sends(`PUT / HTTP/1.1\r\nHost: a\r\n${fields}\r\n`);
    const first = stage.origin.accepts().receivesHead();
    assert.deepEqual(
      [first.get("content-length"), first.get("expect"), first.get("trailer")],
      ["0", null, null].fill(null),
    );
    stage.client().sends("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    const server = stage.origin.accepts();
    const second = server.receivesHead();
    assert.deepEqual([second.get("upgrade"), second.get("connection")], [null, null]);
    server.sends("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    stage.network.run();
    assert.deepEqual(stage.forking.record.take(), ["failed http_upgrade_failed"]);
  });

  it("passes the features behind the one that sends it, and none in front of it", () => {
    const seen: string[] = [];
    const noting = (name: string): Feature => ({
      name,
      request: ({ request }) => void seen.push(`${name} request ${request.path}`),
      upstreamRequest: () => void seen.push(`${name} upstreamRequest`),
      upstreamResponse: () => void seen.push(`${name} upstreamResponse`),
      response: (_exchange, response: ResponseMessage) => response.fields.append("X-By", name),
      log: ({ ended, error }) => void seen.push(`${name} log ${ended} ${error === null ? "" : error.type}`),
    });
    const forking = new ForkingFeature();
    const stage = createStage({ use: [noting("front"), forking, noting("behind")] });
    const client = stage.client().sends(GET);
    const server = stage.origin.accepts();
    client.receives(/^HTTP\/1\.1 204 No Content\r\nX-By: front\r\n/);
    server.sends(OK);
    stage.network.run();
    assert.equal(forking.record.response!.fields.get("x-by"), null, "released at the end");
    assert.deepEqual(seen, [
      "front request /a",
      "behind request /a",
      "front log true ",
      "behind log true ",
      "behind upstreamRequest",
      "behind upstreamResponse",
      "behind log true ",
    ]);
  });

  it("has the client's facts, and what features in front found out", () => {
    let seen: Exchange | null = null;
    const identity = { subject: "alice", by: "test" };
    const auth: Feature = {
      name: "auth",
      request(exchange) {
        exchange.identity = identity;
        exchange.request.fields.append("X-User", "alice");
      },
    };
    const looking: Feature = {
      name: "looking",
      request(exchange) {
        seen = exchange;
      },
    };
    const forking = new ForkingFeature();
    const stage = createStage({ use: [auth, forking, looking] });
    stage.client().sends("GET / HTTP/1.1\r\nHost: a\r\nX-User: mallory\r\n\r\n");
    stage.network.run();
    const [parent] = forking.exchanges;
    const fork = seen! as Exchange;
    assert.notEqual(fork, parent);
    assert.deepEqual([fork.identity, fork.clientAddress, fork.routeName], [identity, "192.0.2.1", parent!.routeName]);
    assert.deepEqual(fork.connection.remote, parent!.connection.remote);
    assert.equal(fork.receivedRows, 2, "rows that came from the client: Host and its own X-User");
    assert.deepEqual(stage.origin.accepts().receivesHead().get("x-user"), "mallory, alice");
  });

  it("may be another one than the client's: its fields and its target are a copy", () => {
    const stage = createForkStage();
    stage.forking.prepare = (request) => {
      request.fields.delete("range");
      request.fields.set("If-None-Match", '"v1"');
      request.setTarget("/other", null);
    };
    stage.forking.waits = (exchange) => {
      assert.equal(exchange.request.fields.get("range"), "bytes=0-1");
      assert.equal(exchange.request.target, "/a?b=c");
      exchange.respond({ status: 204 });
    };
    stage.client().sends("GET /a?b=c HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1\r\n\r\n");
    const head = stage.origin.accepts().receivesHead();
    assert.equal(head.startLine, "GET /other HTTP/1.1");
    assert.deepEqual([head.get("range"), head.get("if-none-match")], [null, '"v1"']);
  });

  it("is made of a copy that keeps a normalised path, an authority and a method", () => {
    const stage = createForkStage();
    stage.client().sends("GET http://B.example/a/../x%2fy?q HTTP/1.1\r\nHost: B.example\r\n\r\n");
    stage.client().sends("HEAD /plain HTTP/1.1\r\nHost: c\r\n\r\n");
    const first = stage.origin.accepts().receivesHead();
    assert.deepEqual([first.startLine, first.get("host")], ["GET /x%2Fy?q HTTP/1.1", "B.example"]);
    const server = stage.origin.accepts();
    assert.equal(server.receivesHead().startLine, "HEAD /plain HTTP/1.1");
    server.sends("HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 5\r\n\r\n");
    stage.network.run();
    assert.deepEqual(stage.forking.record.take(), ["head 200", "end"]);
  });

  it("is refused with a body, as a tunnel, and outside of a request hook", () => {
    const thrown: string[] = [];
    const attempt = (fork: () => unknown): void => {
      try {
        fork();
        thrown.push("nothing");
      } catch (error) {
        thrown.push((error as Error).message);
      }
    };
    const trying: Feature = {
      name: "trying",
      request(exchange) {
        const request = new RequestMessage();
        request.bodyBytes = 3;
        attempt(() => exchange.fork(request, new ForkRecord()));
        request.bodyBytes = 0;
        request.method = "CONNECT";
        attempt(() => exchange.fork(request, new ForkRecord()));
      },
      response(exchange) {
        attempt(() => exchange.fork(new RequestMessage(), new ForkRecord()));
        attempt(() => exchange.forkPoint());
      },
    };
    const stage = createStage({ use: [trying] });
    const client = stage.client().sends(GET);
    stage.origin.accepts().sends(OK);
    client.receives(OK);
    const outside = "only a request hook can fork";
    assert.deepEqual(thrown, ["a forked request has no body", "a tunnel cannot be forked", outside, outside]);
  });
});

describe("the answer of a fork", () => {
  it("has Date and Via as a client would get them, and no hop-by-hop fields", () => {
    const stage = createForkStage({ via: "here" });
    stage.client().sends(GET);
    const server = stage.origin.accepts();
    const { record } = stage.forking;
    const lines: [string, string][] = [];
    record.onEvent = (event) => {
      if (event === "head 200") lines.push(...record.response!.fields.entries());
    };
    server.sends(
      "HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nVia: 1.1 before\r\nX-End: 1\r\nContent-Length: 0\r\n\r\n",
    );
    stage.network.run();
    assert.deepEqual(lines, [
      ["Via", "1.1 before"],
      ["X-End", "1"],
      ["Content-Length", "0"],
      ["Date", new Date(stage.network.clock.wallMs()).toUTCString()],
      ["Via", "1.1 here"],
    ]);
  });

  it("may come with interim responses, chunked, and with trailers", () => {
    const stage = createForkStage();
    stage.client().sends("GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\r\n");
    const server = stage.origin.accepts();
    server.sends("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n");
    server.sends("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\nX-Sum: 1\r\n\r\n");
    stage.network.run();
    const events = ["informational 103 </a.css>", "head 200", "body abc", "body d", "end X-Sum=1"];
    assert.deepEqual(stage.forking.record.take(), events);
    assert.equal(stage.forking.record.response!.bodyBytes, -1);
  });

  it("waits while it is paused, and time does not end it", () => {
    const stage = createForkStage({ upstreamUse: { bodyTimeoutMs: 1_000 } });
    stage.client().sends(GET);
    const server = stage.origin.accepts();
    const { record, fork } = stage.forking;
    record.onEvent = (event) => {
      if (event === "head 200") fork.pause();
    };
    const body = "x".repeat(3_000_000);
    server.sends(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`).sends(body);
    stage.network.run();
    const given = () =>
      record.events.reduce((sum, event) => sum + (event.startsWith("body ") ? event.length - 5 : 0), 0);
    assert.ok(given() < 200_000, `${given()} bytes were given to a handler that is paused`);
    assert.ok(server.connection.queuedBytes > 1_000_000, "the origin is held back");
    stage.passes(60_000);
    assert.equal(record.error, null);
    fork.resume();
    stage.network.run();
    assert.equal(given(), body.length);
    assert.equal(record.events.at(-1), "end");
  });

  it("may be paused before it is there", () => {
    const stage = createForkStage();
    stage.client().sends(GET);
    const server = stage.origin.accepts();
    const { record, fork } = stage.forking;
    fork.pause();
    server.sends("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n");
    stage.network.run();
    server.sends("2\r\ncd\r\n0\r\n\r\n");
    stage.network.run();
    assert.deepEqual(record.take(), ["head 200", "body ab"], "a part may still come after a pause");
    fork.resume();
    stage.network.run();
    assert.deepEqual(record.take(), ["body cd", "end"]);
  });

  it("may be given up in every step, in the middle of each call too; nothing is told any more", () => {
    const steps = ["head 200", "body hi", "informational 103 x", "end"];
    for (const step of steps) {
      const stage = createForkStage();
      stage.client().sends(GET);
      const server = stage.origin.accepts();
      const { record, fork } = stage.forking;
      record.onEvent = (event) => {
        if (event === step) fork.abort();
      };
      server.sends("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
      server.sends("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n");
      stage.network.run();
      server.sends("2\r\nho\r\n0\r\n\r\n");
      stage.network.run();
      assert.equal(record.events.at(-1), step);
      assert.equal(stage.forks.size, 0);
      if (step !== "end") server.seesReset();
      fork.abort();
    }
  });

  it("may be given up while a connection is made, or waited for", () => {
    const stage = createForkStage({ pool: { connectionsMax: 1 } });
    stage.client().sends(GET);
    stage.client().sends(GET);
    stage.network.run();
    const [first, second] = stage.forking.forks;
    assert.equal(stage.pool.waiting, 1);
    second!.abort();
    assert.equal(stage.pool.waiting, 0);
    first!.abort();
    stage.network.run();
    assert.deepEqual([stage.forks.size, stage.pool.connections], [0, 0]);
  });

  it("gives its memory back, however it ends", () => {
    const before = pooledStorages();
    const stage = createForkStage();
    for (const end of ["answered", "aborted", "failed"]) {
      stage.client().sends(GET);
      stage.network.run();
      const server = stage.origin.accepts();
      server.receivesHead();
      if (end === "answered") server.sends(`${OK}`);
      else if (end === "failed") server.sends("nonsense\r\n\r\n");
      else stage.forking.fork.abort();
      stage.network.run();
      server.closes();
      stage.network.run();
    }
    assert.equal(stage.forks.size, 0);
    assert.ok(pooledStorages() >= before, "every section that was taken was given back");
  });
});

describe("what a fork gives may be passed on to the client", () => {
  it("interim responses, by way of the features in front; not once there is an answer", async () => {
    const seen: string[] = [];
    const looking = (name: string, passes: string): Feature => ({
      name,
      upstreamInformational(_exchange, { fields }) {
        seen.push(`${name} ${fields.get("link")}`);
        return fields.get("link") !== passes;
      },
    });
    const forking = new ForkingFeature();
    const stage = createStage({ use: [looking("front", "keep"), forking, looking("behind", "drop")] });
    let answer = (): void => {};
    forking.onRecord = (record) => {
      record.onInformational = (response) => forking.exchanges[0]!.informational(response);
    };
    forking.waits = (exchange) =>
      new Promise<void>((resolve) => {
        answer = () => {
          exchange.respond({ status: 204, fields: [["Date", "x"]] });
          resolve();
        };
      });
    const client = stage.client().sends(GET);
    const server = stage.origin.accepts();
    const hint = (link: string) => `HTTP/1.1 103 Early Hints\r\nLink: ${link}\r\n\r\n`;
    for (const link of ["pass", "keep", "drop"]) server.sends(hint(link));
    client.receives(hint("pass"));
    assert.deepEqual(seen, ["behind pass", "front pass", "behind keep", "front keep", "behind drop"]);
    answer();
    server.sends(hint("late"));
    stage.network.run();
    forking.record.onInformational(new ResponseMessage(103));
    await stage.network.settle();
    client.receives("HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n");
  });

  it("its body with backpressure, and its trailers", async () => {
    const stage = createForkStage();
    const { forking } = stage;
    forking.waits = (exchange, record) =>
      new Promise<void>((resolve) => {
        let sink: AnswerSink | null = null;
        record.onHead = () => {
          const body = (to: AnswerSink): ProducedBody => {
            sink = to;
            return forking.fork;
          };
          exchange.respond({ status: 200, fields: [["Date", "x"]], body });
          resolve();
        };
        record.onBody = (bytes, start, end) => sink!.write(bytes, start, end);
        record.onEnd = (trailers) => sink!.end(trailers);
      });
    const client = stage
      .client()
      .sends("GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\r\n")
      .stopsReading();
    const server = stage.origin.accepts();
    const head = "HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    server.sends(head);
    stage.network.run();
    await stage.network.settle();
    const part = "y".repeat(100_000);
    for (let i = 0; i < 10; i++) server.sends(`186a0\r\n${part}\r\n`);
    server.sends("0\r\nX-Sum: 10\r\n\r\n");
    stage.network.run();
    assert.ok(server.connection.queuedBytes > 500_000, "the origin is held back");
    client.readsOn();
    const received = client.takes().toString("latin1");
    assert.ok(received.startsWith(head) && received.endsWith("0\r\nX-Sum: 10\r\n\r\n"));
    assert.equal(stage.ended[0]!.responseBodyBytes, 1_000_000);
  });
});

describe("a fork that fails", () => {
  it("tells the handler why, and makes no page of it", () => {
    const stage = createForkStage({ upstreamUse: { retriesMax: 0 } });
    const client = stage.client().sends(GET);
    stage.origin.accepts().resets();
    client.receives(/^HTTP\/1\.1 204 No Content\r\n/);
    assert.deepEqual(stage.forking.record.take(), ["failed connection_terminated"]);
  });

  it("is tried again where the rules allow it", () => {
    const stage = createForkStage();
    stage.client().sends(GET);
    stage.origin.accepts().resets();
    const second = stage.origin.accepts();
    second.sends(OK);
    stage.network.run();
    assert.deepEqual(stage.forking.record.take(), EVENTS_OF_OK);
  });

  it("in its body says that it broke off", () => {
    const stage = createForkStage();
    stage.client().sends(GET);
    const server = stage.origin.accepts();
    server.sends("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhi").ends();
    stage.network.run();
    assert.deepEqual(stage.forking.record.take(), ["head 200", "body hi", "failed http_response_incomplete"]);
  });

  it("fails when its upstream hangs: before the head, and in the body", () => {
    const stage = createForkStage({ upstreamUse: { responseTimeoutMs: 1_000, bodyTimeoutMs: 2_000, retriesMax: 0 } });
    stage.client().sends(GET);
    stage.origin.accepts();
    stage.passes(1_500);
    assert.deepEqual(stage.forking.record.take(), ["failed http_response_timeout"]);
    stage.client().sends(GET);
    stage.origin.accepts().sends("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhi");
    stage.network.run();
    stage.passes(4_000);
    assert.deepEqual(stage.forking.record.take(), ["head 200", "body hi", "failed connection_read_timeout"]);
  });

  it("never calls before it was begun, even when it fails at once, or is answered at once", async () => {
    const failing: Feature = {
      name: "failing",
      request: () => {
        throw new ProxyError("http_request_denied", "no");
      },
    };
    const answering: Feature = {
      name: "answering",
      request: (exchange) => void exchange.respond({ status: 200, body: "own" }),
    };
    for (const [feature, events] of [
      [failing, ["failed http_request_denied"]],
      [answering, ["head 200", "body own", "end"]],
    ] as const) {
      const stage = createForkStage({ use: [feature] });
      let atReturn: string[] | null = null;
      stage.forking.waits = (exchange, record) => {
        atReturn = [...record.events];
        exchange.respond({ status: 204 });
      };
      stage.client().sends(GET);
      stage.network.run();
      assert.deepEqual(atReturn, []);
      await stage.network.settle();
      assert.deepEqual(stage.forking.record.take(), events);
      assert.equal(stage.forking.record.isForwarded, false);
      stage.origin.acceptsNothing();
    }
  });

  it("may be answered by a feature behind, as a failing exchange may", () => {
    const rescuing: Feature = {
      name: "rescuing",
      proxyError: (exchange) => void exchange.respond({ status: 503, body: "later" }),
    };
    const stage = createForkStage({ use: [rescuing], upstreamUse: { retriesMax: 0 } });
    stage.client().sends(GET);
    stage.origin.accepts().resets();
    stage.network.run();
    assert.deepEqual(stage.forking.record.take(), ["head 503", "body later", "end"]);
  });

  it("when a feature gives another length than it has announced", async () => {
    for (const bodyBytes of [2, 4]) {
      const wrong: Feature = {
        name: "wrong",
        request(exchange) {
          const body = (sink: { write(bytes: Buffer, start: number, end: number): void; end(): void }) => {
            sink.write(Buffer.from("abc"), 0, 3);
            sink.end();
            return { pause() {}, resume() {} };
          };
          exchange.respond({ status: 200, body, bodyBytes });
        },
      };
      const stage = createForkStage({ use: [wrong] });
      stage.client().sends(GET);
      stage.network.run();
      await stage.network.settle();
      assert.equal(stage.forking.record.events.at(-1), "failed proxy_internal_error");
    }
  });
});

describe("a fork and its exchange", () => {
  it("need not end together: the client may leave, or have its answer", () => {
    const stage = createForkStage();
    stage.forking.waits = () => new Promise<void>(() => {});
    const client = stage.client().sends(GET);
    const server = stage.origin.accepts();
    client.resets();
    stage.network.run();
    assert.equal(stage.ended.length, 1);
    server.receivesHead();
    server.sends(OK);
    stage.network.run();
    assert.deepEqual(stage.forking.record.take(), EVENTS_OF_OK);
  });

  it("one that has ended can be forked again, from its fork and from its place", () => {
    const stage = createForkStage({ via: "here" });
    const client = stage.client().sends("GET /first HTTP/1.1\r\nHost: a\r\nX-Kept: 1\r\n\r\n");
    const copies: RequestMessage[] = [];
    stage.forking.prepare = (request) => copies.push(request.copyWithoutBody(), request.copyWithoutBody());
    const server = stage.origin.accepts();
    server.receivesHead();
    client.receives(/^HTTP\/1\.1 204 /);
    client.closes();
    server.sends(OK);
    stage.network.run();
    const { fork, point } = stage.forking;
    const [again, later] = [new ForkRecord(), new ForkRecord()];
    copies[0]!.fields.set("Range", "bytes=2-");
    fork.again(copies[0]!, again);
    const head = server.receivesHead();
    assert.deepEqual([head.startLine, head.get("range"), head.get("x-kept")], ["GET /first HTTP/1.1", "bytes=2-", "1"]);
    assert.equal(head.get("via"), "1.1 here");
    server.sends("HTTP/1.1 206 Partial Content\r\nContent-Length: 0\r\n\r\n");
    stage.network.run();
    assert.deepEqual(again.take(), ["head 206", "end"]);
    point!.fork(copies[1]!, later);
    server.receivesHead();
    server.sends(OK);
    stage.network.run();
    assert.deepEqual(later.take(), EVENTS_OF_OK);
  });

  it("while the exchange waits, its log tells of the fork's connection and times; not when it had an answer", () => {
    const stage = createForkStage();
    stage.forking.waits = (exchange, record) =>
      new Promise<void>((resolve) => {
        record.onEvent = (event) => {
          if (event.startsWith("head")) exchange.respond({ status: 200 });
          resolve();
        };
      });
    stage.client().sends(GET);
    const server = stage.origin.accepts();
    stage.passes(50);
    server.sends(OK);
    stage.network.run();
    const [waited] = stage.forking.exchanges;
    assert.equal(waited!.upstreamAddress, "origin:80");
    assert.equal(waited!.attempts, 1);
    assert.ok(waited!.upstreamFirstByteMs - waited!.upstreamSentMs >= 50);
    stage.forking.waits = null;
    stage.client().sends(GET);
    server.sends(OK);
    stage.network.run();
    assert.deepEqual([stage.forking.exchanges[1]!.upstreamAddress, stage.forking.exchanges[1]!.attempts], [null, 0]);
  });

  it("all end when the proxy closes, and none begins any more", async () => {
    const stage = createForkStage();
    stage.client().sends(GET);
    stage.origin.accepts();
    const empty = stage.forks.untilEmpty();
    stage.forks.destroy();
    assert.deepEqual(stage.forking.record.take(), ["failed connection_terminated"]);
    await empty;
    const late = new ForkRecord();
    stage.forking.point!.fork(new RequestMessage(), late);
    assert.deepEqual(late.take(), [], "not within the call");
    await stage.network.settle();
    assert.deepEqual(late.take(), ["failed connection_terminated"]);
    stage.origin.acceptsNothing();
  });
});
