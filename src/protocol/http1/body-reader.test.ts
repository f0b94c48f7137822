import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { errorName } from "../../../test/support/http1-reader.ts";
import { replayHint, seed } from "../../../test/support/seed.ts";
import { pooledStorages } from "../../core/fields.ts";
import { latin1At } from "../../core/latin1.ts";
import { BODY_UNTIL_END } from "../../core/message.ts";
import { BodyReader } from "./body-reader.ts";
import { BodyFraming, FRAMING_CHUNKED, FRAMING_CLOSE, FRAMING_LENGTH, FRAMING_NONE } from "./framing.ts";

function framingOf(kind: number, length = 0): BodyFraming {
  return Object.assign(new BodyFraming(), { kind, length });
}

function begun(kind: number, length = 0): BodyReader {
  const body = new BodyReader();
  body.begin(framingOf(kind, length));
  return body;
}

/** Reads bytes that stand among others, and tells what of them was the body's and what came behind it; or the error's name. */
function read(body: BodyReader, text: string): { data: string; behind: string } | string {
  const buffer = Buffer.from(`<${text}>`, "latin1");
  const end = buffer.length - 1;
  let data = "";
  let at = 1;
  while (at < end && !body.ended) {
    const next = body.next(buffer, at, end);
    if (next < 0) return errorName(next);
    data += latin1At(buffer, body.dataStart, body.dataEnd);
    at = next;
  }
  return { data, behind: latin1At(buffer, at, end) };
}

describe("a body that comes", () => {
  it("with a length ends with its last byte, and takes none of what stands behind it", () => {
    const body = begun(FRAMING_LENGTH, 5);
    assert.deepEqual([body.bodyBytes, body.left, body.ended], [5, 5, false]);
    assert.deepEqual(read(body, "ab"), { data: "ab", behind: "" });
    assert.deepEqual([body.left, body.ended], [3, false]);
    assert.deepEqual(read(body, "cdeGET / HTTP/1.1"), { data: "cde", behind: "GET / HTTP/1.1" });
    assert.deepEqual([body.left, body.ended, body.trailers], [0, true, null]);
  });

  it("in chunks ends behind its trailers, however many bytes are known to come", () => {
    const body = begun(FRAMING_CHUNKED);
    assert.deepEqual([body.bodyBytes, body.left, body.isChunked, body.ended], [BODY_UNTIL_END, 0, true, false]);
    assert.deepEqual(read(body, "3\r\nabc\r\n2\r\nd"), { data: "abcd", behind: "" });
    assert.deepEqual(read(body, "e\r\n0\r\nX-Sum: 1\r\n\r\nnext"), { data: "e", behind: "next" });
    assert.deepEqual([body.ended, [...body.trailers!.entries()]], [true, [["X-Sum", "1"]]]);
    body.reset();
  });

  it("until the connection ends takes everything, and never ends by itself", () => {
    const body = begun(FRAMING_CLOSE);
    assert.deepEqual([body.bodyBytes, body.isUntilClose, body.ended], [BODY_UNTIL_END, true, false]);
    assert.deepEqual(read(body, "0\r\n\r\n"), { data: "0\r\n\r\n", behind: "" });
    body.passed(1_000_000);
    assert.deepEqual([body.left, body.ended], [Number.POSITIVE_INFINITY, false]);
    body.reset();
    assert.deepEqual([body.isUntilClose, body.ended], [false, true]);
  });

  it("is none at all, and has ended before it began", () => {
    for (const body of [new BodyReader(), begun(FRAMING_NONE), begun(FRAMING_LENGTH, 0)]) {
      assert.deepEqual([body.bodyBytes, body.left, body.ended, body.trailers], [0, 0, true, null]);
    }
  });

  it("may pass by in part, and goes on behind that", () => {
    const body = begun(FRAMING_LENGTH, 10);
    body.passed(9);
    assert.deepEqual([body.left, body.ended], [1, false]);
    assert.deepEqual(read(body, "jk"), { data: "j", behind: "k" });
  });

  it("says nothing of the one before it, complete or not, and keeps no memory of it", () => {
    const body = begun(FRAMING_CHUNKED);
    read(body, "0\r\nA: b\r\n\r\n");
    body.reset();
    const before = pooledStorages();
    for (const [kind, length, text] of [
      [FRAMING_CHUNKED, 0, "0\r\nA: b\r\n\r\n"],
      [FRAMING_CHUNKED, 0, "0\r\nA: "],
      [FRAMING_CHUNKED, 0, "5\r\nhe"],
      [FRAMING_LENGTH, 5, "he"],
      [FRAMING_CLOSE, 0, "he"],
    ] as const) {
      body.begin(framingOf(kind, length));
      read(body, text);
      body.begin(framingOf(FRAMING_LENGTH, 1));
      assert.deepEqual([body.isChunked, body.left, body.trailers], [false, 1, null], text);
      assert.deepEqual(read(body, "xy"), { data: "x", behind: "y" });
      body.begin(framingOf(FRAMING_CHUNKED));
      assert.deepEqual(read(body, "0\r\n\r\ny"), { data: "", behind: "y" });
      assert.equal(body.trailers, null);
      body.reset();
      assert.equal(pooledStorages(), before, text);
    }
  });

  it("in malformed chunks is told as such", () => {
    assert.equal(read(begun(FRAMING_CHUNKED), "x\r\n"), "ERR_CHUNK_SIZE");
  });

  it(`in any pieces is the same bytes (${replayHint})`, () => {
    const pieces = fc.array(fc.string({ unit: "binary-ascii", minLength: 1, maxLength: 60 }), { maxLength: 8 });
    fc.assert(
      fc.property(pieces, fc.boolean(), (parts, isChunked) => {
        const whole = parts.join("");
        const chunk = (part: string) => `${part.length.toString(16)}\r\n${part}\r\n`;
        const sent = isChunked ? `${parts.map(chunk).join("")}0\r\n\r\n` : whole;
        const body = isChunked ? begun(FRAMING_CHUNKED) : begun(FRAMING_LENGTH, whole.length);
        let data = "";
        for (const byte of sent) {
          const found = read(body, byte);
          assert.ok(typeof found !== "string" && found.behind === "");
          data += found.data;
        }
        assert.deepEqual([data, body.ended], [whole, true]);
        body.reset();
      }),
      { seed, numRuns: 200 },
    );
  });
});
