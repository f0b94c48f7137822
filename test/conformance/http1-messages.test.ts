// RFC 9112 and the parts of RFC 9110 that a codec answers for, section by section: what must be taken, what must be
// refused, and where we are stricter than we must be. Each message is read whole, byte by byte and cut at every place.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readEveryWay } from "../support/http1-reader.ts";

/** The complete messages, "start line | body"; then, behind "!", the error that ended the reading. */
type Outcome = readonly string[];

type Requirement = readonly [section: string, requirement: string, bytes: string, outcome: Outcome];

function outcomeOf(bytes: string, responsesTo?: readonly string[]): Outcome {
  const { messages, error } = readEveryWay(bytes, responsesTo === undefined ? {} : { responsesTo });
  const read = messages.filter(({ complete }) => complete).map(({ start, body }) => `${start} | ${body}`);
  return error === null ? read : [...read, `! ${error}`];
}

const HOST = "Host: a\r\n";
const get = (lines = "", version = "1.1") => `GET / HTTP/${version}\r\n${HOST}${lines}\r\n`;
const GET_READ = "GET / HTTP/1.1 | ";

const REQUESTS: readonly Requirement[] = [
  ["9112, 2.2", "an empty line before the request line is ignored", `\r\n${get()}`, [GET_READ]],
  ["9112, 2.2", "whitespace before the first field is refused", `GET / HTTP/1.1\r\n ${HOST}\r\n`, ["! ERR_OBS_FOLD"]],
  ["9112, 2.2", "a CR within a field line is invalid", get("X: a\rb\r\n"), ["! ERR_BARE_CR"]],
  ["9112, 2.2", "a CR within the request line is invalid", `GET /\r HTTP/1.1\r\n${HOST}\r\n`, ["! ERR_TARGET"]],
  ["9112, 2.3", "the version's name is case-sensitive", `GET / Http/1.1\r\n${HOST}\r\n`, ["! ERR_VERSION"]],
  ["9110, 2.5", "a higher minor version is read as the highest known", get("", "1.9"), [GET_READ]],
  ["9110, 2.5", "another major version is refused", get("", "3.0"), ["! ERR_VERSION_UNSUPPORTED"]],
  ["9112, 3", "single spaces separate", `GET  / HTTP/1.1\r\n${HOST}\r\n`, ["! ERR_TARGET"]],
  ["9112, 3", "an unknown method is read like any other", `BREW / HTTP/1.1\r\n${HOST}\r\n`, ["BREW / HTTP/1.1 | "]],
  [
    "9112, 3.1",
    "methods are case-sensitive: other spellings are not known ones",
    `gET / HTTP/1.1\r\n${HOST}\r\n`,
    ["! ERR_METHOD"],
  ],
  ["9112, 3.2", "a target has no whitespace", `GET /a b HTTP/1.1\r\n${HOST}\r\n`, ["! ERR_VERSION"]],
  ["9112, 3.2", "HTTP/1.1 needs Host", "GET / HTTP/1.1\r\n\r\n", ["! ERR_HOST_MISSING"]],
  ["9112, 3.2", "HTTP/1.0 needs no Host", "GET / HTTP/1.0\r\n\r\n", ["GET / HTTP/1.0 | "]],
  ["9112, 3.2", "more than one Host is refused", get(HOST), ["! ERR_HOST_REPEATED"]],
  ["9112, 3.2", "an invalid Host is refused", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", ["! ERR_HOST_INVALID"]],
  ["9112, 3.2.1", "origin form with a query", `GET /a?b HTTP/1.1\r\n${HOST}\r\n`, ["GET /a?b HTTP/1.1 | "]],
  [
    "9112, 3.2.2",
    "absolute form is taken, from clients too",
    `GET http://b/c HTTP/1.1\r\n${HOST}\r\n`,
    ["GET http://b/c HTTP/1.1 | "],
  ],
  [
    "9112, 3.2.3",
    "authority form is for CONNECT",
    `CONNECT b:80 HTTP/1.1\r\n${HOST}\r\n`,
    ["CONNECT b:80 HTTP/1.1 | "],
  ],
  ["9112, 3.2.3", "and for nothing else", `GET b:80 HTTP/1.1\r\n${HOST}\r\n`, ["! ERR_TARGET_FORM"]],
  ["9112, 3.2.4", "asterisk form is for OPTIONS", `OPTIONS * HTTP/1.1\r\n${HOST}\r\n`, ["OPTIONS * HTTP/1.1 | "]],
  [
    "9110, 4.2.4",
    "userinfo in a target is refused",
    `GET http://u@b/ HTTP/1.1\r\n${HOST}\r\n`,
    ["! ERR_TARGET_AUTHORITY"],
  ],
  ["9112, 5", "whitespace around a value is optional", get("X:y\r\nZ: \t y\t \r\n"), [GET_READ]],
  ["9112, 5", "a value may be empty", get("X:\r\n"), [GET_READ]],
  ["9112, 5.1", "whitespace before the colon is refused", get("X : y\r\n"), ["! ERR_SPACE_IN_NAME"]],
  ["9112, 5.2", "a folded line is refused", get("X: y\r\n z\r\n"), ["! ERR_OBS_FOLD"]],
  ["9110, 5.1", "a name is a token", get("X[]: y\r\n"), ["! ERR_FIELD_NAME"]],
  ["9110, 5.5", "CR, LF and NUL are not part of a value", get("X: \x00\r\n"), ["! ERR_FIELD_VALUE"]],
  ["9110, 5.5", "bytes above ASCII are opaque", get("X: \xe4\xf6\r\n"), [GET_READ]],
  ["9110, 8.6", "a negative length is invalid", get("Content-Length: -1\r\n"), ["! ERR_LENGTH_INVALID"]],
  [
    "9110, 8.6",
    "a length that no number holds is invalid",
    get(`Content-Length: ${"9".repeat(40)}\r\n`),
    ["! ERR_LENGTH_INVALID"],
  ],
  ["9110, 10.1.1", "an unknown expectation is refused", get("Expect: x\r\n"), ["! ERR_EXPECTATION"]],
  ["9110, 10.1.1", "an expectation in HTTP/1.0 is ignored", get("Expect: x\r\n", "1.0"), ["GET / HTTP/1.0 | "]],
  ["9112, 6.1", "an unknown coding is refused", get("Transfer-Encoding: x\r\n"), ["! ERR_CODING_UNKNOWN"]],
  [
    "9112, 6.1",
    "chunked is not applied twice",
    get("Transfer-Encoding: chunked, chunked\r\n"),
    ["! ERR_CODING_UNKNOWN"],
  ],
  [
    "9112, 6.1",
    "a coding in HTTP/1.0 is faulty framing",
    get("Transfer-Encoding: chunked\r\n", "1.0"),
    ["! ERR_CODING_IN_HTTP10"],
  ],
  [
    "9112, 6.3, 4",
    "a request whose last coding is not chunked is refused",
    get("Transfer-Encoding: gzip\r\n"),
    ["! ERR_CODING_UNKNOWN"],
  ],
  [
    "9112, 6.3, 5",
    "differing lengths are refused",
    get("Content-Length: 1\r\nContent-Length: 2\r\n"),
    ["! ERR_LENGTH_REPEATED"],
  ],
  [
    "9112, 6.3, 6",
    "a valid length frames the body",
    `${get("Content-Length: 1\r\n")}x${get()}`,
    ["GET / HTTP/1.1 | x", GET_READ],
  ],
  ["9112, 6.3, 7", "a request with neither field has no body", get() + get(), [GET_READ, GET_READ]],
  [
    "9112, 7.1",
    "sizes are hexadecimal in either case",
    `${get("Transfer-Encoding: chunked\r\n")}a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n`,
    ["GET / HTTP/1.1 | 01234567890123456789"],
  ],
  [
    "9112, 7.1",
    "a size does not overflow",
    `${get("Transfer-Encoding: chunked\r\n")}fffffffffffffffff\r\n`,
    ["! ERR_CHUNK_SIZE"],
  ],
  ["9112, 7.1", "codings have no case", `${get("Transfer-Encoding: CHUNKED\r\n")}0\r\n\r\n`, [GET_READ]],
  [
    "9112, 7.1.1",
    "unknown extensions are ignored",
    `${get("Transfer-Encoding: chunked\r\n")}1;x;y="a\\"b";z=1\r\nx\r\n0\r\n\r\n`,
    ["GET / HTTP/1.1 | x"],
  ],
  [
    "9112, 7.1.2",
    "trailer fields end with an empty line",
    `${get("Transfer-Encoding: chunked\r\n")}0\r\nX: y\r\n\r\n${get()}`,
    [GET_READ, GET_READ],
  ],
  ["9112, 9.3.2", "pipelined requests are read in order", get() + get("X: y\r\n"), [GET_READ, GET_READ]],
  ["9112, 9.6", "nothing is read behind the close option", get("Connection: close\r\n") + get(), [GET_READ]],
];

const ok = (lines = "", version = "1.1") => `HTTP/${version} 200 OK\r\n${lines}\r\n`;

const RESPONSES: readonly (readonly [...Requirement, method?: string])[] = [
  ["9112, 4", "the reason phrase may be empty", "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", ["HTTP/1.1 200  | "]],
  ["9112, 4", "a status has three digits", "HTTP/1.1 20 OK\r\n\r\n", ["! ERR_STATUS_LINE"]],
  ["9110, 15", "an unknown status is read", "HTTP/1.1 799 X\r\nContent-Length: 0\r\n\r\n", ["HTTP/1.1 799 X | "]],
  ["9112, 5.2", "a folded line is replaced by 502", ok("X: y\r\n z\r\n"), ["! ERR_OBS_FOLD"]],
  [
    "9112, 6.1",
    "a coding in HTTP/1.0 is faulty framing",
    ok("Transfer-Encoding: chunked\r\n", "1.0"),
    ["! ERR_CODING_IN_HTTP10"],
  ],
  ["9112, 6.3, 1", "an answer to HEAD has no body", ok("Content-Length: 5\r\n"), ["HTTP/1.1 200 OK | "], "HEAD"],
  ["9112, 6.3, 1", "304 has no body", "HTTP/1.1 304 X\r\nContent-Length: 5\r\n\r\n", ["HTTP/1.1 304 X | "]],
  [
    "9112, 6.3, 1",
    "204 has no body",
    `HTTP/1.1 204 X\r\n\r\n${ok("Content-Length: 0\r\n")}`,
    ["HTTP/1.1 204 X | ", "HTTP/1.1 200 OK | "],
  ],
  [
    "9112, 6.3, 1",
    "1xx has no body, and the final response follows",
    `HTTP/1.1 103 X\r\n\r\n${ok("Content-Length: 1\r\n")}x`,
    ["HTTP/1.1 103 X | ", "HTTP/1.1 200 OK | x"],
  ],
  [
    "9112, 6.3, 2",
    "a 2xx to CONNECT begins a tunnel, and its lengths are ignored",
    `${ok("Content-Length: x\r\n")}raw`,
    ["HTTP/1.1 200 OK | "],
    "CONNECT",
  ],
  ["9112, 6.3, 5", "an invalid length is unrecoverable", ok("Content-Length: x\r\n"), ["! ERR_LENGTH_INVALID"]],
  [
    "9112, 6.3, 8",
    "a response with neither field lasts until the end",
    `${ok()}until the end`,
    ["HTTP/1.1 200 OK | until the end"],
  ],
  ["9112, 8", "a body shorter than its length is incomplete", `${ok("Content-Length: 5\r\n")}hell`, []],
  ["9112, 8", "a body without its last chunk is incomplete", `${ok("Transfer-Encoding: chunked\r\n")}1\r\nx\r\n`, []],
];

/** Where the RFCs let a recipient take what we refuse, and the reason. */
const STRICTER: readonly (readonly [...Requirement, reason: string])[] = [
  [
    "9112, 2.2",
    "LF alone may end a line",
    `GET / HTTP/1.1\n${HOST}\n`,
    ["! ERR_BARE_LF"],
    "one server ends the line there, another reads on",
  ],
  [
    "9112, 3",
    "whitespace may separate leniently",
    `GET\t/ HTTP/1.1\r\n${HOST}\r\n`,
    ["! ERR_METHOD"],
    "servers differ in what they trim",
  ],
  [
    "9112, 6.3, 3",
    "Transfer-Encoding may override a length",
    `${get("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n")}0\r\n\r\n`,
    ["! ERR_LENGTH_AND_CODING"],
    "the other server may choose the length",
  ],
  [
    "9112, 6.3, 5",
    "equal lengths may count as one",
    `${get("Content-Length: 1\r\nContent-Length: 1\r\n")}x`,
    ["! ERR_LENGTH_REPEATED"],
    "no good client sends them",
  ],
  [
    "9110, 8.6",
    "a length may have leading zeros",
    `${get("Content-Length: 01\r\n")}x`,
    ["! ERR_LENGTH_INVALID"],
    "octal for some",
  ],
  [
    "9110, 5.6.1.2",
    "a list may have empty members",
    `${get("Transfer-Encoding: ,chunked\r\n")}0\r\n\r\n`,
    ["! ERR_CODING_UNKNOWN"],
    "no coding for some",
  ],
  [
    "9112, 7.1.1",
    "whitespace may surround an extension",
    `${get("Transfer-Encoding: chunked\r\n")}0 ; x\r\n\r\n`,
    ["! ERR_CHUNK_SIZE"],
    "a size with more behind it for some",
  ],
  [
    "3986, 3.2.2",
    "a host may have sub-delimiters",
    "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n",
    ["! ERR_HOST_INVALID"],
    "no name that resolves has them",
  ],
  [
    "3986, 3.2.3",
    "a port may be empty",
    "GET / HTTP/1.1\r\nHost: a:\r\n\r\n",
    ["! ERR_HOST_INVALID"],
    "another key for a cache, the same host",
  ],
];

describe("a request", () => {
  for (const [section, requirement, bytes, outcome] of REQUESTS) {
    it(`RFC ${section}: ${requirement}`, () => assert.deepEqual(outcomeOf(bytes), outcome));
  }
});

describe("a response", () => {
  for (const [section, requirement, bytes, outcome, method = "GET"] of RESPONSES) {
    it(`RFC ${section}: ${requirement}`, () => assert.deepEqual(outcomeOf(bytes, [method]), outcome));
  }

  it("RFC 9112, 5.1: whitespace before the colon is refused, not removed: some recipients repair it, some do not", () => {
    assert.deepEqual(outcomeOf(ok("Content-Length : 0\r\n"), ["GET"]), ["! ERR_SPACE_IN_NAME"]);
  });
});

describe("what may be taken, and is refused", () => {
  for (const [section, allowed, bytes, outcome, reason] of STRICTER) {
    it(`RFC ${section}: ${allowed} (${reason})`, () => assert.deepEqual(outcomeOf(bytes), outcome));
  }
});
