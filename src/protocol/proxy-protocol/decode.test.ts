// PROXY protocol headers: what they say, and every way in which one can be malformed. All of them are decoded whole, then
// byte by byte, with other bytes around them.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { proxyBinary, proxyHeader } from "../../../test/support/proxy-header.ts";
import type { Address } from "../../core/ports.ts";
import { decodeProxyHeader, PROXY_HEADER_BYTES_MAX, PROXY_LINE_BYTES_MAX, ProxyHeader } from "./decode.ts";
import * as errors from "./errors.ts";

const ipv4 = (address: string, port: number): Address => ({ family: 4, address, port });
const ipv6 = (address: string, port: number): Address => ({ family: 6, address, port });

interface Decoded {
  /** Its bytes, the name of an error, or "incomplete". */
  outcome: number | string;
  source: Address | null;
  destination: Address | null;
}

function decodePart(bytes: Buffer, length: number): Decoded {
  const header = new ProxyHeader();
  header.source = header.destination = ipv4("192.0.2.99", 9);
  const framed = Buffer.concat([Buffer.from("PROXY \n"), bytes.subarray(0, length), Buffer.from("\n\r\n")]);
  const found = decodeProxyHeader(framed, 7, 7 + length, header);
  const name = Object.entries(errors).find(([key, value]) => key.startsWith("ERR_") && value === found)?.[0];
  assert.ok(found >= 0 || name !== undefined, `${found} is no error`);
  return { ...header, outcome: found > 0 ? found : (name ?? "incomplete") };
}

/** Whole; and the first verdict on a beginning of it, which must be the same one. */
function decode(bytes: Buffer): Decoded {
  const whole = decodePart(bytes, bytes.length);
  for (let length = 0; length <= bytes.length; length++) {
    const part = decodePart(bytes, length);
    if (part.outcome === "incomplete") assert.deepEqual([part.source, part.destination], [null, null]);
    if (part.outcome === "incomplete" && length < bytes.length) continue;
    assert.deepEqual(part, whole, `after ${length} bytes`);
    if (typeof part.outcome === "number") assert.equal(part.outcome, length);
    break;
  }
  return whole;
}

const line = (text: string) => Buffer.from(text, "latin1");

describe("a header of version 1", () => {
  const accepted: [text: string, source: Address | null, destination: Address | null][] = [
    ["PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n", ipv4("192.0.2.1", 56_324), ipv4("192.0.2.2", 443)],
    [
      "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
      ...([ipv4("255.255.255.255", 65_535), ipv4("255.255.255.255", 65_535)] as const),
    ],
    ["PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", ipv4("0.0.0.0", 0), ipv4("0.0.0.0", 0)],
    ["PROXY TCP6 2001:DB8::1 ::1 1 2\r\n", ipv6("2001:db8::1", 1), ipv6("::1", 2)],
    ["PROXY TCP6 ::ffff:192.0.2.1 ::ffff:c000:202 1 2\r\n", ipv4("192.0.2.1", 1), ipv4("192.0.2.2", 2)],
    ["PROXY UNKNOWN\r\n", null, null],
    ["PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", null, null],
    ["PROXY UNKNOWN \xff anything  at all\r\n", null, null],
  ];
  for (const [text, source, destination] of accepted) {
    it(`is accepted: ${JSON.stringify(text)}`, () => {
      assert.deepEqual(decode(line(text)), { outcome: text.length, source, destination });
      assert.deepEqual(decodePart(line(`${text}GET / HTTP/1.1`), text.length + 14).outcome, text.length);
    });
  }

  it("may have 107 bytes and no more", () => {
    const long = (bytes: number) => line(`PROXY UNKNOWN${" x".repeat(60)}`.slice(0, bytes - 2).concat("\r\n"));
    assert.equal(decode(long(PROXY_LINE_BYTES_MAX)).outcome, PROXY_LINE_BYTES_MAX);
    for (const bytes of [PROXY_LINE_BYTES_MAX + 1, PROXY_LINE_BYTES_MAX + 2, PROXY_LINE_BYTES_MAX + 20]) {
      assert.equal(decode(long(bytes)).outcome, "ERR_LINE_TOO_LONG");
    }
    assert.equal(decode(line(`PROXY UNKNOWN${" ".repeat(93)}\n`)).outcome, "ERR_LINE_TOO_LONG");
    const full = `${"f".repeat(4)}:`.repeat(8).slice(0, -1);
    assert.equal(typeof decode(line(`PROXY TCP6 ${full} ${full} 65535 65535\r\n`)).outcome, "number");
  });

  const refused: [text: string, error: string][] = [
    ["PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\n", "ERR_LINE_END"],
    ["PROXY TCP4 192.0.2.1\n 192.0.2.2 56324 443\r\n", "ERR_LINE_END"],
    ["PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\rx", "ERR_LINE_END"],
    ["PROXY UNKNOWN \r x\r\n", "ERR_LINE_END"],
    ["PROXY UNKNOWN\n", "ERR_LINE_END"],
    ["PROXY \r\n", "ERR_LINE"],
    ["PROXY TCP4\r\n", "ERR_LINE"],
    ["PROXY TCP5 192.0.2.1 192.0.2.2 56324 443\r\n", "ERR_LINE"],
    ["PROXY tcp4 192.0.2.1 192.0.2.2 56324 443\r\n", "ERR_LINE"],
    ["PROXY UDP4 192.0.2.1 192.0.2.2 56324 443\r\n", "ERR_LINE"],
    ["PROXY unknown\r\n", "ERR_LINE"],
    ["PROXY UNKNOWNS\r\n", "ERR_LINE"],
    ["PROXY  TCP4 192.0.2.1 192.0.2.2 56324 443\r\n", "ERR_LINE"],
    ["PROXY TCP4  192.0.2.1 192.0.2.2 56324 443\r\n", "ERR_LINE"],
    ["PROXY TCP4 192.0.2.1 192.0.2.2 56324 443 \r\n", "ERR_LINE"],
    ["PROXY TCP4 192.0.2.1 192.0.2.2 56324\r\n", "ERR_LINE"],
    ["PROXY TCP4 192.0.2.1 192.0.2.2 56324 443 x\r\n", "ERR_LINE"],
    ["PROXY TCP4 192.0.2.01 192.0.2.2 56324 443\r\n", "ERR_ADDRESS"],
    ["PROXY TCP4 192.0.2.256 192.0.2.2 56324 443\r\n", "ERR_ADDRESS"],
    ["PROXY TCP4 192.0.2 192.0.2.2 56324 443\r\n", "ERR_ADDRESS"],
    ["PROXY TCP4 0xc0.0.2.1 192.0.2.2 56324 443\r\n", "ERR_ADDRESS"],
    ["PROXY TCP4 3221225985 192.0.2.2 56324 443\r\n", "ERR_ADDRESS"],
    ["PROXY TCP4 localhost 192.0.2.2 56324 443\r\n", "ERR_ADDRESS"],
    ["PROXY TCP4 192.0.2.1\t192.0.2.1 192.0.2.2 56324 443\r\n", "ERR_ADDRESS"],
    ["PROXY TCP4 ::1 ::1 56324 443\r\n", "ERR_ADDRESS"],
    ["PROXY TCP4 192.0.2.1 ::1 56324 443\r\n", "ERR_ADDRESS"],
    ["PROXY TCP6 192.0.2.1 192.0.2.2 56324 443\r\n", "ERR_ADDRESS"],
    ["PROXY TCP6 [::1] [::1] 56324 443\r\n", "ERR_ADDRESS"],
    ["PROXY TCP6 fe80::1%eth0 ::1 56324 443\r\n", "ERR_ADDRESS"],
    ["PROXY TCP6 1::2::3 ::1 56324 443\r\n", "ERR_ADDRESS"],
    ["PROXY TCP4 192.0.2.1 192.0.2.2 056324 443\r\n", "ERR_PORT"],
    ["PROXY TCP4 192.0.2.1 192.0.2.2 00 443\r\n", "ERR_PORT"],
    ["PROXY TCP4 192.0.2.1 192.0.2.2 65536 443\r\n", "ERR_PORT"],
    ["PROXY TCP4 192.0.2.1 192.0.2.2 1 99999\r\n", "ERR_PORT"],
    ["PROXY TCP4 192.0.2.1 192.0.2.2 +1 443\r\n", "ERR_PORT"],
    ["PROXY TCP4 192.0.2.1 192.0.2.2 1 -1\r\n", "ERR_PORT"],
    ["PROXY TCP4 192.0.2.1 192.0.2.2 1 \r\n", "ERR_PORT"],
    ["PROXY TCP4 192.0.2.1 192.0.2.2 1 1e3\r\n", "ERR_PORT"],
    ["PROXY TCP4 192.0.2.1 192.0.2.2 1 4\x003\r\n", "ERR_PORT"],
  ];
  for (const [text, error] of refused) {
    it(`is refused: ${JSON.stringify(text)} (${error})`, () => {
      assert.deepEqual(decode(line(text)), { outcome: error, source: null, destination: null });
    });
  }

  it("that is not complete is waited for", () => {
    const text = "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n";
    for (let length = 0; length < text.length; length++) {
      assert.equal(decode(line(text.slice(0, length))).outcome, "incomplete");
    }
  });
});

describe("a connection without a header", () => {
  const beginnings = ["GET / HTTP/1.1\r\n", "\x16\x03\x01", "\0", "PROXY\t", "PROXx", "proxy ", "PUT / HTTP/1.1\r\n"];
  for (const text of [...beginnings, "\r\n\r\nGET", "\r\n\r\n\0\r\nQUIT\r", "\n", "POST / HTTP/1.1"]) {
    it(`is refused: ${JSON.stringify(text)}`, () => assert.equal(decode(line(text)).outcome, "ERR_NO_HEADER"));
  }
});

describe("a header of version 2", () => {
  const from4 = ipv4("192.0.2.1", 56_324);
  const to4 = ipv4("192.0.2.2", 443);
  const from6 = ipv6("2001:db8::1", 65_535);
  const to6 = ipv6("::1", 0);
  const addresses4 = proxyHeader(from4, to4).subarray(16);

  it("tells two addresses of either family", () => {
    assert.deepEqual(decode(proxyHeader(from4, to4)), { outcome: 28, source: from4, destination: to4 });
    assert.deepEqual(decode(proxyHeader(from6, to6)), { outcome: 52, source: from6, destination: to6 });
    const mapped = proxyHeader(ipv6("::ffff:192.0.2.1", 1), ipv6("::ffff:192.0.2.2", 2));
    assert.deepEqual(decode(mapped).source, ipv4("192.0.2.1", 1));
  });

  it("tells addresses of datagrams too, which a balancer may take for HTTP/3", () => {
    const { outcome, source } = decode(proxyBinary(0x21, 0x12, addresses4));
    assert.deepEqual([outcome, source], [28, from4]);
    const { source: source6 } = decode(proxyBinary(0x21, 0x22, proxyHeader(from6, to6).subarray(16)));
    assert.deepEqual(source6, from6);
  });

  it("may have extensions, which are skipped", () => {
    const tlvs = [
      { type: 0x01, value: Buffer.from("h2") },
      { type: 0x04, value: Buffer.alloc(0) },
      { type: 0xea, value: Buffer.alloc(300, 1) },
    ];
    for (const [from, to] of [[from4, to4] as const, [from6, to6] as const]) {
      const header = proxyHeader(from, to, tlvs);
      assert.deepEqual(decode(header), { outcome: header.length, source: from, destination: to });
    }
    assert.equal(decode(proxyBinary(0x21, 0x31, Buffer.concat([Buffer.alloc(216), Buffer.of(4, 0, 0)]))).outcome, 235);
  });

  it("keeps the peer of the connection when it says nothing of addresses", () => {
    const kept: Buffer[] = [
      proxyBinary(0x20, 0x00, Buffer.alloc(0)),
      proxyBinary(0x20, 0x11, addresses4),
      proxyBinary(0x20, 0xff, Buffer.from("anything")),
      proxyBinary(0x21, 0x00, Buffer.alloc(0)),
      proxyBinary(0x21, 0x00, Buffer.alloc(7, 0xff)),
      proxyBinary(0x21, 0x31, Buffer.alloc(216, 0x2f)),
      proxyBinary(0x21, 0x32, Buffer.alloc(216)),
    ];
    for (const header of kept) {
      assert.deepEqual(decode(header), { outcome: header.length, source: null, destination: null });
    }
  });

  const refused: [header: Buffer, error: string, why: string][] = [
    [proxyBinary(0x11, 0x11, addresses4), "ERR_VERSION_OR_COMMAND", "version 1"],
    [proxyBinary(0x31, 0x11, addresses4), "ERR_VERSION_OR_COMMAND", "version 3"],
    [proxyBinary(0x22, 0x11, addresses4), "ERR_VERSION_OR_COMMAND", "another command"],
    [proxyBinary(0x01, 0x11, addresses4), "ERR_VERSION_OR_COMMAND", "no version"],
    [proxyBinary(0x21, 0x10, addresses4), "ERR_FAMILY", "a family without a transport"],
    [proxyBinary(0x21, 0x01, addresses4), "ERR_FAMILY", "a transport without a family"],
    [proxyBinary(0x21, 0x13, addresses4), "ERR_FAMILY", "another transport"],
    [proxyBinary(0x21, 0x41, addresses4), "ERR_FAMILY", "another family"],
    [proxyBinary(0x21, 0x11, addresses4.subarray(1)), "ERR_LENGTH", "too few bytes for IPv4"],
    [proxyBinary(0x21, 0x11, Buffer.alloc(0)), "ERR_LENGTH", "no bytes for IPv4"],
    [proxyBinary(0x21, 0x21, Buffer.alloc(35)), "ERR_LENGTH", "too few bytes for IPv6"],
    [proxyBinary(0x21, 0x31, Buffer.alloc(215)), "ERR_LENGTH", "too few bytes for unix sockets"],
    [proxyBinary(0x21, 0x11, Buffer.alloc(PROXY_HEADER_BYTES_MAX - 15)), "ERR_TOO_LARGE", "more than the limit"],
    [proxyBinary(0x20, 0x00, Buffer.alloc(65_535)), "ERR_TOO_LARGE", "the longest length there is"],
    [proxyBinary(0x21, 0x11, Buffer.concat([addresses4, Buffer.of(4)])), "ERR_TLV", "a TLV of one byte"],
    [proxyBinary(0x21, 0x11, Buffer.concat([addresses4, Buffer.of(4, 0)])), "ERR_TLV", "a TLV of two bytes"],
    [proxyBinary(0x21, 0x11, Buffer.concat([addresses4, Buffer.of(4, 0, 1)])), "ERR_TLV", "a TLV without its value"],
    [proxyBinary(0x21, 0x21, Buffer.alloc(37)), "ERR_TLV", "a byte behind the addresses of IPv6"],
    [proxyBinary(0x21, 0x11, Buffer.concat([addresses4, Buffer.of(4, 0, 0, 4)])), "ERR_TLV", "a byte behind a TLV"],
    [proxyBinary(0x21, 0x11, Buffer.concat([addresses4, Buffer.of(4, 255, 255, 1)])), "ERR_TLV", "too long a TLV"],
  ];
  for (const [header, error, why] of refused) {
    it(`is refused: ${why} (${error})`, () => {
      assert.deepEqual(decode(header), { outcome: error, source: null, destination: null });
    });
  }

  it("may be as large as the limit", () => {
    const value = Buffer.alloc(PROXY_HEADER_BYTES_MAX - 16 - 12 - 3);
    assert.equal(decode(proxyHeader(from4, to4, [{ type: 0x28, value }])).outcome, PROXY_HEADER_BYTES_MAX);
  });
});

describe("errors of the PROXY protocol", () => {
  it("have a sentence each, and are the client's", () => {
    const codes = Object.entries(errors).flatMap(([name, value]) => (name.startsWith("ERR_") ? [value as number] : []));
    assert.deepEqual(
      codes.toSorted((a, b) => b - a),
      errors.PROXY_PROTOCOL_ERRORS.map((_, index) => -1 - index),
    );
    assert.equal(new Set(errors.PROXY_PROTOCOL_ERRORS).size, codes.length);
    for (const code of codes) {
      const { type, side, status } = errors.proxyProtocolError(code);
      assert.deepEqual([type, side, status], ["http_request_error", "client", 400]);
    }
    for (const code of [0, 1, -1 - codes.length, Number.NaN]) {
      assert.throws(() => errors.proxyProtocolError(code), RangeError);
    }
  });
});
