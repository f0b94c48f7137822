// What is a host with an optional port, and what only looks like one.
import assert from "node:assert/strict";
import { isIPv6 } from "node:net";
import { describe, it } from "node:test";
import fc from "fast-check";
import { isAuthority } from "./authority.ts";

/** Judges the text between bytes that would change the verdict if they were read. */
function judge(text: string, portNeeded = false): boolean {
  const verdicts = ["", "a", "1", ":80", "]", "[", ".", "@"].map((around) => {
    const bytes = Buffer.from(around + text + around, "latin1");
    return isAuthority(bytes, around.length, around.length + text.length, portNeeded);
  });
  assert.equal(new Set(verdicts).size, 1, `what stands around ${text} matters`);
  return verdicts[0]!;
}

describe("an authority", () => {
  const valid = [
    ...["a", "A", "localhost", "a.example", "a.example.", "xn--bcher-kva.example", "a_b", "-a", "1", "127.0.0.1"],
    ...["a:1", "a:80", "a:65535", "a.example.:8080", "[::]", "[::1]", "[1::]", "[2001:DB8::7]", "[::ffff:127.0.0.1]"],
    ...["[1:2:3:4:5:6:7:8]", "[1:2:3:4:5:6:7::]", "[::2:3:4:5:6:7:8]", "[::1]:443"],
    "[1:2:3:4:5:6:255.255.255.255]",
  ];
  const invalid = [
    ...["", ":", ":80", "a:", "a:0", "a:00", "a:080", "a:65536", "a:99999", "a:100000", "a:8x", "a:-1", "a:+1", "a: 1"],
    ...[".", "..", ".a", "a..b", "a..", "a b", " a", "a ", "a,b", "a;b", "a/b", "a?b", "a#b", "a\\b", "a@b", "u:p@b"],
    ...[
      "a%20b",
      "a\x00b",
      "\xe4",
      "a:80:80",
      "a:80/",
      "[",
      "]",
      "[]",
      "[]:80",
      "[:]",
      "[:::]",
      "[::1",
      "::1",
      "[::1]a",
    ],
    ...[
      "[::1]:",
      "[::1]]",
      "[1:2:3:4:5:6:7]",
      "[1:2:3:4:5:6:7:8:9]",
      "[1::2::3]",
      "[12345::]",
      "[g::]",
      "[fe80::1%eth0]",
    ],
    ...["[fe80::1%25eth0]", "[::256.1.1.1]", "[::1.2.3]", "[1.2.3.4::]", "[1.2.3.4]", "[v1.x]", "[::01.2.3.4]"],
    ...["[1:2:3:4:5:6:7:8::]", "[::1:2:3:4:5:6:7:8]", "[:1:2:3:4:5:6:7:8]", "[1:2:3:4:5:6:7:8:]", "[1.2.3.4:5::]"],
    `[${"0".repeat(46)}]`,
  ];
  for (const text of valid) it(`may be ${text}`, () => assert.equal(judge(text), true));
  for (const text of invalid) it(`may not be ${JSON.stringify(text)}`, () => assert.equal(judge(text), false));

  it("of a CONNECT has a port", () => {
    for (const text of ["a:1", "[::1]:443"]) assert.equal(judge(text, true), true);
    for (const text of ["a", "[::1]", "a:", ""]) assert.equal(judge(text, true), false);
  });

  it("takes the IPv6 addresses that the platform takes, without zones", () => {
    const group = fc.stringMatching(/^[0-9a-fA-F]{0,5}$/);
    const part = fc.oneof(
      { weight: 6, arbitrary: group },
      { weight: 1, arbitrary: fc.constantFrom("1.2.3.4", "01.2.3.4", "1.2.3") },
    );
    const text = fc.array(part, { maxLength: 10 }).map((parts) => parts.join(":"));
    fc.assert(
      fc.property(fc.oneof(text, fc.ipV6()), (address) =>
        assert.equal(judge(`[${address}]`), isIPv6(address), address),
      ),
      { numRuns: 2000 },
    );
  });
});
