// Answers that have no body because of their request or their status: nobody is asked for one, and none is counted.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Answer } from "../../src/pipeline/exchange.ts";
import { createTestProxy } from "../../src/testing/index.ts";

const DATE = "Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n";
const NEXT = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";

function answered(method: string, answer: Answer) {
  const proxy = createTestProxy({ handler: (exchange) => void exchange.respond(answer) });
  const client = proxy.connect().sends(`${method} / HTTP/1.1\r\nHost: a\r\n\r\n`);
  return { proxy, client };
}

describe("an answer without a body", () => {
  for (const [name, method, status, head] of [
    ["HEAD", "HEAD", 200, `HTTP/1.1 200 OK\r\n${DATE}Content-Length: 5\r\n\r\n`],
    ["204", "GET", 204, `HTTP/1.1 204 No Content\r\n${DATE}\r\n`],
    ["304", "GET", 304, `HTTP/1.1 304 Not Modified\r\n${DATE}\r\n`],
  ] as const) {
    it(`because of ${name} ends with its head, although one was given`, () => {
      const { proxy, client } = answered(method, { status, body: "hello" });
      client.receives(head);
      assert.equal(proxy.ended[0]!.responseBodyBytes, 0);
      client.staysOpen().sends(NEXT);
      assert.equal(client.receivesHead().startLine.split(" ")[1], `${status}`);
      assert.deepEqual(proxy.finish(), []);
    });

    it(`because of ${name} never asks who would give an endless one`, () => {
      const { proxy, client } = answered(method, { status, body: () => assert.fail("asked for a body") });
      client.receivesHead();
      client.receivesNothing();
      assert.equal(proxy.ended.length, 1);
      assert.equal(proxy.ended[0]!.error, null);
      assert.deepEqual(proxy.finish(), []);
    });
  }
});
