// What is tried again: only what cannot have been done already, or does no harm when it is done twice, and only as long as
// all of it can be sent again.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { REPLAY_BODY_BYTES_MAX, RETRIES_MAX } from "../../src/core/limits.ts";
import { createTestProxy } from "../../src/testing/index.ts";

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

function requestOf(method: string, body: string | null): string {
  const length = body === null ? "" : `Content-Length: ${body.length}\r\n`;
  return `${method} / HTTP/1.1\r\nHost: a\r\n${length}\r\n${body ?? ""}`;
}

/** A request whose first connection is closed by the origin without a byte of an answer. */
function unanswered(request: string, reset = false) {
  const proxy = createTestProxy();
  const client = proxy.connect().sends(request);
  const first = proxy.origin.accepts();
  const received = first.takes().toString("latin1");
  if (reset) first.resets();
  else first.closes();
  return { proxy, client, received };
}

describe("a request that got no answer", () => {
  for (const method of ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"]) {
    it(`is sent again when it is ${method}`, () => {
      for (const reset of [false, true]) {
        const { proxy, client, received } = unanswered(requestOf(method, null), reset);
        const second = proxy.origin.accepts();
        second.receives(received);
        second.sends(method === "HEAD" ? OK.slice(0, -2) : OK);
        assert.equal(client.receivesHead().startLine, "HTTP/1.1 200 OK");
        assert.equal(proxy.ended[0]!.attempts, 2);
        assert.deepEqual(proxy.finish(), []);
      }
    });
  }

  for (const method of ["POST", "PATCH", "UNKNOWN"]) {
    for (const body of [null, "", "body"]) {
      it(`is not sent again when it is ${method} with ${body === null ? "no body" : `a body of ${body.length}`}`, () => {
        const { proxy, client } = unanswered(requestOf(method, body));
        assert.match(client.receivesHead().startLine, /^HTTP\/1\.1 502 /);
        proxy.origin.acceptsNothing();
        assert.deepEqual(proxy.finish(), []);
      });
    }
  }

  it("is sent again with its body, whole or while it still arrives", () => {
    const body = "b".repeat(REPLAY_BODY_BYTES_MAX - 1);
    const whole = unanswered(requestOf("PUT", body));
    whole.proxy.origin.accepts().receives(whole.received);
    assert.deepEqual(whole.proxy.finish(), []);

    const part = unanswered(requestOf("PUT", body).slice(0, -10));
    const second = part.proxy.origin.accepts();
    second.receives(part.received);
    part.client.sends("b".repeat(10));
    second.receives("b".repeat(10));
    second.sends(OK);
    assert.equal(part.client.receivesHead().startLine, "HTTP/1.1 200 OK");
    assert.deepEqual(part.proxy.finish(), []);
  });

  it("is not sent again when its body was too large to be kept", () => {
    const { proxy, client } = unanswered(requestOf("PUT", "b".repeat(REPLAY_BODY_BYTES_MAX + 1)));
    assert.match(client.receivesHead().startLine, /^HTTP\/1\.1 502 /);
    proxy.origin.acceptsNothing();
    assert.deepEqual(proxy.finish(), []);
  });

  it("is not sent again when the answer had begun", () => {
    for (const begin of ["H", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"]) {
      const proxy = createTestProxy();
      const client = proxy.connect().sends(requestOf("GET", null));
      const server = proxy.origin.accepts();
      server.receivesHead();
      server.sends(begin);
      proxy.network.run();
      server.closes();
      proxy.network.run();
      proxy.origin.acceptsNothing();
      if (begin.endsWith("ab")) client.seesReset();
      else assert.match(client.receivesHead().startLine, /^HTTP\/1\.1 502 /);
      assert.deepEqual(proxy.finish(), []);
    }
  });

  it("is given up after so many attempts", () => {
    const proxy = createTestProxy();
    const client = proxy.connect().sends(requestOf("GET", null));
    for (let attempt = 0; attempt <= RETRIES_MAX; attempt++) {
      const server = proxy.origin.accepts();
      server.receivesHead();
      server.closes();
    }
    assert.match(client.receivesHead().startLine, /^HTTP\/1\.1 502 /);
    proxy.origin.acceptsNothing();
    assert.deepEqual(proxy.finish(), []);
  });
});

describe("a connection that cannot be made", () => {
  it("is tried again for every method: nothing was sent", () => {
    for (const method of ["GET", "POST"]) {
      const proxy = createTestProxy();
      proxy.network.failDials("origin:80", "connection_timeout");
      const client = proxy.connect().sends(requestOf(method, "body"));
      proxy.network.run();
      proxy.network.healDials("origin:80");
      proxy.network.advance(10_000);
      const server = proxy.origin.accepts();
      server.receivesHead();
      server.receives("body");
      server.sends(OK);
      assert.equal(client.receivesHead().startLine, "HTTP/1.1 200 OK");
      assert.deepEqual(proxy.finish(), []);
    }
  });

  it("gives the status of what went wrong", () => {
    for (const [type, status] of [
      ["connection_refused", 502],
      ["connection_timeout", 504],
      ["dns_error", 502],
      ["tls_certificate_error", 502],
    ] as const) {
      const proxy = createTestProxy();
      proxy.network.failDials("origin:80", type);
      const client = proxy.connect().sends(requestOf("GET", null));
      proxy.network.advance(30_000);
      const head = client.receivesHead();
      assert.match(head.startLine, new RegExp(`^HTTP/1\\.1 ${status} `));
      assert.equal(head.get("proxy-status"), `headgate; error=${type}`);
      assert.deepEqual(proxy.finish(), []);
    }
  });
});
