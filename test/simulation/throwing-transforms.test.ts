// A transform or a body of a plugin that throws fails its own exchange, whoever called it and whenever, and nothing else.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type BodySink, type BodySource, PassThrough } from "../../src/pipeline/body.ts";
import type { Feature } from "../../src/pipeline/phases.ts";
import { createTestProxy, type TestProxy } from "../../src/testing/index.ts";

/** Passes everything on later, as a compressor does: who writes next is a callback that nobody guards. */
class Late extends PassThrough {
  readonly #later: (callback: () => void) => void;

  constructor(next: BodySink, source: BodySource, later: (callback: () => void) => void) {
    super(next, source);
    this.#later = later;
  }

  override write(bytes: Buffer, start: number, end: number): void {
    const copy = Buffer.from(bytes.subarray(start, end));
    this.#later(() => this.next.write(copy, 0, copy.length));
  }

  override end(): void {
    this.#later(() => this.next.end());
  }
}

/** What throws here does so on purpose. */
const UNHEARD = { onFault: () => {} };

const METHODS = ["write", "end", "abort"] as const;

function throwingIn(method: (typeof METHODS)[number]) {
  return (next: BodySink, source: BodySource): PassThrough => {
    const transform = new PassThrough(next, source);
    transform[method] = () => {
      throw new Error(`a bug in ${method}`);
    };
    return transform;
  };
}

/** In `use` of a response the last feature comes first: its bytes go to the one before it. */
function features(proxy: () => TestProxy, method: (typeof METHODS)[number], late: boolean): Feature[] {
  const make = throwingIn(method);
  const throwing: Feature = { name: "throwing", responseBody: (_exchange, next, source) => make(next, source) };
  const later = (callback: () => void) => void proxy().network.clock.after(1, callback);
  return late
    ? [throwing, { name: "late", responseBody: (_exchange, next, source) => new Late(next, source, later) }]
    : [throwing];
}

describe("a transform that throws", () => {
  for (const method of ["write", "end"] as const) {
    for (const late of [false, true]) {
      it(`in ${method} cuts the answer, ${late ? "called back later" : "called at once"}`, () => {
        const proxy: TestProxy = createTestProxy({ ...UNHEARD, use: features(() => proxy, method, late) });
        const client = proxy.connect().sends("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        const server = proxy.origin.accepts();
        server.receivesHead();
        server.sends("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
        proxy.network.advance(10);
        client.seesReset();
        assert.equal(proxy.ended[0]!.error?.type, "proxy_internal_error");
        assert.deepEqual(proxy.finish(), []);
      });
    }
  }

  it("in abort does not hide what was wrong before", () => {
    const proxy: TestProxy = createTestProxy({ ...UNHEARD, use: features(() => proxy, "abort", false) });
    const client = proxy.connect().sends("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    const server = proxy.origin.accepts();
    server.receivesHead();
    server.sends("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe");
    proxy.network.run();
    server.closes();
    client.seesReset();
    assert.equal(proxy.ended[0]!.error?.type, "http_response_incomplete");
    assert.deepEqual(proxy.finish(), []);
  });

  it("on a request's body gives the client an error", () => {
    const make = throwingIn("write");
    const proxy = createTestProxy({
      ...UNHEARD,
      use: [{ name: "throwing", requestBody: (_exchange, next, source) => make(next, source) }],
    });
    const client = proxy.connect().sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
    assert.match(client.receivesHead().startLine, /^HTTP\/1\.1 500 /);
    assert.deepEqual(proxy.finish(), []);
  });

  it("when it is paused cuts the answer", () => {
    const source = {
      pause(): void {
        throw new Error("a bug in pause");
      },
      resume(): void {},
    };
    const give = (sink: BodySink) => {
      const piece = Buffer.alloc(1_000_000);
      sink.write(piece, 0, piece.length);
      return source;
    };
    const proxy = createTestProxy({
      ...UNHEARD,
      handler: (exchange) => void exchange.respond({ status: 200, body: give }),
    });
    const client = proxy.connect().sends("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.seesReset();
    assert.deepEqual(proxy.finish(), []);
  });
});
