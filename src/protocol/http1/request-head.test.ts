// Request lines and heads: which are one, where their parts stand, and why others are refused. Every one is read whole,
// byte by byte and cut at every place.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DEFAULT_LIMITS, errorName, readEveryWay } from "../../../test/support/http1-reader.ts";
import {
  FIELD_BIT,
  FIELD_CONNECTION,
  FIELD_COOKIE,
  FIELD_HOST,
  FIELD_OTHER,
  fieldIdOf,
} from "../../core/field-names.ts";
import { acquireStorage, FieldBlock, FieldStorage } from "../../core/fields.ts";
import { latin1At } from "../../core/latin1.ts";
import { HEAD_BYTES_USUAL } from "./head.ts";
import { headMayBeComplete, parseRequestHead, RequestHead } from "./request-head.ts";

/** Parses one head at an odd place of a larger buffer; gives what was consumed, or the name of the error. */
function parse(text: string, head: RequestHead, limits = DEFAULT_LIMITS): { outcome: number | string; text: string } {
  const buffer = Buffer.from(`GET /wrong${text}\n\r\n`, "latin1");
  const storage = acquireStorage();
  const outcome = parseRequestHead(buffer, 10, buffer.length - 3, storage, limits, head);
  if (outcome <= 0) return { outcome: outcome === 0 ? 0 : errorName(outcome), text: "" };
  return { outcome, text: latin1At(storage.bytes, 0, head.fieldsEnd) };
}

function parsed(text: string): RequestHead {
  const head = new RequestHead();
  assert.equal(parse(text, head).outcome, text.length, text);
  return head;
}

const HOST = "Host: a.example\r\n\r\n";

describe("a request line", () => {
  const accepted: [line: string, why: string][] = [
    ["GET / HTTP/1.1", "the usual"],
    ["GET /a/b%20c?x=%zz&y HTTP/1.1", "percent-encodings are not looked at here"],
    ['GET /a"<>\\^`{|}b?"<>\\^`{|}\'() HTTP/1.1', "what browsers send without encoding it"],
    ["GET /a?b?c HTTP/1.1", "a question mark in the query"],
    ["GET //a//b HTTP/1.1", "empty segments"],
    ["M-SEARCH * HTTP/1.1".replace("*", "/"), "any token in upper case is a method"],
    ["X!#$%&'*+-.^_`|~9 / HTTP/1.1", "every token character"],
    ["GET http://a.example/p?q HTTP/1.1", "absolute form"],
    ["GET http://a.example HTTP/1.1", "absolute form without a path"],
    ["GET HTTPS://A.example:8443?q HTTP/1.1", "absolute form with a query alone, and a scheme in capitals"],
    ["OPTIONS * HTTP/1.1", "asterisk form"],
    ["OPTIONS /x HTTP/1.1", "OPTIONS in origin form"],
    ["CONNECT a.example:443 HTTP/1.1", "authority form"],
    ["CONNECT [2001:db8::1]:443 HTTP/1.1", "authority form with an IPv6 address"],
    ["GET / HTTP/1.0", "the older version"],
    ["GET / HTTP/1.7", "a newer minor version counts as 1.1"],
  ];
  for (const [line, why] of accepted) {
    it(`is accepted: ${line} (${why})`, () => {
      const { messages, error } = readEveryWay(`${line}\r\n${HOST}`);
      assert.equal(error, null);
      assert.equal(messages[0]?.start, line.replace("1.7", "1.1"));
    });
  }

  const refused: [line: string, error: string, why: string][] = [
    ["", "ERR_EMPTY_LINES", "nothing but empty lines"],
    [" GET / HTTP/1.1", "ERR_METHOD", "space before the method"],
    ["GET", "ERR_METHOD", "the method alone"],
    ["GE\tT / HTTP/1.1", "ERR_METHOD", "a tab in the method"],
    ["G(T / HTTP/1.1", "ERR_METHOD", "a delimiter in the method"],
    ["get / HTTP/1.1", "ERR_METHOD", "lower case: some servers would take it for GET"],
    ["Head / HTTP/1.1", "ERR_METHOD", "some servers would send no body, and we would wait for it"],
    ["G\x00T / HTTP/1.1", "ERR_METHOD", "NUL in the method"],
    ["G\xc9T / HTTP/1.1", "ERR_METHOD", "not ASCII"],
    [`${"M".repeat(33)} / HTTP/1.1`, "ERR_METHOD", "a method of 33 bytes"],
    ["\x16\x03\x01\x02\x00\x01", "ERR_TLS_ON_PLAIN_PORT", "a TLS ClientHello"],
    ["GET /", "ERR_TARGET", "HTTP/0.9"],
    ["GET  / HTTP/1.1", "ERR_TARGET", "two spaces"],
    ["GET\t/ HTTP/1.1", "ERR_METHOD", "a tab for the space"],
    ["GET /\tHTTP/1.1", "ERR_TARGET", "a tab for the second space"],
    ["GET /  HTTP/1.1", "ERR_VERSION", "two spaces before the version"],
    ["GET /a b HTTP/1.1", "ERR_VERSION", "a space in the path"],
    ["GET / HTTP/1.1 ", "ERR_VERSION", "a space at the end"],
    ["GET /a#b HTTP/1.1", "ERR_TARGET", "a fragment is never sent"],
    ["GET /a?b#c HTTP/1.1", "ERR_TARGET", "a fragment behind a query"],
    ["GET /\xe4 HTTP/1.1", "ERR_TARGET", "not ASCII in the path"],
    ["GET /?\xc3\xa4 HTTP/1.1", "ERR_TARGET", "not ASCII in the query"],
    ["GET /\x00 HTTP/1.1", "ERR_TARGET", "NUL"],
    ["GET /\x7f HTTP/1.1", "ERR_TARGET", "DEL"],
    ["GET /\r HTTP/1.1", "ERR_TARGET", "CR"],
    ["GET /\x0b HTTP/1.1", "ERR_TARGET", "a vertical tab"],
    ["GET index.html HTTP/1.1", "ERR_TARGET_FORM", "a relative path"],
    ["GET ?q HTTP/1.1", "ERR_TARGET_FORM", "a query alone"],
    ["GET * HTTP/1.1", "ERR_TARGET_FORM", "asterisk form with another method"],
    ["OPTIONS *x HTTP/1.1", "ERR_TARGET_FORM", "more than an asterisk"],
    ["GET ftp://a.example/ HTTP/1.1", "ERR_TARGET_FORM", "another scheme"],
    ["GET http:/a.example/ HTTP/1.1", "ERR_TARGET_FORM", "one slash too few"],
    ["GET a.example:80 HTTP/1.1", "ERR_TARGET_FORM", "authority form with another method"],
    ["GET http:///x HTTP/1.1", "ERR_TARGET_AUTHORITY", "no host"],
    ["GET http:// HTTP/1.1", "ERR_TARGET_AUTHORITY", "nothing behind the scheme"],
    ["GET http://u:p@a.example/ HTTP/1.1", "ERR_TARGET_AUTHORITY", "userinfo"],
    ["GET http://a.example:0/ HTTP/1.1", "ERR_TARGET_AUTHORITY", "port 0"],
    ["GET http://a.example\\@b.example/ HTTP/1.1", "ERR_TARGET_AUTHORITY", "a backslash in the authority"],
    ["CONNECT / HTTP/1.1", "ERR_TARGET_FORM", "CONNECT in origin form"],
    ["CONNECT a.example HTTP/1.1", "ERR_TARGET_AUTHORITY", "CONNECT without a port"],
    ["CONNECT http://a.example:80/ HTTP/1.1", "ERR_TARGET_AUTHORITY", "CONNECT in absolute form"],
    ["CONNECT * HTTP/1.1", "ERR_TARGET_AUTHORITY", "CONNECT in asterisk form"],
    ["GET / http/1.1", "ERR_VERSION", "lower case"],
    ["GET / HTTP/1", "ERR_VERSION", "no minor version"],
    ["GET / HTTP/1.", "ERR_VERSION", "a minor version without a digit"],
    ["GET / HTTP/1.10", "ERR_VERSION", "two digits"],
    ["GET / HTTP/01.1", "ERR_VERSION_UNSUPPORTED", "a leading zero is major version 0"],
    ["GET / HTTP/1,1", "ERR_VERSION", "a comma"],
    ["GET / HTTPS/1.1", "ERR_VERSION", "another protocol"],
    ["GET / ICY", "ERR_VERSION", "another protocol"],
    ["GET / HTTP/2.0", "ERR_VERSION_UNSUPPORTED", "another major version"],
    ["GET / HTTP/0.9", "ERR_VERSION_UNSUPPORTED", "another major version"],
    ["PRI * HTTP/2.0", "ERR_VERSION_UNSUPPORTED", "the preface of HTTP/2"],
    ["GET / HTTP/1.1\nHost: a", "ERR_BARE_LF", "LF alone"],
    ["GET / HTTP/1.1\rHost: a", "ERR_BARE_CR", "CR alone"],
    ["\nGET / HTTP/1.1", "ERR_BARE_LF", "an empty line that ends in LF alone"],
    ["\rGET / HTTP/1.1", "ERR_BARE_CR", "CR alone before the request"],
  ];
  for (const [line, error, why] of refused) {
    it(`is refused: ${JSON.stringify(line).slice(0, 60)} (${why})`, () => {
      const text = line === "" ? "\r\n".repeat(5) : `${line}\r\n${HOST}`;
      const result = readEveryWay(text);
      assert.deepEqual([result.error, result.messages], [error, []]);
    });
  }

  it("may follow up to four empty lines, which count as consumed", () => {
    const text = `\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n${HOST}`;
    assert.equal(readEveryWay(text).messages.length, 1);
    assert.equal(parse(text, new RequestHead()).outcome, text.length);
    assert.equal(readEveryWay(`\r\n${text}`).error, "ERR_EMPTY_LINES");
  });

  it("is refused before it is complete when its beginning cannot be one", () => {
    const beginnings: [text: string, error: string][] = [
      ["\x16", "ERR_TLS_ON_PLAIN_PORT"],
      ["\x80", "ERR_METHOD"],
      ["PRI * HTTP/2", "ERR_VERSION_UNSUPPORTED"],
      ["GET /\x01", "ERR_TARGET"],
      ["GET / X", "ERR_VERSION"],
      ["M".repeat(33), "ERR_METHOD"],
    ];
    for (const [text, error] of beginnings) {
      assert.equal(parse(text, new RequestHead()).outcome, error, text);
      assert.equal(parse(text.slice(0, -1), new RequestHead()).outcome, 0, text);
    }
  });
});

describe("a parsed request", () => {
  it("has its parts where they stand, counted from the first byte of the head", () => {
    const head = new RequestHead();
    const line = "GET /a/b?c=d HTTP/1.1\r\n";
    const { outcome, text } = parse(`\r\n${line}Host: a\r\nx:  y \r\n\r\nGET /next`, head);
    assert.equal(outcome, `\r\n${line}Host: a\r\nx:  y \r\n\r\n`.length);
    assert.equal(text, `${line}Host: a\r\nx:  y \r\n`);
    assert.equal(text.slice(head.targetStart, head.pathEnd), "/a/b");
    assert.equal(text.slice(head.pathEnd, head.targetEnd), "?c=d");
    assert.equal(text.slice(head.fieldsStart), "Host: a\r\nx:  y \r\n");
    assert.deepEqual([head.method, head.form, head.minor, head.rows], ["GET", "origin", 1, 2]);
    assert.deepEqual([head.authorityStart, head.authorityEnd], [0, 0]);
  });

  it("has the authority of its target where there is one", () => {
    const cases: [line: string, form: string, authority: string, path: string][] = [
      ["GET http://a.example/p/q?r HTTP/1.1", "absolute", "a.example", "/p/q"],
      ["GET https://[::1]:8443 HTTP/1.1", "absolute", "[::1]:8443", ""],
      ["GET http://a?b/c HTTP/1.1", "absolute", "a", ""],
      ["CONNECT a.example:443 HTTP/1.1", "authority", "a.example:443", ""],
    ];
    for (const [line, form, authority, path] of cases) {
      const head = parsed(`${line}\r\n${HOST}`);
      assert.equal(head.form, form);
      assert.equal(line.slice(head.authorityStart, head.authorityEnd), authority);
      if (form === "absolute") assert.equal(line.slice(head.authorityEnd, head.pathEnd), path);
      assert.equal(line.slice(head.targetStart, head.targetEnd), line.split(" ")[1]);
      assert.equal(head.plainPath, false);
    }
  });

  it("says whether its path needs no normalising", () => {
    const plain = ["/", "/a/b", "/a.b/c.", "/a?//x", "/a?/./%41", "/a..b/c", '/"<>^`{|}', "/~a-b_c", "/a/?.."];
    const other = [
      "//",
      "/a//b",
      "/./",
      "/../a",
      "/a/.",
      "/a/..",
      "/.well-known",
      "/%41",
      "/a%2fb",
      "/a\\b",
      "/a/%2e%2e",
    ];
    for (const target of plain) assert.equal(parsed(`GET ${target} HTTP/1.1\r\n${HOST}`).plainPath, true, target);
    for (const target of other) assert.equal(parsed(`GET ${target} HTTP/1.1\r\n${HOST}`).plainPath, false, target);
  });

  it("has its method as it came, whether the method is a common one or not", () => {
    for (const method of [
      "GET",
      "HEAD",
      "POST",
      "PUT",
      "PATCH",
      "DELETE",
      "TRACE",
      "PROPFIND",
      "GES",
      "GETX",
      "G",
      "PUR",
    ]) {
      assert.equal(parsed(`${method} / HTTP/1.1\r\n${HOST}`).method, method);
    }
    assert.equal(parsed(`CONNECT a:1 HTTP/1.1\r\n${HOST}`).method, "CONNECT");
  });

  it("says which known fields it has, and which more than once", () => {
    const head = parsed(`GET / HTTP/1.1\r\nCookie: a\r\nX-Other: 1\r\nx-other: 2\r\nCOOKIE: b\r\n${HOST}`);
    const other = 1 << FIELD_OTHER;
    assert.equal(head.seen, other | FIELD_BIT[FIELD_COOKIE]! | FIELD_BIT[FIELD_HOST]!);
    assert.equal(head.repeated, other | FIELD_BIT[FIELD_COOKIE]!);
    const plain = parsed(`GET / HTTP/1.1\r\nConnection: a\r\nUser-Agent: x\r\nUser-Agent: x\r\n${HOST}`);
    assert.equal(plain.seen, FIELD_BIT[FIELD_CONNECTION]! | FIELD_BIT[FIELD_HOST]!);
    assert.equal(plain.repeated, 0);
  });

  it("leaves nothing of the head that was parsed before", () => {
    const head = new RequestHead();
    assert.ok(Number(parse(`GET http://a/?b HTTP/1.0\r\nVia: x\r\nVia: y\r\n\r\n`, head).outcome) > 0);
    const again = `POST /x HTTP/1.1\r\n${HOST}`;
    assert.equal(parse(again, head).outcome, again.length);
    assert.deepEqual(head, parsed(again));
  });
});

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
        const outcome = parse(`GET / HTTP/1.1\r\nX: ${value}\r\n${HOST}`, new RequestHead()).outcome;
        assert.equal(typeof outcome === "number", allowed, `byte ${byte} at ${place}: ${outcome}`);
      }
    }
  });

  it("may have only token characters in its name", () => {
    for (let byte = 0; byte < 256; byte++) {
      const character = String.fromCharCode(byte);
      if (character === ":") continue;
      const outcome = parse(`GET / HTTP/1.1\r\nX${character}Y: z\r\n${HOST}`, new RequestHead()).outcome;
      assert.equal(typeof outcome === "number", /[!#$%&'*+\-.^_`|~0-9A-Za-z]/.test(character), `byte ${byte}`);
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
      assert.equal(parse(whole, head, limits).outcome, whole.length);
      assert.equal(head.rows, fieldsMax);
      assert.equal(parse(`GET / HTTP/1.1\r\nY: z\r\n${fields}${HOST}`, head, limits).outcome, "ERR_TOO_MANY_FIELDS");
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
