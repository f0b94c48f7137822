// How bodies are framed, rule by rule of RFC 9112 section 6.3, and which messages have no framing that all would agree
// on.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type ReadMessage, readEveryWay } from "../../../test/support/http1-reader.ts";

function requestWith(lines: readonly string[], rest = "", method = "POST", version = "1.1") {
  const target = method === "CONNECT" ? "a:443" : "/";
  const fields = ["Host: a", ...lines].map((line) => `${line}\r\n`).join("");
  return readEveryWay(`${method} ${target} HTTP/${version}\r\n${fields}\r\n${rest}`);
}

function responseWith(status: number, lines: readonly string[], rest = "", method = "GET", version = "1.1") {
  const text = `HTTP/${version} ${status} X\r\n${lines.map((line) => `${line}\r\n`).join("")}\r\n${rest}`;
  return readEveryWay(text, { responsesTo: [method] });
}

function summary(messages: readonly ReadMessage[]): [string, string, boolean][] {
  return messages.map(({ framing, body, complete }) => [framing, body, complete]);
}

describe("the body of a request", () => {
  it("is none without a length and a coding, whatever the method", () => {
    for (const method of ["GET", "POST", "PUT", "X"]) {
      const { messages, state, error } = requestWith([], "", method);
      assert.deepEqual([error, state, summary(messages)], [null, "between", [["none", "", true]]]);
    }
  });

  it("has the length that is given, whatever the method", () => {
    for (const method of ["GET", "HEAD", "POST", "DELETE", "OPTIONS"]) {
      const { messages, state } = requestWith(["Content-Length: 5"], "hello", method);
      assert.deepEqual([state, summary(messages)], ["between", [["length", "hello", true]]]);
    }
    assert.deepEqual(summary(requestWith(["Content-Length: 0"]).messages), [["length", "", true]]);
    assert.deepEqual(summary(requestWith(["Content-Length: 5"], "hell").messages), [["length", "hell", false]]);
    assert.deepEqual(summary(requestWith(["Content-Length: \t5 \t"], "hello", "POST", "1.0").messages), [
      ["length", "hello", true],
    ]);
  });

  it("is chunked when the one coding is that", () => {
    for (const value of ["chunked", "Chunked", "CHUNKED", "  chunked\t"]) {
      const { messages, state } = requestWith([`Transfer-Encoding: ${value}`], "5\r\nhello\r\n0\r\n\r\n");
      assert.deepEqual([state, summary(messages)], ["between", [["chunked", "hello", true]]]);
    }
  });

  it("ends where the next request begins", () => {
    const next = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";
    for (const [line, body] of [
      ["Content-Length: 5", "hello"],
      ["Transfer-Encoding: chunked", "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"],
    ] as const) {
      const { messages } = requestWith([line], body + next + next);
      assert.deepEqual(
        messages.map((message) => [message.start, message.body]),
        [
          ["POST / HTTP/1.1", "hello"],
          ["GET /next HTTP/1.1", ""],
          ["GET /next HTTP/1.1", ""],
        ],
      );
    }
  });

  const refused: [lines: string[], error: string][] = [
    [["Content-Length: 5", "Transfer-Encoding: chunked"], "ERR_LENGTH_AND_CODING"],
    [["Transfer-Encoding: chunked", "Content-Length: 5"], "ERR_LENGTH_AND_CODING"],
    [["Transfer-Encoding: x", "Content-Length: 0"], "ERR_LENGTH_AND_CODING"],
    [["Transfer-Encoding:", "Content-Length: 0"], "ERR_LENGTH_AND_CODING"],
    [["Content-Length: 5", "Content-Length: 6"], "ERR_LENGTH_REPEATED"],
    [["Content-Length: 5", "content-length: 5"], "ERR_LENGTH_REPEATED"],
    [["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], "ERR_CODING_REPEATED"],
    [["Transfer-Encoding: gzip", "Transfer-Encoding: chunked"], "ERR_CODING_REPEATED"],
    ...[
      ...["", "x", "gzip", "identity", "gzip, chunked", "chunked, gzip", "chunked, chunked", "identity, chunked"],
      ...["chunked, identity", "chunked,", ",chunked", ", chunked", "chunked;q=1", 'chunked;a="b"', "chunked x"],
      ...['"chunked"', "xchunked", "chunkedx", "chunke", "chunked\xa0", "\xa0chunked", "chunked\x85", "cow"],
    ].map((value): [string[], string] => [[`Transfer-Encoding: ${value}`], "ERR_CODING_UNKNOWN"]),
    ...[
      ...[
        "",
        "x",
        "+5",
        "-5",
        "-0",
        "5 5",
        "5,5",
        "5, 5",
        "5;",
        "0x5",
        "5.0",
        "5e0",
        "1_0",
        "05",
        "00",
        "\xb25",
        "5\xa0",
      ],
      ...["1000000000000000", "9007199254740993", "18446744073709551617", "99999999999999999999999", "5 \t5", "٥"],
    ].map((value): [string[], string] => [
      [`Content-Length: ${Buffer.from(value).toString("latin1")}`],
      "ERR_LENGTH_INVALID",
    ]),
  ];
  for (const [lines, error] of refused) {
    it(`is refused: ${JSON.stringify(lines)}`, () => {
      const result = requestWith(lines, "0\r\n\r\n");
      assert.deepEqual([result.error, result.messages], [error, []]);
    });
  }

  it("cannot be chunked in HTTP/1.0", () => {
    assert.equal(requestWith(["Transfer-Encoding: chunked"], "", "POST", "1.0").error, "ERR_CODING_IN_HTTP10");
    assert.equal(requestWith(["Transfer-Encoding: x"], "", "POST", "1.0").error, "ERR_CODING_IN_HTTP10");
  });

  it("is what a CONNECT cannot have: bytes behind it are a tunnel's", () => {
    assert.equal(requestWith(["Content-Length: 5"], "hello", "CONNECT").error, "ERR_CONNECT_WITH_BODY");
    assert.equal(requestWith(["Content-Length: 0"], "", "CONNECT").error, "ERR_CONNECT_WITH_BODY");
    assert.equal(requestWith(["Transfer-Encoding: chunked"], "", "CONNECT").error, "ERR_CONNECT_WITH_BODY");
    const { messages, state, tunnel } = requestWith([], "\x16\x03", "CONNECT");
    assert.deepEqual([state, tunnel, summary(messages)], ["tunnel", "\x16\x03", [["none", "", true]]]);
  });

  it("may be as long as numbers are exact", () => {
    const { messages, error } = requestWith(["Content-Length: 999999999999999"], "x");
    assert.deepEqual([error, summary(messages)], [null, [["length", "x", false]]]);
  });
});

describe("the body of a response", () => {
  it("is none in answer to HEAD, and with 1xx, 204 and 304 (rule 1)", () => {
    const next = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    for (const lines of [[], ["Content-Length: 5"], ["Transfer-Encoding: chunked"]]) {
      for (const [status, method] of [
        [200, "HEAD"],
        [404, "HEAD"],
        [204, "GET"],
        [304, "GET"],
        [100, "POST"],
        [103, "GET"],
      ] as const) {
        const { messages, state } = responseWith(status, lines, next, method);
        const expected = [
          ["none", "", true],
          ["length", "", true],
        ];
        assert.deepEqual([state, summary(messages)], ["between", expected], `${status} ${method}`);
      }
    }
  });

  it("is a tunnel behind 101, and behind 2xx to CONNECT, whatever the fields say (rule 2)", () => {
    for (const lines of [[], ["Content-Length: 5"], ["Transfer-Encoding: x", "Content-Length: y"]]) {
      const { messages, tunnel } = responseWith(200, lines, "HTTP", "CONNECT");
      assert.deepEqual([tunnel, summary(messages)], ["HTTP", [["none", "", true]]]);
    }
    const { messages, tunnel } = responseWith(101, ["Upgrade: x"], "\x81\x00");
    assert.deepEqual([tunnel, summary(messages)], ["\x81\x00", [["none", "", true]]]);
    assert.deepEqual(summary(responseWith(403, ["Content-Length: 2"], "no", "CONNECT").messages), [
      ["length", "no", true],
    ]);
  });

  it("is chunked, or has a length (rules 4 and 6)", () => {
    assert.deepEqual(summary(responseWith(200, ["Transfer-Encoding: chunked"], "1\r\na\r\n0\r\n\r\n").messages), [
      ["chunked", "a", true],
    ]);
    assert.deepEqual(summary(responseWith(404, ["Content-Length: 1"], "a").messages), [["length", "a", true]]);
    assert.deepEqual(summary(responseWith(205, ["Content-Length: 0"]).messages), [["length", "", true]]);
  });

  it("lasts until the connection ends otherwise (rule 8)", () => {
    for (const version of ["1.0", "1.1"]) {
      const { messages, state } = responseWith(200, [], "HTTP/1.1 200 OK\r\n\r\n", "GET", version);
      assert.deepEqual([state, summary(messages)], ["closed", [["close", "HTTP/1.1 200 OK\r\n\r\n", true]]]);
    }
  });

  const refused: [lines: string[], error: string][] = [
    [["Content-Length: 5", "Transfer-Encoding: chunked"], "ERR_LENGTH_AND_CODING"],
    [["Content-Length: 5", "Content-Length: 5"], "ERR_LENGTH_REPEATED"],
    [["Content-Length: 5, 5"], "ERR_LENGTH_INVALID"],
    [["Content-Length: +5"], "ERR_LENGTH_INVALID"],
    [["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], "ERR_CODING_REPEATED"],
    [["Transfer-Encoding: gzip, chunked"], "ERR_CODING_UNKNOWN"],
    [["Transfer-Encoding: gzip"], "ERR_CODING_UNKNOWN"],
    [["Transfer-Encoding: identity"], "ERR_CODING_UNKNOWN"],
  ];
  for (const [lines, error] of refused) {
    it(`is refused, even where they frame nothing: ${JSON.stringify(lines)}`, () => {
      for (const [status, method] of [
        [200, "GET"],
        [200, "HEAD"],
        [304, "GET"],
        [500, "CONNECT"],
      ] as const) {
        assert.equal(responseWith(status, lines, "0\r\n\r\n", method).error, error);
      }
    });
  }

  it("cannot be chunked in HTTP/1.0", () => {
    assert.equal(responseWith(200, ["Transfer-Encoding: chunked"], "", "GET", "1.0").error, "ERR_CODING_IN_HTTP10");
  });
});
