// An answer that the origin does not finish never looks finished to the client, whatever says where it ends.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Feature } from "../../src/pipeline/phases.ts";
import { createTestProxy } from "../../src/testing/index.ts";

const NEW = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OLD = "GET / HTTP/1.0\r\nHost: a\r\n\r\n";
const WITH_LENGTH = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc";
const CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
const UNTIL_CLOSE = "HTTP/1.1 200 OK\r\n\r\nabc";
const WAITING: Feature = { name: "waiting", response: () => Promise.resolve() };

describe("an answer that is cut", () => {
  for (const [client, request] of [
    ["HTTP/1.1", NEW],
    ["HTTP/1.0", OLD],
  ] as const) {
    for (const [framing, answer] of [
      ["a length", WITH_LENGTH],
      ["chunks", CHUNKED],
      ["chunks, in the middle of one", `${CHUNKED}5\r\nab`],
      ["chunks, before the last line", `${CHUNKED}0\r\n`],
      ["the end of the connection", UNTIL_CLOSE],
    ] as const) {
      for (const use of [[], [WAITING]]) {
        const hook = use.length === 0 ? "" : " and a hook that waits";
        it(`is a reset for a client of ${client} with ${framing}${hook}`, async () => {
          const proxy = createTestProxy({ use });
          const client = proxy.connect().sends(request);
          const server = proxy.origin.accepts();
          server.receivesHead();
          server.sends(answer);
          await proxy.network.settle();
          if (answer === UNTIL_CLOSE) server.resets();
          else server.closes();
          await proxy.network.settle();
          assert.ok(!client.unread.endsWith("0\r\n\r\n"));
          client.seesReset();
          assert.ok(proxy.ended[0]!.error !== null);
          assert.deepEqual(proxy.finish(), []);
        });
      }
    }
  }

  it("while a hook still looks at its head is an error of the proxy's own", async () => {
    let resolve = () => {};
    const waiting = new Promise<void>((done) => {
      resolve = done;
    });
    const proxy = createTestProxy({ use: [{ name: "waiting", response: () => waiting }] });
    const client = proxy.connect().sends(NEW);
    const server = proxy.origin.accepts();
    server.receivesHead();
    server.sends(WITH_LENGTH);
    await proxy.network.settle();
    server.resets();
    await proxy.network.settle();
    resolve();
    await proxy.network.settle();
    assert.match(client.receivesHead().startLine, /^HTTP\/1\.1 502 /);
    client.takes();
    client.staysOpen();
    assert.deepEqual(proxy.finish(), []);
  });
});
