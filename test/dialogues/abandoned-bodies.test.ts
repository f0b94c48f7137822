// Whoever carries a body learns that nobody takes the rest, so that it can let go of files, encoders and memory; and a body that
// cannot be sent again whole is not sent again at all.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ProxyError } from "../../src/core/errors.ts";
import { BODY_UNTIL_END } from "../../src/core/message.ts";
import { type BodySink, type BodySource, PassThrough } from "../../src/pipeline/body.ts";
import type { Feature } from "../../src/pipeline/phases.ts";
import { createStage } from "../support/stage.ts";

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const UPLOAD = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234";
const OK = "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nhi";

/** Writes down how a body ended. */
class Recording extends PassThrough {
  readonly #calls: string[];

  constructor(next: BodySink, source: BodySource, calls: string[]) {
    super(next, source);
    this.#calls = calls;
  }

  override end(): void {
    this.#calls.push("end");
    super.end();
  }

  override abort(error: ProxyError): void {
    this.#calls.push("abort");
    super.abort(error);
  }
}

function recording() {
  const calls = { request: [] as string[], response: [] as string[] };
  const feature: Feature = {
    name: "recording",
    requestBody: (_exchange, next, source) => new Recording(next, source, calls.request),
    responseBody: (_exchange, next, source) => new Recording(next, source, calls.response),
  };
  return { calls, feature };
}

describe("a transform", () => {
  it("of a request's body is told when the answer comes before its end", () => {
    const { calls, feature } = recording();
    const stage = createStage({ use: [feature] });
    const client = stage.client().sends(UPLOAD);
    const server = stage.origin.accepts();
    server.receives(/01234$/);
    server.sends(OK);
    client.receives(OK);
    assert.deepEqual(calls, { request: ["abort"], response: ["end"] });
  });

  it("of either body is told when the client leaves, and when the upstream does", () => {
    for (const whoLeaves of ["client", "server"] as const) {
      const { calls, feature } = recording();
      const stage = createStage({ use: [feature] });
      const client = stage.client().sends(UPLOAD);
      const server = stage.origin.accepts();
      server.receives(/01234$/);
      server.sends("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234");
      client.receives(/01234$/);
      (whoLeaves === "client" ? client : server).closes();
      stage.network.run();
      assert.deepEqual(calls, { request: ["abort"], response: ["abort"] });
    }
  });

  it("is told nothing more once both bodies are complete", () => {
    const { calls, feature } = recording();
    const stage = createStage({ use: [feature] });
    const client = stage.client().sends(`${UPLOAD}56789`);
    stage.origin.accepts().sends(OK);
    client.receives(OK);
    client.closes();
    stage.network.run();
    assert.deepEqual(calls, { request: ["end"], response: ["end"] });
  });
});

describe("who gives a body of our own", () => {
  function producing(calls: string[]) {
    return createStage({
      network: { kernelBufferBytes: 4096 },
      handler: (exchange) =>
        void exchange.respond({
          status: 200,
          body: (sink) => {
            sink.write(Buffer.alloc(300_000), 0, 300_000);
            return {
              pause: () => void calls.push("pause"),
              resume: () => {
                calls.push("resume");
                sink.end();
              },
              abort: () => void calls.push("abort"),
            };
          },
        }),
    });
  }

  it("is told that the client has left, also while it is paused", () => {
    const calls: string[] = [];
    const stage = producing(calls);
    const client = stage.client().stopsReading().sends(GET);
    stage.network.run();
    client.closes();
    stage.network.run();
    assert.deepEqual(calls, ["pause", "abort"]);
  });

  it("is not, when the client has taken everything", () => {
    const calls: string[] = [];
    const stage = producing(calls);
    stage
      .client()
      .sends(GET)
      .receives(/\r\n0\r\n\r\n$/);
    assert.deepEqual(calls, ["pause", "resume"]);
  });

  it("is not asked for a body that is not sent", () => {
    const calls: string[] = [];
    const stage = producing(calls);
    stage.client().sends("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").receivesHead();
    assert.deepEqual(calls, []);
    assert.equal(stage.ended[0]?.responseBodyBytes, 0);
  });
});

describe("a body that a transform goes on writing while there is no connection", () => {
  for (const [name, bytes, isSent] of [
    ["is sent again whole when it could be kept", 1_000, true],
    ["is not sent again when it has outgrown what is kept", 100_000, false],
  ] as const) {
    it(name, () => {
      let goOn = (): void => {};
      /** Gives the first byte at once, and the rest when the test says so. */
      class Late extends PassThrough {
        override write(first: Buffer, start: number): void {
          this.next.write(first, start, start + 1);
        }

        override end(): void {
          goOn = () => {
            for (let i = 0; i < 10; i++) this.next.write(Buffer.alloc(bytes / 10, "y"), 0, bytes / 10);
            this.next.end();
          };
        }
      }
      const stage = createStage({
        network: { latencyMs: 10 },
        use: [
          {
            name: "late",
            request: ({ request }) => {
              request.bodyBytes = BODY_UNTIL_END;
            },
            requestBody: (_exchange, next, source) => new Late(next, source),
          },
        ],
      });
      const client = stage.client().sends("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
      stage.network.advance(100);
      const first = stage.origin.accepts();
      first.receives(/\r\n\r\n1\r\nx\r\n$/);
      first.closes();
      stage.network.advance(12);
      goOn();
      stage.network.advance(100);
      const second = stage.origin.accepts();
      const received = second.takes().toString("latin1");
      if (isSent) {
        assert.equal(received.split("y").length - 1, bytes);
        assert.ok(received.endsWith("\r\n0\r\n\r\n"));
      } else {
        assert.equal(received, "");
        stage.network.advance(100);
        client.receives(/^HTTP\/1\.1 502 .*error=connection_terminated/s);
      }
    });
  }
});
