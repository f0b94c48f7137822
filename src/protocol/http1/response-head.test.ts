// Status lines and heads of responses: which are one, where their parts stand, and why others are refused. Every one is
// read whole, byte by byte and cut at every place.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DEFAULT_LIMITS, errorName, readEveryWay } from "../../../test/support/http1-reader.ts";
import { FieldStorage } from "../../core/fields.ts";
import { latin1At } from "../../core/latin1.ts";
import { parseResponseHead, ResponseHead } from "./response-head.ts";

const END = "Content-Length: 0\r\n\r\n";

function parsed(text: string): { head: ResponseHead; text: string } {
  const buffer = Buffer.from(`HTTP/1.1 500${text}HTTP`, "latin1");
  const head = new ResponseHead();
  const storage = new FieldStorage();
  const consumed = parseResponseHead(buffer, 12, buffer.length - 4, storage, DEFAULT_LIMITS, head);
  assert.equal(consumed, text.length, consumed < 0 ? errorName(consumed) : text);
  return { head, text: latin1At(storage.bytes, 0, consumed) };
}

describe("a status line", () => {
  const accepted: [line: string, status: number, reason: string, plainLine: boolean][] = [
    ["HTTP/1.1 200 OK", 200, "OK", true],
    ["HTTP/1.1 404 Not Found", 404, "Not Found", true],
    ["HTTP/1.1 200 ", 200, "", true],
    ["HTTP/1.1 200", 200, "", false],
    ["HTTP/1.1 200  two spaces", 200, " two spaces", true],
    ["HTTP/1.1 200 a\tb \xe4", 200, "a\tb \xe4", true],
    ["HTTP/1.0 302 Found", 302, "Found", false],
    ["HTTP/1.3 200 OK", 200, "OK", false],
    ["HTTP/1.1 999 Request denied", 999, "Request denied", true],
  ];
  for (const [line, status, reason, plainLine] of accepted) {
    it(`is accepted: ${JSON.stringify(line)}`, () => {
      assert.equal(readEveryWay(`${line}\r\n${END}`, { responsesTo: ["GET"] }).error, null);
      const { head, text } = parsed(`${line}\r\n${END}`);
      assert.equal(head.status, status);
      assert.equal(text.slice(head.reasonStart, head.reasonEnd), reason);
      assert.equal(text.slice(head.fieldsStart, head.fieldsEnd), "Content-Length: 0\r\n");
      assert.equal(head.plainLine, plainLine);
      assert.equal(head.minor, line.startsWith("HTTP/1.0") ? 0 : 1);
    });
  }

  const refused: [line: string, error: string, why: string][] = [
    ["\r\nHTTP/1.1 200 OK", "ERR_STATUS_LINE", "an empty line before a response"],
    [" HTTP/1.1 200 OK", "ERR_STATUS_LINE", "a space before it"],
    ["http/1.1 200 OK", "ERR_STATUS_LINE", "lower case"],
    ["ICY 200 OK", "ERR_STATUS_LINE", "another protocol"],
    ["HTTP/1.1", "ERR_STATUS_LINE", "no status"],
    ["HTTP/1.1  200 OK", "ERR_STATUS_LINE", "two spaces"],
    ["HTTP/1.1\t200 OK", "ERR_STATUS_LINE", "a tab"],
    ["HTTP/1.1 20 OK", "ERR_STATUS_LINE", "two digits"],
    ["HTTP/1.1 2000 OK", "ERR_STATUS_LINE", "four digits"],
    ["HTTP/1.1 099 OK", "ERR_STATUS_LINE", "below 100"],
    ["HTTP/1.1 2x0 OK", "ERR_STATUS_LINE", "no digit"],
    ["HTTP/1.1 -10 OK", "ERR_STATUS_LINE", "a sign"],
    ["HTTP/1.1 200OK", "ERR_STATUS_LINE", "no space"],
    ["HTTP/1.1 200\tOK", "ERR_STATUS_LINE", "a tab behind the status"],
    ["HTTP/1.1 200 O\x00K", "ERR_STATUS_LINE", "NUL"],
    ["HTTP/1.1 200 O\x7fK", "ERR_STATUS_LINE", "DEL"],
    ["HTTP/1.10 200 OK", "ERR_STATUS_LINE", "two digits of version"],
    ["HTTP/1 200 OK", "ERR_STATUS_LINE", "no minor version"],
    ["HTTP/2.0 200 OK", "ERR_VERSION_UNSUPPORTED", "another major version"],
    ["HTTP/0.9 200 OK", "ERR_VERSION_UNSUPPORTED", "another major version"],
    ["HTTP/1.1 200 OK\nX: y", "ERR_BARE_LF", "LF alone"],
    ["HTTP/1.1 200\nX: y", "ERR_BARE_LF", "LF alone behind the status"],
    ["HTTP/1.1 200 OK\rX: y", "ERR_BARE_CR", "CR alone"],
    ["<html>", "ERR_STATUS_LINE", "no HTTP at all"],
  ];
  for (const [line, error, why] of refused) {
    it(`is refused: ${JSON.stringify(line)} (${why})`, () => {
      const result = readEveryWay(`${line}\r\n${END}`, { responsesTo: ["GET"] });
      assert.deepEqual([result.error, result.messages], [error, []]);
    });
  }
});

describe("the fields of a response", () => {
  const refused: [line: string, error: string][] = [
    ["X : y", "ERR_SPACE_IN_NAME"],
    ["X: y\r\n folded", "ERR_OBS_FOLD"],
    ["X: y\nZ: a", "ERR_BARE_LF"],
    ["X: y\rZ: a", "ERR_BARE_CR"],
    ["X: \x00", "ERR_FIELD_VALUE"],
    ["no colon", "ERR_SPACE_IN_NAME"],
    ["nocolon", "ERR_FIELD_NAME"],
  ];
  for (const [line, error] of refused) {
    it(`are as strict as a request's: ${JSON.stringify(line)}`, () => {
      const result = readEveryWay(`HTTP/1.1 200 OK\r\n${line}\r\n${END}`, { responsesTo: ["GET"] });
      assert.deepEqual([result.error, result.messages], [error, []]);
    });
  }

  it("need no Host, and may have several", () => {
    const text = `HTTP/1.1 200 OK\r\nHost: a\r\nHost: b c\r\n${END}`;
    assert.equal(readEveryWay(text, { responsesTo: ["GET"] }).error, null);
  });

  it("are limited in size and number", () => {
    const head = (bytes: number) => `HTTP/1.1 200 OK\r\nX: ${"a".repeat(bytes - 43)}\r\n${END}`;
    const options = { responsesTo: ["GET"], limits: { ...DEFAULT_LIMITS, headBytesMax: 90, fieldsMax: 2 } };
    assert.equal(head(90).length, 90);
    assert.equal(readEveryWay(head(90), options).error, null);
    assert.equal(readEveryWay(head(91), options).error, "ERR_HEAD_TOO_LARGE");
    assert.equal(readEveryWay(`HTTP/1.1 200 OK\r\na: b\r\nc: d\r\n${END}`, options).error, "ERR_TOO_MANY_FIELDS");
    const long = `HTTP/1.1 200 OK\r\nX: ${"a".repeat(20_000)}\r\n${END}`;
    assert.equal(parsed(long).text, long);
  });
});
