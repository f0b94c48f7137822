/**
 * Responses that an upstream could desynchronise the next ones with, or that a client and we could read differently.
 */
import type { SmugglingFamily, SmugglingResponse } from "./shape.ts";

/** A response that nobody asked for. */
const UNASKED = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhidden";

function ok(lines: readonly string[], rest = "", version = "1.1"): string {
  return `HTTP/${version} 200 OK\r\n${lines.map((line) => `${line}\r\n`).join("")}\r\n${rest}`;
}

type Draft = readonly [
  family: SmugglingFamily,
  name: string,
  bytes: string,
  verdict: string | readonly string[],
  why: string,
];

function answersTo(method: "GET" | "HEAD", drafts: readonly Draft[], begun: number | null = null): SmugglingResponse[] {
  return drafts.map(([family, name, bytes, verdict, why]) => ({
    ...{ name, family, method, bytes, why, begun },
    accepted: typeof verdict === "string" ? [] : verdict,
    refused: typeof verdict === "string" ? { error: verdict } : null,
  }));
}

const CHUNKED = ["Transfer-Encoding: chunked"];

export const RESPONSES: readonly SmugglingResponse[] = [
  ...answersTo("GET", [
    [
      "CL.TE and TE.CL",
      "both fields",
      ok(["Content-Length: 5", ...CHUNKED], `0\r\n\r\n${UNASKED}`),
      "ERR_LENGTH_AND_CODING",
      "the client may choose the other one",
    ],
    [
      "CL.CL",
      "two lengths",
      ok(["Content-Length: 5", "Content-Length: 6"], "hello"),
      "ERR_LENGTH_REPEATED",
      "which one?",
    ],
    ["CL.CL", "a list of lengths", ok(["Content-Length: 5, 5"], "hello"), "ERR_LENGTH_INVALID", "which one?"],
    ["CL value", "a plus sign", ok(["Content-Length: +5"], "hello"), "ERR_LENGTH_INVALID", "not a number to all"],
    ["CL value", "negative", ok(["Content-Length: -1"], "hello"), "ERR_LENGTH_INVALID", "some read until the end"],
    ["CL value", "empty", ok(["Content-Length:"], "hello"), "ERR_LENGTH_INVALID", "0 to some, no length to others"],
    ["TE.TE", "an unknown coding", ok(["Transfer-Encoding: x"], "hello"), "ERR_CODING_UNKNOWN", "we cannot decode it"],
    [
      "TE.TE",
      "identity",
      ok(["Transfer-Encoding: identity"], "hello"),
      "ERR_CODING_UNKNOWN",
      "removed from HTTP by RFC 7230; where the body ends differs",
    ],
    [
      "TE.TE",
      "chunked twice",
      ok([...CHUNKED, ...CHUNKED], "0\r\n\r\n"),
      "ERR_CODING_REPEATED",
      "decoded once by some, twice by others",
    ],
    ["TE.TE", "chunked not last", ok(["Transfer-Encoding: chunked, gzip"], "x"), "ERR_CODING_UNKNOWN", "ends when?"],
    [
      "version",
      "chunked in HTTP/1.0",
      ok(CHUNKED, "5\r\nhello\r\n0\r\n\r\n", "1.0"),
      "ERR_CODING_IN_HTTP10",
      "RFC 9112 section 6.1 calls the framing faulty",
    ],
    ["version", "HTTP/2", "HTTP/2.0 200 OK\r\n\r\n", "ERR_VERSION_UNSUPPORTED", "the framing of another protocol"],
    ["version", "HTTP/0.9", "<html>hello</html>", "ERR_STATUS_LINE", "no head at all"],
    ["version", "lower case", "http/1.1 200 OK\r\n\r\nhello", "ERR_STATUS_LINE", "HTTP/0.9 to some"],
    ["line end", "LF for all", "HTTP/1.1 200 OK\nX: y\n\nhello", "ERR_BARE_LF", "the head ends elsewhere for others"],
    [
      "line end",
      "CR in a value",
      ok(["X: y\rSet-Cookie: session=evil", "Content-Length: 5"], "hello"),
      "ERR_BARE_CR",
      "response splitting, for a client that ends lines at CR",
    ],
    [
      "line end",
      "LF in a value",
      ok(["X: y\nSet-Cookie: session=evil", "Content-Length: 5"], "hello"),
      "ERR_BARE_LF",
      "response splitting, for a client that ends lines at LF",
    ],
    ["line end", "NUL in a value", ok(["X: a\x00b"]), "ERR_FIELD_VALUE", "a string of C ends at NUL"],
    ["line end", "CR in the reason", "HTTP/1.1 200 O\rK\r\n\r\n", "ERR_BARE_CR", "some end lines at CR"],
    [
      "line end",
      "an empty line before it",
      `\r\n${UNASKED}`,
      "ERR_STATUS_LINE",
      "left over from a body we did not expect",
    ],
    ["folding", "a folded value", ok(["X: y", " z"]), "ERR_OBS_FOLD", "one client joins the lines, another does not"],
    [
      "field name",
      "a space before the colon",
      ok(["Content-Length : 5"], "hello"),
      "ERR_SPACE_IN_NAME",
      "repaired by some",
    ],
    ["field name", "NUL", ok(["Content-Length\x00: 5"], "hello"), "ERR_FIELD_NAME", "repaired by some"],
    ["request line", "no status", "HTTP/1.1 OK\r\n\r\n", "ERR_STATUS_LINE", "no client knows what it means"],
    ["request line", "four digits", "HTTP/1.1 2000 OK\r\n\r\n", "ERR_STATUS_LINE", "200 to some"],
    [
      "CL.0, 0.CL and TE.0",
      "204 with a body",
      "HTTP/1.1 204 No Content\r\nContent-Length: 70\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhidden",
      ["204 ", "200 hidden"],
      "204 has none: what follows answers nothing, and its connection is not used again",
    ],
    [
      "CL.0, 0.CL and TE.0",
      "304 with a body",
      `HTTP/1.1 304 Not Modified\r\nContent-Length: 51\r\n\r\n${UNASKED}`,
      ["304 ", "200 hidden"],
      "304 has none: what follows answers nothing, and its connection is not used again",
    ],
    [
      "CL.0, 0.CL and TE.0",
      "103 with a length",
      `HTTP/1.1 103 Early Hints\r\nContent-Length: 51\r\n\r\n${ok(["Content-Length: 5"], "hello")}`,
      ["103 ", "200 hello"],
      "an interim response has no body: the final one begins behind its head",
    ],
    [
      "CL.0, 0.CL and TE.0",
      "two responses",
      ok(["Content-Length: 5"], `hello${UNASKED}`),
      ["200 hello", "200 hidden"],
      "the second answers nothing: it must not become the next client's answer",
    ],
    [
      "trailer",
      "a cookie among the trailers",
      ok(CHUNKED, "5\r\nhello\r\n0\r\nSet-Cookie: session=evil\r\nContent-Length: 1\r\n\r\n"),
      ["200 hello"],
      "dropped: a client that merges trailers into the head would believe them",
    ],
  ]),

  ...answersTo("HEAD", [
    [
      "CL.0, 0.CL and TE.0",
      "a body in answer to HEAD",
      `HTTP/1.1 200 OK\r\nContent-Length: 51\r\n\r\n${UNASKED}`,
      ["200 ", "200 hidden"],
      "there is none: what follows answers nothing, and its connection is not used again",
    ],
    [
      "CL.TE and TE.CL",
      "both fields in answer to HEAD",
      ok(["Content-Length: 5", ...CHUNKED]),
      "ERR_LENGTH_AND_CODING",
      "the length would be forwarded, and kept by caches",
    ],
  ]),

  ...answersTo(
    "GET",
    [
      ["chunk size", "a plus sign", ok(CHUNKED, "+5\r\nhello\r\n0\r\n\r\n"), "ERR_CHUNK_SIZE", "not a size to all"],
      ["chunk size", "spaces behind", ok(CHUNKED, "5  \r\nhello\r\n0\r\n\r\n"), "ERR_CHUNK_SIZE", "not a size to all"],
      ["chunk size", "LF behind", ok(CHUNKED, "5\nhello\r\n0\r\n\r\n"), "ERR_BARE_LF", "not a line to all"],
      ["chunk size", "2^64 + 5", ok(CHUNKED, "10000000000000005\r\nhello\r\n0\r\n\r\n"), "ERR_CHUNK_SIZE", "5 to some"],
      [
        "chunk extension",
        "LF within",
        ok(CHUNKED, "5;a\nb\r\nhello\r\n0\r\n\r\n"),
        "ERR_BARE_LF",
        "not one line to all",
      ],
      [
        "chunk end",
        "no CRLF behind the data",
        ok(CHUNKED, "5\r\nhello0\r\n\r\n"),
        "ERR_CHUNK_END",
        "not an end to all",
      ],
      ["chunk end", "a second response for trailers", ok(CHUNKED, `0\r\n${UNASKED}`), "ERR_FIELD_NAME", "no trailers"],
    ],
    200,
  ),
];
