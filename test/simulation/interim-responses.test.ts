// Interim responses: passed on as they come, to those who can take them, and never without end.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { INFORMATIONAL_MAX } from "../../src/core/limits.ts";
import { createTestProxy } from "../../src/testing/index.ts";

const CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n";
const HINTS = "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

function asked(request: string) {
  const proxy = createTestProxy();
  const client = proxy.connect().sends(request);
  const server = proxy.origin.accepts();
  const head = server.receivesHead();
  return { proxy, client, server, head };
}

describe("100 (Continue)", () => {
  const request = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";

  it("is asked for and passed on once, and then the body goes", () => {
    const { proxy, client, server, head } = asked(request);
    assert.equal(head.get("expect"), "100-continue");
    client.receivesNothing();
    server.sends(CONTINUE);
    client.receives(CONTINUE);
    client.sends("body");
    server.receives("body");
    server.sends(CONTINUE).sends(OK);
    assert.equal(client.receivesHead().startLine, "HTTP/1.1 200 OK");
    assert.deepEqual(proxy.finish(), []);
  });

  it("is not passed on to a client that did not ask for it", () => {
    const { proxy, client, server } = asked("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    server.sends(CONTINUE);
    client.receivesNothing();
    server.sends(OK);
    assert.equal(client.receivesHead().startLine, "HTTP/1.1 200 OK");
    assert.deepEqual(proxy.finish(), []);
  });

  it("may be left out: a refusal passes, and the connection closes because the body may or may not come", () => {
    const { proxy, client, server } = asked(request);
    server.sends("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n");
    const head = client.receivesHead();
    assert.match(head.startLine, / 417 /);
    assert.equal(head.get("connection"), "close");
    client.seesEnd();
    assert.deepEqual(proxy.finish(), []);
  });
});

describe("103 (Early Hints)", () => {
  it("passes at once, however many there are within the limit", () => {
    const { proxy, client, server } = asked("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    server.sends(HINTS);
    client.receives(HINTS);
    server.sends(HINTS.repeat(INFORMATIONAL_MAX - 1)).sends(OK);
    for (let i = 1; i < INFORMATIONAL_MAX; i++) assert.match(client.receivesHead().startLine, / 103 /);
    assert.match(client.receivesHead().startLine, / 200 /);
    assert.deepEqual(proxy.finish(), []);
  });

  it("does not pass to HTTP/1.0", () => {
    const { proxy, client, server } = asked("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    server.sends(HINTS).sends(OK);
    assert.match(client.receivesHead().startLine, / 200 /);
    assert.deepEqual(proxy.finish(), []);
  });

  it("without end is an error of the origin", () => {
    const { proxy, client, server } = asked("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    server.sends(HINTS.repeat(INFORMATIONAL_MAX + 1));
    for (let i = 0; i < INFORMATIONAL_MAX; i++) assert.match(client.receivesHead().startLine, / 103 /);
    assert.match(client.receivesHead().startLine, / 502 /);
    server.seesEnd();
    assert.deepEqual(proxy.finish(), []);
  });
});
