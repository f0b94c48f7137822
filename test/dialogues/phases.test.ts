// The hooks of features: their order, what each may do, what happens when one waits, answers or throws.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BODY_UNTIL_END } from "../../src/core/message.ts";
import { PassThrough } from "../../src/pipeline/body.ts";
import type { Feature } from "../../src/pipeline/phases.ts";
import { createStage } from "../support/stage.ts";

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nhi";

function recorder(name: string, calls: string[]): Feature {
  return {
    name,
    request: () => void calls.push(`${name}.request`),
    selectUpstream: () => void calls.push(`${name}.selectUpstream`),
    upstreamConnected: () => void calls.push(`${name}.upstreamConnected`),
    upstreamRequest: () => void calls.push(`${name}.upstreamRequest`),
    upstreamResponse: () => void calls.push(`${name}.upstreamResponse`),
    response: () => void calls.push(`${name}.response`),
    log: () => void calls.push(`${name}.log`),
  };
}

/** Turns upper case: a transform that keeps the length. */
class Shout extends PassThrough {
  override write(bytes: Buffer, start: number, end: number): void {
    const loud = Buffer.from(bytes.toString("latin1", start, end).toUpperCase(), "latin1");
    this.next.write(loud, 0, loud.length);
  }
}

/** Adds a mark behind the body: a transform that changes the length. */
class Mark extends PassThrough {
  readonly #mark: Buffer;

  constructor(next: PassThrough["next"], source: PassThrough["source"], mark: string) {
    super(next, source);
    this.#mark = Buffer.from(mark);
  }

  override end(): void {
    this.next.write(this.#mark, 0, this.#mark.length);
    this.next.end();
  }
}

describe("phases", () => {
  it("run in order, those of the answer in reverse", () => {
    const calls: string[] = [];
    const stage = createStage({ use: [recorder("a", calls), recorder("b", calls)] });
    const client = stage.client().sends(GET);
    stage.origin.accepts().sends(OK);
    client.receives(OK);
    assert.deepEqual(calls, [
      "a.request",
      "b.request",
      "a.selectUpstream",
      "b.selectUpstream",
      "a.upstreamConnected",
      "b.upstreamConnected",
      "a.upstreamRequest",
      "b.upstreamRequest",
      "b.upstreamResponse",
      "a.upstreamResponse",
      "b.response",
      "a.response",
      "a.log",
      "b.log",
    ]);
  });

  it("an answer passes only the features before the one that made it", () => {
    const calls: string[] = [];
    const answering: Feature = {
      name: "b",
      request: (exchange) => void exchange.respond({ status: 418, body: "tea" }),
    };
    const stage = createStage({ use: [recorder("a", calls), answering, recorder("c", calls)] });
    stage
      .client()
      .sends(GET)
      .receives(/^HTTP\/1\.1 418 .*\r\nContent-Length: 3\r\n.*tea$/s);
    assert.deepEqual(calls, ["a.request", "a.response", "a.log", "c.log"]);
    stage.origin.acceptsNothing();
  });

  it("a hook that waits holds the exchange, and the upstream's body with it", async () => {
    let release = (): void => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const waiting: Feature = { name: "w", request: async () => {}, response: () => gate };
    const stage = createStage({ use: [waiting] });
    const client = stage.client().sends(GET);
    stage.network.run();
    await stage.network.settle();
    const server = stage.origin.accepts();
    server.receivesHead();
    server.sends(OK);
    client.receivesNothing();
    release();
    await stage.network.settle();
    client.receives(OK);
    assert.equal(stage.pool.idleConnections, 1);
  });

  it("an answer behind a promise counts for the hook that waited", async () => {
    const calls: string[] = [];
    const answering: Feature = {
      name: "b",
      request: async (exchange) => {
        await Promise.resolve();
        exchange.respond({ status: 401 });
      },
    };
    const stage = createStage({ use: [recorder("a", calls), answering, recorder("c", calls)] });
    const client = stage.client().sends(GET);
    stage.network.run();
    await stage.network.settle();
    client.receives(/^HTTP\/1\.1 401 Unauthorized\r\nContent-Length: 0\r\n/);
    assert.deepEqual(calls, ["a.request", "a.response", "a.log", "c.log"]);
  });

  it("a hook that throws is a 500 that says nothing of it, in every phase", async () => {
    const secret = "database password is hunter2";
    for (const phase of [
      "request",
      "selectUpstream",
      "upstreamConnected",
      "upstreamRequest",
      "upstreamResponse",
      "response",
    ]) {
      for (const way of ["throws", "rejects"]) {
        const failing: Feature = {
          name: "f",
          [phase]: () => {
            if (way === "throws" || phase === "upstreamConnected") throw new Error(secret);
            return Promise.reject(new Error(secret));
          },
        };
        const stage = createStage({ use: [failing] });
        const client = stage.client().sends(GET);
        stage.network.run();
        await stage.network.settle();
        if (stage.origin.acceptedCount > 0) stage.origin.accepts().sends(OK);
        stage.network.run();
        await stage.network.settle();
        const [answer] = client.receives(/^HTTP\/1\.1 500 .*$/s);
        assert.doesNotMatch(answer, /hunter2/);
        assert.equal(stage.ended[0]?.error?.message, secret);
        assert.equal(stage.ended.length, 1);
      }
    }
  });

  it("an exchange that ended while a hook waited stays ended", async () => {
    let release = (): void => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const stage = createStage({ use: [{ name: "w", request: () => gate }] });
    const client = stage.client().sends(GET);
    stage.network.run();
    client.closes();
    stage.network.run();
    assert.equal(stage.ended.length, 1);
    release();
    await stage.network.settle();
    stage.origin.acceptsNothing();
    assert.equal(stage.ended.length, 1);
  });

  it("transforms see the answer's body, the last feature first", () => {
    const marks = (mark: string): Feature => ({
      name: mark,
      response: (_, response) => {
        response.bodyBytes = BODY_UNTIL_END;
      },
      responseBody: (_, next, source) => new Mark(next, source, mark),
    });
    const stage = createStage({ use: [marks("1"), marks("2")] });
    const client = stage.client().sends(GET);
    stage.origin.accepts().sends(OK);
    client.receives(
      "HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n1\r\n2\r\n1\r\n1\r\n0\r\n\r\n",
    );
  });

  it("transforms see the request's body, the first feature first", () => {
    const stage = createStage({
      use: [{ name: "s", requestBody: (_, next, source) => new Shout(next, source) }],
    });
    const client = stage.client().sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    const server = stage.origin.accepts();
    server.receives(/\r\n\r\nHELLO$/);
    server.sends(OK);
    client.receives(OK);
  });

  it("a transform that breaks the announced length cuts the answer", () => {
    const stage = createStage({ use: [{ name: "m", responseBody: (_, next, source) => new Mark(next, source, "!") }] });
    const client = stage.client().sends(GET);
    stage.origin.accepts().sends(OK);
    stage.network.run();
    assert.equal(client.reset, true);
    assert.equal(stage.ended[0]?.error?.type, "proxy_internal_error");
  });

  it("proxyError may answer in its own way", () => {
    const stage = createStage({
      use: [
        {
          name: "page",
          proxyError: (exchange, error) =>
            void exchange.respond({ status: error.status, body: `sorry: ${error.type}` }),
        },
      ],
    });
    stage.origin.stops();
    stage
      .client()
      .sends(GET)
      .receives(/^HTTP\/1\.1 502 .*sorry: connection_refused$/s);
  });

  it("handlers answer, with text, bytes or a stream", () => {
    const text = createStage({ handler: (exchange) => void exchange.respond({ status: 200, body: "grüße" }) });
    text
      .client()
      .sends(GET)
      .receives(/\r\nContent-Length: 7\r\n/);
    const stream = createStage({
      handler: (exchange) =>
        void exchange.respond({
          status: 200,
          body: (sink) => {
            sink.write(Buffer.from("abc"), 0, 3);
            sink.write(Buffer.from("def"), 0, 3);
            sink.end();
            return { pause() {}, resume() {} };
          },
        }),
    });
    stream
      .client()
      .sends(GET)
      .receives(/\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n$/);
    const silent = createStage({ handler: () => {} });
    silent
      .client()
      .sends(GET)
      .receives(/^HTTP\/1\.1 500 /);
  });

  it("invalid fields of an answer are a 500, never a split answer", () => {
    const stage = createStage({
      handler: (exchange) => void exchange.respond({ status: 302, fields: [["Location", "/\r\nSet-Cookie: x=1"]] }),
    });
    const [answer] = stage
      .client()
      .sends(GET)
      .receives(/^HTTP\/1\.1 500 .*$/s);
    assert.doesNotMatch(answer, /Set-Cookie/);
  });
});
