// Any bytes, and headers with some bytes changed: nothing throws, a beginning never gets another verdict than the whole,
// and what was encoded is decoded.
import assert from "node:assert/strict";
import { isIP } from "node:net";
import { describe, it } from "node:test";
import fc from "fast-check";
import { proxyHeader, proxyLine } from "../../../test/support/proxy-header.ts";
import { replayHint, seed } from "../../../test/support/seed.ts";
import { canonicalAddress } from "../../semantics/cidr.ts";
import { decodeProxyHeader, PROXY_HEADER_BYTES_MAX, ProxyHeader } from "./decode.ts";

const RUNS = { seed, numRuns: 1500 };
const port = fc.nat(65_535);

const pair = fc.oneof(
  ...([4, 6] as const).map((family) => {
    const end = fc.record({ family: fc.constant(family), address: family === 4 ? fc.ipV4() : fc.ipV6(), port });
    return fc.tuple(end, end);
  }),
);
const tlvs = fc.array(fc.record({ type: fc.nat(255), value: fc.uint8Array({ maxLength: 40 }) }), { maxLength: 3 });
const headers = fc.oneof(
  pair.map(([from, to]) => proxyLine(from, to)),
  fc.tuple(pair, tlvs).map(([[from, to], extensions]) => proxyHeader(from, to, extensions)),
);
const value = fc.oneof(fc.constantFrom(0, 1, 0x0a, 0x0d, 0x20, 0x2e, 0x30, 0x39, 0x3a, 0xff), fc.nat(255));
const mutated = fc
  .tuple(
    headers,
    fc.array(fc.record({ at: fc.nat(), drop: fc.nat(2), insert: fc.array(value, { maxLength: 2 }) }), { maxLength: 3 }),
  )
  .map(([header, changes]) => {
    const bytes = [...header];
    for (const { at, drop, insert } of changes) bytes.splice(at % (bytes.length + 1), drop, ...insert);
    return Buffer.from(bytes);
  });
const anything = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes));

describe(`a PROXY protocol header (${replayHint})`, () => {
  it("gets one verdict in any pieces, and tells addresses or nothing", () => {
    const property = fc.property(fc.oneof(mutated, anything), (bytes) => {
      const header = new ProxyHeader();
      const whole = decodeProxyHeader(bytes, 0, bytes.length, header);
      const told = { ...header };
      assert.ok(Number.isInteger(whole) && whole <= Math.min(bytes.length, PROXY_HEADER_BYTES_MAX));
      for (const end of [told.source, told.destination]) if (end !== null) assert.equal(isIP(end.address), end.family);
      if (whole <= 0) assert.deepEqual(told, { source: null, destination: null });
      let verdict = 0;
      for (let length = 0; length <= bytes.length && verdict === 0; length++) {
        verdict = decodeProxyHeader(bytes, 0, length, header);
        if (verdict > 0) assert.equal(verdict, length, "a header is known at its last byte, not before and not later");
      }
      assert.deepEqual([verdict, { ...header }], [whole, told]);
    });
    fc.assert(property, RUNS);
  });

  it("tells what was encoded", () => {
    const property = fc.property(pair, tlvs, fc.boolean(), ([from, to], extensions, isLine) => {
      const bytes = isLine ? proxyLine(from, to) : proxyHeader(from, to, extensions);
      const header = new ProxyHeader();
      assert.equal(decodeProxyHeader(Buffer.concat([bytes, bytes]), 0, 2 * bytes.length, header), bytes.length);
      for (const [end, told] of [[from, header.source] as const, [to, header.destination] as const]) {
        assert.deepEqual([told?.address, told?.port], [canonicalAddress(end.address), end.port]);
      }
    });
    fc.assert(property, RUNS);
  });
});
