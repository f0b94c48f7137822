// CONNECT to a proxy: what is sent, and what each answer means, whole and byte by byte, and however it is damaged.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { replayHint, seed } from "../../../test/support/seed.ts";
import { SeededRandom } from "../../testing/seeded-random.ts";
import { ConnectClient } from "./connect-client.ts";

interface Outcome {
  readonly end: "connected" | "more" | "refused" | "broken";
  /** Bytes of the tunnel; none behind an error. */
  readonly early: string;
  /** "": none. */
  readonly error: string;
}

function run(pieces: readonly Buffer[]): Outcome {
  const client = new ConnectClient("a.example:443", "");
  let held: Buffer = Buffer.alloc(0);
  for (const piece of pieces) {
    held = Buffer.concat([held, piece]);
    while (!client.isConnected) {
      // Between bytes that are no part of it.
      const framed = Buffer.concat([Buffer.from("\r\n\r\n"), held, Buffer.from("\r\n\r\n")]);
      const used = client.receive(framed, 4, 4 + held.length);
      if (used < 0) {
        const { message, type, status } = client.failure(used);
        const end = client.isRefusal(used) ? "refused" : "broken";
        return { end, early: "", error: `${type} ${status}: ${message}` };
      }
      if (used === 0) break;
      held = held.subarray(used);
    }
  }
  return { end: client.isConnected ? "connected" : "more", early: held.toString("latin1"), error: "" };
}

const bytesOf = (text: string) => Array.from(Buffer.from(text, "latin1"), (byte) => Buffer.of(byte));

const ANSWERS: readonly (readonly [text: string, end: Outcome["end"], rest: string])[] = [
  ["HTTP/1.1 200 Connection established\r\n\r\n", "connected", ""],
  ["HTTP/1.0 200\r\n\r\n\r\nx", "connected", "\r\nx"],
  ["HTTP/1.1 299 \r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabcdef", "connected", "abcdef"],
  [
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 P\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK",
    "connected",
    "HTTP/1.1 200 OK",
  ],
  ["HTTP/1.1 200 OK\r\nA: b\r\n", "more", ""],
  [
    "HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic\r\n\r\n",
    "refused",
    "proxy_configuration_error 502: it refuses our credentials (407)",
  ],
  ["HTTP/1.1 403 No\r\n\r\n", "refused", "http_request_denied 403: it answered CONNECT with 403"],
  ["HTTP/1.1 502 No\r\n\r\n", "refused", "destination_unavailable 502: it answered CONNECT with 502"],
  ["HTTP/1.1 503 No\r\n\r\n", "refused", "destination_unavailable 503: it answered CONNECT with 503"],
  ["HTTP/1.1 504 No\r\n\r\n", "refused", "connection_timeout 504: it answered CONNECT with 504"],
  ["HTTP/1.1 301 Moved\r\n\r\n", "refused", "destination_unavailable 502: it answered CONNECT with 301"],
  ["HTTP/1.1 101 Switch\r\n\r\n", "refused", "destination_unavailable 502: it answered CONNECT with 101"],
  ["HTTP/2 200 OK\r\n\r\n", "broken", "http_protocol_error 502: response refused: the HTTP version is not 1.0 or 1.1"],
];

describe("CONNECT", () => {
  it("is asked for with the authority as target and Host, and nothing that was not given", () => {
    assert.equal(
      `${new ConnectClient("[::1]:443", "").toSend}`,
      "CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\r\n",
    );
    const client = new ConnectClient("a:1", "Via: 1.1 x\r\n");
    assert.equal(`${client.toSend}`, "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nVia: 1.1 x\r\n\r\n");
    client.receive(Buffer.from("H"), 0, 1);
    assert.equal(client.toSend, null);
  });

  for (const [text, end, rest] of ANSWERS) {
    it(JSON.stringify(text.slice(0, 60)), () => {
      const whole = run([Buffer.from(text, "latin1")]);
      assert.equal(whole.end, end);
      if (end === "connected") assert.equal(whole.early, rest);
      else if (end !== "more") assert.equal(whole.error, rest);
      assert.deepEqual(run(bytesOf(text)), whole);
    });
  }

  it("a head is bounded, whether it comes whole or byte by byte", () => {
    for (const text of [`HTTP/1.1 200 OK\r\nA: ${"a".repeat(40_000)}`, `HTTP/1.1 200 ${"a".repeat(40_000)}`]) {
      assert.equal(run([Buffer.from(text)]).end, "broken");
      const client = new ConnectClient("a:1", "");
      const bytes = Buffer.from(text);
      let end = 1;
      while (client.receive(bytes, 0, end) === 0) end++;
      assert.ok(end <= 32 * 1024 + 1, `${end}`);
    }
    const many = `HTTP/1.1 200 OK\r\n${"A: b\r\n".repeat(1_000)}\r\n`;
    assert.equal(run([Buffer.from(many)]).end, "broken");
    assert.match(run([Buffer.from("HTTP/1.1 100 C\r\n\r\n".repeat(17))]).error, /more than 16 interim/);
  });

  it("whatever is damaged, it is the same in pieces, and never a tunnel without an answer of 2xx", () => {
    const random = new SeededRandom(seed);
    for (let round = 0; round < 3_000; round++) {
      const [text] = ANSWERS[random.below(ANSWERS.length)]!;
      // A head is judged when it may be complete, so each is made so at its end.
      const bytes = Buffer.from(`${text}\r\n\r\n`, "latin1");
      for (let count = random.below(4); count > 0; count--) bytes[random.below(text.length)] = random.below(256);
      const whole = run([bytes]);
      const at = random.below(bytes.length + 1);
      const pieces = random.chance(0.2)
        ? bytesOf(bytes.toString("latin1"))
        : [bytes.subarray(0, at), bytes.subarray(at)];
      assert.deepEqual(
        run(pieces),
        whole,
        `${replayHint}, round ${round}: ${JSON.stringify(bytes.toString("latin1"))}`,
      );
      if (whole.end === "connected")
        assert.match(bytes.toString("latin1"), /^(HTTP\/1\.\d 1[\s\S]*?\r\n\r\n)*HTTP\/1\.\d 2\d\d[ \r]/);
    }
  });
});
