// The limits of a head, at exactly their numbers, and heads that are not complete yet.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DEFAULT_LIMITS, readEveryWay } from "../../../test/support/http1-reader.ts";
import { FieldStorage } from "../../core/fields.ts";
import { latin1At } from "../../core/latin1.ts";
import { ERR_TOO_MANY_FIELDS } from "./errors.ts";
import { HEAD_BYTES_USUAL } from "./head.ts";
import { headMayBeComplete, parseRequestHead, RequestHead } from "./request-head.ts";

const HOST = "Host: a.example\r\n\r\n";

describe("the limits of a head", () => {
  it("hold for the request line, at exactly their number of bytes", () => {
    const limits = { ...DEFAULT_LIMITS, requestLineBytesMax: 40 };
    const line = (bytes: number) => `GET /${"a".repeat(bytes - 14)} HTTP/1.1`;
    assert.equal(line(40).length, 40);
    assert.equal(readEveryWay(`${line(40)}\r\n${HOST}`, { limits }).error, null);
    assert.equal(readEveryWay(`${line(41)}\r\n${HOST}`, { limits }).error, "ERR_REQUEST_LINE_TOO_LONG");
    assert.equal(readEveryWay(`${line(80)}\r\n${HOST}`, { limits }).error, "ERR_REQUEST_LINE_TOO_LONG");
    // Too long already, although its end has not come, and whatever stands behind the limit.
    assert.equal(readEveryWay(`GET /${"a".repeat(36)}`, { limits }).error, "ERR_REQUEST_LINE_TOO_LONG");
    assert.equal(readEveryWay(`GET /${"a".repeat(60)}\x00`, { limits }).error, "ERR_REQUEST_LINE_TOO_LONG");
  });

  it("hold for the whole head, at exactly their number of bytes", () => {
    const limits = { ...DEFAULT_LIMITS, headBytesMax: 80 };
    const text = (bytes: number) => `GET / HTTP/1.1\r\nX: ${"a".repeat(bytes - 40)}\r\n${HOST}`;
    assert.equal(text(80).length, 80);
    assert.equal(readEveryWay(text(80), { limits }).error, null);
    assert.equal(readEveryWay(`${text(80)}GET /`, { limits }).error, null);
    assert.equal(readEveryWay(text(81), { limits }).error, "ERR_HEAD_TOO_LARGE");
    assert.equal(readEveryWay(text(200), { limits }).error, "ERR_HEAD_TOO_LARGE");
    assert.equal(readEveryWay(text(200).slice(0, 80), { limits }).error, "ERR_HEAD_TOO_LARGE");
    assert.equal(readEveryWay(text(200).slice(0, 79), { limits }).error, null);
  });

  it("hold for the number of fields", () => {
    for (const fieldsMax of [1, 2, 5, 64, 65, 130]) {
      const limits = { ...DEFAULT_LIMITS, fieldsMax };
      const fields = Array.from({ length: fieldsMax - 1 }, (_, index) => `x${index}: ${index}\r\n`).join("");
      const head = new RequestHead();
      const whole = `GET / HTTP/1.1\r\n${fields}${HOST}`;
      const parse = (text: string): number => {
        return parseRequestHead(Buffer.from(text), 0, text.length, new FieldStorage(), limits, head);
      };
      assert.equal(parse(whole), whole.length);
      assert.equal(head.rows, fieldsMax);
      assert.equal(parse(`GET / HTTP/1.1\r\nY: z\r\n${fields}${HOST}`), ERR_TOO_MANY_FIELDS);
    }
  });

  it("are large enough for heads that are copied twice, and grow the storage once", () => {
    for (const bytes of [
      HEAD_BYTES_USUAL - 1,
      HEAD_BYTES_USUAL,
      HEAD_BYTES_USUAL + 1,
      9000,
      DEFAULT_LIMITS.headBytesMax,
    ]) {
      const text = `GET / HTTP/1.1\r\nX: ${"a".repeat(bytes - 40)}\r\n${HOST}`;
      assert.equal(text.length, bytes);
      const storage = new FieldStorage();
      const head = new RequestHead();
      const buffer = Buffer.from(`${text}POST /`);
      assert.equal(parseRequestHead(buffer, 0, buffer.length, storage, DEFAULT_LIMITS, head), bytes);
      assert.equal(latin1At(storage.bytes, 0, head.fieldsEnd + 2), text);
      assert.equal(parseRequestHead(buffer, 0, bytes - 1, new FieldStorage(), DEFAULT_LIMITS, head), 0);
    }
  });
});

describe("an incomplete head", () => {
  it("asks for more, however much of it there is and whatever it ends in", () => {
    const beginnings = ["GET / HTTP/1.1\r\nX: ", "GET / HTTP/1.1\r\nX", "GET / HTTP/1.1\r\nX: \t", "GET /"];
    for (const beginning of beginnings) {
      for (const length of [4090, 4091, 4092, 4093, 4094, 4095, 4096, 4097, 9001, 9002, 9003, 9004, 16_000]) {
        const buffer = Buffer.from(beginning.padEnd(length, "x"));
        const storage = new FieldStorage();
        assert.equal(parseRequestHead(buffer, 0, length, storage, DEFAULT_LIMITS, new RequestHead()), 0);
      }
    }
  });
});

describe("headMayBeComplete", () => {
  it("sees an empty line that ends at or behind the given place", () => {
    const cases: [text: string, from: number, expected: boolean][] = [
      ["a\r\n\r\n", 0, true],
      ["a\r\n\r\n", 4, true],
      ["a\r\n\r\nb", 5, false],
      ["a\r\n\r", 0, false],
      ["a\n\nb", 2, true],
      ["a\n\nb", 3, false],
      ["\r\n", 0, false],
      ["\n", 0, false],
      ["\n\n", 0, true],
      ["a\r\nb\r\n", 0, false],
      ["", 0, false],
    ];
    for (const [text, from, expected] of cases) {
      assert.equal(headMayBeComplete(Buffer.from(text), from, text.length), expected, JSON.stringify(text));
    }
    assert.equal(headMayBeComplete(Buffer.from("a\r\n\r\n"), 0, 4), false);
  });
});
