// Streams of valid messages, cut into pieces of any size: every cut gives the same messages, those that were written.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type ReadMessage, readPieces } from "../support/http1-reader.ts";
import { replayHint, seed } from "../support/seed.ts";

const RUNS = { seed, numRuns: 600 };

interface Written {
  readonly wire: string;
  readonly start: string;
  readonly framing: ReadMessage["framing"];
  readonly body: string;
  readonly trailers: [string, string][];
}

const value = fc.stringMatching(/^[\x21-\x7e\x80-\xff]{0,40}$/);
const lines = fc
  .array(fc.tuple(fc.stringMatching(/^X-[A-Za-z]{0,20}$/), value), { maxLength: 6 })
  .map((fields) => fields.map(([name, text]) => `${name}: ${text}\r\n`).join(""));
const data = fc.stringMatching(/^[\x00-\xff]{1,60}$/);
const extension = fc.constantFrom("", "", "", ";a", ";a=b", ';a="b;\\"c"', ";a;b=c");

/** A body in chunks: what is written, and what it means. */
const chunkedBody = fc
  .tuple(
    fc.array(fc.tuple(data, extension), { maxLength: 5 }),
    fc.array(fc.tuple(fc.stringMatching(/^X-[a-z]{1,5}$/), value)),
  )
  .map(([chunks, trailers]) => {
    const written = chunks.map(([text, more]) => `${text.length.toString(16)}${more}\r\n${text}\r\n`).join("");
    const section = trailers.map(([name, text]) => `${name}: ${text}\r\n`).join("");
    return { wire: `${written}0\r\n${section}\r\n`, body: chunks.map(([text]) => text).join(""), trailers };
  });

/** The rest of a message behind its start line. */
const content = fc.oneof(
  lines.map((fields) => ({ wire: `${fields}\r\n`, framing: "none" as const, body: "", trailers: [] })),
  fc.tuple(lines, fc.stringMatching(/^[\x00-\xff]{0,200}$/)).map(([fields, body]) => ({
    wire: `${fields}Content-Length: ${body.length}\r\n\r\n${body}`,
    ...{ framing: "length" as const, body, trailers: [] },
  })),
  fc.tuple(lines, chunkedBody).map(([fields, { wire, body, trailers }]) => ({
    wire: `${fields}Transfer-Encoding: chunked\r\n\r\n${wire}`,
    ...{ framing: "chunked" as const, body, trailers },
  })),
);

const request: fc.Arbitrary<Written> = fc
  .tuple(fc.constantFrom("GET", "POST", "HEAD"), fc.stringMatching(/^\/[a-z?%&=]{0,20}$/), content)
  .map(([method, target, { wire, ...rest }]) => ({
    ...{ wire: `${method} ${target} HTTP/1.1\r\nHost: a\r\n${wire}`, start: `${method} ${target} HTTP/1.1` },
    ...rest,
  }));

const response: fc.Arbitrary<Written> = fc
  .tuple(
    fc.constantFrom(200, 404, 503),
    content.filter(({ framing }) => framing !== "none"),
  )
  .map(([status, { wire, ...rest }]) => ({
    ...{ wire: `HTTP/1.1 ${status} Some Reason\r\n${wire}`, start: `HTTP/1.1 ${status} Some Reason` },
    ...rest,
  }));

/** Sizes of pieces, used in turn until the stream ends. */
const sizes = fc.array(fc.integer({ min: 1, max: 120 }), { minLength: 1, maxLength: 20 });

function cut(text: string, bytes: readonly number[]): Buffer[] {
  const whole = Buffer.from(text, "latin1");
  const pieces: Buffer[] = [];
  for (let at = 0, turn = 0; at < whole.length; turn++) {
    const end = at + bytes[turn % bytes.length]!;
    pieces.push(whole.subarray(at, end));
    at = end;
  }
  return pieces;
}

function assertRead(written: readonly Written[], bytes: readonly number[], responsesTo?: readonly string[]): void {
  const options = responsesTo === undefined ? {} : { responsesTo };
  const wire = written.map((message) => message.wire).join("");
  const result = readPieces(cut(wire, bytes), { ...options, eager: bytes.length % 2 === 0 });
  assert.deepEqual([result.error, result.state], [null, "between"]);
  assert.deepEqual(
    result.messages.map(({ start, framing, body, trailers, complete }) => ({
      start,
      framing,
      body,
      trailers,
      complete,
    })),
    written.map(({ start, framing, body, trailers }) => ({ start, framing, body, trailers, complete: true })),
  );
}

describe(`a stream of messages (${replayHint})`, () => {
  it("is the same requests in any pieces", () => {
    const property = fc.property(fc.array(request, { minLength: 1, maxLength: 4 }), sizes, (written, bytes) =>
      assertRead(written, bytes),
    );
    fc.assert(property, RUNS);
  });

  it("is the same responses in any pieces", () => {
    const property = fc.property(fc.array(response, { minLength: 1, maxLength: 4 }), sizes, (written, bytes) =>
      assertRead(written, bytes, []),
    );
    fc.assert(property, RUNS);
  });
});
