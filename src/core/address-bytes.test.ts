// Addresses as bytes and as text: what is read is what was written, in one form.
import assert from "node:assert/strict";
import { isIP } from "node:net";
import { it } from "node:test";
import fc from "fast-check";
import { replayHint, seed } from "../../test/support/seed.ts";
import { addressAt, bytesOfAddress, formatAddress, isMappedIpv4 } from "./address-bytes.ts";

it("reads both families", () => {
  assert.deepEqual(bytesOfAddress("192.0.2.1"), [192, 0, 2, 1]);
  assert.deepEqual(bytesOfAddress("2001:DB8::1:2"), [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2]);
  assert.deepEqual(bytesOfAddress("::192.0.2.1")?.slice(12), [192, 0, 2, 1]);
});

it("reads no text that another program could read otherwise", () => {
  const texts = ["", "1.2.3", "1.2.3.4.5", "01.2.3.4", "0x1.2.3.4", "256.1.1.1", "2130706433", "1.2.3.4 ", "a"];
  for (const text of [...texts, "[::1]", "fe80::1%eth0", "::1/128", ":", ":::", "::1::", "1:2:3:4:5:6:7:8:9", "\0"]) {
    assert.equal(bytesOfAddress(text), null, JSON.stringify(text));
  }
});

it("gives IPv6 the form of RFC 5952", () => {
  const form = (text: string) => formatAddress(bytesOfAddress(text)!);
  assert.equal(form("2001:0DB8:0:0:1:0:0:1"), "2001:db8::1:0:0:1");
  assert.equal(form("0:0:0:0:0:0:0:0"), "::");
  assert.equal(form("::ffff:192.0.2.1"), "::ffff:c000:201");
});

it("gives IPv4 written as IPv6 as IPv4, and only that", () => {
  const at = (text: string) => addressAt(Uint8Array.from([9, ...bytesOfAddress(text)!]), 1, 16, 80);
  assert.deepEqual(at("::ffff:192.0.2.1"), { family: 4, address: "192.0.2.1", port: 80 });
  assert.deepEqual(at("::fffe:192.0.2.1"), { family: 6, address: "::fffe:c000:201", port: 80 });
  assert.deepEqual(at("1::ffff:192.0.2.1"), { family: 6, address: "1::ffff:c000:201", port: 80 });
  assert.equal(isMappedIpv4(bytesOfAddress("::ffff:0:1.2.3.4")!), false);
});

it(`gives back the bytes of every address (${replayHint})`, () => {
  const bytes = fc.oneof(
    fc.uint8Array({ minLength: 4, maxLength: 4 }),
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
    fc.array(fc.constantFrom(0, 0xff), { minLength: 16, maxLength: 16 }).map((list) => Uint8Array.from(list)),
  );
  const property = fc.property(bytes, (address) => {
    const text = formatAddress([...address]);
    assert.equal(isIP(text), address.length === 4 ? 4 : 6);
    assert.deepEqual(bytesOfAddress(text), [...address]);
    const length = address.length === 4 ? 4 : 16;
    const found = addressAt(address, 0, length, 1);
    assert.equal(isIP(found.address), found.family);
  });
  fc.assert(property, { seed, numRuns: 500 });
});
