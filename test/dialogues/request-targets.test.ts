// What a request is about in each of the forms of its target (RFC 9112, section 3.2), and what the upstream gets of it.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createStage } from "../support/stage.ts";

const OK = "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nhi";

describe("the absolute form", () => {
  it("reaches the upstream as a path, with the target's authority as Host", () => {
    for (const [line, fields, forwarded, host] of [
      ["GET http://B:8080/x?y HTTP/1.1", "Host: b:8080\r\n", "GET /x?y HTTP/1.1", "b:8080"],
      ["GET http://b?x HTTP/1.0", "", "GET /?x HTTP/1.1", "b"],
      ["GET http://b HTTP/1.0", "", "GET / HTTP/1.1", "b"],
      ["OPTIONS http://b HTTP/1.0", "", "OPTIONS * HTTP/1.1", "b"],
      ["OPTIONS http://b/ HTTP/1.0", "", "OPTIONS / HTTP/1.1", "b"],
      ["OPTIONS http://b?x HTTP/1.0", "", "OPTIONS /?x HTTP/1.1", "b"],
    ] as const) {
      const stage = createStage();
      stage.client().sends(`${line}\r\n${fields}\r\n`);
      const head = stage.origin.accepts().receivesHead();
      assert.deepEqual([head.startLine, head.get("host"), head.get("x-forwarded-host")], [forwarded, host, host]);
    }
  });

  it("is refused when Host says something else", () => {
    const stage = createStage();
    stage
      .client()
      .sends("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n")
      .receives(/^HTTP\/1\.1 400 /);
    stage.origin.acceptsNothing();
  });

  it("leaves nothing behind for the next request on the connection", () => {
    const stage = createStage();
    const client = stage.client().sends("GET http://b/ HTTP/1.1\r\nHost: b\r\n\r\n");
    const server = stage.origin.accepts();
    server.receivesHead();
    server.sends(OK);
    client.receives(OK);
    client.sends("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    const head = server.receivesHead();
    assert.deepEqual([head.get("host"), head.get("x-forwarded-host")], ["a", "a"]);
  });
});

describe("Max-Forwards of OPTIONS", () => {
  it("goes down by one, and ends here at zero", () => {
    const stage = createStage();
    const client = stage.client().sends("OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n");
    client.receives(/^HTTP\/1\.1 200 OK\r\nContent-Length: 0\r\n/);
    stage.origin.acceptsNothing();
    client.sends("OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 3\r\n\r\n");
    const head = stage.origin.accepts().receivesHead();
    assert.deepEqual([head.startLine, head.get("max-forwards")], ["OPTIONS * HTTP/1.1", "2"]);
  });
});
