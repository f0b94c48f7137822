// Documents asked of servers that answer odd things: whatever comes, it is an answer or an Error, and nothing is thrown where
// nobody could catch it.

import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { describe, it } from "node:test";
import { createFetch } from "./fetch.ts";

const TIMEOUT = { timeout: 20_000 };
const fetch = createFetch({ ca: null });

/** Answers the one request with these bytes and closes, and says what was made of them. */
async function fetched(answer: string): Promise<Response> {
  const server = net.createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => socket.end(answer, "latin1"));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    return await fetch(`http://127.0.0.1:${(server.address() as net.AddressInfo).port}/keys?secret=1`);
  } finally {
    server.close();
  }
}

describe("a document of the web", () => {
  const good: readonly (readonly [what: string, answer: string, status: number, text: string])[] = [
    ["with a length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 200, "{}"],
    ["in chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 200, "{}"],
    ["until the end of the connection", "HTTP/1.1 200 OK\r\n\r\n{}", 200, "{}"],
    [
      "behind other answers",
      "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 199 x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n{}",
      200,
      "{}",
    ],
    ["that is none", "HTTP/1.1 204 No Content\r\n\r\n", 204, ""],
    ["that was not changed", "HTTP/1.1 304 Not Modified\r\n\r\n", 304, ""],
    ["with an odd field", "HTTP/1.1 200 OK\r\nX-A: \xe9\r\nX-B:\r\nContent-Length: 2\r\n\r\n{}", 200, "{}"],
    ["of the last status that there is", "HTTP/1.1 599 x\r\nContent-Length: 0\r\n\r\n", 599, ""],
  ];
  for (const [what, answer, status, text] of good) {
    it(`comes ${what}`, TIMEOUT, async () => {
      const response = await fetched(answer);
      assert.deepEqual([response.status, await response.text()], [status, text]);
    });
  }

  const odd: readonly (readonly [what: string, answer: string])[] = [
    ["a status of 600", "HTTP/1.1 600 x\r\nContent-Length: 2\r\n\r\n{}"],
    ["a status of 999", "HTTP/1.1 999 x\r\nContent-Length: 0\r\n\r\n"],
    ["a status of 000", "HTTP/1.1 000 x\r\nContent-Length: 0\r\n\r\n"],
    ["a status of 101 without another protocol", "HTTP/1.1 101 x\r\nContent-Length: 0\r\n\r\n"],
    ["another protocol", "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n{}"],
    ["only an interim answer", "HTTP/1.1 103 Early Hints\r\n\r\n"],
    ["a control character in a field", "HTTP/1.1 200 OK\r\nX-A: a\x00b\r\nContent-Length: 2\r\n\r\n{}"],
    ["a name that is none", "HTTP/1.1 200 OK\r\nX A: b\r\nContent-Length: 2\r\n\r\n{}"],
    ["nothing", ""],
    ["half a head", "HTTP/1.1 200 OK\r\nContent-Le"],
    ["half a body", "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{}"],
    ["half a chunked body", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n{}"],
    ["a chunk that is none", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"],
    ["too much", `HTTP/1.1 200 OK\r\n\r\n${"x".repeat(1024 * 1024 + 1)}`],
    ["no HTTP", "SSH-2.0-OpenSSH_9.6\r\n"],
  ];
  for (const [what, answer] of odd) {
    it(`is refused when ${what} comes`, TIMEOUT, async () => {
      await assert.rejects(fetched(answer), /^Error: GET http:\/\/127\.0\.0\.1:\d+\/keys: ./);
    });
  }
});
