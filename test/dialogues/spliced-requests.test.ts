// A long request body that nobody looks at, and nobody can need again, passes unseen, and behaves as one that is copied.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ProxyError } from "../../src/core/errors.ts";
import { REPLAY_BODY_BYTES_MAX, SPLICE_BYTES_MIN } from "../../src/core/limits.ts";
import { BODY_UNTIL_END } from "../../src/core/message.ts";
import { PassThrough } from "../../src/pipeline/body.ts";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import type { Feature } from "../../src/pipeline/phases.ts";
import type { Peer } from "../../src/testing/index.ts";
import { describeBothWays } from "../support/both-ways.ts";
import { createStage, type Stage, type StageOptions, stagesThat } from "../support/stage.ts";

const BYTES = 500_000;
const BODY = Array.from({ length: BYTES / 10 }, (_, index) => String(index).padStart(10, "0")).join("");
const GET = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nhi";

function headOf(method: string, fields = ""): string {
  return `${method} / HTTP/1.1\r\nHost: a\r\nContent-Length: ${BYTES}\r\n${fields}\r\n`;
}

/** A client that has sent its head and the beginning of its body, and a server that has received both. */
function begun(stage: Stage, { method = "POST", first = 1_000 } = {}) {
  const client = stage.client().sends(headOf(method)).sends(BODY.slice(0, first));
  const server = stage.origin.accepts();
  server.receivesHead();
  server.receives(BODY.slice(0, first));
  return { client, server, rest: BODY.slice(first) };
}

/** Takes a little of what waits once in so much time. */
function readsNowAndThen(stage: Stage, peer: Peer, everyMs: number, times: number): void {
  stage.network.run();
  for (let i = 0; i < times; i++) {
    stage.passes(everyMs);
    peer.readsOn();
    stage.network.step();
    peer.stopsReading();
    stage.network.run();
  }
}

describeBothWays("a long request", (splices) => {
  const newStage = stagesThat(splices);

  it("arrives whole, is counted, and both connections serve on, with what came behind it", () => {
    const stage = newStage();
    const { client, server, rest } = begun(stage);
    client.sends(rest + GET);
    server.receives(rest);
    server.sends(OK);
    client.receives(OK);
    assert.equal(stage.ended[0]?.requestBodyBytes, BYTES);
    assert.equal(stage.network.splicedBytes, splices ? BYTES - 1_000 - 1 : 0);
    assert.equal(server.receivesHead().startLine, "GET /next HTTP/1.1");
    server.sends(OK);
    client.receives(OK);
    assert.equal(stage.origin.acceptedCount, 1);
  });

  it("of which nothing has arrived so far passes too", () => {
    const stage = newStage();
    const { client, server } = begun(stage, { first: 0 });
    client.sends(BODY);
    server.receives(BODY);
    server.sends(OK);
    client.receives(OK);
  });

  it("that may be sent again is copied as far as it could be, and passes unseen then", () => {
    const stage = newStage();
    const { client, server } = begun(stage, { method: "PUT", first: 10_000 });
    client.sends(BODY.slice(10_000, 20_000));
    server.receives(BODY.slice(10_000, 20_000));
    assert.equal(stage.network.splicedBytes, 0);
    client.sends(BODY.slice(20_000, REPLAY_BODY_BYTES_MAX + 10));
    server.receives(BODY.slice(20_000, REPLAY_BODY_BYTES_MAX + 10));
    client.sends(BODY.slice(REPLAY_BODY_BYTES_MAX + 10));
    server.receives(BODY.slice(REPLAY_BODY_BYTES_MAX + 10));
    server.sends(OK);
    client.receives(OK);
    assert.equal(stage.network.splicedBytes, splices ? BYTES - REPLAY_BODY_BYTES_MAX - 10 - 1 : 0);
  });

  it("that may be sent again is, while all of it is kept", () => {
    const stage = newStage();
    const { client, server } = begun(stage, { method: "PUT", first: 10_000 });
    server.resets();
    const again = stage.origin.accepts();
    again.receivesHead();
    again.receives(BODY.slice(0, 10_000));
    client.sends(BODY.slice(10_000));
    again.receives(BODY.slice(10_000));
    again.sends(OK);
    client.receives(OK);
    assert.equal(stage.ended[0]?.attempts, 2);
    assert.equal(stage.ended[0]?.requestBodyBytes, BYTES);
  });

  it("that may be sent again passes unseen where no attempt would follow", () => {
    const stage = newStage({ upstreamUse: { retriesMax: 0 } });
    const { client, server, rest } = begun(stage, { method: "PUT" });
    client.sends(rest);
    server.receives(rest);
    server.sends(OK);
    client.receives(OK);
    assert.equal(stage.network.splicedBytes, splices ? BYTES - 1_000 - 1 : 0);
  });

  it("whose upstream breaks is answered with 502, its rest is thrown away, and the connection serves on", () => {
    for (const how of ["closes", "resets"] as const) {
      const stage = newStage();
      const { client, server, rest } = begun(stage);
      client.sends(rest.slice(0, 200_000));
      server.receives(rest.slice(0, 200_000));
      server[how]();
      client.receives(/^HTTP\/1\.1 502 .*error=connection_terminated/s);
      assert.equal(stage.ended[0]?.requestBodyBytes, 201_000);
      client.sends(rest.slice(200_000) + GET);
      const fresh = stage.origin.accepts();
      assert.equal(fresh.receivesHead().startLine, "GET /next HTTP/1.1");
      fresh.sends(OK);
      client.receives(OK);
    }
  });

  it("whose upstream breaks while it does not read is counted right: the next request is found behind it", () => {
    const stage = newStage({ network: { kernelBufferBytes: 4_096 } });
    const { client, server, rest } = begun(stage);
    server.stopsReading();
    client.sends(rest + GET);
    stage.network.run();
    server.resets();
    client.receives(/^HTTP\/1\.1 502 /);
    const fresh = stage.origin.accepts();
    assert.equal(fresh.receivesHead().startLine, "GET /next HTTP/1.1");
    fresh.sends(OK);
    client.receives(OK);
  });

  it("that is answered early is thrown away, and the connection serves on", () => {
    const stage = newStage();
    const { client, server, rest } = begun(stage);
    client.sends(rest.slice(0, 200_000));
    server.receives(rest.slice(0, 200_000));
    server.sends(OK);
    client.receives(OK);
    assert.equal(stage.ended[0]?.error, null);
    assert.ok(server.closed || server.ended, "the request did not end: nothing else may go there");
    client.sends(rest.slice(200_000) + GET);
    const fresh = stage.origin.accepts();
    assert.equal(fresh.receivesHead().startLine, "GET /next HTTP/1.1");
    fresh.sends(OK);
    client.receives(OK);
  });

  it("goes on while its answer has begun already, as long as that one, unseen both ways", () => {
    const stage = newStage();
    const { client, server, rest } = begun(stage);
    const head = `HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: ${BYTES}\r\n\r\n`;
    server.sends(head);
    client.receives(head);
    server.sends(BODY.slice(0, -1));
    client.receives(BODY.slice(0, -1));
    client.sends(rest);
    server.receives(rest);
    server.sends(BODY.slice(-1));
    client.receives(BODY.slice(-1));
    assert.equal(stage.pool.idleConnections, 1);
    const { requestBodyBytes, responseBodyBytes, error } = stage.ended[0]!;
    assert.deepEqual([requestBodyBytes, responseBodyBytes, error], [BYTES, BYTES, null]);
    assert.equal(stage.network.splicedBytes, splices ? 2 * BYTES - 1_000 - 2 : 0);
    client.sends(GET);
    server.receivesHead();
  });

  it("lets interim answers pass", () => {
    const stage = newStage();
    const { client, server, rest } = begun(stage);
    client.sends(rest.slice(0, 200_000));
    server.takes();
    server.sends("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    client.receives(/^HTTP\/1\.1 103 /);
    client.sends(rest.slice(200_000));
    server.receives(rest.slice(200_000));
    server.sends(OK);
    client.receives(OK);
  });

  it("whose client waits for 100 is asked for, and passes then", () => {
    const stage = newStage();
    const client = stage.client().sends(headOf("POST", "Expect: 100-continue\r\n"));
    const server = stage.origin.accepts();
    server.receivesHead();
    server.sends("HTTP/1.1 100 Continue\r\n\r\n");
    client.receives("HTTP/1.1 100 Continue\r\n\r\n");
    client.sends(BODY.slice(0, 1_000));
    server.receives(BODY.slice(0, 1_000));
    client.sends(BODY.slice(1_000));
    server.receives(BODY.slice(1_000));
    server.sends(OK);
    client.receives(OK);
    assert.equal(stage.network.splicedBytes > 0, splices);
  });

  it("ends at the upstream at once when its client leaves", () => {
    for (const how of ["closes", "resets", "ends"] as const) {
      const stage = newStage();
      const { client, server, rest } = begun(stage);
      client.sends(rest.slice(0, 200_000));
      server.receives(rest.slice(0, 200_000));
      client[how]();
      stage.network.run();
      assert.ok(server.closed || server.ended, `the client ${how}`);
      assert.equal(stage.ended[0]?.error?.side, "client");
      assert.equal(stage.ended[0]?.requestBodyBytes, 201_000);
      assert.equal(stage.pool.connections, 0);
      assert.equal(stage.deadlines.armedCount, 0);
    }
  });

  it("that does not go on is answered with 408, and by the client's fault", () => {
    const stage = newStage({ limits: { bodyTimeoutMs: 10_000 }, upstreamUse: { bodyTimeoutMs: 2_000 } });
    const { client, server, rest } = begun(stage);
    client.sends(rest.slice(0, 200_000));
    server.takes();
    stage.passes(9_900);
    client.receivesNothing();
    stage.passes(3_000);
    client.receives(/^HTTP\/1\.1 408 /);
    assert.equal(stage.ended[0]?.error?.side, "client");
    assert.ok(server.closed || server.ended);
  });

  it("whose last byte does not come is answered with 408", () => {
    const stage = newStage({ limits: { bodyTimeoutMs: 10_000 } });
    const { client, server, rest } = begun(stage);
    client.sends(rest.slice(0, -1));
    server.receives(rest.slice(0, -1));
    stage.passes(9_900);
    client.receivesNothing();
    stage.passes(600);
    client.receives(/^HTTP\/1\.1 408 /);
  });

  it("that the upstream does not read is answered with 504 at its deadline, and by its fault", () => {
    const stage = newStage({
      limits: { bodyTimeoutMs: 2_000 },
      upstreamUse: { bodyTimeoutMs: 10_000 },
      network: { kernelBufferBytes: 4_096 },
    });
    const { client, server, rest } = begun(stage);
    server.stopsReading();
    client.sends(rest);
    stage.network.run();
    stage.passes(9_500);
    client.receivesNothing();
    stage.passes(3_500);
    client.receives(/^HTTP\/1\.1 504 .*error=connection_write_timeout/s);
    assert.equal(stage.ended[0]?.error?.side, "upstream");
  });

  it("is not late while the upstream reads any of it, and that has its whole time for the answer then", () => {
    const stage = newStage({
      limits: { bodyTimeoutMs: 2_000 },
      upstreamUse: { bodyTimeoutMs: 10_000, responseTimeoutMs: 5_000 },
      network: { kernelBufferBytes: 16_000 },
    });
    const { client, server, rest } = begun(stage);
    server.stopsReading();
    client.sends(rest);
    readsNowAndThen(stage, server, 9_000, 12);
    server.readsOn().receives(rest);
    stage.passes(4_500);
    client.receivesNothing();
    server.sends(OK);
    client.receives(OK);
  });

  it("is not late while the client sends any of it", () => {
    const stage = newStage({ limits: { bodyTimeoutMs: 10_000 }, upstreamUse: { bodyTimeoutMs: 2_000 } });
    const { client, server, rest } = begun(stage);
    for (let at = 0; at < 12; at++) {
      stage.passes(9_000);
      client.sends(rest[at]!);
      stage.network.run();
    }
    client.sends(rest.slice(12));
    server.receives(rest);
    server.sends(OK);
    client.receives(OK);
  });

  it("need not go on while its client takes an answer that has begun, however slowly", () => {
    const stage = newStage({
      limits: { bodyTimeoutMs: 10_000 },
      upstreamUse: { bodyTimeoutMs: 600_000 },
      network: { kernelBufferBytes: 16_000 },
    });
    const { client, server } = begun(stage);
    client.stopsReading();
    server.sends(`HTTP/1.1 200 OK\r\nContent-Length: ${BYTES}\r\n\r\n${BODY.slice(0, -1)}`);
    readsNowAndThen(stage, client, 4_000, 6);
    assert.equal(stage.ended.length, 0, String(stage.ended[0]?.error));
    // Nor for ever: now it takes nothing, and sends nothing.
    stage.passes(25_000);
    assert.equal(stage.ended[0]?.error?.type, "connection_write_timeout");
  });

  it("need not go on while its client takes all of an answer that goes on", () => {
    const stage = newStage({ limits: { bodyTimeoutMs: 10_000 } });
    const { client, server } = begun(stage);
    server.sends("HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.receivesHead();
    for (let i = 0; i < 9; i++) {
      stage.passes(9_000);
      server.sends("1\r\na\r\n");
      client.receives("1\r\na\r\n");
    }
    stage.passes(15_000);
    assert.equal(stage.ended[0]?.error?.message, "the request body did not go on in time");
  });

  it("need not be read by an upstream that answers, as long as its answer goes on", () => {
    const stage = newStage({ upstreamUse: { bodyTimeoutMs: 10_000 }, network: { kernelBufferBytes: 4_096 } });
    const { client, server, rest } = begun(stage);
    server.stopsReading();
    client.sends(rest);
    server.sends("HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 10\r\n\r\n");
    client.receivesHead();
    for (let i = 0; i < 9; i++) {
      stage.passes(9_000);
      server.sends("a");
      client.receives("a");
    }
    server.sends("a");
    client.receives("a");
    assert.equal(stage.ended[0]?.error, null);
  });

  it("that a feature answers, or fails, in the middle is cut for the upstream", () => {
    let exchange: Exchange | null = null;
    const keeping: Feature = {
      name: "keeping",
      request: (current) => {
        exchange ??= current;
      },
    };
    for (const [end, status] of [
      [() => exchange!.fail(new ProxyError("http_request_denied", "enough")), 403],
      [() => exchange!.respond({ status: 202, body: "early" }), 202],
    ] as const) {
      exchange = null;
      const stage = newStage({ use: [keeping] });
      const { client, server, rest } = begun(stage);
      client.sends(rest.slice(0, 200_000));
      server.takes();
      end();
      assert.match(client.receivesHead().startLine, new RegExp(`^HTTP/1\\.1 ${status} `));
      client.takes();
      assert.ok(server.closed || server.ended);
      client.sends(rest.slice(200_000) + GET);
      assert.equal(stage.origin.accepts().receivesHead().startLine, "GET /next HTTP/1.1");
    }
  });

  it("is finished when the proxy drains", () => {
    const stage = newStage();
    const { client, server, rest } = begun(stage);
    stage.driver.drain();
    client.sends(rest);
    server.receives(rest);
    server.sends(OK);
    client.receives(/^HTTP\/1\.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi$/);
    client.seesEnd();
  });

  it("within the limit of the route passes, and one that grows beyond it is refused", () => {
    const stage = newStage({ limits: { bodyBytesMax: BYTES } });
    const { client, server, rest } = begun(stage);
    client.sends(rest);
    server.receives(rest);
    server.sends(OK);
    client.receives(OK);
    assert.equal(stage.network.splicedBytes > 0, splices);
    const hiding: Feature = {
      name: "hiding",
      request: ({ request }) => {
        request.bodyBytes = 1;
      },
      upstreamRequest: ({ request }) => {
        request.bodyBytes = BYTES;
      },
    };
    const limited = newStage({ limits: { bodyBytesMax: 200_000 }, use: [hiding] });
    const other = begun(limited);
    other.client.sends(other.rest);
    other.client.receives(/^HTTP\/1\.1 413 /);
    limited.network.run();
    assert.ok(other.server.closed || other.server.ended);
  });
});

describe("a request", () => {
  const seeing: Feature = { name: "seeing", requestBody: (_exchange, next, source) => new PassThrough(next, source) };
  const unframing: Feature = {
    name: "unframing",
    request: ({ request }) => {
      request.bodyBytes = BODY_UNTIL_END;
    },
  };

  for (const [name, options] of [
    ["that a feature looks at", { use: [seeing] }],
    ["whose end has to be marked for the upstream", { use: [unframing] }],
  ] as const satisfies readonly (readonly [string, StageOptions])[]) {
    it(`${name} is copied`, () => {
      const stage = createStage({ ...options, network: { splices: true } });
      const client = stage.client().sends(headOf("POST"));
      const server = stage.origin.accepts();
      server.receivesHead();
      client.sends(BODY);
      assert.ok(server.takes().length >= BYTES);
      server.sends(OK);
      client.receives(OK);
      assert.equal(stage.network.splicedBytes, 0);
    });
  }

  it("of which no more than the threshold is to come is copied", () => {
    for (const [rest, isSpliced] of [
      [SPLICE_BYTES_MIN, false],
      [SPLICE_BYTES_MIN + 1, true],
    ] as const) {
      const stage = createStage({ network: { splices: true } });
      const head = headOf("POST").replace(`${BYTES}`, `${rest + 100}`);
      const client = stage.client().sends(head + BODY.slice(0, 100));
      const server = stage.origin.accepts();
      server.receivesHead();
      server.receives(BODY.slice(0, 100));
      client.sends(BODY.slice(100, 100 + rest));
      server.receives(BODY.slice(100, 100 + rest));
      assert.equal(stage.network.splicedBytes > 0, isSpliced);
    }
  });
});
