// Which addresses no public server has, against a list that is written in another way: as bits, from the registries of IANA.

import assert from "node:assert/strict";
import net from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import { seed } from "../../../test/support/seed.ts";
import { canonicalAddress } from "../../semantics/cidr.ts";
import { isPrivate } from "./private-networks.ts";

/** Not globally reachable (IANA IPv4 Special-Purpose Address Registry), multicast, the class E, and a metadata service. */
const IPV4 = new net.BlockList();
for (const [address, prefix] of [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 3],
] as const) {
  IPV4.addSubnet(address, prefix);
}
IPV4.addAddress("168.63.129.16");

const isPrivateIpv4 = (bytes: readonly number[]): boolean => IPV4.check(bytes.join("."));

function isPrivateIpv6(groups: readonly number[]): boolean {
  const ipv4 = (high: number, low: number) => isPrivateIpv4([high >> 8, high & 255, low >> 8, low & 255]);
  const [a, b, c] = groups as [number, number, number];
  if (a === 0x64 && b === 0xff9b && groups.slice(2, 6).every((group) => group === 0))
    return ipv4(groups[6]!, groups[7]!);
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) return ipv4(groups[6]!, groups[7]!);
  if (a === 0x2002) return ipv4(b, c);
  if (a >> 13 !== 1) return true;
  if (a === 0x2001 && (b < 0x200 || b === 0xdb8)) return true;
  return a === 0x3fff && b >> 12 === 0;
}

/** Around the edges of what is in a list, as well as anywhere. */
const byte = fc.oneof(
  fc.constantFrom(0, 1, 9, 10, 11, 63, 64, 100, 127, 128, 168, 169, 172, 191, 192, 198, 203, 223, 224, 254, 255),
  fc.nat(255),
);
const ipv4 = fc.oneof(
  fc.tuple(byte, byte, byte, byte),
  fc.constantFrom<[number, number, number, number]>(
    [168, 63, 129, 16],
    [192, 88, 99, 1],
    [198, 20, 0, 0],
    [203, 0, 113, 7],
    [198, 51, 100, 7],
  ),
);
const group = fc.oneof(
  fc.constantFrom(
    0,
    1,
    0x64,
    0xff9b,
    0x1ff,
    0x200,
    0x2000,
    0x2001,
    0x2002,
    0x3fff,
    0x4000,
    0xdb8,
    0x7f00,
    0xfc00,
    0xfe80,
    0xfec0,
    0xff00,
    0xffff,
  ),
  fc.nat(0xffff),
);
const ipv6 = fc.oneof(
  fc.array(group, { minLength: 8, maxLength: 8 }),
  fc.tuple(ipv4, fc.constantFrom("nat64", "mapped", "6to4", "compatible")).map(([[a, b, c, d], kind]) => {
    const [high, low] = [(a << 8) | b, (c << 8) | d];
    if (kind === "nat64") return [0x64, 0xff9b, 0, 0, 0, 0, high, low];
    if (kind === "6to4") return [0x2002, high, low, 0, 0, 0, 0, 1];
    return [0, 0, 0, 0, 0, kind === "mapped" ? 0xffff : 0, high, low];
  }),
);

test("IPv4, as the registries have it", () => {
  fc.assert(
    fc.property(ipv4, (bytes) => assert.equal(isPrivate(bytes.join(".")), isPrivateIpv4(bytes), bytes.join("."))),
    { seed, numRuns: 3_000 },
  );
});

test("IPv6, as the registries have it", () => {
  fc.assert(
    fc.property(ipv6, (groups) => {
      const text = groups.map((part) => part.toString(16)).join(":");
      const address = canonicalAddress(text);
      assert.ok(address !== null, text);
      assert.equal(isPrivate(address), isPrivateIpv6(groups), text);
    }),
    { seed, numRuns: 5_000 },
  );
});

test("what is no address is private, and what everybody knows is as it is", () => {
  for (const text of ["", "a.example", "localhost", "/run/proxy.sock", "unix:"]) assert.ok(isPrivate(text), text);
  for (const address of ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "2a00:1450::1", "2400:cb00::1"]) {
    assert.ok(!isPrivate(address), address);
  }
});
