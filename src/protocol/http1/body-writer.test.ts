import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { replayHint, seed } from "../../../test/support/seed.ts";
import { FieldBlock } from "../../core/fields.ts";
import { freshRoom } from "../../core/write-room.ts";
import { type BodyTaker, BodyWriter } from "./body-writer.ts";
import { ChunkedDecoder } from "./chunked.ts";
import { SEND_CHUNKED, SEND_LENGTH, SEND_NO_BODY, SEND_UNTIL_CLOSE } from "./encode.ts";

/** What leaves, as latin1; a part of a file is "<offset+length>". */
class Wire implements BodyTaker {
  sent = "";
  #room = freshRoom(0);

  reserve(bytesMax: number) {
    this.#room = freshRoom(bytesMax);
    return this.#room;
  }

  commit(end: number): void {
    this.sent += this.#room.bytes.toString("latin1", this.#room.start, end);
  }

  write(bytes: Uint8Array, start = 0, end = bytes.length): void {
    this.sent += Buffer.from(bytes.subarray(start, end)).toString("latin1");
  }

  sendFile(_descriptor: number, offset: number, length: number, onSent: () => void): void {
    this.sent += `<${offset}+${length}>`;
    onSent();
  }
}

function begun(framing: number, bodyBytes = 0) {
  const wire = new Wire();
  const body = new BodyWriter();
  body.begin(framing, bodyBytes);
  const write = (text: string) => body.write(wire, Buffer.from(`[${text}]`), 1, 1 + text.length);
  const sendFile = (offset: number, length: number) => body.sendFile(wire, 3, offset, length, () => {});
  return { wire, body, write, sendFile, end: (trailers: FieldBlock | null = null) => body.end(wire, trailers) };
}

describe("a body with a length", () => {
  it("leaves as it is written, from memory and from files, and ends with its last byte", () => {
    const { wire, write, sendFile, end } = begun(SEND_LENGTH, 9);
    assert.ok(write("abc"));
    assert.ok(sendFile(7, 4));
    assert.ok(write("de"));
    assert.ok(end());
    assert.equal(wire.sent, "abc<7+4>de");
  });

  it("takes no byte more than was announced", () => {
    for (const more of ["write", "sendFile"] as const) {
      const { wire, write, sendFile } = begun(SEND_LENGTH, 3);
      assert.ok(write("ab"));
      assert.equal(more === "write" ? write("cd") : sendFile(0, 2), false);
      assert.equal(wire.sent, "ab");
    }
    assert.equal(begun(SEND_LENGTH, 0).write("a"), false);
    assert.equal(begun(SEND_NO_BODY, 5).write("a"), false);
    assert.equal(begun(SEND_NO_BODY, 5).sendFile(0, 1), false);
  });

  it("does not end before its last byte", () => {
    const { wire, write, end } = begun(SEND_LENGTH, 3);
    assert.ok(write("ab"));
    assert.equal(end(), false);
    assert.equal(wire.sent, "ab");
    assert.equal(begun(SEND_LENGTH, 0).end(), true);
    assert.equal(begun(SEND_NO_BODY, 5).end(), true);
  });

  it("may be passed by, but for its last byte", () => {
    const { body, write, end } = begun(SEND_LENGTH, 10);
    assert.equal(body.mayPass(10), false);
    assert.equal(body.mayPass(Number.POSITIVE_INFINITY), false);
    assert.equal(body.mayPass(9), true);
    body.passed(9);
    assert.equal(body.mayPass(1), false);
    assert.equal(end(), false);
    assert.ok(write("j"));
    assert.equal(write("k"), false);
  });
});

describe("a body without a length", () => {
  it("that the connection's end ends leaves as it is written, and may be passed by to its end", () => {
    const { wire, body, write, sendFile, end } = begun(SEND_UNTIL_CLOSE);
    assert.ok(write("ab"));
    assert.equal(body.mayPass(Number.POSITIVE_INFINITY), true);
    body.passed(1000);
    assert.ok(sendFile(0, 4));
    assert.ok(end());
    assert.equal(wire.sent, "ab<0+4>");
  });

  it("leaves in chunks, of which none may be passed by, with its trailers behind them", () => {
    const { wire, body, write, sendFile, end } = begun(SEND_CHUNKED);
    assert.ok(write("abc"));
    assert.ok(sendFile(5, 26));
    assert.equal(body.mayPass(1), false);
    assert.ok(end(FieldBlock.from([["X-Sum", "1"]])));
    assert.equal(wire.sent, "3\r\nabc\r\n1a\r\n<5+26>\r\n0\r\nX-Sum: 1\r\n\r\n");
  });

  it("says nothing of what the one before it has left over", () => {
    const { wire, body, write, end } = begun(SEND_LENGTH, 5);
    assert.ok(write("ab"));
    body.begin(SEND_CHUNKED, 0);
    assert.ok(end());
    body.begin(SEND_LENGTH, 1);
    assert.ok(write("c"));
    assert.ok(end());
    assert.equal(wire.sent, "ab0\r\n\r\nc");
  });
});

describe("any body in any pieces", () => {
  const pieces = fc.array(fc.uint8Array({ minLength: 1, maxLength: 400 }), { maxLength: 8 });

  it(`in chunks is decoded to the same bytes (${replayHint})`, () => {
    fc.assert(
      fc.property(pieces, (parts) => {
        const { wire, body } = begun(SEND_CHUNKED);
        for (const part of parts) assert.ok(body.write(wire, part, 0, part.length));
        assert.ok(body.end(wire, null));
        const received = Buffer.from(wire.sent, "latin1");
        const decoder = new ChunkedDecoder();
        const decoded: Buffer[] = [];
        let at = 0;
        while (at < received.length) {
          at = decoder.next(received, at, received.length);
          assert.ok(at > 0);
          decoded.push(received.subarray(decoder.dataStart, decoder.dataEnd));
        }
        assert.ok(decoder.done);
        assert.deepEqual(Buffer.concat(decoded), Buffer.concat(parts));
      }),
      { seed, numRuns: 200 },
    );
  });

  it(`of any announced length leaves whole, or is found out (${replayHint})`, () => {
    fc.assert(
      fc.property(pieces, fc.integer({ min: -2, max: 2 }), (parts, wrongBy) => {
        const whole = Buffer.concat(parts);
        const announced = Math.max(0, whole.length + wrongBy);
        const { wire, body } = begun(SEND_LENGTH, announced);
        const isTaken = parts.every((part) => body.write(wire, part, 0, part.length));
        assert.equal(isTaken && body.end(wire, null), announced === whole.length);
        assert.ok(wire.sent.length <= announced);
        assert.ok(whole.toString("latin1").startsWith(wire.sent));
      }),
      { seed, numRuns: 200 },
    );
  });
});
