// Field lines, and Host, which every request has: which are accepted and why others are refused. Every one is read
// whole, byte by byte and cut at every place.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DEFAULT_LIMITS, readEveryWay } from "../../../test/support/http1-reader.ts";
import { fieldIdOf } from "../../core/field-names.ts";
import { FieldBlock, FieldStorage } from "../../core/fields.ts";
import { parseRequestHead, RequestHead } from "./request-head.ts";

/** Whether a request with this field line is accepted. */
function isAccepted(line: string): boolean {
  const bytes = Buffer.from(`GET / HTTP/1.1\r\n${line}\r\n${HOST}`, "latin1");
  return (
    parseRequestHead(bytes, 0, bytes.length, new FieldStorage(), DEFAULT_LIMITS, new RequestHead()) === bytes.length
  );
}

const HOST = "Host: a.example\r\n\r\n";

describe("a field line", () => {
  const accepted: [line: string, name: string, value: string][] = [
    ["X: y", "X", "y"],
    ["X:y", "X", "y"],
    ["X:", "X", ""],
    ["X: ", "X", ""],
    ["X: \t \t", "X", ""],
    ["X: \t y z\t ", "X", "y z"],
    ["X: a:b: c", "X", "a:b: c"],
    ["X: \xe4\xff", "X", "\xe4\xff"],
    ["X: 12345678\t12345678", "X", "12345678\t12345678"],
    ["!#$%&'*+-.^_`|~09aZ: y", "!#$%&'*+-.^_`|~09aZ", "y"],
  ];
  for (const [line, name, value] of accepted) {
    it(`is accepted: ${JSON.stringify(line)}`, () => {
      const { messages, error } = readEveryWay(`GET / HTTP/1.1\r\n${line}\r\n${HOST}`);
      assert.equal(error, null);
      assert.deepEqual(messages[0]?.fields[0], [name, value]);
    });
  }

  const refused: [line: string, error: string][] = [
    ["X : y", "ERR_SPACE_IN_NAME"],
    ["X\t: y", "ERR_SPACE_IN_NAME"],
    ["X y: z", "ERR_SPACE_IN_NAME"],
    [" X: y", "ERR_OBS_FOLD"],
    ["\tX: y", "ERR_OBS_FOLD"],
    ["X: y\r\n z", "ERR_OBS_FOLD"],
    ["X: y\r\n\tz", "ERR_OBS_FOLD"],
    ["X: y\r\n ", "ERR_OBS_FOLD"],
    [": y", "ERR_FIELD_NAME"],
    ["X", "ERR_FIELD_NAME"],
    ["X(: y", "ERR_FIELD_NAME"],
    ["X/Y: z", "ERR_FIELD_NAME"],
    ["X\x00: y", "ERR_FIELD_NAME"],
    ["\x00X: y", "ERR_FIELD_NAME"],
    ["\xe4: y", "ERR_FIELD_NAME"],
    ["X\x7f: y", "ERR_FIELD_NAME"],
    ["X: y\nZ: a", "ERR_BARE_LF"],
    ["X\n: y", "ERR_BARE_LF"],
    ["X: y\rZ: a", "ERR_BARE_CR"],
    ["X: y\r\r", "ERR_BARE_CR"],
    ["X:\ry", "ERR_BARE_CR"],
    ["X: \x00", "ERR_FIELD_VALUE"],
    ["X: a\x01b", "ERR_FIELD_VALUE"],
    ["X: abcdefgh\x0babc", "ERR_FIELD_VALUE"],
    ["X: abcdefgh\x7fabc", "ERR_FIELD_VALUE"],
    ["X: \x1f", "ERR_FIELD_VALUE"],
    ["\nX: y", "ERR_BARE_LF"],
    ["\rX: y", "ERR_BARE_CR"],
  ];
  for (const [line, error] of refused) {
    it(`is refused: ${JSON.stringify(line)}`, () => {
      for (const text of [`GET / HTTP/1.1\r\n${line}\r\n${HOST}`, `GET / HTTP/1.1\r\nVia: a\r\n${line}\r\n${HOST}`]) {
        const result = readEveryWay(text);
        assert.deepEqual([result.error, result.messages], [error, []]);
      }
    });
  }

  it("may have any byte but the controls in its value, and no other, at any place of it", () => {
    for (let byte = 0; byte < 256; byte++) {
      const character = String.fromCharCode(byte);
      const allowed = byte === 9 || (byte >= 0x20 && byte !== 0x7f);
      for (let place = 0; place < 9; place++) {
        const value = `${"a".repeat(place + 1)}${character}${"b".repeat(9 - place)}`;
        assert.equal(isAccepted(`X: ${value}`), allowed, `byte ${byte} at ${place}`);
      }
    }
  });

  it("may have only token characters in its name", () => {
    for (let byte = 0; byte < 256; byte++) {
      const character = String.fromCharCode(byte);
      if (character === ":") continue;
      const allowed = /[!#$%&'*+\-.^_`|~0-9A-Za-z]/.test(character);
      assert.equal(isAccepted(`X${character}Y: z`), allowed, `byte ${byte}`);
    }
  });

  it("has its row in the table, with the number of its name", () => {
    const names = ["Host", "ACCEPT", "x-y", "Cookie", "via"];
    const head = new RequestHead();
    const storage = new FieldStorage();
    const text = `GET / HTTP/1.1\r\n${names.map((name) => `${name}: v-${name}\r\n`).join("")}\r\n`;
    const bytes = Buffer.from(text);
    assert.equal(parseRequestHead(bytes, 0, bytes.length, storage, DEFAULT_LIMITS, head), bytes.length);
    const fields = new FieldBlock();
    fields.adopt(storage, head.rows, head.fieldsStart, head.fieldsEnd, head.seen);
    for (const name of names) {
      const row = fields.rowOf(name.toLowerCase());
      assert.deepEqual([fields.nameAt(row), fields.valueAt(row)], [name, `v-${name}`]);
      if (fieldIdOf(name.toLowerCase()) !== 0) assert.equal(fields.rowOfId(fieldIdOf(name.toLowerCase())), row);
    }
  });
});

describe("Host", () => {
  const valid = ["a", "a.example", "a.example:80", "A_b-c.example.", "127.0.0.1:65535", "[::1]", "[2001:db8::7]:443"];
  const invalid = [
    "",
    "a b",
    "a,b",
    "a/b",
    "u@a",
    "a:",
    "a:0",
    "a:65536",
    "a:+1",
    "a:1:2",
    ".",
    "..",
    "a..b",
    "[::1",
    "::1",
  ];
  for (const value of valid) {
    it(`may be ${value}`, () => {
      assert.equal(readEveryWay(`GET / HTTP/1.1\r\nHost: ${value}\r\n\r\n`).error, null);
    });
  }
  for (const value of invalid) {
    it(`may not be ${JSON.stringify(value)}`, () => {
      for (const version of ["1.0", "1.1"]) {
        assert.equal(readEveryWay(`GET / HTTP/${version}\r\nHost: ${value}\r\n\r\n`).error, "ERR_HOST_INVALID");
      }
    });
  }

  it("must be there in HTTP/1.1, whatever the form of the target", () => {
    assert.equal(readEveryWay("GET / HTTP/1.1\r\nX: y\r\n\r\n").error, "ERR_HOST_MISSING");
    assert.equal(readEveryWay("GET http://a/ HTTP/1.1\r\n\r\n").error, "ERR_HOST_MISSING");
    assert.equal(readEveryWay("GET / HTTP/1.0\r\n\r\n").error, null);
  });

  it("must be there once, even twice the same is refused", () => {
    assert.equal(readEveryWay("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nhost: a\r\n\r\n").error, "ERR_HOST_REPEATED");
    assert.equal(readEveryWay("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n").error, "ERR_HOST_REPEATED");
  });
});
