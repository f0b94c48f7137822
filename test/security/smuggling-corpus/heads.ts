/** Heads: names, line ends, folding, request lines, versions, hosts, methods, and what Connection names. */
import { type Draft, HIDDEN, HIDDEN_BYTES, payloads, post, type SmugglingRequest } from "./shape.ts";

export const HEADS: readonly SmugglingRequest[] = [
  ...payloads("field name", [
    ...(
      [
        ["a space before the colon", "Transfer-Encoding : chunked", "ERR_SPACE_IN_NAME"],
        ["a tab before the colon", "Transfer-Encoding\t: chunked", "ERR_SPACE_IN_NAME"],
        ["a space within", "Transfer Encoding: chunked", "ERR_SPACE_IN_NAME"],
        ["a word before", "Foo Content-Length: 5", "ERR_SPACE_IN_NAME"],
        ["a vertical tab before the colon", "Transfer-Encoding\x0b: chunked", "ERR_FIELD_NAME"],
        ["NUL before the colon", "Content-Length\x00: 5", "ERR_FIELD_NAME"],
        ["a no-break space before the colon", "Content-Length\xa0: 5", "ERR_FIELD_NAME"],
        ["a control before the name", "\x01Transfer-Encoding: chunked", "ERR_FIELD_NAME"],
        ["a byte order mark before the name", "\xef\xbb\xbfTransfer-Encoding: chunked", "ERR_FIELD_NAME"],
        ["a parenthesis", "(Transfer-Encoding: chunked", "ERR_FIELD_NAME"],
        ["quotes", '"Transfer-Encoding": chunked', "ERR_FIELD_NAME"],
        ["a semicolon for the colon", "Transfer-Encoding; chunked", "ERR_FIELD_NAME"],
        ["no colon", "Transfer-Encoding", "ERR_FIELD_NAME"],
        ["an empty name", ": chunked", "ERR_FIELD_NAME"],
        ["a colon before the name", ":Transfer-Encoding: chunked", "ERR_FIELD_NAME"],
        ["not ASCII", "Transfer-Encod\xc4\xb1ng: chunked", "ERR_FIELD_NAME"],
      ] as const
    ).map(
      ([name, line, error]): Draft => [
        name,
        post([line, "X: y"], `0\r\n\r\n${HIDDEN}`),
        error,
        "some servers repair or ignore such a line, and the field is there for one of two",
      ],
    ),
    [
      "an underscore",
      post(["Content_Length: 5", "Transfer_Encoding: chunked", "Content-Length: 5"], "hello"),
      ["POST /a hello"],
      "legal names of other fields: they frame nothing",
    ],
  ]),

  ...payloads("line end", [
    [
      "LF between fields",
      "POST /a HTTP/1.1\r\nHost: a\r\nX: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "ERR_BARE_LF",
      "LF ends the line for one server and is part of the value, or an error, for another",
    ],
    [
      "CR between fields",
      "POST /a HTTP/1.1\r\nHost: a\r\nX: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "ERR_BARE_CR",
      "CR ends the line for one server and is part of the value for another",
    ],
    [
      "LF for all",
      "GET /a HTTP/1.1\nHost: a\n\n",
      "ERR_BARE_LF",
      "RFC 9112 section 2.2 lets a server accept it; we do not",
    ],
    [
      "LF for the empty line",
      `POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\nhello${HIDDEN}`,
      "ERR_BARE_LF",
      "the head ends here for one server and goes on for another",
    ],
    [
      "CR CR LF",
      `POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\r\n\r\nhello${HIDDEN}`,
      "ERR_BARE_CR",
      "the first CR belongs to the value for one server",
    ],
    [
      "CR for the empty line",
      `POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: ${HIDDEN_BYTES}\r\n\r${HIDDEN}`,
      "ERR_BARE_CR",
      "the head ends here for one server and goes on for another",
    ],
    [
      "LF CR for the empty line",
      `POST /a HTTP/1.1\r\nHost: a\r\nX: y\n\r\n${HIDDEN}`,
      "ERR_BARE_LF",
      "the head ends here for one server and goes on for another",
    ],
    ["NUL in a value", post(["X: a\x00b"]), "ERR_FIELD_VALUE", "a string of C ends at NUL"],
    ["DEL in a value", post(["X: a\x7fb"]), "ERR_FIELD_VALUE", "no control may stand in a value"],
    ["ESC in a value", post(["X: a\x1b[31mb"]), "ERR_FIELD_VALUE", "it would speak to the terminal that shows a log"],
  ]),

  ...payloads("folding", [
    [
      "a folded coding",
      post(["Transfer-Encoding:", " chunked"], `0\r\n\r\n${HIDDEN}`),
      "ERR_OBS_FOLD",
      "one server joins the lines, another drops or keeps the second",
    ],
    [
      "a folded length",
      post(["Content-Length: 5", "\t0"], `hello${HIDDEN}`),
      "ERR_OBS_FOLD",
      "one server joins the lines, another drops or keeps the second",
    ],
    [
      "a field hidden in a fold",
      post(["X: y", " Transfer-Encoding: chunked"], `0\r\n\r\n${HIDDEN}`),
      "ERR_OBS_FOLD",
      "a server that trims lines sees a field where another sees more of a value",
    ],
    [
      "a space before the first field",
      `POST /a HTTP/1.1\r\n Host: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      "ERR_OBS_FOLD",
      "RFC 9112 section 2.2: between start line and first field there is no whitespace",
    ],
    [
      "a line of whitespace before the empty line",
      `POST /a HTTP/1.1\r\nHost: a\r\n \r\n${HIDDEN}`,
      "ERR_OBS_FOLD",
      "a server that trims lines ends the head here",
    ],
    [
      "a colon on the next line",
      post(["Transfer-Encoding", " : chunked"], `0\r\n\r\n${HIDDEN}`),
      "ERR_FIELD_NAME",
      "a server that joins lines first sees a whole field",
    ],
  ]),

  ...payloads("request line", [
    [
      "a second request line in the target",
      "GET /a HTTP/1.1 /hidden HTTP/1.1\r\nHost: a\r\n\r\n",
      "ERR_VERSION",
      "one server takes the first version, another the last space",
    ],
    ["a tab for a space", "GET\t/a HTTP/1.1\r\nHost: a\r\n\r\n", "ERR_METHOD", "servers differ in what separates"],
    ["two spaces", "GET  /a HTTP/1.1\r\nHost: a\r\n\r\n", "ERR_TARGET", "servers differ in what separates"],
    ["a space at the end", "GET /a HTTP/1.1 \r\nHost: a\r\n\r\n", "ERR_VERSION", "servers differ in what they trim"],
    ["a form feed in the target", "GET /a\x0cb HTTP/1.1\r\nHost: a\r\n\r\n", "ERR_TARGET", "whitespace for some"],
    ["NUL in the target", "GET /a\x00b HTTP/1.1\r\nHost: a\r\n\r\n", "ERR_TARGET", "a string of C ends at NUL"],
    ["a fragment", "GET /a#/hidden HTTP/1.1\r\nHost: a\r\n\r\n", "ERR_TARGET", "some route by what stands behind #"],
    [
      "bytes above ASCII",
      "GET /\xc0\xaf HTTP/1.1\r\nHost: a\r\n\r\n",
      "ERR_TARGET",
      "an overlong slash for some decoders",
    ],
    [
      "a relative target",
      "GET a HTTP/1.1\r\nHost: a\r\n\r\n",
      "ERR_TARGET_FORM",
      "joined to the host, it is another host",
    ],
    ["an at-sign as target", "GET @evil/ HTTP/1.1\r\nHost: a\r\n\r\n", "ERR_TARGET_FORM", "http://a@evil/ when joined"],
    ["whitespace before it", " GET /a HTTP/1.1\r\nHost: a\r\n\r\n", "ERR_METHOD", "servers differ in what they skip"],
    ["LF before it", "\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n", "ERR_BARE_LF", "servers differ in what they skip"],
    [
      "empty lines before it",
      "\r\n\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n",
      ["GET /a "],
      "RFC 9112 section 2.2: some clients send one behind a body",
    ],
  ]),
  ...payloads("version", [
    ["HTTP/0.9", "GET /a\r\nHost: a\r\n\r\n", "ERR_TARGET", "a server that answers HTTP/0.9 sends no head"],
    ["HTTP/0.9, spelled out", "GET /a HTTP/0.9\r\nHost: a\r\n\r\n", "ERR_VERSION_UNSUPPORTED", "as above"],
    ["HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "ERR_VERSION_UNSUPPORTED", "the preface of another protocol"],
    ["lower case", "GET /a http/1.1\r\nHost: a\r\n\r\n", "ERR_VERSION", "HTTP/0.9 or 1.0 for some"],
    ["another name", "GET /a HTTPX/1.1\r\nHost: a\r\n\r\n", "ERR_VERSION", "HTTP/0.9 or 1.0 for some"],
    ["too many digits", "GET /a HTTP/1.10\r\nHost: a\r\n\r\n", "ERR_VERSION", "1.1, or 1.10"],
    ["a leading zero", "GET /a HTTP/01.1\r\nHost: a\r\n\r\n", "ERR_VERSION_UNSUPPORTED", "0, or 1"],
    ["NUL behind it", "GET /a HTTP/1.1\x00\r\nHost: a\r\n\r\n", "ERR_VERSION", "a string of C ends at NUL"],
  ]),

  ...payloads("host", [
    [
      "an absolute target and another Host",
      "GET http://b/a HTTP/1.1\r\nHost: a\r\n\r\n",
      ["GET http://b/a "],
      "RFC 9112 section 3.2.2: the target decides, and Host is rewritten from it",
    ],
    [
      "an absolute target and no Host",
      "GET http://b/a HTTP/1.1\r\n\r\n",
      "ERR_HOST_MISSING",
      "Host is required all the same",
    ],
    [
      "an absolute target with userinfo",
      "GET http://a@b/ HTTP/1.1\r\nHost: a\r\n\r\n",
      "ERR_TARGET_AUTHORITY",
      "servers differ in which of the two is the host",
    ],
    [
      "an absolute target with a backslash",
      "GET http://b\\@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
      "ERR_TARGET_AUTHORITY",
      "servers differ in where the authority ends",
    ],
    ["another scheme", "GET file:///etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n", "ERR_TARGET_FORM", "only http and https"],
    ["two Hosts", "GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "ERR_HOST_REPEATED", "the first, or the last"],
    [
      "the same Host twice",
      "GET /a HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n",
      "ERR_HOST_REPEATED",
      "RFC 9112 section 3.2",
    ],
    ["no Host", "GET /a HTTP/1.1\r\n\r\n", "ERR_HOST_MISSING", "each server has another default"],
    ["an empty Host", "GET /a HTTP/1.1\r\nHost:\r\n\r\n", "ERR_HOST_INVALID", "each server has another default"],
    ["a list", "GET /a HTTP/1.1\r\nHost: a, b\r\n\r\n", "ERR_HOST_INVALID", "the first, the last, or none"],
    [
      "a path in Host",
      "GET /a HTTP/1.1\r\nHost: a/hidden?\r\n\r\n",
      "ERR_HOST_INVALID",
      "it moves when a URL is made of it",
    ],
    [
      "userinfo in Host",
      "GET /a HTTP/1.1\r\nHost: a@b\r\n\r\n",
      "ERR_HOST_INVALID",
      "servers differ in which is the host",
    ],
    ["a port that is none", "GET /a HTTP/1.1\r\nHost: a:80b\r\n\r\n", "ERR_HOST_INVALID", "a cache may key on it"],
    ["a space in Host", "GET /a HTTP/1.1\r\nHost: a b\r\n\r\n", "ERR_HOST_INVALID", "some stop at the space"],
    ["dots for a name", "GET /a HTTP/1.1\r\nHost: ..\r\n\r\n", "ERR_HOST_INVALID", "some make a folder's name of it"],
    [
      "Host with a space before the colon",
      "GET /a HTTP/1.1\r\nHost : a\r\n\r\n",
      "ERR_SPACE_IN_NAME",
      "ignored by some",
    ],
  ]),

  ...payloads("hop-by-hop", [
    [
      "Connection names the length",
      post(["Content-Length: 5", "Connection: Content-Length"], "hello"),
      ["POST /a hello"],
      "the body keeps its framing: the framing of what is forwarded is made anew",
    ],
    [
      "Connection names the coding",
      post(["Transfer-Encoding: chunked", "Connection: Transfer-Encoding"], "5\r\nhello\r\n0\r\n\r\n"),
      ["POST /a hello"],
      "the body keeps its framing: the framing of what is forwarded is made anew",
    ],
    [
      "Connection names Host",
      "GET /a HTTP/1.1\r\nHost: a\r\nConnection: Host\r\n\r\n",
      ["GET /a "],
      "Host is forwarded all the same",
    ],
  ]),

  ...payloads("method", [
    [
      "head in lower case",
      "head /a HTTP/1.1\r\nHost: a\r\n\r\n",
      "ERR_METHOD",
      "HEAD to some: they would send no body",
    ],
    ["Connect in mixed case", "Connect a:80 HTTP/1.1\r\nHost: a\r\n\r\n", "ERR_METHOD", "CONNECT to some: a tunnel"],
    ["NUL in the method", "GET\x00 /a HTTP/1.1\r\nHost: a\r\n\r\n", "ERR_METHOD", "a string of C ends at NUL"],
    [
      "CONNECT to a path",
      "CONNECT /a HTTP/1.1\r\nHost: a\r\n\r\n",
      "ERR_TARGET_FORM",
      "only authorities are connected to",
    ],
  ]),

  {
    name: "pipelined behind Connection: close",
    family: "hop-by-hop",
    bytes: post(["Content-Length: 5", "Connection: close"], `hello${HIDDEN}`),
    accepted: ["POST /a hello"],
    begun: null,
    refused: null,
    afterwards: "closed",
    why: "RFC 9112 section 9.6: what follows a request with the close option is no request",
  },
  {
    name: "pipelined behind an HTTP/1.0 request",
    family: "version",
    bytes: `GET /a HTTP/1.0\r\nHost: a\r\n\r\n${HIDDEN}`,
    accepted: ["GET /a "],
    begun: null,
    refused: null,
    afterwards: "closed",
    why: "an HTTP/1.0 connection ends after one request unless both sides keep it",
  },
];
