// Bytes of an origin that nobody asked for never become the answer to somebody's request.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createTestProxy } from "../../src/testing/index.ts";

const FIRST = "GET /first HTTP/1.1\r\nHost: a\r\n\r\n";
const SECOND = "GET /second HTTP/1.1\r\nHost: a\r\n\r\n";
const ANSWER = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const POISON = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";

describe("an answer that nobody asked for", () => {
  for (const [name, answer, body] of [
    ["an answer with a length", ANSWER, "ok"],
    [
      "a chunked answer",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
      "2\r\nok\r\n0\r\n\r\n",
    ],
    ["an answer without a body", "HTTP/1.1 204 No Content\r\n\r\n", ""],
  ] as const) {
    it(`behind ${name} is thrown away with its connection`, () => {
      const proxy = createTestProxy();
      const client = proxy.connect().sends(FIRST);
      const server = proxy.origin.accepts();
      server.receivesHead();
      server.sends(`${answer}${POISON}`);
      client.receivesHead();
      client.receives(body);
      server.seesEnd();
      client.sends(SECOND);
      assert.equal(proxy.origin.accepts().receivesHead().startLine, "GET /second HTTP/1.1");
      client.receivesNothing();
      assert.deepEqual(proxy.finish(), []);
    });
  }

  it("on an idle connection is thrown away with it", () => {
    const proxy = createTestProxy();
    const client = proxy.connect().sends(FIRST);
    const server = proxy.origin.accepts();
    server.receivesHead();
    server.sends(ANSWER);
    client.receivesHead();
    client.receives("ok");
    server.staysOpen().sends(POISON);
    server.seesEnd();
    client.sends(SECOND).staysOpen();
    client.receivesNothing();
    proxy.origin.accepts().receivesHead();
    assert.deepEqual(proxy.finish(), []);
  });

  it("before the request was sent whole does not leave a connection for another", () => {
    const proxy = createTestProxy();
    const client = proxy.connect().sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234");
    const server = proxy.origin.accepts();
    server.receivesHead();
    server.receives("01234");
    server.sends(ANSWER);
    client.receivesHead();
    client.receives("ok");
    server.seesEnd();
    client.sends(`56789${SECOND}`);
    assert.equal(proxy.origin.accepts().receivesHead().startLine, "GET /second HTTP/1.1");
    assert.deepEqual(proxy.finish(), []);
  });

  it("is not given to a request that waits for this very connection", () => {
    const proxy = createTestProxy({ connectionsMax: 1 });
    const first = proxy.connect().sends(FIRST);
    const server = proxy.origin.accepts();
    server.receivesHead();
    const second = proxy.connect().sends(SECOND);
    proxy.network.run();
    server.sends(`${ANSWER}${POISON}`);
    first.receivesHead();
    first.receives("ok");
    second.receivesNothing();
    server.receives("");
    assert.equal(proxy.origin.accepts().receivesHead().startLine, "GET /second HTTP/1.1");
    assert.deepEqual(proxy.finish(), []);
  });
});
