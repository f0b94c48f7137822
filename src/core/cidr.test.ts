import assert from "node:assert/strict";
import { BlockList, isIP } from "node:net";
import { describe, it } from "node:test";
import fc from "fast-check";
import { replayHint, seed } from "../../test/support/seed.ts";
import { judgeCidr } from "./cidr.ts";

describe("networks as text", () => {
  it("gives equal networks one form", () => {
    const cases: readonly [text: string, cidr: string][] = [
      ["10.0.0.0/8", "10.0.0.0/8"],
      ["127.0.0.1", "127.0.0.1/32"],
      ["0.0.0.0/0", "0.0.0.0/0"],
      ["::1", "::1/128"],
      ["::/0", "::/0"],
      ["FD00::/8", "fd00::/8"],
      ["2001:DB8:0:0:0:0:0:1/128", "2001:db8::1/128"],
      ["2001:db8:0:0:1::/80", "2001:db8:0:0:1::/80"],
      ["::ffff:10.0.0.0/104", "10.0.0.0/8"],
      ["::ffff:192.0.2.1", "192.0.2.1/32"],
      ["64:ff9b::192.0.2.33", "64:ff9b::c000:221/128"],
    ];
    for (const [text, cidr] of cases) assert.deepEqual(judgeCidr(text), { kind: "network", cidr }, text);
  });

  it("says which network was meant when host bits are set", () => {
    assert.deepEqual(judgeCidr("10.1.2.3/8"), { kind: "hostBits", meant: "10.0.0.0/8" });
    assert.deepEqual(judgeCidr("192.0.2.129/25"), { kind: "hostBits", meant: "192.0.2.128/25" });
    assert.deepEqual(judgeCidr("2001:db8::1/32"), { kind: "hostBits", meant: "2001:db8::/32" });
    assert.deepEqual(judgeCidr("::ffff:10.0.0.1/104"), { kind: "hostBits", meant: "10.0.0.0/8" });
  });

  it("refuses everything else", () => {
    const texts = [
      ...["", "/", "/8", "10", "10.0", "10.0.0", "10.0.0.0.0", "10.0.0.256", "010.0.0.1", "0x0a.0.0.1", "10.0.0.1 "],
      ...[
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0.0/08",
        "10.0.0.0/8/8",
        "10.0.0.0/8.0",
        "10.0.0.0/255.0.0.0",
      ],
      ...[
        ":",
        ":::",
        "1::2::3",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "::/129",
        "::g",
        "fe80::1%eth0",
        "[::1]",
        "::1/",
      ],
      ...["localhost", "example.org/8", "１０.0.0.0/8"],
    ];
    for (const text of texts) assert.deepEqual(judgeCidr(text), { kind: "invalid" }, JSON.stringify(text));
  });

  it(`agrees with the platform on what an address is, and keeps which addresses are inside (${replayHint})`, () => {
    const text = fc.oneof(fc.ipV4(), fc.ipV6(), fc.ipV4Extended(), fc.stringMatching(/^[0-9a-f:.]{0,12}$/));
    fc.assert(
      fc.property(text, (address) => {
        const verdict = judgeCidr(address);
        assert.equal(verdict.kind === "network", isIP(address) !== 0, address);
        if (verdict.kind !== "network") return;
        const [network = "", prefix] = verdict.cidr.split("/");
        const list = new BlockList();
        list.addSubnet(network, Number(prefix), isIP(network) === 4 ? "ipv4" : "ipv6");
        assert.ok(list.check(address, isIP(address) === 4 ? "ipv4" : "ipv6"), `${address} in ${verdict.cidr}`);
        assert.deepEqual(judgeCidr(verdict.cidr), verdict);
      }),
      { numRuns: 2_000, seed },
    );
  });
});
