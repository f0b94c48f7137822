// Hooks answer, fail and throw wherever they stand; the exchange ends once, in the way that was said first.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { ProxyError } from "../../src/core/errors.ts";
import { type BodySink, type BodySource, PassThrough } from "../../src/pipeline/body.ts";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import type { Feature } from "../../src/pipeline/phases.ts";
import { ForkingFeature } from "../support/forking.ts";
import { createStage } from "../support/stage.ts";

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nhi";
const UPLOAD = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234";

describe("upstreamConnected", () => {
  it("may answer or fail, whatever Host the upstream would have got", () => {
    for (const host of ["preserve", "upstream", { name: "b" }] as const) {
      for (const [status, end] of [
        [418, (exchange: Exchange) => void exchange.respond({ status: 418 })],
        [403, (exchange: Exchange) => exchange.fail(new ProxyError("http_request_denied", "no"))],
      ] as const) {
        const later: string[] = [];
        const stage = createStage({
          upstreamUse: { host },
          use: [
            { name: "ending", upstreamConnected: end },
            { name: "later", upstreamConnected: () => void later.push("called") },
          ],
        });
        assert.match(stage.client().sends(GET).receivesHead().startLine, new RegExp(`^HTTP/1\\.1 ${status} `));
        stage.origin.accepts().receivesNothing();
        assert.deepEqual(later, [], "there is no connection any more");
        assert.equal(stage.pool.connections, 0);
      }
    }
  });
});

describe("requestBody", () => {
  it("may fail or throw: nothing has gone to the upstream", () => {
    for (const requestBody of [
      (exchange: Exchange) => {
        exchange.fail(new ProxyError("http_request_denied", "no"));
        return null;
      },
      () => {
        throw new ProxyError("http_request_denied", "no");
      },
    ]) {
      const stage = createStage({ use: [{ name: "failing", requestBody }] });
      const client = stage.client().sends(UPLOAD);
      stage.origin.accepts().receivesNothing();
      client.receives(/^HTTP\/1\.1 403 /);
      assert.equal(stage.ended[0]?.requestBodyBytes, 0);
      client.sends(`56789${GET}`);
      assert.match(stage.origin.accepts().receivesHead().startLine, /^GET /);
    }
  });
});

/** What a transform does that is not its turn: nobody has given it anything yet. */
const HASTY: readonly [what: string, hasty: (next: BodySink) => void][] = [
  ["write", (next) => next.write(Buffer.from("x"), 0, 1)],
  ["end", (next) => next.end()],
];

for (const [what, hasty] of HASTY) {
  it(`a transform that calls ${what} while it is made fails the request, and nothing of it goes to the upstream`, () => {
    const requestBody = (_: Exchange, next: BodySink, source: BodySource) => {
      hasty(next);
      return new PassThrough(next, source);
    };
    const stage = createStage({ use: [{ name: "hasty", requestBody }] });
    const client = stage.client().sends(UPLOAD);
    stage.origin.accepts().receivesNothing();
    client.receives(/^HTTP\/1\.1 500 .*error=proxy_internal_error/s);
    assert.match(stage.ended[0]!.error!.message, /a transform wrote or ended a body before/);
    client.sends(`56789${GET}`);
    assert.match(stage.origin.accepts().receivesHead().startLine, /^GET /);
  });

  for (const phase of ["responseBody", "upstreamResponseBody"] as const) {
    it(`a transform of ${phase} that calls ${what} while it is made fails the answer, and nothing comes ahead of its head`, () => {
      let made = 0;
      const transform = (_: Exchange, next: BodySink, source: BodySource) => {
        if (made++ === 0) hasty(next);
        return new PassThrough(next, source);
      };
      const stage = createStage({ use: [{ name: "hasty", [phase]: transform }] });
      const client = stage.client().sends(GET);
      const origin = stage.origin.accepts();
      origin.receivesHead();
      origin.sends(OK);
      const { startLine, get } = client.receivesHead();
      assert.equal(startLine, "HTTP/1.1 500 Internal Server Error");
      client.receives(new RegExp(`^[^]{${get("content-length")}}$`));
      assert.match(stage.ended[0]!.error!.message, /a transform wrote or ended a body before/);
      client.sends(GET);
      const second = stage.origin.accepts();
      second.receivesHead();
      second.sends(OK);
      client.receives(OK);
    });
  }
}

describe("responseBody and upstreamResponseBody", () => {
  it("when one fails, the transforms of the others let go, and what they do later reaches nobody", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const aborted: string[] = [];
    const late: BodySink[] = [];
    class Letting extends PassThrough {
      override abort(error: ProxyError): void {
        aborted.push(error.message);
        super.abort(error);
      }
    }
    let answers = 0;
    const stage = createStage({
      use: [
        { name: "waiting", response: () => (answers++ === 0 ? undefined : promise) },
        {
          name: "passing",
          responseBody: (_, next, source) => {
            late.push(next);
            return new Letting(next, source);
          },
        },
        {
          name: "failing",
          responseBody: (exchange, next, source) => {
            if (answers > 1) return null;
            exchange.fail(new ProxyError("http_request_denied", "no"));
            return new Letting(next, source);
          },
        },
      ],
    });
    const client = stage.client().sends(GET);
    const origin = stage.origin.accepts();
    origin.receivesHead();
    origin.sends(OK);
    client.receivesNothing();
    assert.deepEqual(aborted, ["no", "no"]);
    const [first] = late;
    first!.write(Buffer.from("late"), 0, 4);
    first!.end();
    first!.abort(new ProxyError("proxy_internal_error", "late"));
    resolve();
    await promise;
    await nextTurn();
    const { startLine, get } = client.receivesHead();
    assert.match(startLine, /^HTTP\/1\.1 403 /);
    client.receives(new RegExp(`^[^]{${get("content-length")}}$`));
    assert.equal(stage.ended[0]?.error?.message, "no");
  });

  it("may fail or throw: nothing of the answer has gone to the client, and nothing of it will", () => {
    const passing = (_: Exchange, next: BodySink, source: BodySource) => new PassThrough(next, source);
    for (const phase of ["responseBody", "upstreamResponseBody"] as const) {
      for (const end of [
        (exchange: Exchange) => {
          exchange.fail(new ProxyError("http_request_denied", "no"));
          return null;
        },
        () => {
          throw new ProxyError("http_request_denied", "no");
        },
      ]) {
        let calls = 0;
        const once: Feature = {
          name: "failing",
          [phase]: (exchange: Exchange) => (calls++ === 0 ? end(exchange) : null),
        };
        const stage = createStage({ use: [once, { name: "passing", [phase]: passing }] });
        const client = stage.client().sends(GET);
        const origin = stage.origin.accepts();
        origin.receivesHead();
        origin.sends(OK);
        const { startLine, get } = client.receivesHead();
        assert.match(startLine, /^HTTP\/1\.1 403 /);
        client.receives(new RegExp(`^[^]{${get("content-length")}}$`));
        assert.equal(stage.ended.length, 1);
        client.sends(GET);
        stage.origin.accepts().receivesHead();
      }
    }
  });

  it("may fail a request that a feature sent: the feature is told, and nothing more comes", () => {
    const forking = new ForkingFeature();
    const upstreamResponseBody = (exchange: Exchange) => {
      exchange.fail(new ProxyError("http_request_denied", "no"));
      return null;
    };
    const stage = createStage({ use: [forking, { name: "failing", upstreamResponseBody }] });
    stage
      .client()
      .sends(GET)
      .receives(/^HTTP\/1\.1 204 /);
    const origin = stage.origin.accepts();
    origin.receivesHead();
    origin.sends(OK).receivesNothing();
    assert.deepEqual(forking.record.take(), ["failed http_request_denied"]);
    assert.equal(stage.pool.connections, 0);
  });
});

describe("proxyError", () => {
  it("may fail again, once: that error's own page goes out", () => {
    let calls = 0;
    const stage = createStage({
      use: [
        {
          name: "failing again",
          request: (exchange) => exchange.fail(new ProxyError("http_request_denied", "first")),
          proxyError: (exchange) => {
            calls++;
            exchange.fail(new ProxyError("http_request_denied", "second", { status: 451 }));
          },
        },
      ],
    });
    stage
      .client()
      .sends(GET)
      .receives(/^HTTP\/1\.1 451 /);
    assert.equal(calls, 1);
    assert.equal(stage.ended.length, 1);
    assert.equal(stage.ended[0]?.error?.message, "first");
  });
});

describe("log", () => {
  it("may throw: the others are called, and the fault is told", () => {
    const calls: string[] = [];
    const throwing: Feature = {
      name: "throwing",
      log: () => {
        throw new Error("a bug");
      },
    };
    const stage = createStage({ use: [throwing, { name: "logging", log: () => void calls.push("called") }] });
    const client = stage.client().sends(GET);
    stage.origin.accepts().sends(OK);
    client.receives(OK);
    assert.deepEqual(calls, ["called"]);
    assert.equal(stage.ended[0]?.error?.message, "a bug");
  });
});

describe("a hook that is no async function", () => {
  it("may return a promise of another making, or something that is none", async () => {
    // biome-ignore lint/suspicious/noThenProperty: this is what promises of other libraries are.
    const thenable = { then: (resolve: () => void) => resolve() };
    for (const returned of [true, {}, thenable]) {
      const stage = createStage({ use: [{ name: "plain", request: (() => returned) as unknown as () => void }] });
      const client = stage.client().sends(GET);
      stage.network.run();
      await stage.network.settle();
      stage.origin.accepts().sends(OK);
      client.receives(OK);
    }
  });
});

describe("an answer out of nowhere, as from a timer", () => {
  function held(use: readonly Feature[] = []) {
    let exchange: Exchange | null = null;
    const stage = createStage({
      pool: { connectionsMax: 1 },
      use: [
        {
          name: "holding",
          request: (current) => {
            exchange = current;
          },
        },
        ...use,
      ],
    });
    return { stage, exchange: () => exchange! };
  }

  it("in the middle of an upload frees the upstream, and the connection goes on behind the body", () => {
    const { stage, exchange } = held();
    const client = stage.client().sends(UPLOAD);
    const server = stage.origin.accepts();
    server.receives(/01234$/);
    assert.equal(exchange().respond({ status: 202, body: "later" }), true);
    assert.equal(exchange().respond({ status: 203, body: "too late" }), false);
    client.receives(/^HTTP\/1\.1 202 .*later$/s);
    assert.ok(server.ended);
    client.sends(`56789${GET}`);
    stage.origin.accepts().sends(OK);
    client.receives(OK);
  });

  it("while the request waits for a connection, or for one to be made, gives up its place", () => {
    for (const inQueue of [true, false]) {
      const { stage, exchange } = held();
      if (inQueue) {
        stage.client().sends(GET);
        stage.origin.accepts();
      } else stage.network.failDials("origin:80", "connection_timeout");
      const client = stage.client().sends(GET);
      stage.network.run();
      assert.equal(stage.pool.waiting, 1);
      assert.equal(exchange().respond({ status: 202 }), true);
      assert.equal(stage.pool.waiting, 0);
      client.receives(/^HTTP\/1\.1 202 /);
    }
  });

  it("while a hook waits comes when that hook is done", async () => {
    for (const phase of ["request", "selectUpstream", "upstreamRequest"] as const) {
      const { promise, resolve: release } = Promise.withResolvers<void>();
      const { stage, exchange } = held([{ name: "waiting", [phase]: () => promise }]);
      const client = stage.client().sends(GET);
      stage.network.run();
      assert.equal(exchange().respond({ status: 202 }), true);
      client.receivesNothing();
      release();
      await stage.network.settle();
      client.receives(/^HTTP\/1\.1 202 /);
      assert.equal(stage.ended.length, 1);
    }
  });

  it("comes too late when the answer has begun, or the client has left", () => {
    const { stage, exchange } = held();
    const client = stage.client().sends(GET);
    const server = stage.origin.accepts();
    server.sends("HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nh");
    client.receives(/h$/);
    assert.equal(exchange().respond({ status: 202 }), false);
    client.closes();
    stage.network.run();
    assert.equal(exchange().respond({ status: 202 }), false);
    exchange().fail(new ProxyError("http_request_denied", "too late"));
    assert.equal(stage.ended.length, 1);
    assert.equal(stage.ended[0]?.error?.status, 499);
  });

  it("finds the pool that was asked, also when the exchange has been sent elsewhere since", () => {
    const { stage, exchange } = held();
    stage.client().sends(GET);
    stage.origin.accepts();
    const client = stage.client().sends(GET);
    stage.network.run();
    exchange().upstream = null;
    client.closes();
    stage.network.run();
    assert.equal(stage.pool.waiting, 0);
  });
});
