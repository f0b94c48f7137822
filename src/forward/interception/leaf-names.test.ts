// What a certificate may be made for, and in which spelling.

import assert from "node:assert/strict";
import { isIP } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import { leafNameOf } from "./leaf-names.ts";

const of = (host: string): string | null => {
  const name = leafNameOf(host);
  return name === null ? null : `${name.kind} ${name.text}`;
};

test("names and addresses have one spelling", () => {
  const spellings: readonly (readonly [string, string])[] = [
    ["example.org", "dns example.org"],
    ["WWW.Example.ORG.", "dns www.example.org"],
    ["localhost", "dns localhost"],
    ["xn--bcher-kva.example", "dns xn--bcher-kva.example"],
    ["a_b.example.org", "dns a_b.example.org"],
    ["r3---sn-4g57kne6.example.org", "dns r3---sn-4g57kne6.example.org"],
    ["1.example", "dns 1.example"],
    ["192.0.2.1", "ip 192.0.2.1"],
    ["2001:DB8:0::1", "ip 2001:db8::1"],
    ["[2001:db8::1]", "ip 2001:db8::1"],
    ["::ffff:192.0.2.1", "ip 192.0.2.1"],
    [`${"a".repeat(63)}.example`, `dns ${"a".repeat(63)}.example`],
  ];
  for (const [host, expected] of spellings) assert.equal(of(host), expected, host);
});

test("what is no name of one host is refused", () => {
  const refused = [
    "",
    ".",
    "..",
    "*",
    "*.example.org",
    "a..b",
    ".example.org",
    "example.org..",
    "-a.example.org",
    "a b.example.org",
    "example.org:443",
    "https://example.org",
    "user@example.org",
    "example.org/",
    "example.org\0",
    "example.org\n",
    "bücher.example",
    "İstanbul.example",
    "\u212aelvin.example",
    "127.1",
    "1.2.3.4.5",
    "0x7f000001",
    "0177.0.0.1",
    "256.1.1.1",
    "10.0.0.0/8",
    "[192.0.2.1]",
    "[::1",
    "::1]",
    "[[::1]]",
    "fe80::1%eth0",
    `${"a".repeat(64)}.example`,
    Array.from({ length: 128 }, () => "a").join("."),
  ];
  for (const host of refused) assert.equal(of(host), null, JSON.stringify(host));
});

test("whatever is taken is plain, and taken again as it is", () => {
  const characters = fc.constantFrom(..."aZ09_.:[]*/%\\ -x\0\u0131\u212a\ud800");
  const alike = fc.string({ unit: characters, maxLength: 80 });
  const anything = fc.oneof(alike, fc.string({ unit: "binary-ascii" }), fc.domain(), fc.ipV4(), fc.ipV6());
  fc.assert(
    fc.property(anything, (host) => {
      const name = leafNameOf(host);
      if (name === null) return;
      assert.deepEqual(leafNameOf(name.text), name);
      assert.match(name.text, name.kind === "dns" ? /^[a-z0-9_.-]{1,253}$/ : /^[0-9a-f.:]+$/);
      assert.equal(isIP(name.text) > 0, name.kind === "ip");
    }),
    { numRuns: 300 },
  );
});

test("names of the internet and addresses are taken", () => {
  fc.assert(fc.property(fc.domain(), (host) => leafNameOf(host)?.kind === "dns"));
  fc.assert(fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (host) => leafNameOf(host)?.kind === "ip"));
});
