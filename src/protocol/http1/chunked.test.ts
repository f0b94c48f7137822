// The chunked coding: what is a body, where its data stands, and every way in which a chunk can be malformed. All
// bodies are decoded whole, byte by byte and cut at every place.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { DEFAULT_LIMITS, errorName, readEveryWay } from "../../../test/support/http1-reader.ts";
import { pooledStorages } from "../../core/fields.ts";
import { CHUNK_LINE_BYTES_MAX, CHUNK_OVERHEAD_BYTES_MAX, FIELDS_MAX, TRAILER_BYTES_MAX } from "../../core/limits.ts";
import { ChunkedDecoder, encodeChunkHead } from "./chunked.ts";
import { FORBIDDEN_TRAILERS } from "./trailers.ts";

const HEAD = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
const NEXT = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";

/** Decodes a body in front of another request, every way. */
function decode(body: string) {
  const { messages, error, state } = readEveryWay(HEAD + body + NEXT);
  return { message: messages[0]!, followed: messages[1]?.start === "GET /next HTTP/1.1", error, state };
}

/** Decodes a body whole, without the machinery around it: for long ones. */
function decodeOnce(body: string): { data: number; outcome: number | string } {
  const decoder = new ChunkedDecoder();
  const bytes = Buffer.from(body, "latin1");
  let at = 0;
  let data = 0;
  while (at < bytes.length && !decoder.done) {
    const next = decoder.next(bytes, at, bytes.length);
    if (next < 0) return { data, outcome: errorName(next) };
    data += decoder.dataEnd - decoder.dataStart;
    at = next;
  }
  const { done } = decoder;
  decoder.reset();
  return { data, outcome: done ? at : "incomplete" };
}

describe("a chunked body", () => {
  const accepted: [body: string, data: string, why: string][] = [
    ["0\r\n\r\n", "", "empty"],
    ["000\r\n\r\n", "", "a last chunk of several zeros"],
    ["5\r\nhello\r\n0\r\n\r\n", "hello", "one chunk"],
    ["2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", "hello", "two chunks"],
    ["A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789", "digits in either case"],
    ["0000000000005\r\nhello\r\n0\r\n\r\n", "hello", "thirteen digits"],
    ["4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n", "data that looks like framing"],
    ["5\r\n0\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n", "data that looks like a last chunk"],
    ["5;a\r\nhello\r\n0;b\r\n\r\n", "hello", "extensions"],
    ["5;a=b;c;d=e\r\nhello\r\n0\r\n\r\n", "hello", "several extensions"],
    ['5;a="b"\r\nhello\r\n0\r\n\r\n', "hello", "a quoted extension"],
    ['5;a="";b\r\nhello\r\n0\r\n\r\n', "hello", "an empty quoted extension"],
    ['5;a="b;c=\\"\\\\ \td\xe4(\x80"\r\nhello\r\n0\r\n\r\n', "hello", "a quoted extension with everything in it"],
    ["5;!#$%&'*+-.^_`|~09aZ=0\r\nhello\r\n0\r\n\r\n", "hello", "every token character"],
  ];
  for (const [body, data, why] of accepted) {
    it(`is accepted: ${JSON.stringify(body)} (${why})`, () => {
      const { message, followed, error } = decode(body);
      assert.equal(error, null);
      assert.deepEqual([message.body, message.complete, followed], [data, true, true]);
    });
  }

  const refused: [body: string, error: string, why: string][] = [
    ["\r\n", "ERR_CHUNK_SIZE", "no size"],
    [";a\r\n", "ERR_CHUNK_SIZE", "an extension without a size"],
    ["-1\r\n", "ERR_CHUNK_SIZE", "a sign"],
    ["+5\r\n", "ERR_CHUNK_SIZE", "a sign"],
    ["0x5\r\n", "ERR_CHUNK_SIZE", "a prefix"],
    ["0X5\r\n", "ERR_CHUNK_SIZE", "a prefix"],
    ["5h\r\n", "ERR_CHUNK_SIZE", "no hexadecimal digit"],
    ["5_0\r\n", "ERR_CHUNK_SIZE", "an underscore"],
    ["5.0\r\n", "ERR_CHUNK_SIZE", "a fraction"],
    ["5,5\r\n", "ERR_CHUNK_SIZE", "a list"],
    [" 5\r\n", "ERR_CHUNK_SIZE", "a space before"],
    ["5 \r\n", "ERR_CHUNK_SIZE", "a space behind"],
    ["5\t\r\n", "ERR_CHUNK_SIZE", "a tab behind"],
    ["5 ;a\r\n", "ERR_CHUNK_SIZE", "a space before an extension"],
    ["\t5\r\n", "ERR_CHUNK_SIZE", "a tab before"],
    ["\x0b5\r\n", "ERR_CHUNK_SIZE", "a vertical tab"],
    ["5\x00\r\n", "ERR_CHUNK_SIZE", "NUL"],
    ["5\xa0\r\n", "ERR_CHUNK_SIZE", "a no-break space"],
    ["00000000000005\r\n", "ERR_CHUNK_SIZE", "fourteen digits"],
    ["ffffffffffffffff\r\n", "ERR_CHUNK_SIZE", "2^64 - 1"],
    ["10000000000000005\r\n", "ERR_CHUNK_SIZE", "2^64 + 5"],
    ["5\nhello\r\n", "ERR_BARE_LF", "LF alone behind a size"],
    ["\n5\r\n", "ERR_BARE_LF", "LF before a size"],
    ["5\rhello\r\n", "ERR_BARE_CR", "CR alone behind a size"],
    ["5\r\r\nhello\r\n", "ERR_BARE_CR", "two CR"],
    ["5;\r\nhello\r\n", "ERR_CHUNK_EXTENSION", "an extension without a name"],
    ["5;;a\r\n", "ERR_CHUNK_EXTENSION", "an empty extension"],
    ["5;=a\r\n", "ERR_CHUNK_EXTENSION", "a value without a name"],
    ["5;a=\r\n", "ERR_CHUNK_EXTENSION", "no value"],
    ["5;a=b=c\r\n", "ERR_CHUNK_EXTENSION", "two values"],
    ["5; a\r\n", "ERR_CHUNK_EXTENSION", "a space before the name"],
    ["5;a \r\n", "ERR_CHUNK_EXTENSION", "a space behind the name"],
    ["5;a =b\r\n", "ERR_CHUNK_EXTENSION", "a space before ="],
    ["5;a= b\r\n", "ERR_CHUNK_EXTENSION", "a space behind ="],
    ["5;a=(\r\n", "ERR_CHUNK_EXTENSION", "a delimiter in a value"],
    ["5;\x00\r\n", "ERR_CHUNK_EXTENSION", "NUL"],
    ["5;a\x7f\r\n", "ERR_CHUNK_EXTENSION", "DEL"],
    ["5;\xe4\r\n", "ERR_CHUNK_EXTENSION", "not ASCII"],
    ["5;a\nhello\r\n", "ERR_BARE_LF", "LF alone behind an extension (TERM.EXT)"],
    ["5;\nhello\r\n", "ERR_BARE_LF", "LF alone behind a semicolon"],
    ["5;a=\nhello\r\n", "ERR_BARE_LF", "LF alone behind ="],
    ["5;a\rX\r\n", "ERR_BARE_CR", "CR alone behind an extension"],
    ['5;a="b\r\n', "ERR_CHUNK_EXTENSION", "a quoted string that does not end"],
    ['5;a="b\n"\r\n', "ERR_BARE_LF", "LF in a quoted string"],
    ['5;a="\\\n"\r\n', "ERR_BARE_LF", "LF escaped in a quoted string"],
    ['5;a="\\\r"\r\n', "ERR_CHUNK_EXTENSION", "CR escaped in a quoted string"],
    ['5;a="b\x00"\r\n', "ERR_CHUNK_EXTENSION", "NUL in a quoted string"],
    ['5;a="b"c\r\n', "ERR_CHUNK_EXTENSION", "something behind a quoted string"],
    ['5;"a"=b\r\n', "ERR_CHUNK_EXTENSION", "a quoted name"],
    ["5\r\nhelloX\r\n", "ERR_CHUNK_END", "more data than the size says"],
    ["5\r\nhello\n0\r\n", "ERR_CHUNK_END", "LF alone behind the data"],
    ["5\r\nhello\rX", "ERR_BARE_CR", "CR alone behind the data"],
    ["5\r\nhello0\r\n", "ERR_CHUNK_END", "nothing behind the data"],
    ["5\r\nhell\r\n0\r\n", "ERR_CHUNK_END", "less data than the size says"],
    ["0\r\n\rX", "ERR_BARE_CR", "CR alone at the very end"],
    ["0\r\n\n", "ERR_BARE_LF", "LF alone at the very end"],
    ["0\n\r\n", "ERR_BARE_LF", "LF alone behind the last size"],
  ];
  for (const [body, error, why] of refused) {
    it(`is refused: ${JSON.stringify(body)} (${why})`, () => {
      const result = decode(body);
      assert.deepEqual([result.error, result.message.complete, result.followed], [error, false, false]);
    });
  }

  it("is not complete before its last CRLF", () => {
    const whole = "1;a\r\nx\r\n0\r\nA: b\r\n\r\n";
    for (let length = 0; length < whole.length; length++) {
      const { messages, state, error } = readEveryWay(HEAD + whole.slice(0, length));
      assert.deepEqual([error, state, messages[0]?.complete], [null, "body", false], whole.slice(0, length));
    }
  });

  it("gives its data as ranges of the buffer, as large as they come", () => {
    const decoder = new ChunkedDecoder();
    const bytes = Buffer.from("xx7\r\nabcdefg\r\n2\r\nhi\r\n0\r\n\r\nyy");
    const found: string[] = [];
    let at = 2;
    while (!decoder.done) {
      at = decoder.next(bytes, at, 10);
      found.push(bytes.toString("latin1", decoder.dataStart, decoder.dataEnd));
      if (at === 10) break;
    }
    assert.deepEqual([found, at], [["abcde"], 10]);
    const ends: number[] = [];
    while (!decoder.done) {
      at = decoder.next(bytes, at, bytes.length);
      found.push(bytes.toString("latin1", decoder.dataStart, decoder.dataEnd));
      ends.push(at);
    }
    assert.deepEqual(found, ["abcde", "fg", "hi", ""]);
    assert.deepEqual(ends, [12, 19, bytes.length - 2]);
    assert.equal(decoder.next(bytes, at, bytes.length), at, "a complete body takes nothing more");
    assert.equal(decoder.dataEnd, decoder.dataStart);
  });

  it("may follow another in the same decoder, complete or not", () => {
    const decoder = new ChunkedDecoder();
    for (const before of ["5;a", "5\r\nhe", "0\r\n\r\n", "0\r\nA: b\r\n\r\n", "0\r\nA: ", "x"]) {
      decoder.next(Buffer.from(before), 0, before.length);
      decoder.reset();
      assert.deepEqual([decoder.done, decoder.trailers, decoder.dataEnd], [false, null, 0]);
      const body = Buffer.from("0\r\n\r\n");
      assert.equal(decoder.next(body, 0, body.length), body.length);
      assert.equal(decoder.done, true);
      decoder.reset();
    }
  });
});

describe("the limits of chunked bodies", () => {
  it("hold for the line of a chunk", () => {
    const line = (bytes: number) => `1;${"a".repeat(bytes - 4)}\r\n`;
    assert.equal(line(CHUNK_LINE_BYTES_MAX).length, CHUNK_LINE_BYTES_MAX);
    assert.equal(decode(`${line(CHUNK_LINE_BYTES_MAX)}x\r\n0\r\n\r\n`).error, null);
    assert.equal(decode(`${line(CHUNK_LINE_BYTES_MAX + 1)}x\r\n0\r\n\r\n`).error, "ERR_CHUNK_LINE_TOO_LONG");
  });

  it("hold for extensions that outweigh the data (CVE-2023-39326)", () => {
    const chunk = `1;${"a".repeat(200)}\r\nx\r\n`;
    const excess = chunk.length - 3 - 16 - 1;
    const allowed = Math.floor(CHUNK_OVERHEAD_BYTES_MAX / excess);
    assert.equal(decodeOnce(`${chunk.repeat(allowed)}0\r\n\r\n`).data, allowed);
    assert.deepEqual(decodeOnce(`${chunk.repeat(allowed + 1)}0\r\n\r\n`), {
      data: allowed,
      outcome: "ERR_CHUNK_OVERHEAD",
    });
  });

  it("do not hold against small chunks, however many", () => {
    const body = `${"1\r\nx\r\n".repeat(100_000)}0\r\n\r\n`;
    assert.deepEqual(decodeOnce(body), { data: 100_000, outcome: body.length });
    const wide = `${"00000001;a=b\r\nx\r\n".repeat(100_000)}0\r\n\r\n`;
    assert.deepEqual(decodeOnce(wide), { data: 100_000, outcome: wide.length });
  });

  it("forgive extensions to data that outweighs them", () => {
    const chunk = `fff;${"a".repeat(200)}\r\n${"x".repeat(4095)}\r\n`;
    const body = `${chunk.repeat(200)}0\r\n\r\n`;
    assert.deepEqual(decodeOnce(body), { data: 200 * 4095, outcome: body.length });
  });

  it("do not forgive extensions behind data that is long past", () => {
    const large = `fffff;a\r\n${"x".repeat(0xfffff)}\r\n`;
    const flood = `1;${"a".repeat(200)}\r\nx\r\n`.repeat(200);
    assert.equal(decodeOnce(`${large}${flood}0\r\n\r\n`).outcome, "ERR_CHUNK_OVERHEAD");
  });

  it("hold for the trailer section, in bytes and fields", () => {
    const trailers = (bytes: number) => `A: ${"x".repeat(bytes - 7)}\r\n\r\n`;
    assert.equal(trailers(TRAILER_BYTES_MAX).length, TRAILER_BYTES_MAX);
    assert.equal(typeof decodeOnce(`0\r\n${trailers(TRAILER_BYTES_MAX)}`).outcome, "number");
    assert.equal(decodeOnce(`0\r\n${trailers(TRAILER_BYTES_MAX + 1)}`).outcome, "ERR_TRAILERS_TOO_LARGE");
    assert.equal(decodeOnce(`0\r\n${"x".repeat(TRAILER_BYTES_MAX + 1)}`).outcome, "ERR_TRAILERS_TOO_LARGE");
    assert.equal(typeof decodeOnce(`0\r\n${"A: b\r\n".repeat(FIELDS_MAX)}\r\n`).outcome, "number");
    assert.equal(decodeOnce(`0\r\n${"A: b\r\n".repeat(FIELDS_MAX + 1)}\r\n`).outcome, "ERR_TOO_MANY_FIELDS");
  });
});

describe("a trailer section", () => {
  it("has fields like a head", () => {
    const { message, followed } = decode("0\r\nX-Checksum: abc \r\nServer-Timing:\tdb\r\n\r\n");
    assert.deepEqual(message.trailers, [
      ["X-Checksum", "abc"],
      ["Server-Timing", "db"],
    ]);
    assert.equal(followed, true);
  });

  it("drops what may not stand there, and nothing else", () => {
    for (const name of FORBIDDEN_TRAILERS) {
      assert.equal(name, name.toLowerCase());
      const spelled = name.replace(/^./, (first) => first.toUpperCase());
      const { message, followed } = decode(`0\r\nA: b\r\n${spelled}: 5\r\nC: d\r\n\r\n`);
      assert.deepEqual(message.trailers, [
        ["A", "b"],
        ["C", "d"],
      ]);
      assert.equal(followed, true);
    }
    assert.deepEqual(decode("0\r\nContent-Length: 5\r\n\r\n").message.trailers, []);
  });

  it("that is all dropped is none", () => {
    const decoder = new ChunkedDecoder();
    const body = Buffer.from("0\r\nHost: a\r\nContent-Length: 7\r\n\r\n");
    decoder.next(body, 0, body.length);
    assert.deepEqual([decoder.done, decoder.trailers], [true, null]);
    decoder.reset();
  });

  const refused: [section: string, error: string][] = [
    ["A : b\r\n\r\n", "ERR_SPACE_IN_NAME"],
    [" A: b\r\n\r\n", "ERR_OBS_FOLD"],
    ["A: b\r\n c\r\n\r\n", "ERR_OBS_FOLD"],
    ["A: b\n\r\n", "ERR_BARE_LF"],
    ["A: b\n\n", "ERR_BARE_LF"],
    ["A: b\r\n\n", "ERR_BARE_LF"],
    ["A: b\rC: d\r\n\r\n", "ERR_BARE_CR"],
    ["A\r\n\r\n", "ERR_FIELD_NAME"],
    ["A: \x00\r\n\r\n", "ERR_FIELD_VALUE"],
    ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "ERR_SPACE_IN_NAME"],
  ];
  for (const [section, error] of refused) {
    it(`is refused: ${JSON.stringify(section)}`, () => {
      const result = decode(`0\r\n${section}`);
      assert.deepEqual([result.error, result.message.complete, result.followed], [error, false, false]);
    });
  }

  it("gives its memory back with reset, whatever became of it", () => {
    const decoder = new ChunkedDecoder();
    // One storage is in use at a time, so the pool has one more afterwards at the most.
    decode("0\r\nA: b\r\n\r\n");
    const before = pooledStorages();
    for (const body of ["0\r\nA: b\r\n\r\n", "0\r\nA: b", "0\r\nHost: b\r\n\r\n", "0\r\nA : b\r\n\r\n", "0\r\n\r\n"]) {
      decoder.next(Buffer.from(body), 0, body.length);
      decoder.reset();
      decoder.reset();
      assert.equal(pooledStorages(), before, body);
    }
  });
});

describe("encodeChunkHead", () => {
  it("writes a line that the decoder reads back, for any size", () => {
    const into = Buffer.alloc(40, "x");
    fc.assert(
      fc.property(fc.oneof(fc.nat(70_000), fc.integer({ min: 1, max: 2 ** 52 - 1 })), fc.nat(20), (size, offset) => {
        const end = encodeChunkHead(into, offset, size);
        assert.equal(into.toString("latin1", offset, end), `${size.toString(16)}\r\n`);
      }),
    );
    for (const size of [0, 1, 9, 10, 15, 16, 255, 256, 65535, 65536, 2 ** 32, 2 ** 52 - 1]) {
      assert.equal(into.toString("latin1", 3, encodeChunkHead(into, 3, size)), `${size.toString(16)}\r\n`);
    }
  });
});

describe("chunked bodies in front of a limit of the head", () => {
  it("are not counted as part of it", () => {
    const limits = { ...DEFAULT_LIMITS, headBytesMax: HEAD.length };
    const result = readEveryWay(`${HEAD}40\r\n${"x".repeat(64)}\r\n0\r\n\r\n`, { limits });
    assert.deepEqual([result.error, result.messages[0]?.body.length], [null, 64]);
  });
});
