// A long answer that nobody looks at passes unseen, and behaves as one that is copied: whole or visibly cut, in time or late by
// the right side's fault, and both connections serve on.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ProxyError } from "../../src/core/errors.ts";
import { SPLICE_BYTES_MIN } from "../../src/core/limits.ts";
import { BODY_UNTIL_END } from "../../src/core/message.ts";
import { PassThrough } from "../../src/pipeline/body.ts";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import type { Feature } from "../../src/pipeline/phases.ts";
import { describeBothWays } from "../support/both-ways.ts";
import { createStage, type Stage, type StageOptions, stagesThat } from "../support/stage.ts";

const BYTES = 500_000;
const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OLD = "GET / HTTP/1.0\r\nHost: a\r\n\r\n";
const HEAD = `HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: ${BYTES}\r\n\r\n`;
const UNTIL_CLOSE = "HTTP/1.1 200 OK\r\nDate: x\r\n\r\n";
const SMALL = "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nhi";
const BODY = Array.from({ length: BYTES / 10 }, (_, index) => String(index).padStart(10, "0")).join("");

/** A client that has asked, and a server that has answered with a head, and with the beginning of the body. */
function begun(stage: Stage, { request = GET, head = HEAD, first = 1_000 } = {}) {
  const client = stage.client().sends(request);
  const server = stage.origin.accepts();
  server.receivesHead();
  server.sends(head).sends(BODY.slice(0, first));
  stage.network.run();
  return { client, server, rest: BODY.slice(first) };
}

/** Takes a little of what waits once in so much time. */
function readsNowAndThen(stage: Stage, peer: ReturnType<Stage["client"]>, everyMs: number, times: number): void {
  stage.network.run();
  for (let i = 0; i < times; i++) {
    stage.passes(everyMs);
    peer.readsOn();
    stage.network.step();
    peer.stopsReading();
    stage.network.run();
  }
}

describeBothWays("a long answer", (splices) => {
  const newStage = stagesThat(splices);

  it("arrives whole, is counted, and both connections serve on", () => {
    const stage = newStage();
    const { client, server, rest } = begun(stage);
    server.sends(rest);
    client.receives(HEAD + BODY);
    assert.equal(stage.ended[0]?.responseBodyBytes, BYTES);
    assert.equal(stage.ended[0]?.error, null);
    assert.equal(stage.network.splicedBytes, splices ? BYTES - 1_000 - 1 : 0);
    assert.equal(stage.pool.idleConnections, 1);
    client.sends(GET);
    server.receivesHead();
    server.sends(SMALL);
    client.receives(SMALL);
    assert.equal(stage.origin.acceptedCount, 1);
  });

  it("is counted while it is under way", () => {
    let exchange: Exchange | null = null;
    const keeping: Feature = {
      name: "keeping",
      request: (current) => {
        exchange = current;
      },
    };
    const stage = newStage({ use: [keeping] });
    const { client, server, rest } = begun(stage);
    server.sends(rest.slice(0, 300_000));
    client.takes();
    stage.passes(20_000);
    assert.equal(exchange!.responseBodyBytes, 301_000);
    server.sends(rest.slice(300_000));
    client.takes();
    assert.equal(stage.ended[0]?.responseBodyBytes, BYTES);
  });

  it("of which only the head has arrived so far passes too", () => {
    const stage = newStage();
    const { client, server } = begun(stage, { first: 0 });
    server.sends(BODY.slice(0, BYTES - 1));
    client.receives(HEAD + BODY.slice(0, BYTES - 1));
    server.sends(BODY.slice(BYTES - 1));
    client.receives(BODY.slice(BYTES - 1));
    assert.equal(stage.ended.length, 1);
  });

  it("until the end of the connection passes to a client that takes it so", () => {
    const stage = newStage();
    const { client, server, rest } = begun(stage, { request: OLD, head: UNTIL_CLOSE });
    server.sends(rest).ends();
    client.receives(`HTTP/1.1 200 OK\r\nDate: x\r\nConnection: close\r\n\r\n${BODY}`);
    client.seesEnd();
    assert.equal(stage.ended[0]?.responseBodyBytes, BYTES);
    assert.equal(stage.network.splicedBytes, splices ? BYTES - 1_000 : 0);
    assert.equal(stage.pool.connections, 0);
  });

  it("with a length passes to a client that takes it until the end", () => {
    const unframed: Feature = {
      name: "unframed",
      response: (_exchange, response) => {
        response.bodyBytes = BODY_UNTIL_END;
      },
    };
    const stage = newStage({ use: [unframed] });
    const { client, server, rest } = begun(stage, { request: OLD });
    server.sends(rest);
    assert.ok(client.takes().toString("latin1").endsWith(`\r\n\r\n${BODY}`));
    client.seesEnd();
    assert.equal(stage.network.splicedBytes > 0, splices);
  });

  it("that a hook has held passes when it goes on", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const stage = newStage({ use: [{ name: "holding", response: () => promise }] });
    const { client, server, rest } = begun(stage);
    server.sends(rest);
    client.receivesNothing();
    resolve();
    await stage.network.settle();
    client.receives(HEAD + BODY);
    assert.equal(stage.network.splicedBytes > 0, splices);
  });

  it("goes on behind what the client had to be waited for", () => {
    const stage = newStage({ network: { kernelBufferBytes: 16_000 } });
    const { client, server, rest } = begun(stage, { first: 200_000 });
    client.stopsReading();
    server.sends(rest);
    stage.network.run();
    client.readsOn().receives(HEAD + BODY);
    assert.equal(stage.ended[0]?.responseBodyBytes, BYTES);
  });

  it("that the upstream does not finish is cut, and not to be taken for complete", () => {
    for (const how of ["closes", "resets"] as const) {
      const stage = newStage();
      const { client, server, rest } = begun(stage);
      server.sends(rest.slice(0, 300_000));
      client.receives(HEAD + BODY.slice(0, 301_000));
      server[how]();
      client.seesReset();
      const { error, responseBodyBytes } = stage.ended[0]!;
      assert.equal(error?.type, how === "closes" ? "http_response_incomplete" : "connection_terminated");
      assert.equal(error?.side, "upstream");
      assert.equal(responseBodyBytes, 301_000);
      assert.equal(stage.pool.connections, 0);
      assert.equal(stage.deadlines.armedCount, 0);
    }
  });

  it("until the end of a connection that is reset is cut", () => {
    const stage = newStage();
    const { client, server, rest } = begun(stage, { request: OLD, head: UNTIL_CLOSE });
    server.sends(rest.slice(0, 300_000));
    stage.network.run();
    server.resets();
    client.seesReset();
    assert.equal(stage.ended[0]?.error?.side, "upstream");
  });

  it("that nobody takes any more ends at the upstream at once", () => {
    for (const how of ["closes", "resets", "ends"] as const) {
      const stage = newStage();
      const { client, server, rest } = begun(stage);
      server.sends(rest.slice(0, 300_000));
      client.takes();
      client[how]();
      stage.network.run();
      assert.ok(server.ended || server.closed, `the client ${how}`);
      const { error, responseBodyBytes } = stage.ended[0]!;
      assert.equal(error?.side, "client");
      assert.equal(responseBodyBytes, 301_000);
      assert.equal(stage.pool.connections, 0);
      assert.equal(stage.deadlines.armedCount, 0);
    }
  });

  it("is cut at the client's deadline when the client stands still, and by its fault", () => {
    const stage = newStage({
      limits: { bodyTimeoutMs: 10_000 },
      upstreamUse: { bodyTimeoutMs: 2_000 },
      network: { kernelBufferBytes: 4_096 },
    });
    const { client, server, rest } = begun(stage);
    client.stopsReading();
    server.sends(rest);
    stage.network.run();
    stage.passes(9_500);
    assert.equal(stage.ended.length, 0);
    stage.passes(3_500);
    assert.equal(stage.ended[0]?.error?.type, "connection_write_timeout");
    assert.equal(stage.ended[0]?.error?.side, "client");
    assert.ok(server.closed || server.ended);
    client.readsOn().seesReset();
  });

  it("is cut at the upstream's deadline when the upstream stands still, and by its fault", () => {
    const stage = newStage({ limits: { bodyTimeoutMs: 2_000 }, upstreamUse: { bodyTimeoutMs: 10_000 } });
    const { client, server, rest } = begun(stage);
    server.sends(rest.slice(0, 300_000));
    client.takes();
    stage.passes(9_900);
    assert.equal(stage.ended.length, 0);
    stage.passes(3_000);
    assert.equal(stage.ended[0]?.error?.type, "connection_read_timeout");
    assert.equal(stage.ended[0]?.error?.side, "upstream");
    client.seesReset();
    assert.ok(server.closed || server.ended);
  });

  it("is cut when its last byte does not come", () => {
    const stage = newStage({ upstreamUse: { bodyTimeoutMs: 10_000 } });
    const { client, server, rest } = begun(stage);
    server.sends(rest.slice(0, -1));
    client.receives(HEAD + BODY.slice(0, -1));
    stage.passes(9_900);
    assert.equal(stage.ended.length, 0);
    stage.passes(600);
    assert.equal(stage.ended[0]?.error?.type, "connection_read_timeout");
    client.seesReset();
  });

  it("is not late while the client takes any of it", () => {
    const stage = newStage({
      limits: { bodyTimeoutMs: 10_000 },
      upstreamUse: { bodyTimeoutMs: 2_000 },
      network: { kernelBufferBytes: 16_000 },
    });
    const { client, server, rest } = begun(stage);
    client.stopsReading();
    server.sends(rest);
    readsNowAndThen(stage, client, 9_000, 12);
    client.readsOn().receives(HEAD + BODY);
  });

  it("is not late while the upstream gives any of it", () => {
    const stage = newStage({ limits: { bodyTimeoutMs: 2_000 }, upstreamUse: { bodyTimeoutMs: 10_000 } });
    const { client, server, rest } = begun(stage);
    for (let at = 0; at < 12; at++) {
      stage.passes(9_000);
      server.sends(rest[at]!);
      stage.network.run();
    }
    server.sends(rest.slice(12));
    client.receives(HEAD + BODY);
  });

  it("has its whole time again when the client has taken what it had not for long", () => {
    const stage = newStage({
      limits: { bodyTimeoutMs: 60_000 },
      upstreamUse: { bodyTimeoutMs: 10_000 },
      network: { kernelBufferBytes: 4_096 },
    });
    const { client, server, rest } = begun(stage);
    client.stopsReading();
    server.sends(rest.slice(0, 300_000));
    stage.network.run();
    stage.passes(29_000);
    client.readsOn();
    stage.network.run();
    stage.passes(9_000);
    assert.equal(stage.ended.length, 0);
    server.sends(rest.slice(300_000));
    client.receives(HEAD + BODY);
  });

  it("behind which the upstream sends more leaves a connection that nobody uses again", () => {
    const stage = newStage();
    const { client, server, rest } = begun(stage);
    server.sends(`${rest}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged`);
    client.sends(GET).receives(HEAD + BODY);
    const fresh = stage.origin.accepts();
    fresh.receivesHead();
    fresh.sends(SMALL);
    client.receives(SMALL);
    assert.ok(server.closed || server.ended);
  });

  it("is followed by the answers to requests that have come meanwhile", () => {
    const stage = newStage();
    const { client, server, rest } = begun(stage);
    client.sends(GET + GET);
    server.receivesNothing();
    server.sends(rest);
    client.receives(HEAD + BODY);
    for (let i = 0; i < 2; i++) {
      server.receivesHead();
      server.sends(SMALL);
      client.receives(SMALL);
    }
  });

  it("is finished when the proxy drains", () => {
    const stage = newStage();
    const { client, server, rest } = begun(stage);
    stage.driver.drain();
    stage.pool.close();
    server.sends(rest);
    client.receives(HEAD + BODY);
    // Its head had not said that the connection closes.
    stage.passes(1_100);
    client.seesEnd();
    stage.network.runUntilIdle();
    assert.equal(stage.pool.connections, 0);
    assert.equal(stage.driver.size, 0);
  });

  it("is cut by a feature that fails the exchange, and by the end of the proxy", () => {
    let exchange: Exchange | null = null;
    const keeping: Feature = {
      name: "keeping",
      request: (current) => {
        exchange = current;
      },
    };
    for (const end of [
      () => exchange!.fail(new ProxyError("http_request_denied", "enough")),
      (stage: Stage) => stage.driver.destroy(),
      (stage: Stage) => stage.pool.destroy(),
    ]) {
      const stage = newStage({ use: [keeping] });
      const { client, server, rest } = begun(stage);
      server.sends(rest.slice(0, 300_000));
      client.takes();
      end(stage);
      stage.network.run();
      assert.ok(client.closed || client.ended, "the client's connection is closed");
      assert.ok(server.closed || server.ended, "the server's connection is closed");
      assert.equal(stage.ended.length, 1);
      assert.equal(stage.ended[0]?.responseBodyBytes, 301_000);
      assert.equal(stage.pool.connections, 0);
      assert.equal(stage.deadlines.armedCount, 0);
    }
  });

  it("does not ask its client for the rest of the request while that takes it", () => {
    const stage = newStage({
      limits: { bodyTimeoutMs: 10_000 },
      upstreamUse: { bodyTimeoutMs: 600_000 },
      network: { kernelBufferBytes: 16_000 },
    });
    const request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234";
    const client = stage.client().sends(request);
    const server = stage.origin.accepts();
    server.receives(/01234$/);
    client.stopsReading();
    server.sends(HEAD + BODY.slice(0, -1));
    readsNowAndThen(stage, client, 8_000, 12);
    assert.equal(stage.ended.length, 0);
    client.sends("56789").readsOn();
    server.receives("56789");
    server.sends(BODY.slice(-1));
    client.receives(HEAD + BODY);
    assert.equal(stage.ended[0]?.error, null);
  });
});

describe("an answer", () => {
  const seeing: Feature = { name: "seeing", responseBody: (_exchange, next, source) => new PassThrough(next, source) };
  const storing: Feature = {
    name: "storing",
    upstreamResponseBody: (_exchange, next, source) => new PassThrough(next, source),
  };
  const chunked = `HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n`;

  for (const [name, options, request, head] of [
    ["that a feature looks at", { use: [seeing] }, GET, HEAD],
    ["that a feature stores", { use: [storing] }, GET, HEAD],
    ["whose end has to be marked for the client", {}, GET, UNTIL_CLOSE],
    ["to a client that is connected by TLS", {}, GET, HEAD],
  ] as const satisfies readonly (readonly [string, StageOptions, string, string])[]) {
    it(`${name} is copied`, () => {
      const stage = createStage({ ...options, network: { splices: true } });
      const tls = {
        protocol: "TLSv1.3",
        cipher: "x",
        serverName: null,
        alpn: null,
        resumed: false,
        peerCertificate: null,
      };
      const client = stage.network.connect("proxy:80", name.endsWith("TLS") ? { tls } : {}).sends(request);
      const server = stage.origin.accepts();
      server.receivesHead();
      server.sends(head);
      stage.network.run();
      server.sends(BODY);
      if (head === UNTIL_CLOSE) server.ends();
      stage.network.run();
      assert.equal(stage.ended[0]?.responseBodyBytes, BYTES);
      assert.equal(stage.network.splicedBytes, 0);
      assert.ok(client.takes().length >= BYTES);
    });
  }

  it("in chunks is copied", () => {
    const stage = createStage({ network: { splices: true } });
    const client = stage.client().sends(GET);
    const server = stage.origin.accepts();
    server.receivesHead();
    server.sends(`${chunked}${BYTES.toString(16)}\r\n`);
    stage.network.run();
    server.sends(`${BODY}\r\n0\r\n\r\n`);
    assert.ok(client.takes().toString("latin1").endsWith("\r\n0\r\n\r\n"));
    assert.equal(stage.network.splicedBytes, 0);
  });

  it("of which no more than the threshold is to come is copied", () => {
    for (const [rest, isSpliced] of [
      [SPLICE_BYTES_MIN, false],
      [SPLICE_BYTES_MIN + 1, true],
    ] as const) {
      const stage = createStage({ network: { splices: true } });
      const head = HEAD.replace(`${BYTES}`, `${rest + 100}`);
      const { client, server } = begun(stage, { head, first: 100 });
      server.sends(BODY.slice(100, 100 + rest));
      client.receives(head + BODY.slice(0, 100 + rest));
      assert.equal(stage.network.splicedBytes > 0, isSpliced);
    }
  });
});
