/** Chunks: sizes, extensions, the ends of data, trailers. */
import {
  chunkedPost,
  type Draft,
  HIDDEN,
  HIDDEN_BYTES,
  payloads,
  refusedInBody,
  type SmugglingRequest,
} from "./shape.ts";

export const CHUNKS: readonly SmugglingRequest[] = [
  ...refusedInBody("chunk size", [
    ...(
      [
        ["0x prefix", "0x5"],
        ["a plus sign", "+5"],
        ["a minus sign", "-5"],
        ["a space behind", "5 "],
        ["a space before", " 5"],
        ["a tab behind", "5\t"],
        ["an underscore", "5_0"],
        ["a comma", "5,"],
        ["a letter behind", "5x"],
        ["empty", ""],
        ["2^64 + 5", "10000000000000005"],
        ["2^32 + 5 with leading zeros", "000000000100000005"],
        ["NUL behind", "5\x00"],
        ["a vertical tab before", "\x0b5"],
        ["quoted", '"5"'],
      ] as const
    ).map(
      ([name, size]): Draft => [
        name,
        chunkedPost(`${size}\r\nhello\r\n0\r\n\r\n${HIDDEN}`),
        "ERR_CHUNK_SIZE",
        "servers differ in what they take for a size",
      ],
    ),
  ]),

  ...refusedInBody("chunk extension", [
    [
      "TERM.EXT: LF ends the line for one server",
      chunkedPost(`2;\nxx\r\n32\r\n0\r\n\r\n${HIDDEN}`),
      "ERR_BARE_LF",
      "one server ends the line at LF, another reads on to CRLF as part of the extension",
    ],
    [
      "EXT.TERM: LF within an extension",
      chunkedPost(`2;a\nb\r\nxx\r\n0\r\n\r\n${HIDDEN}`),
      "ERR_BARE_LF",
      "the same the other way round",
    ],
    [
      "LF in a quoted string",
      chunkedPost(`2;a="\n"\r\nxx\r\n0\r\n\r\n${HIDDEN}`),
      "ERR_BARE_LF",
      "a reader that honours quotes goes on, another has the line's end",
    ],
    [
      "CRLF in a quoted string",
      chunkedPost(`2;a="\r\nxx"\r\nxx\r\n0\r\n\r\n${HIDDEN}`),
      "ERR_CHUNK_EXTENSION",
      "a reader that honours quotes goes on, another has the line's end",
    ],
    [
      "CR within an extension",
      chunkedPost(`2;a\rb\r\nxx\r\n0\r\n\r\n${HIDDEN}`),
      "ERR_BARE_CR",
      "some servers end lines at CR",
    ],
    [
      "a size hidden in one",
      chunkedPost(`0;\r\n\r\n${HIDDEN}`),
      "ERR_CHUNK_EXTENSION",
      "an extension without a name is skipped by some and refused by others",
    ],
    [
      "NUL within",
      chunkedPost(`2;a\x00b\r\nxx\r\n0\r\n\r\n${HIDDEN}`),
      "ERR_CHUNK_EXTENSION",
      "a string of C ends at NUL",
    ],
    [
      "too long",
      chunkedPost(`2;${"a".repeat(300)}\r\nxx\r\n0\r\n\r\n${HIDDEN}`),
      "ERR_CHUNK_LINE_TOO_LONG",
      "a server that gives up within a line may go on behind it",
    ],
    [
      "more of them than data (CVE-2023-39326)",
      chunkedPost(`${`1;${"a".repeat(200)}\r\nx\r\n`.repeat(200)}0\r\n\r\n`),
      "ERR_CHUNK_OVERHEAD",
      "a body of one byte a line makes us read two hundred for each",
    ],
  ]),

  ...refusedInBody("chunk end", [
    [
      "TERM.SPILL: LF behind the data",
      chunkedPost(`5\r\nhello\n0\r\n\r\n${HIDDEN}`),
      "ERR_CHUNK_END",
      "one server takes LF for the end of a chunk, another skips two bytes",
    ],
    [
      "SPILL.TERM: other bytes behind the data",
      chunkedPost(`5\r\nhelloXX0\r\n\r\n${HIDDEN}`),
      "ERR_CHUNK_END",
      "a server that skips two bytes does not see what they are",
    ],
    [
      "nothing behind the data",
      chunkedPost(`5\r\nhello0\r\n\r\n${HIDDEN}`),
      "ERR_CHUNK_END",
      "a server that does not insist on CRLF reads the next size at once",
    ],
    [
      "CR behind the data",
      chunkedPost(`5\r\nhello\r0\r\n\r\n${HIDDEN}`),
      "ERR_BARE_CR",
      "some servers end lines at CR",
    ],
    [
      "data longer than its size",
      chunkedPost(`3\r\nhello\r\n0\r\n\r\n${HIDDEN}`),
      "ERR_CHUNK_END",
      "where does it end?",
    ],
    [
      "LF behind the size",
      chunkedPost(`5\nhello\r\n0\r\n\r\n${HIDDEN}`),
      "ERR_BARE_LF",
      "some servers end lines at LF",
    ],
    ["LF at the end", chunkedPost(`0\r\n\n${HIDDEN}`), "ERR_BARE_LF", "some servers end the body here"],
    ["CR at the end", chunkedPost(`0\r\n\r${HIDDEN}`), "ERR_BARE_CR", "some servers end the body here"],
    [
      "the next request in the place of trailers",
      chunkedPost(`0\r\n${HIDDEN}`),
      "ERR_SPACE_IN_NAME",
      "a server that stops at the last chunk takes this for the next request",
    ],
  ]),

  ...refusedInBody("trailer", [
    ["a space before the colon", chunkedPost(`0\r\nA : b\r\n\r\n${HIDDEN}`), "ERR_SPACE_IN_NAME", "as in a head"],
    ["folded", chunkedPost(`0\r\nA: b\r\n c\r\n\r\n${HIDDEN}`), "ERR_OBS_FOLD", "as in a head"],
    ["LF alone", chunkedPost(`0\r\nA: b\n\r\n${HIDDEN}`), "ERR_BARE_LF", "as in a head"],
    ["NUL", chunkedPost(`0\r\nA: \x00\r\n\r\n${HIDDEN}`), "ERR_FIELD_VALUE", "as in a head"],
  ]),
  ...payloads("trailer", [
    [
      "a length among the trailers",
      chunkedPost(`5\r\nhello\r\n0\r\nContent-Length: 999\r\nHost: evil\r\n\r\n`),
      ["POST /a hello"],
      "dropped: a server that merges trailers into the head would believe them",
    ],
    [
      "credentials among the trailers",
      chunkedPost(`5\r\nhello\r\n0\r\nAuthorization: Basic eDp5\r\nX-Forwarded-For: 127.0.0.1\r\n\r\n`),
      ["POST /a hello"],
      "dropped: a server that merges trailers into the head would believe them",
    ],
  ]),

  {
    name: "a chunk that is longer than what comes",
    family: "chunk size",
    bytes: chunkedPost(`${(HIDDEN_BYTES + 1).toString(16)}\r\n${HIDDEN}`),
    accepted: [],
    begun: "POST /a",
    refused: null,
    afterwards: "waits",
    why: "a request in a chunk is data",
  },
];
