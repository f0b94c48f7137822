import assert from "node:assert/strict";
import { BlockList } from "node:net";
import { describe, it } from "node:test";
import fc from "fast-check";
import { CidrSet, canonicalAddress } from "./cidr.ts";

describe("a set of networks", () => {
  const table: readonly (readonly [
    networks: readonly string[],
    inside: readonly string[],
    outside: readonly string[],
  ])[] = [
    [
      ["10.0.0.0/8"],
      ["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3", "::ffff:a01:203"],
      ["9.255.255.255", "11.0.0.0"],
    ],
    [["192.0.2.7"], ["192.0.2.7"], ["192.0.2.6", "192.0.2.8", "192.0.2.77"]],
    [["0.0.0.0/0"], ["0.0.0.0", "255.255.255.255", "128.0.0.1"], ["::", "::1", "2001:db8::1"]],
    [["::/0"], ["::", "::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"], ["10.0.0.1", "::ffff:10.0.0.1"]],
    [["fd00::/8"], ["fd00::", "fdff:ffff::1", "FD12:3456::789A"], ["fc00::1", "fe00::"]],
    [["2001:db8::/33"], ["2001:db8:7fff::1"], ["2001:db8:8000::"]],
    [["2001:db8::1"], ["2001:db8::1", "2001:0db8:0:0:0:0:0:1"], ["2001:db8::2", "2001:db8::"]],
    [["fe80::/10"], ["fe80::1%eth0", "febf::1"], ["fec0::1"]],
    [["::ffff:192.0.2.0/120"], ["192.0.2.200"], ["192.0.3.0"]],
    [
      ["10.0.0.0/8", "10.1.0.0/16", "172.16.0.0/12", "10.1.2.3"],
      ["10.1.2.3", "10.2.0.0", "172.31.255.255"],
      ["172.32.0.0"],
    ],
    [[], [], ["127.0.0.1", "::1"]],
  ];
  for (const [networks, inside, outside] of table) {
    it(`[${networks.join(", ")}]`, () => {
      const set = CidrSet.parse(networks);
      for (const address of inside) assert.equal(set.has(address), true, address);
      for (const address of outside) assert.equal(set.has(address), false, address);
      // Once more, so that the memory of the last lookup is asked as well.
      for (const address of [...inside, ...inside.slice(-1)]) assert.equal(set.has(address), true, address);
    });
  }

  it("has nothing that is no address", () => {
    const all = CidrSet.parse(["0.0.0.0/0", "::/0"]);
    const texts = [
      "",
      " ",
      "1.2.3",
      "1.2.3.4.5",
      "1.2.3.256",
      "01.2.3.4",
      "1.2.3.4 ",
      "0x7f.1.1.1",
      "1.2.3.",
      ".1.2.3",
    ];
    texts.push(
      ":",
      ":::",
      "1:2:3:4:5:6:7",
      "1:2:3:4:5:6:7:8:9",
      "1::2::3",
      "12345::",
      "::1:",
      "g::",
      "1:2:3:4:5:6:7:8::",
    );
    texts.push(
      "/run/headgate.sock",
      "[::1]",
      "::1.2.3",
      "1.2.3.4::",
      "::1.2.3.4:5",
      "%eth0",
      "unknown",
      "1:2:3:4:5:6:7:1.2.3.4",
    );
    for (const text of texts) assert.equal(all.has(text), false, text);
  });

  it("says what is wrong with a network", () => {
    assert.throws(() => CidrSet.parse(["10.0.0.0/33"]), new RangeError('"10.0.0.0/33" is not a network or an address'));
    assert.throws(() => CidrSet.parse(["::1", "localhost"]), /RangeError: "localhost" is not a network/);
    assert.throws(
      () => CidrSet.parse(["10.1.2.3/8"]),
      /"10\.1\.2\.3\/8" has bits beyond its prefix: 10\.0\.0\.0\/8 is/,
    );
  });

  it("agrees with the block list of Node", () => {
    const word = fc.oneof(fc.constantFrom(0, 1, 0xffff), fc.nat(0xffff));
    const ipv6 = fc.array(word, { minLength: 8, maxLength: 8 }).filter((words) => words[0] !== 0);
    const octets = fc.array(fc.oneof(fc.constantFrom(0, 10, 255), fc.nat(255)), { minLength: 4, maxLength: 4 });
    const ipv4Network = fc.tuple(octets, fc.nat(32)).map(([bytes, prefix]) => masked(bytes, 8, prefix, "."));
    const ipv6Network = fc
      .tuple(ipv6, fc.integer({ min: 4, max: 128 }))
      .map(([words, prefix]) => masked(words, 16, prefix, ":"));
    const addresses = fc.array(
      fc.oneof(
        octets.map((bytes) => bytes.join(".")),
        ipv6.map(groups),
      ),
      { minLength: 1, maxLength: 10 },
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(ipv4Network, ipv6Network), { maxLength: 20 }), addresses, (networks, texts) => {
        const set = CidrSet.parse(networks.map(({ network, prefix }) => `${network}/${prefix}`));
        // Node's list takes IPv4 addresses for a part of IPv6, so each family gets a list of its own.
        const lists = { ipv4: new BlockList(), ipv6: new BlockList() };
        const familyOf = (text: string) => (text.includes(":") ? "ipv6" : "ipv4");
        for (const { network, prefix } of networks) {
          lists[familyOf(network)].addSubnet(network, prefix, familyOf(network));
        }
        for (const text of [...texts, ...networks.map(({ network }) => network)]) {
          assert.equal(set.has(text), lists[familyOf(text)].check(text, familyOf(text)), text);
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe("the canonical form of an address", () => {
  const table: readonly (readonly [text: string, canonical: string | null])[] = [
    ["192.0.2.1", "192.0.2.1"],
    ["2001:DB8:0:0:0:0:0:1", "2001:db8::1"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["::FFFF:c000:0201", "192.0.2.1"],
    ["::", "::"],
    ["192.0.2.1:80", null],
    ["[::1]", null],
    ["fe80::1%eth0", null],
    ["unknown", null],
    ["", null],
    ["192.0.2.01", null],
  ];
  for (const [text, canonical] of table) {
    it(`${JSON.stringify(text)} is ${canonical}`, () => assert.equal(canonicalAddress(text), canonical));
  }
});

function masked(parts: readonly number[], bitsOfPart: number, prefix: number, separator: string) {
  const kept = parts.map((part, index) => {
    const hostBits = Math.min(bitsOfPart, Math.max(0, (index + 1) * bitsOfPart - prefix));
    return (part >> hostBits) << hostBits;
  });
  return { network: separator === ":" ? groups(kept) : kept.join(separator), prefix };
}

function groups(words: readonly number[]): string {
  return words.map((word) => word.toString(16)).join(":");
}
