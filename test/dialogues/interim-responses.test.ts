// 100 and 103 pass in both directions, and only to those who can read them (RFC 9110, section 15.2).
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createStage } from "../support/stage.ts";

const OK = "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nhi";

describe("interim responses", () => {
  it("100 is the upstream's to say, and the body follows it", () => {
    const stage = createStage();
    const client = stage.client();
    client.sends("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    const server = stage.origin.accepts();
    assert.equal(server.receivesHead().get("expect"), "100-continue");
    client.receivesNothing();
    server.sends("HTTP/1.1 100 Continue\r\n\r\n");
    client.receives("HTTP/1.1 100 Continue\r\n\r\n");
    client.sends("body");
    server.receives("body");
    server.sends(OK);
    client.receives(OK);
  });

  it("a final answer in place of 100 ends the exchange; the connection closes, since a body may still come", () => {
    const stage = createStage();
    const client = stage.client();
    client.sends("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    const server = stage.origin.accepts();
    server.receivesHead();
    server.sends("HTTP/1.1 413 Content Too Large\r\nDate: x\r\nContent-Length: 0\r\n\r\n");
    client.receives("HTTP/1.1 413 Content Too Large\r\nDate: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stage.network.run();
    assert.equal(server.ended, true);
  });

  it("103 passes with its fields, several of them, before the answer", () => {
    const stage = createStage();
    const client = stage.client().sends("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    const server = stage.origin.accepts();
    server.receivesHead();
    const hint = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n";
    server.sends(hint);
    client.receives(hint);
    server.sends(hint + OK);
    client.receives(hint + OK);
  });

  it("never reach an HTTP/1.0 client", () => {
    const stage = createStage();
    const client = stage.client().sends("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    stage.origin.accepts().sends(`HTTP/1.1 103 Early Hints\r\n\r\n${OK}`);
    client.receives(/^HTTP\/1\.1 200 OK\r\n/);
  });

  it("without end are refused", () => {
    const stage = createStage();
    const client = stage.client().sends("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    stage.origin.accepts().sends("HTTP/1.1 102 Processing\r\n\r\n".repeat(17));
    client.receives(/HTTP\/1\.1 502 Bad Gateway/);
  });

  it("an expectation that nobody knows is 417", () => {
    const stage = createStage();
    const client = stage.client().sends("GET / HTTP/1.1\r\nHost: a\r\nExpect: magic\r\n\r\n");
    client.receives(/^HTTP\/1\.1 417 /);
    stage.origin.acceptsNothing();
  });
});
