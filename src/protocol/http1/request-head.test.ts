// Request lines and heads: which are one, where their parts stand, and why others are refused. Every one is read whole,
// byte by byte and cut at every place.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DEFAULT_LIMITS, errorName, readEveryWay } from "../../../test/support/http1-reader.ts";
import { FIELD_BIT, FIELD_CONNECTION, FIELD_COOKIE, FIELD_HOST, FIELD_OTHER } from "../../core/field-names.ts";
import { acquireStorage } from "../../core/fields.ts";
import { latin1At } from "../../core/latin1.ts";
import { parseRequestHead, RequestHead } from "./request-head.ts";

/** Parses one head at an odd place of a larger buffer; gives what was consumed, or the name of the error. */
function parse(text: string, head: RequestHead): { outcome: number | string; text: string } {
  const buffer = Buffer.from(`GET /wrong${text}\n\r\n`, "latin1");
  const storage = acquireStorage();
  const outcome = parseRequestHead(buffer, 10, buffer.length - 3, storage, DEFAULT_LIMITS, head);
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
    ["\x05\x01\x00", "ERR_SOCKS_ON_HTTP_PORT", "a greeting of SOCKS5"],
    ["\x04\x01\x00\x50", "ERR_SOCKS_ON_HTTP_PORT", "a request of SOCKS4"],
    ["PROXY TCP4 192.0.2.1 192.0.2.2 56324 443", "ERR_PROXY_HEADER", "the PROXY protocol, version 1"],
    ["PROXY UNKNOWN", "ERR_PROXY_HEADER", "the PROXY protocol, version 1, without addresses"],
    ["\r\n\r\n\0\r\nQUIT\n\x21\x11", "ERR_PROXY_HEADER", "the PROXY protocol, version 2"],
    ["\r\n\r\n\0\r\nQUID\n\x21\x11", "ERR_METHOD", "not its signature"],
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

  it("says whether its line can be passed on as it came", () => {
    const cases: [line: string, plainLine: boolean][] = [
      ["GET /a?b HTTP/1.1", true],
      ["POST / HTTP/1.1", true],
      ["GET / HTTP/1.0", false],
      ["GET / HTTP/1.7", false],
      ["GET http://a.example/ HTTP/1.1", false],
      ["OPTIONS * HTTP/1.1", false],
      ["CONNECT a.example:443 HTTP/1.1", false],
    ];
    for (const [line, plainLine] of cases) assert.equal(parsed(`${line}\r\n${HOST}`).plainLine, plainLine, line);
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
