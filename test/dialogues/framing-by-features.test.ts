// Where a message ends is the proxy's to say: whatever features do to fields, lengths and bytes, nobody who reads it finds
// another end, and nothing of one exchange is read as the beginning of the next.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ProxyError } from "../../src/core/errors.ts";
import { BODY_UNTIL_END } from "../../src/core/message.ts";
import { type BodySink, type BodySource, PassThrough } from "../../src/pipeline/body.ts";
import type { Feature } from "../../src/pipeline/phases.ts";
import { createStage, type StageOptions } from "../support/stage.ts";

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const POST = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
const OK = "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nhi";

type PassOn = (next: BodySink, bytes: Buffer) => void;

/** Passes on what `passOn` makes of each piece. */
class Changing extends PassThrough {
  readonly #passOn: PassOn;

  constructor(next: BodySink, source: BodySource, passOn: PassOn) {
    super(next, source);
    this.#passOn = passOn;
  }

  override write(bytes: Buffer, start: number, end: number): void {
    this.#passOn(this.next, Buffer.from(bytes.subarray(start, end)));
  }
}

function withEmptyPieces(next: BodySink, bytes: Buffer): void {
  next.write(bytes, 0, 0);
  next.write(bytes, 0, bytes.length);
  next.write(bytes, bytes.length, bytes.length);
}

function changingRequests(passOn: PassOn): Feature {
  return { name: "changing", requestBody: (_exchange, next, source) => new Changing(next, source, passOn) };
}

function changingAnswers(passOn: PassOn): Feature {
  return { name: "changing", responseBody: (_exchange, next, source) => new Changing(next, source, passOn) };
}

describe("a body that a feature writes", () => {
  it("does not end at an empty piece", () => {
    const chunked: Feature = {
      name: "chunked",
      request: ({ request }) => {
        request.bodyBytes = BODY_UNTIL_END;
      },
      response: (_exchange, response) => {
        response.bodyBytes = BODY_UNTIL_END;
      },
    };
    const stage = createStage({ use: [chunked, changingRequests(withEmptyPieces), changingAnswers(withEmptyPieces)] });
    const client = stage.client().sends(POST);
    const server = stage.origin.accepts();
    assert.equal(server.receivesHead().get("transfer-encoding"), "chunked");
    server.receives("2\r\nhi\r\n0\r\n\r\n");
    server.sends(OK);
    assert.equal(client.receivesHead().get("transfer-encoding"), "chunked");
    client.receives("2\r\nhi\r\n0\r\n\r\n");
  });

  it("never has bytes in it that are not its own", () => {
    const beyond: PassOn = (next, bytes) => next.write(bytes, 0, bytes.length + 1_000);
    const before: PassOn = (next, bytes) => next.write(bytes, -1_000, bytes.length);
    for (const passOn of [beyond, before]) {
      const upload = createStage({ use: [changingRequests(passOn)] });
      upload
        .client()
        .sends("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n")
        .receives(/^HTTP\/1\.1 500 /);
      assert.doesNotMatch(upload.origin.accepts().takes().toString("latin1"), /\r\n\r\n./s);
      const download = createStage({ use: [changingAnswers(passOn)] });
      const client = download.client().sends(GET);
      download.origin.accepts().sends("HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2000\r\n\r\nhi");
      client.seesReset();
      assert.equal(download.ended[0]?.error?.type, "proxy_internal_error");
    }
  });

  it("is not sent beyond the length that was announced to the upstream", () => {
    const smuggled = Buffer.from("GET /admin HTTP/1.1\r\nHost: a\r\n\r\n");
    for (const more of [3, smuggled.length]) {
      const stage = createStage({
        use: [
          changingRequests((next, bytes) => {
            next.write(bytes, 0, bytes.length);
            next.write(smuggled, 0, more);
          }),
        ],
      });
      const client = stage.client().sends(POST);
      const server = stage.origin.accepts();
      assert.doesNotMatch(server.takes().toString("latin1"), /GET/);
      client.receives(/^HTTP\/1\.1 500 /);
      assert.ok(server.ended);
      assert.equal(stage.pool.connections, 0);
    }
  });

  it("is not taken for complete by the upstream when it is shorter", () => {
    const stage = createStage({ use: [changingRequests((next, bytes) => next.write(bytes, 0, 1))] });
    const client = stage.client().sends(POST);
    const server = stage.origin.accepts();
    stage.network.run();
    assert.ok(server.ended, "the connection is not used for the next request, which would complete this one");
    client.receives(/^HTTP\/1\.1 500 /);
    assert.equal(stage.pool.connections, 0);
  });

  it("is cut in front of the client when it is longer or shorter than announced, and counted as it was sent", () => {
    for (const [passOn, sent] of [
      [(next: BodySink, bytes: Buffer) => next.write(Buffer.concat([bytes, bytes]), 0, 4), 0],
      [(next: BodySink, bytes: Buffer) => next.write(bytes, 0, 1), 1],
    ] as const) {
      const stage = createStage({ use: [changingAnswers(passOn)] });
      const client = stage.client().sends(GET);
      stage.origin.accepts().sends(OK);
      client.seesReset();
      assert.equal(stage.ended[0]?.responseBodyBytes, sent);
      assert.equal(stage.ended[0]?.error?.type, "proxy_internal_error");
    }
  });

  it("has a length, or none, but nothing else instead of one", () => {
    for (const bodyBytes of [Number.NaN, -2, 1.5, Number.POSITIVE_INFINITY, 2 ** 60]) {
      const set: Feature["request"] = ({ request }) => {
        request.bodyBytes = bodyBytes;
      };
      const upload = createStage({ use: [{ name: "setting", request: set }] });
      const client = upload.client().sends(POST);
      client.receives(/^HTTP\/1\.1 500 /);
      const answered: StageOptions[] = [
        {
          handler: (exchange) =>
            void exchange.respond({ status: 200, body: () => ({ pause() {}, resume() {} }), bodyBytes }),
        },
        {
          use: [
            {
              name: "setting",
              response: (_exchange, response) => {
                if (response.status === 200) response.bodyBytes = bodyBytes;
              },
            },
          ],
        },
      ];
      for (const options of answered) {
        const stage = createStage(options);
        const asking = stage.client().sends(GET);
        stage.network.run();
        if (stage.origin.acceptedCount > 0) stage.origin.accepts().sends(OK);
        asking.receives(/^HTTP\/1\.1 500 /);
      }
    }
  });

  it("is complete at once when the client sends none, although one was announced", () => {
    const stage = createStage({
      use: [
        {
          name: "announcing",
          request: ({ request }) => {
            request.bodyBytes = BODY_UNTIL_END;
          },
          requestBody: (_exchange, next, source) => new PassThrough(next, source),
        },
      ],
    });
    const client = stage.client().sends(GET);
    const first = stage.origin.accepts();
    first.receivesHead();
    first.receives("0\r\n\r\n");
    first.closes();
    const second = stage.origin.accepts();
    second.receivesHead();
    second.receives("0\r\n\r\n");
    second.sends(OK);
    client.receives(OK);
  });
});

/** What features have no say in, in every spelling that could count. */
const FRAMING: readonly [string, string][] = [
  ["Transfer-Encoding", "gzip"],
  ["transfer-encoding", "chunked"],
  ["Connection", "keep-alive, x-user"],
  ["Keep-Alive", "timeout=1"],
  ["Content-Length", "7"],
  ["Content-length", "1:"],
  ["X-User", "kept"],
];

describe("fields of framing that a feature sets", () => {
  const requests = [
    GET,
    "GET / HTTP/1.0\r\n\r\n",
    "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
  ];
  const produced = (sink: BodySink): BodySource => {
    sink.write(Buffer.from("abc"), 0, 3);
    sink.end();
    return { pause() {}, resume() {} };
  };
  const answering: readonly (readonly [string, StageOptions])[] = [
    [
      "answers of its own",
      { handler: (exchange) => void exchange.respond({ status: 200, fields: FRAMING, body: "abc" }) },
    ],
    [
      "answers of its own that are written piece by piece",
      { handler: (exchange) => void exchange.respond({ status: 200, fields: FRAMING, body: produced }) },
    ],
    [
      "answers of the upstream",
      {
        use: [
          {
            name: "framing",
            response: (_exchange, { fields }) => {
              for (const [name, value] of FRAMING) fields.append(name, value);
            },
          },
        ],
      },
    ],
  ];

  for (const [what, options] of answering) {
    it(`do not reach the client: ${what}`, () => {
      for (const request of requests) {
        const stage = createStage(options);
        const client = stage.client().sends(request);
        stage.network.run();
        if (stage.origin.acceptedCount > 0) {
          const bytes = request.startsWith("HEAD") ? "" : "abc";
          stage.origin.accepts().sends(`HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 3\r\n\r\n${bytes}`);
        }
        const head = client.receivesHead();
        assert.equal(head.get("x-user"), "kept");
        assert.equal(head.get("keep-alive"), null);
        assert.ok([null, "close"].includes(head.get("connection")), `${head.get("connection")}`);
        assert.ok([null, "chunked"].includes(head.get("transfer-encoding")), `${head.get("transfer-encoding")}`);
        assert.ok([null, "3"].includes(head.get("content-length")), `${head.get("content-length")}`);
        assert.ok(head.get("content-length") === null || head.get("transfer-encoding") === null);
      }
    });
  }

  it("do not reach the upstream", () => {
    const framing: Feature = {
      name: "framing",
      upstreamRequest: ({ request }) => {
        for (const [name, value] of FRAMING) request.fields.append(name, value);
      },
    };
    const stage = createStage({ use: [framing] });
    stage.client().sends(POST);
    const head = stage.origin.accepts().receivesHead();
    assert.equal(head.get("x-user"), "kept");
    assert.equal(head.get("content-length"), "2");
    for (const name of ["transfer-encoding", "connection", "keep-alive"]) assert.equal(head.get(name), null, name);
  });
});

describe("a status that a feature changes", () => {
  it("to one without a body keeps the upstream's body back, and the connections in step", () => {
    for (const status of [204, 304]) {
      const stage = createStage({
        use: [
          {
            name: "changing",
            response: (_exchange, response) => {
              response.status = status;
            },
          },
        ],
      });
      const client = stage.client();
      client.sends(GET);
      const server = stage.origin.accepts();
      for (let i = 0; i < 2; i++) {
        server.receivesHead();
        server.sends(OK);
        assert.match(client.receivesHead().startLine, new RegExp(`^HTTP/1\\.1 ${status} `));
        client.receivesNothing();
        assert.equal(stage.ended[i]?.responseBodyBytes, 0);
        client.sends(GET);
      }
    }
  });

  it("from 101 is an answer like any other: no byte of the upstream follows it", () => {
    const stage = createStage({
      use: [
        {
          name: "forbidding",
          response: (_exchange, response) => {
            if (response.status === 101) response.status = 403;
          },
        },
      ],
    });
    const client = stage
      .client()
      .sends("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    const server = stage.origin.accepts();
    server.receivesHead();
    server.sends("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nraw bytes");
    const head = client.receivesHead();
    assert.equal(head.startLine, "HTTP/1.1 403 Forbidden");
    assert.deepEqual([head.get("upgrade"), head.get("connection"), head.get("content-length")], [null, null, "0"]);
    client.receivesNothing();
    server.seesReset();
    assert.equal(stage.pool.connections, 0);
    client.sends(GET);
    stage.origin.accepts().sends(OK);
    client.receivesHead();
    client.receives("hi");
  });
});

describe("a method that a feature changes", () => {
  it("does not give a body to a client that asked by HEAD", () => {
    const stage = createStage({
      use: [
        {
          name: "getting",
          request: ({ request }) => {
            request.method = "GET";
          },
        },
      ],
    });
    const client = stage.client().sends("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    const server = stage.origin.accepts();
    assert.match(server.receivesHead().startLine, /^GET /);
    server.sends(OK);
    client.receives("HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\n");
    assert.equal(stage.ended[0]?.responseBodyBytes, 0);
    assert.equal(stage.pool.idleConnections, 1);
  });

  it("is refused when it says more than a method", () => {
    const stage = createStage({
      use: [
        {
          name: "overriding",
          request: ({ request }) => {
            request.method = request.fields.get("x-http-method-override") ?? request.method;
          },
        },
      ],
    });
    const client = stage.client().sends("POST / HTTP/1.1\r\nHost: a\r\nX-HTTP-Method-Override: GET /admin?\r\n\r\n");
    client.receives(/^HTTP\/1\.1 500 /);
    stage.origin.acceptsNothing();
  });
});

describe("a Host that a feature removes", () => {
  it("is there all the same, as the client sent it", () => {
    const stage = createStage({
      use: [{ name: "removing", request: ({ request }) => void request.fields.delete("host") }],
    });
    const client = stage.client().sends(GET);
    const server = stage.origin.accepts();
    for (let request = 0; request < 2; request++) {
      assert.equal(server.receivesHead().get("host"), "a");
      server.sends("HTTP/1.1 204 No Content\r\n\r\n");
      client.receivesHead();
      if (request === 0) client.sends(GET);
    }
  });
});

describe("the status of an error that a feature makes", () => {
  it("is one that an answer can have, or the feature's fault", async () => {
    const stage = createStage({
      use: [
        {
          name: "failing",
          request: async () => {
            throw new ProxyError("http_request_denied", "no", { status: 1000 });
          },
        },
      ],
    });
    const client = stage.client().sends(GET);
    stage.network.run();
    await stage.network.settle();
    client.receives(/^HTTP\/1\.1 500 /);
  });
});
