// A deadline ends who stands still, on either side, and nobody who moves or has to wait for others.
import assert from "node:assert/strict";
import { it } from "node:test";
import { type BodySink, type BodySource, PassThrough } from "../../src/pipeline/body.ts";
import type { Peer } from "../../src/testing/index.ts";
import { describeBothWays } from "../support/both-ways.ts";
import { type Stage, stagesThat } from "../support/stage.ts";

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nhi";
const UPLOAD = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234";
const CHUNK = `1000\r\n${"x".repeat(4096)}\r\n`;
const CHUNKS = 200;
const CHUNKED = `HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n${CHUNK.repeat(CHUNKS)}0\r\n\r\n`;

/** Takes what the kernel has for this end once in so much time. */
function readsNowAndThen(stage: Stage, peer: Peer, everyMs: number, times: number): void {
  for (let i = 0; i < times; i++) {
    stage.passes(everyMs);
    peer.readsOn();
    stage.network.step();
    peer.stopsReading();
    stage.network.run();
  }
}

/** Bytes of the body of a chunked answer that is complete; chunks may have been cut on the way. */
function decoded(answer: Buffer): number {
  const text = answer.toString("latin1");
  assert.ok(text.endsWith("\r\n0\r\n\r\n"), "the answer is complete");
  return text.slice(text.indexOf("\r\n\r\n")).split("x").length - 1;
}

describeBothWays("a client that reads slowly", (splices) => {
  const createStage = stagesThat(splices);
  it("is not late while it takes anything, also when more was queued after its deadline had begun", () => {
    const stage = createStage({ limits: { bodyTimeoutMs: 10_000 }, network: { kernelBufferBytes: 60_000 } });
    const client = stage.client().stopsReading().sends(GET);
    const server = stage.origin.accepts();
    server.receivesHead();
    server.sends(CHUNKED);
    stage.network.run();
    stage.network.kernelBufferBytes = 4096;
    readsNowAndThen(stage, client, 9_000, 10);
    client.readsOn();
    assert.equal(decoded(client.takes()), CHUNKS * 4096);
  });

  it("does not make its upstream late, which has to wait for it", () => {
    const stage = createStage({
      limits: { bodyTimeoutMs: 600_000 },
      upstreamUse: { bodyTimeoutMs: 5_000 },
      network: { kernelBufferBytes: 50_000 },
    });
    const client = stage.client().stopsReading().sends(GET);
    const server = stage.origin.accepts();
    server.receivesHead();
    server.sends(CHUNKED);
    for (let i = 0; i < 10; i++) stage.passes(2_000);
    client.readsOn();
    assert.equal(decoded(client.takes()), CHUNKS * 4096);
  });

  it("does not have to send its own body meanwhile", () => {
    const stage = createStage({
      limits: { bodyTimeoutMs: 10_000 },
      upstreamUse: { bodyTimeoutMs: 600_000 },
      network: { kernelBufferBytes: 4096 },
    });
    const client = stage.client().stopsReading().sends(UPLOAD);
    const server = stage.origin.accepts();
    server.receives(/01234$/);
    server.sends(`HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 100000\r\n\r\n${"x".repeat(90_000)}`);
    readsNowAndThen(stage, client, 8_000, 10);
    assert.equal(stage.ended.length, 0);
    client.sends("56789").readsOn();
    server.receives("56789");
    server.sends("y".repeat(10_000));
    client.receives(/y{10000}$/);
  });

  it("does not have to either while it takes all of an answer that goes on", () => {
    const stage = createStage({ limits: { bodyTimeoutMs: 10_000 }, upstreamUse: { bodyTimeoutMs: 10_000 } });
    const client = stage.client().sends(UPLOAD);
    const server = stage.origin.accepts();
    server.receives(/01234$/);
    server.sends("HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.receivesHead();
    for (let i = 0; i < 6; i++) {
      stage.passes(4_000);
      server.sends("3\r\nabc\r\n");
      client.receives("3\r\nabc\r\n");
    }
    stage.passes(11_000);
    assert.equal(stage.ended.length, 1);
  });

  it("goes on where a hook had held the answer, through a transform that has its own idea of a pause", async () => {
    const { promise, resolve: release } = Promise.withResolvers<void>();
    /** Holds everything itself: what it is asked it never asks of others. */
    class Hoarding extends PassThrough {
      override pause(): void {}
      override resume(): void {}
    }
    const make = (next: BodySink, source: BodySource) => new Hoarding(next, source);
    const stage = createStage({
      // The second answer must find the first one queued, which is so where it was copied.
      network: { kernelBufferBytes: 16 * 1024, splices: false },
      use: [
        {
          name: "holding",
          response: ({ request }) => (request.path === "/held" ? promise : undefined),
          responseBody: ({ request }, next, source) => (request.path === "/held" ? make(next, source) : null),
        },
      ],
    });
    const client = stage.client().stopsReading().sends(GET);
    const server = stage.origin.accepts();
    server.receivesHead();
    server.sends(`HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 130000\r\n\r\n${"x".repeat(130_000)}`);
    client.sends("GET /held HTTP/1.1\r\nHost: a\r\n\r\n");
    server.receivesHead();
    stage.network.kernelBufferBytes = 64 * 1024;
    server.sends(`HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 200000\r\n\r\n${"y".repeat(200_000)}`);
    stage.network.run();
    release();
    await stage.network.settle();
    client.readsOn();
    assert.ok(client.takes().toString("latin1").endsWith("y".repeat(200_000)));
  });
});

describeBothWays("a client that stands still", (splices) => {
  const createStage = stagesThat(splices);
  it("is cut when it does not read the answer, also when its own body has ended since", () => {
    const stage = createStage({ limits: { bodyTimeoutMs: 10_000 }, network: { kernelBufferBytes: 16 * 1024 } });
    const client = stage.client().stopsReading().sends(UPLOAD);
    const server = stage.origin.accepts();
    server.receives(/01234$/);
    server.sends(`HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 1000000\r\n\r\n`).sends(Buffer.alloc(1_000_000));
    stage.network.run();
    client.sends("56789");
    for (let i = 0; i < 6; i++) stage.passes(5_000);
    assert.equal(stage.ended[0]?.error?.type, "connection_write_timeout");
    assert.equal(stage.ended[0]?.error?.side, "client");
    assert.equal(stage.pool.connections, 0);
    client.readsOn().seesReset();
  });

  it("is not to blame for a body that nobody asked it for", () => {
    const stage = createStage();
    const client = stage
      .client()
      .sends("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    const server = stage.origin.accepts();
    server.receivesHead();
    for (let i = 0; i < 13; i++) stage.passes(5_000);
    client.receives(/^HTTP\/1\.1 504 .*error=http_response_timeout.*\r\nConnection: close\r\n/s);
    assert.equal(stage.ended[0]?.error?.side, "upstream");
    assert.ok(server.ended);
  });
});

describeBothWays("an upstream that reads slowly", (splices) => {
  const createStage = stagesThat(splices);
  it("is not late with its answer while the request still leaves", () => {
    const stage = createStage({ upstreamUse: { responseTimeoutMs: 5_000 }, network: { kernelBufferBytes: 4096 } });
    const client = stage.client().sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n");
    const server = stage.origin.accepts().stopsReading();
    client.sends(Buffer.alloc(60_000, "x"));
    stage.network.run();
    readsNowAndThen(stage, server, 3_000, 10);
    server.readsOn().receives(/x{60000}$/);
    server.sends(OK);
    client.receives(OK);
  });

  it("is late when it stops, and said to be", () => {
    const stage = createStage({ upstreamUse: { responseTimeoutMs: 5_000 }, network: { kernelBufferBytes: 4096 } });
    const client = stage.client().sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n");
    stage.origin.accepts().stopsReading();
    client.sends(Buffer.alloc(60_000, "x"));
    stage.network.run();
    for (let i = 0; i < 4; i++) stage.passes(3_000);
    client.receives(/^HTTP\/1\.1 504 .*error=connection_write_timeout/s);
  });

  it("has its whole time for the answer from when the request has left", () => {
    const stage = createStage({ upstreamUse: { responseTimeoutMs: 5_000 }, network: { kernelBufferBytes: 4096 } });
    const client = stage.client().sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n");
    const server = stage.origin.accepts().stopsReading();
    client.sends(Buffer.alloc(200_000, "x"));
    stage.network.run();
    stage.passes(4_000);
    server.readsOn().takes();
    stage.passes(4_000);
    server.sends(OK);
    client.receives(OK);
  });
});
