// Bodies of every framing pass both ways, unbuffered, and an incomplete one never looks complete.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DISCARD_BYTES_MAX, LINGER_TIMEOUT_MS } from "../../src/core/limits.ts";
import { describeBothWays } from "../support/both-ways.ts";
import { createStage, stagesThat } from "../support/stage.ts";

const FORWARDED = "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\n";

describeBothWays("request bodies", (splices) => {
  const createStage = stagesThat(splices);
  it("pass by length as they arrive", () => {
    const stage = createStage();
    const client = stage.client().sends("POST /u HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234");
    const server = stage.origin.accepts();
    server.receives(`POST /u HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n${FORWARDED}\r\n01234`);
    client.sends("56789");
    server.receives("56789");
    server.sends("HTTP/1.1 201 Created\r\nDate: x\r\nContent-Length: 0\r\n\r\n");
    client.receives("HTTP/1.1 201 Created\r\nDate: x\r\nContent-Length: 0\r\n\r\n");
    assert.equal(stage.ended[0]?.requestBodyBytes, 10);
  });

  it("pass chunked, without the extensions, and the connection serves on", () => {
    const stage = createStage();
    const client = stage
      .client()
      .sends("POST /u HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n");
    const server = stage.origin.accepts();
    server.receives(`POST /u HTTP/1.1\r\nHost: a\r\n${FORWARDED}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n`);
    client.sends("6\r\n world\r\n0\r\n\r\n");
    server.receives("6\r\n world\r\n0\r\n\r\n");
    server.sends("HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n");
    client.receives("HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n");
    assert.equal(stage.pool.idleConnections, 1);
  });

  it("reach the upstream before they are complete, and its early answer reaches the client", () => {
    const stage = createStage();
    const client = stage.client().sends("POST /u HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nfirst");
    const server = stage.origin.accepts();
    server.receives(/first$/);
    server.sends("HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 4\r\n\r\ndone");
    client.receives("HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 4\r\n\r\ndone");
    assert.equal(stage.pool.connections, 0, "the request did not end: nothing else may go there");
    // The rest is read and thrown away; then the connection serves the next request.
    client.sends(`${"x".repeat(95)}GET /n HTTP/1.1\r\nHost: a\r\n\r\n`);
    assert.equal(stage.origin.accepts().receivesHead().startLine, "GET /n HTTP/1.1");
  });

  it("that are answered early: the answer says close when so much is left that the connection is not kept for it", () => {
    for (const [left, isKept] of [
      [DISCARD_BYTES_MAX, true],
      [DISCARD_BYTES_MAX + 1, false],
    ] as const) {
      const stage = createStage();
      const client = stage.client().sends(`POST /u HTTP/1.1\r\nHost: a\r\nContent-Length: ${5 + left}\r\n\r\nfirst`);
      const server = stage.origin.accepts();
      server.receives(/first$/);
      server.sends("HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 4\r\n\r\ndone");
      const said = isKept ? "" : "Connection: close\r\n";
      client.receives(`HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 4\r\n${said}\r\ndone`);
      // However slowly it comes where the connection is kept, as long as it comes.
      const piece = "x".repeat(DISCARD_BYTES_MAX / 8);
      for (let rest = left; rest > 0; rest -= piece.length) {
        client.sends(rest < piece.length ? piece.slice(0, rest) : piece);
        stage.network.advance(isKept ? LINGER_TIMEOUT_MS - 1_000 : 1_000);
      }
      if (isKept) {
        client.sends("GET /n HTTP/1.1\r\nHost: a\r\n\r\n");
        assert.equal(stage.origin.accepts().receivesHead().startLine, "GET /n HTTP/1.1");
      } else client.seesEnd();
    }
  });

  it("are refused with 413 by their length at once, and by their bytes when chunked", () => {
    const stage = createStage({ limits: { bodyBytesMax: 8 } });
    const client = stage.client().sends("POST /u HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n123456789");
    assert.match(client.receives(/^HTTP\/1\.1 413 /)[0], /413/);
    stage.origin.acceptsNothing();
    const chunked = stage
      .client()
      .sends("POST /u HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    const server = stage.origin.accepts();
    server.receives(/hello/);
    chunked.sends("5\r\nworld\r\n");
    chunked.receives(/^HTTP\/1\.1 413 /);
    stage.network.run();
    assert.equal(server.ended, true, "the upstream must not take the body for complete");
  });

  it("stop the upstream when the client vanishes in the middle", () => {
    const stage = createStage();
    const client = stage.client().sends("POST /u HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nfirst");
    const server = stage.origin.accepts();
    server.receives(/first$/);
    client.closes();
    stage.network.run();
    assert.equal(server.ended, true);
    assert.equal(stage.pool.connections, 0);
    assert.equal(stage.ended.length, 1);
  });

  it("with broken chunks are refused, and the upstream's request is cut", () => {
    const stage = createStage();
    const client = stage
      .client()
      .sends("POST /u HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    const server = stage.origin.accepts();
    server.receives(/hello/);
    client.sends("zz\r\n");
    client.receives(/^HTTP\/1\.1 400 .*\r\nConnection: close\r\n/s);
    assert.equal(server.ended, true);
  });

  it("that do not go on are answered with 408", () => {
    const stage = createStage({ limits: { bodyTimeoutMs: 5_000 } });
    const client = stage.client().sends("POST /u HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nfirst");
    stage.origin.accepts().receives(/first$/);
    stage.passes(4_000);
    client.sends("x");
    stage.network.run();
    stage.passes(4_900);
    client.receivesNothing();
    stage.passes(300);
    client.receives(/^HTTP\/1\.1 408 /);
  });
});

describe("request trailers", () => {
  it("pass, without those that an upstream could take for what the proxy says in a head", () => {
    const stage = createStage();
    const trailers = [
      "X-Checksum: 1",
      ...["Transfer-Encoding: chunked", "Content-Length: 3", "Host: b", "Connection: X-Checksum"],
      ...["X-Forwarded-For: 203.0.113.1", "X_Forwarded_For: 203.0.113.1", "X-Forwarded-User: root", "X-Real-IP: 1"],
    ];
    const body = `1\r\nx\r\n0\r\n${trailers.join("\r\n")}\r\n\r\n`;
    stage.client().sends(`POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${body}`);
    const server = stage.origin.accepts();
    server.receivesHead();
    server.receives("1\r\nx\r\n0\r\nX-Checksum: 1\r\n\r\n");
  });
});

describeBothWays("answers", (splices) => {
  const createStage = stagesThat(splices);
  const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

  it("begin with our own version, and a status line that everybody can read", () => {
    for (const line of ["HTTP/1.5 200 OK", "HTTP/1.1 200", "HTTP/1.0 200 Fine"]) {
      const stage = createStage();
      const client = stage.client().sends(GET);
      stage.origin.accepts().sends(`${line}\r\nDate: x\r\nContent-Length: 2\r\n\r\nhi`);
      client.receives("HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nhi");
    }
    const stage = createStage();
    const client = stage.client().sends(GET);
    stage.origin.accepts().sends("HTTP/1.1 200 Fine, thanks\r\nDate: x\r\nContent-Length: 2\r\n\r\nhi");
    client.receives("HTTP/1.1 200 Fine, thanks\r\nDate: x\r\nContent-Length: 2\r\n\r\nhi");
  });

  it("pass chunked, piece by piece", () => {
    const stage = createStage();
    const client = stage.client().sends(GET);
    const server = stage.origin.accepts();
    server.receivesHead();
    server.sends("HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    client.receives("HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    server.sends("2\r\nde\r\n0\r\n\r\n");
    client.receives("2\r\nde\r\n0\r\n\r\n");
    assert.equal(stage.pool.idleConnections, 1);
    assert.equal(stage.ended[0]?.responseBodyBytes, 5);
  });

  it("until close become chunked for HTTP/1.1, and stay so for HTTP/1.0", () => {
    const stage = createStage();
    const client = stage.client().sends(GET);
    const server = stage.origin.accepts();
    server.sends("HTTP/1.0 200 OK\r\nDate: x\r\n\r\nall of it").ends().receivesHead();
    client.receives("HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nall of it\r\n0\r\n\r\n");
    const old = stage.client().sends("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    const again = stage.origin.accepts();
    again.sends("HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n").receivesHead();
    old.receives("HTTP/1.1 200 OK\r\nDate: x\r\nConnection: close\r\n\r\nabc");
    assert.equal(old.ended, true);
  });

  it("to HEAD, 204 and 304 have no body, and keep the length that they describe", () => {
    const stage = createStage();
    const client = stage.client().sends("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    const server = stage.origin.accepts();
    server.sends("HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 1000\r\n\r\n").receivesHead();
    client.receives("HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 1000\r\n\r\n");
    client.sends(GET);
    server.sends('HTTP/1.1 304 Not Modified\r\nDate: x\r\nETag: "1"\r\nContent-Length: 7\r\n\r\n').receivesHead();
    client.receives('HTTP/1.1 304 Not Modified\r\nDate: x\r\nETag: "1"\r\nContent-Length: 7\r\n\r\n');
    client.sends(GET);
    server.sends("HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n").receivesHead();
    client.receives("HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n");
    assert.equal(stage.origin.acceptedCount, 1);
  });

  it("to HEAD have none either when it is refused", () => {
    for (const field of ["Content-Length: 1\r\nTransfer-Encoding: chunked", "Expect: magic", "Content-Length: x"]) {
      const stage = createStage();
      const client = stage.client().sends(`HEAD / HTTP/1.1\r\nHost: a\r\n${field}\r\n\r\n`);
      const head = client.receivesHead();
      assert.match(head.startLine, /^HTTP\/1\.1 4/);
      assert.match(head.get("content-length")!, /^[1-9]\d+$/);
      client.seesEnd();
      assert.equal(stage.ended[0]?.responseBodyBytes, 0);
    }
  });

  it("that break off are cut for the client too", () => {
    for (const answer of [
      "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 10\r\n\r\n12345",
      "HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
    ]) {
      const stage = createStage();
      const client = stage.client().sends(GET);
      const server = stage.origin.accepts();
      server.receivesHead();
      server.sends(answer).ends();
      stage.network.run();
      assert.equal(client.reset, true, "a reset, so that nothing takes it for complete");
      assert.equal(stage.ended[0]?.error?.type, "http_response_incomplete");
    }
  });

  it("that break framing before their head was passed on are 502, and the connection is gone", () => {
    for (const answer of [
      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12",
      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1",
      "HTTP/1.1 200 OK\nContent-Length: 1\n\n1",
      "SSH-2.0-OpenSSH_9.2\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    ]) {
      const stage = createStage();
      const client = stage.client().sends(GET);
      stage.origin.accepts().sends(answer);
      client.receives(/^HTTP\/1\.1 502 Bad Gateway\r\n.*Proxy-Status: headgate; error=http_/s);
      assert.equal(stage.pool.connections, 0);
    }
  });

  it("of a slow upstream are 504 at the deadline", () => {
    const stage = createStage({ upstreamUse: { responseTimeoutMs: 2_000 } });
    const client = stage.client().sends(GET);
    const server = stage.origin.accepts();
    server.receivesHead();
    stage.passes(1_900);
    client.receivesNothing();
    stage.passes(300);
    client.receives(/^HTTP\/1\.1 504 .*error=http_response_timeout/s);
    assert.equal(server.ended, true);
  });

  it("stop when the client vanishes: the upstream is freed at once", () => {
    const stage = createStage();
    const client = stage.client().sends(GET);
    const server = stage.origin.accepts();
    server.receivesHead();
    server.sends("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfirst");
    client.receives(/first$/);
    client.closes();
    stage.network.run();
    assert.equal(server.ended, true);
    assert.equal(stage.pool.connections, 0);
    assert.equal(stage.ended[0]?.status, 200);
    assert.equal(stage.ended[0]?.error?.side, "client");
  });

  it("wait in the origin while the client does not read", () => {
    const stage = createStage({ network: { kernelBufferBytes: 16 * 1024 } });
    const client = stage.client().sends(GET);
    const server = stage.origin.accepts();
    server.receivesHead();
    client.stopsReading();
    const bytes = 4 * 1024 * 1024;
    server.sends(`HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: ${bytes}\r\n\r\n`).sends(Buffer.alloc(bytes, "z"));
    stage.network.run();
    assert.ok(
      server.connection.queuedBytes > bytes - 512 * 1024,
      `${server.connection.queuedBytes} wait in the origin`,
    );
    client.readsOn();
    const body = client.takes();
    assert.equal(body.length, bytes + `HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: ${bytes}\r\n\r\n`.length);
  });
});
