// What a ClientHello says, whether it comes in one record or in many, and every way in which one is refused. All of them are
// read whole, then byte by byte, with other bytes around them.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  alpn,
  clientHello,
  extension,
  type HelloParts,
  records,
  serverName,
  vector,
} from "../../../test/support/client-hello-bytes.ts";
import * as errors from "./errors.ts";
import { CLIENT_HELLO_BYTES_MAX, ClientHello, parseClientHello } from "./parse.ts";

interface Read {
  /** Its bytes, the name of an error, or "incomplete". */
  outcome: number | string;
  serverName: string | null;
  alpn: readonly string[];
  hasEncryptedClientHello: boolean;
}

const NOTHING = { serverName: null, alpn: [], hasEncryptedClientHello: false };

function readPart(bytes: Buffer, length: number): Read {
  const hello = new ClientHello();
  Object.assign(hello, { serverName: "stale", alpn: ["stale"], hasEncryptedClientHello: true });
  const framed = Buffer.concat([Buffer.of(22, 3, 3), bytes.subarray(0, length), Buffer.of(22, 3, 1, 0, 1, 1)]);
  const found = parseClientHello(framed, 3, 3 + length, hello);
  const name = Object.entries(errors).find(([key, value]) => key.startsWith("ERR_") && value === found)?.[0];
  assert.ok(found >= 0 || name !== undefined, `${found} is no error`);
  return { ...hello, outcome: found > 0 ? found : (name ?? "incomplete") };
}

/** Whole; and the first verdict on a beginning of it, which must be the same one. */
function read(bytes: Buffer): Read {
  const whole = readPart(bytes, bytes.length);
  for (let length = 0; length <= bytes.length; length++) {
    const part = readPart(bytes, length);
    if (part.outcome === "incomplete" && length < bytes.length) {
      assert.deepEqual(part, { ...NOTHING, outcome: "incomplete" });
      continue;
    }
    assert.deepEqual(part, whole, `after ${length} bytes`);
    if (typeof part.outcome === "number") assert.equal(part.outcome, length);
    break;
  }
  return whole;
}

const hello = (...extensions: readonly Uint8Array[]) => clientHello({ extensions });
const readMessage = (message: Buffer) => read(records(message));

/** A value of GREASE (RFC 8701). */
const grease = (index: number) => 0x0a0a + 0x1010 * index;

describe("a ClientHello", () => {
  it("tells the name, the protocols and whether it may be encrypted", () => {
    const message = hello(
      extension(grease(1), Buffer.alloc(0)),
      serverName("a.example"),
      extension(43, vector(1, Buffer.of(3, 4))),
      alpn("h2", "http/1.1", "\x0a\x0a"),
      extension(0xfe0d, Buffer.alloc(200, 1)),
      extension(grease(7), Buffer.of(0)),
    );
    assert.deepEqual(readMessage(message), {
      outcome: message.length + 5,
      serverName: "a.example",
      alpn: ["h2", "http/1.1", "\x0a\x0a"],
      hasEncryptedClientHello: true,
    });
  });

  it("may tell nothing", () => {
    const few: HelloParts[] = [{}, { extensions: null }, { sessionId: Buffer.alloc(0), extensions: [] }];
    for (const parts of few) {
      const message = clientHello(parts);
      assert.deepEqual(readMessage(message), { ...NOTHING, outcome: message.length + 5 });
    }
  });

  it("may be in records of any sizes", () => {
    const message = hello(serverName("a.example"), alpn("h2"));
    const whole = readMessage(message);
    for (const sizes of [[1], [3], [4], [5], [1, 200], [message.length - 1], [7, 1, 30]]) {
      const bytes = records(message, sizes);
      assert.deepEqual(read(bytes), { ...whole, outcome: bytes.length }, `${sizes}`);
    }
    for (let at = 1; at < message.length; at++) {
      const bytes = records(message, [at]);
      assert.equal(readPart(bytes, bytes.length).serverName, "a.example");
    }
  });

  it("may be followed by other records, which it does not look at", () => {
    const bytes = records(hello(serverName("a.example")));
    const more = Buffer.concat([bytes, Buffer.of(20, 3, 3, 0, 1, 1, 23, 9, 9)]);
    assert.equal(readPart(more, more.length).outcome, bytes.length);
  });

  it("has records of any minor version", () => {
    for (const minor of [0, 1, 3, 4, 255]) {
      const bytes = records(hello(serverName("a.example")));
      bytes[2] = minor;
      assert.equal(read(bytes).serverName, "a.example");
    }
  });
});

describe("what does not begin with TLS", () => {
  const beginnings = [
    "GET / HTTP/1.1\r\n",
    "SSH-2.0-x\r\n",
    "\0",
    "\x15\x03\x01",
    "\x17\x03\x03",
    "\x16\x02\x01",
    "\x16GET",
  ];
  // A ClientHello of SSLv2: length with its highest bit set, type 1, version 3.1 (RFC 5246, appendix E.2).
  for (const text of [...beginnings, "\x80\x2e\x01\x03\x01\x00\x15", "\x05\x01\x00"]) {
    it(`is told apart: ${JSON.stringify(text)}`, () => {
      assert.deepEqual(read(Buffer.from(text, "latin1")), { ...NOTHING, outcome: "ERR_NOT_TLS" });
    });
  }
});

describe("records", () => {
  const message = hello(serverName("a.example"));
  const refused: [bytes: Buffer, error: string, why: string][] = [
    [Buffer.of(22, 3, 1, 0, 0, 22, 3, 1), "ERR_RECORD", "empty"],
    [Buffer.of(22, 3, 1, 0x40, 1, 1), "ERR_RECORD", "longer than a record may be"],
    [Buffer.of(22, 3, 1, 0xff, 0xff, 1), "ERR_RECORD", "the longest length there is"],
    [
      Buffer.concat([records(message.subarray(0, 20)), Buffer.of(21, 3, 1, 0, 2, 1, 0)]),
      "ERR_RECORD",
      "an alert between",
    ],
    [Buffer.concat([records(message.subarray(0, 20)), Buffer.of(22, 2)]), "ERR_RECORD", "another version between"],
    [
      Buffer.concat([records(message.subarray(0, 20)), Buffer.of(22, 3, 1, 0, 0)]),
      "ERR_RECORD",
      "an empty one between",
    ],
    [records(Buffer.of(2, 0, 0, 38)), "ERR_NOT_CLIENT_HELLO", "a ServerHello"],
    [records(Buffer.of(0, 0, 0, 0)), "ERR_NOT_CLIENT_HELLO", "a HelloRequest"],
    [records(Buffer.concat([message, Buffer.of(1)])), "ERR_NOT_CLIENT_HELLO", "a byte behind the message"],
    [records(Buffer.concat([message, message])), "ERR_NOT_CLIENT_HELLO", "two messages in one"],
    [
      records(Buffer.concat([message, Buffer.of(1)]), [10, 500]),
      "ERR_NOT_CLIENT_HELLO",
      "a byte behind, in the second",
    ],
    [records(Buffer.of(1, 0, 0x40, 0)), "ERR_TOO_LARGE", "a message that would be too large"],
    [records(Buffer.of(1, 0xff, 0xff, 0xff)), "ERR_TOO_LARGE", "the longest message there is"],
    [records(Buffer.of(1, 0xff, 0xff, 0xff), [1]), "ERR_TOO_LARGE", "the same in small pieces"],
  ];
  for (const [bytes, error, why] of refused) {
    it(`are refused: ${why} (${error})`, () => assert.deepEqual(read(bytes), { ...NOTHING, outcome: error }));
  }

  it("may be as many bytes as the limit and no more, however they are cut", () => {
    const padded = (bytes: number) =>
      hello(extension(21, Buffer.alloc(bytes - hello(extension(21, Buffer.alloc(0))).length)));
    const full = records(padded(CLIENT_HELLO_BYTES_MAX - 5));
    assert.equal(readPart(full, full.length).outcome, CLIENT_HELLO_BYTES_MAX);
    assert.equal(readPart(full, full.length - 1).outcome, "incomplete");
    assert.equal(read(records(padded(CLIENT_HELLO_BYTES_MAX - 4))).outcome, "ERR_TOO_LARGE");
    // Six bytes a record: a flood of headers is as large as one of content.
    const pieces = Math.floor(CLIENT_HELLO_BYTES_MAX / 6);
    const small = records(padded(pieces), [1]);
    assert.equal(readPart(small, small.length).outcome, small.length);
    const flood = records(padded(pieces + 1), [1]);
    assert.equal(readPart(flood, flood.length).outcome, "ERR_TOO_LARGE");
    assert.equal(readPart(flood, CLIENT_HELLO_BYTES_MAX).outcome, "incomplete");
  });
});

describe("the lengths within a ClientHello", () => {
  const body = (...parts: readonly Uint8Array[]) => Buffer.concat([Buffer.of(1), vector(3, ...parts)]);
  const fixed = Buffer.concat([Buffer.of(3, 3), Buffer.alloc(32)]);
  const refused: [message: Buffer, why: string][] = [
    [body(), "nothing"],
    [body(fixed.subarray(1)), "a short random"],
    [body(fixed), "no session id"],
    [clientHello({ sessionId: Buffer.alloc(33) }), "a session id of 33 bytes"],
    [body(fixed, Buffer.of(32, 1)), "a short session id"],
    [body(fixed, Buffer.of(0, 0)), "half the length of the cipher suites"],
    [clientHello({ suites: Buffer.alloc(0) }), "no cipher suites"],
    [clientHello({ suites: Buffer.alloc(3) }), "one and a half cipher suites"],
    [body(fixed, Buffer.of(0, 0xff, 0xfe, 1)), "cipher suites beyond the end"],
    [body(fixed, Buffer.of(0, 0, 2, 1, 1)), "no compressions"],
    [clientHello({ compressions: Buffer.alloc(0) }), "an empty list of compressions"],
    [body(fixed, Buffer.of(0, 0, 2, 1, 1, 2, 0)), "compressions beyond the end"],
    [body(fixed, Buffer.of(0, 0, 2, 1, 1, 1, 0, 0)), "half the length of the extensions"],
    [body(fixed, Buffer.of(0, 0, 2, 1, 1, 1, 0, 0, 1)), "extensions beyond the end"],
    [clientHello({ behind: Buffer.of(0) }), "a byte behind the extensions"],
    [clientHello({ extensions: [Buffer.of(0, 1, 0)] }), "an extension without its length"],
    [clientHello({ extensions: [Buffer.of(0, 1, 0, 1)] }), "an extension without its content"],
    [clientHello({ extensions: [Buffer.of(0, 1, 0xff, 0xff, 1)] }), "an extension beyond the end"],
  ];
  for (const [message, why] of refused) {
    it(`do not add up: ${why}`, () => assert.deepEqual(readMessage(message), { ...NOTHING, outcome: "ERR_LENGTHS" }));
  }
});

describe("extensions", () => {
  it("may not be there twice", () => {
    for (const twice of [
      serverName("a.example"),
      alpn("h2"),
      extension(1, Buffer.of(1)),
      extension(0x0a0a, Buffer.of()),
    ]) {
      const message = hello(serverName("b.example").fill(9, 0, 2), twice, alpn("x").fill(8, 0, 2), twice);
      assert.deepEqual(readMessage(message), { ...NOTHING, outcome: "ERR_EXTENSION_REPEATED" });
    }
  });
});

describe("a server name", () => {
  const names = ["a", "a.example", "xn--bcher-kva.example", "_dmarc.a.example", "a-b.c", "1.example", "1a", "a.0x1g"];
  for (const name of [...names, `${"a".repeat(63)}.${"b".repeat(63)}.${"c".repeat(63)}.${"d".repeat(61)}`]) {
    it(`may be ${name}`, () => assert.equal(readMessage(hello(serverName(name))).serverName, name));
  }

  it("is given in lower case", () => {
    assert.equal(readMessage(hello(serverName("WWW.A.Example"))).serverName, "www.a.example");
  });

  const invalid = ["", ".", "a.", ".a", "a..b", "a b", "a\0", "a\0.example", "a:443", "a/b", "a@b", "*.a", "é.example"];
  const addresses = ["127.0.0.1", "1.2.3", "::1", "[::1]", "2130706433", "0x7f.1", "0x7F000001", "a.1", "a.0x"];
  const tooLong = ["a".repeat(64), `${"a.".repeat(127)}`.slice(0, -1).concat("aa")];
  for (const name of [...invalid, ...addresses, ...tooLong, "a\r\nb", "a\xff"]) {
    it(`may not be ${JSON.stringify(name)}`, () => {
      assert.deepEqual(readMessage(hello(serverName(name))), { ...NOTHING, outcome: "ERR_SERVER_NAME" });
    });
  }

  const entry = (type: number, name: string) => Buffer.concat([Buffer.of(type), vector(2, Buffer.from(name))]);
  const lists: [content: Uint8Array, why: string][] = [
    [Buffer.of(), "an empty extension, as a server answers"],
    [Buffer.of(0, 0), "an empty list"],
    [vector(2, entry(0, "a.example"), entry(0, "b.example")), "two names"],
    [vector(2, entry(0, "a.example"), entry(0, "a.example")), "the same name twice"],
    [vector(2, entry(0, "a.example"), entry(1, "b.example")), "another name of a type that does not exist"],
    [vector(2, entry(1, "a.example")), "only a type that does not exist"],
    [Buffer.concat([vector(2, entry(0, "a.example")), Buffer.of(0)]), "a byte behind the list"],
    [vector(2, entry(0, "a.example"), Buffer.of(0)), "a byte behind the name"],
    [vector(2, entry(0, "a.example").subarray(0, 8)), "a name beyond the end"],
    [Buffer.of(0, 9, 0, 0, 1, 97), "a list beyond the end"],
  ];
  for (const [content, why] of lists) {
    it(`stands alone in its list: ${why}`, () => {
      const message = hello(alpn("h2"), extension(0, content), extension(0xfe0d, Buffer.of(0)));
      assert.deepEqual(readMessage(message), { ...NOTHING, outcome: "ERR_SERVER_NAME" });
    });
  }
});

describe("ALPN", () => {
  const malformed: [content: Uint8Array, why: string][] = [
    [Buffer.of(), "nothing"],
    [Buffer.of(0, 0), "an empty list"],
    [vector(2, Buffer.of(0)), "an empty name"],
    [vector(2, Buffer.of(2, 104, 50, 0)), "an empty name behind another"],
    [vector(2, Buffer.of(3, 104, 50)), "a name beyond the end"],
    [Buffer.of(0, 4, 2, 104, 50), "a list beyond the end"],
    [Buffer.of(0, 3, 2, 104, 50, 0), "a byte behind the list"],
  ];
  for (const [content, why] of malformed) {
    it(`is refused: ${why}`, () => {
      const message = hello(serverName("a.example"), extension(16, content));
      assert.deepEqual(readMessage(message), { ...NOTHING, outcome: "ERR_ALPN" });
    });
  }
});

describe("errors of a ClientHello", () => {
  it("have a sentence each, and are the client's", () => {
    const codes = Object.entries(errors).flatMap(([name, value]) => (name.startsWith("ERR_") ? [value as number] : []));
    assert.deepEqual(
      codes.toSorted((a, b) => b - a),
      errors.CLIENT_HELLO_ERRORS.map((_, index) => -1 - index),
    );
    assert.equal(new Set(errors.CLIENT_HELLO_ERRORS).size, codes.length);
    for (const code of codes) {
      const { type, side, status } = errors.clientHelloError(code);
      assert.deepEqual([type, side, status], ["tls_protocol_error", "client", 400]);
    }
    for (const code of [0, 1, -1 - codes.length, Number.NaN])
      assert.throws(() => errors.clientHelloError(code), RangeError);
  });
});
