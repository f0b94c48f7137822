/** Lengths and codings: what says where a body ends, and what only seems to. */
import { type Draft, HIDDEN, HIDDEN_BYTES, payloads, post, type SmugglingRequest } from "./shape.ts";

const BOTH = "with both fields, one server ends the body by the length and another by the last chunk";
const CODING = "a server that takes this for chunked and one that does not find different ends of the body";
const NUMBER = "servers differ in which of these they take for a number, and for which";

export const FRAMING: readonly SmugglingRequest[] = [
  ...payloads("CL.TE and TE.CL", [
    [
      "CL.TE",
      post([`Content-Length: ${5 + HIDDEN_BYTES}`, "Transfer-Encoding: chunked"], `0\r\n\r\n${HIDDEN}`),
      "ERR_LENGTH_AND_CODING",
      BOTH,
    ],
    [
      "TE.CL",
      post(
        ["Transfer-Encoding: chunked", "Content-Length: 4"],
        `${HIDDEN_BYTES.toString(16)}\r\n${HIDDEN}\r\n0\r\n\r\n`,
      ),
      "ERR_LENGTH_AND_CODING",
      BOTH,
    ],
    [
      "CL.TE with length 0",
      post(["Content-Length: 0", "Transfer-Encoding: chunked"], `0\r\n\r\n${HIDDEN}`),
      "ERR_LENGTH_AND_CODING",
      BOTH,
    ],
    [
      "an unknown coding with a length",
      post(["Content-Length: 5", "Transfer-Encoding: x"], `hello${HIDDEN}`),
      "ERR_LENGTH_AND_CODING",
      "who ignores the unknown coding uses the length",
    ],
    [
      "an empty coding with a length",
      post(["Content-Length: 5", "Transfer-Encoding:"], `hello${HIDDEN}`),
      "ERR_LENGTH_AND_CODING",
      "who sees no coding in an empty field uses the length",
    ],
    [
      "both in HTTP/1.0",
      post(["Content-Length: 5", "Transfer-Encoding: chunked"], `0\r\n\r\n${HIDDEN}`, "1.0"),
      "ERR_LENGTH_AND_CODING",
      "an HTTP/1.0 server does not know the coding",
    ],
  ]),

  ...payloads("TE.TE", [
    ...(
      [
        ["xchunked", "Transfer-Encoding: xchunked"],
        ["chunked with more behind it", "Transfer-Encoding: chunkedx"],
        ["identity", "Transfer-Encoding: identity"],
        ["identity last", "Transfer-Encoding: chunked, identity"],
        ["identity first", "Transfer-Encoding: identity, chunked"],
        ["gzip first", "Transfer-Encoding: gzip, chunked"],
        ["chunked first", "Transfer-Encoding: chunked, gzip"],
        ["chunked twice in a list", "Transfer-Encoding: chunked, chunked"],
        ["an empty member last", "Transfer-Encoding: chunked,"],
        ["an empty member first", "Transfer-Encoding: ,chunked"],
        ["a parameter", "Transfer-Encoding: chunked;x=y"],
        ["quoted", 'Transfer-Encoding: "chunked"'],
        ["single-quoted", "Transfer-Encoding: 'chunked'"],
        ["a no-break space", "Transfer-Encoding: chunked\xa0"],
        ["a next-line character", "Transfer-Encoding: \x85chunked"],
        ["the value twice", "Transfer-Encoding: chunked chunked"],
        ["the name in the value", "Transfer-Encoding: Transfer-Encoding: chunked"],
        ["an empty value", "Transfer-Encoding:"],
        ["not chunked at all", "Transfer-Encoding: cow"],
        ["a letter that becomes k in lower case", "Transfer-Encoding: chun\xe2\x84\xaaed"],
      ] as const
    ).map(([name, line]): Draft => [name, post([line], `0\r\n\r\n${HIDDEN}`), "ERR_CODING_UNKNOWN", CODING]),
    [
      "two fields, the second unknown",
      post(["Transfer-Encoding: chunked", "Transfer-Encoding: cow"], `0\r\n\r\n${HIDDEN}`),
      "ERR_CODING_REPEATED",
      "one server takes the first and another the last",
    ],
    [
      "two fields, the first unknown",
      post(["Transfer-Encoding: x", "Transfer-encoding: chunked"], `0\r\n\r\n${HIDDEN}`),
      "ERR_CODING_REPEATED",
      "one server takes the first and another the last",
    ],
    [
      "two fields, both chunked",
      post(["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], `0\r\n\r\n${HIDDEN}`),
      "ERR_CODING_REPEATED",
      "joined it is chunked twice, which one server decodes once",
    ],
    [
      "a control in front of the value",
      post(["Transfer-Encoding: \x0bchunked"], `0\r\n\r\n${HIDDEN}`),
      "ERR_FIELD_VALUE",
      "some servers trim every control, not only space and tab",
    ],
    [
      "NUL behind the value",
      post(["Transfer-Encoding: chunked\x00"], `0\r\n\r\n${HIDDEN}`),
      "ERR_FIELD_VALUE",
      "a string of C ends at NUL",
    ],
    [
      "chunked in HTTP/1.0",
      post(["Transfer-Encoding: chunked"], `0\r\n\r\n${HIDDEN}`, "1.0"),
      "ERR_CODING_IN_HTTP10",
      "an HTTP/1.0 server does not know the coding; RFC 9112 section 6.1 calls the framing faulty",
    ],
    [
      "upper case and tabs",
      post(["tRANSFER-eNCODING:\tChunKed\t"], "5\r\nhello\r\n0\r\n\r\n"),
      ["POST /a hello"],
      "legal: names and codings have no case, tabs around a value are whitespace",
    ],
  ]),

  ...payloads("CL.CL", [
    [
      "two lengths",
      post(["Content-Length: 5", `Content-Length: ${5 + HIDDEN_BYTES}`], `hello${HIDDEN}`),
      "ERR_LENGTH_REPEATED",
      "one server takes the first and another the last",
    ],
    [
      "the same length twice",
      post(["Content-Length: 5", "Content-Length: 5"], `hello${HIDDEN}`),
      "ERR_LENGTH_REPEATED",
      "RFC 9112 lets them pass as one; a sender that repeats itself is broken, or tries who complains",
    ],
    [
      "a list of lengths",
      post([`Content-Length: 5, ${5 + HIDDEN_BYTES}`], `hello${HIDDEN}`),
      "ERR_LENGTH_INVALID",
      "one server reads up to the comma, another the last member",
    ],
    ["a list of equal lengths", post(["Content-Length: 5, 5"], "hello"), "ERR_LENGTH_INVALID", "as a repeated field"],
    ["an empty member", post(["Content-Length: 5,"], "hello"), "ERR_LENGTH_INVALID", "as a repeated field"],
    [
      "names that differ in case",
      post(["Content-Length: 5", "CONTENT-LENGTH: 0"], `hello${HIDDEN}`),
      "ERR_LENGTH_REPEATED",
      "one server takes the first and another the last",
    ],
  ]),

  ...payloads("CL value", [
    ...(
      [
        ["a plus sign", "+5"],
        ["a minus sign", "-5"],
        ["minus zero", "-0"],
        ["hexadecimal", "0x5"],
        ["a leading zero", "05"],
        ["octal", "0o5"],
        ["a fraction", "5.0"],
        ["an exponent", "5e0"],
        ["an underscore", "1_0"],
        ["a space inside", "1 0"],
        ["a word behind", "5 bytes"],
        ["quoted", '"5"'],
        ["a semicolon", "5;"],
        ["empty", ""],
        ["a superscript digit", "\xb2"],
        ["an Arabic digit", "\xd9\xa5"],
        ["a no-break space", "5\xa0"],
        ["2^64 + 5", "18446744073709551621"],
        ["2^63", "9223372036854775808"],
        ["2^53 + 1", "9007199254740993"],
      ] as const
    ).map(
      ([name, value]): Draft => [
        name,
        post([`Content-Length: ${value}`], `hello${HIDDEN}`),
        "ERR_LENGTH_INVALID",
        NUMBER,
      ],
    ),
    ["a form feed", post(["Content-Length: \x0c5"], `hello${HIDDEN}`), "ERR_FIELD_VALUE", NUMBER],
    ["NUL behind", post(["Content-Length: 5\x000"], `hello${HIDDEN}`), "ERR_FIELD_VALUE", NUMBER],
    [
      "whitespace around it",
      post(["Content-Length:\t 5 \t"], "hello"),
      ["POST /a hello"],
      "legal: whitespace around a value is no part of it",
    ],
  ]),

  ...payloads("CL.0, 0.CL and TE.0", [
    [
      "CL.0: a body where servers expect none",
      `GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: ${HIDDEN_BYTES}\r\n\r\n${HIDDEN}`,
      [`GET /a ${HIDDEN}`],
      "the length holds for every method; the body is forwarded as one, with its length",
    ],
    [
      "TE.0: a chunked body of OPTIONS",
      `OPTIONS * HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`,
      ["OPTIONS * hello"],
      "the coding holds for every method",
    ],
    [
      "a body of CONNECT",
      `CONNECT a:443 HTTP/1.1\r\nHost: a\r\nContent-Length: ${HIDDEN_BYTES}\r\n\r\n${HIDDEN}`,
      "ERR_CONNECT_WITH_BODY",
      "what follows is a body to one server and the tunnel's first bytes to another",
    ],
    [
      "0.CL: a length in an absolute target's query",
      "GET /a?x=1%0d%0aContent-Length:%205 HTTP/1.1\r\nHost: a\r\n\r\n",
      ["GET /a?x=1%0d%0aContent-Length:%205 "],
      "percent-encodings are not decoded into lines",
    ],
    [
      "an expectation with a prefix",
      post(["Expect: y 100-continue", "Content-Length: 5"], "hello"),
      "ERR_EXPECTATION",
      "a server that finds 100-continue within the value waits, and another does not",
    ],
    [
      "an expectation in a list",
      post(["Expect: 100-continue, x", "Content-Length: 5"], "hello"),
      "ERR_EXPECTATION",
      "an expectation that we cannot meet",
    ],
    [
      "pipelined behind a length of 0",
      post(["Content-Length: 0"], "GET /next HTTP/1.1\r\nHost: a\r\n\r\n"),
      ["POST /a ", "GET /next "],
      "no trick: two requests, and each server sees two",
    ],
  ]),

  {
    name: "a length that is longer than what comes",
    family: "CL value",
    bytes: post([`Content-Length: ${HIDDEN_BYTES + 1}`], HIDDEN),
    accepted: [],
    begun: "POST /a",
    refused: null,
    afterwards: "waits",
    why: "a request in a body is a body: its last byte is waited for, whoever waits with us",
  },
];
