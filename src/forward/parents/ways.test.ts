// Which rule of `via` a destination meets.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ViaRule } from "./options.ts";
import { parseParentUrl } from "./url.ts";
import { Ways } from "./ways.ts";

function rule(
  hosts: readonly string[] | null,
  ports: readonly (readonly [number, number])[] | null,
  ...urls: string[]
): ViaRule {
  return {
    ...(hosts !== null && { hosts }),
    ...(ports !== null && { ports: ports.map(([first, last]) => ({ first, last })) }),
    proxies: urls.map((url) => parseParentUrl(url)!),
    ca: null,
  };
}

describe("ways", () => {
  const ways = new Ways(
    [
      rule(
        ["*.partner.example", "one.example"],
        [
          [443, 443],
          [8000, 8999],
        ],
        "http://p:1",
      ),
      rule(["10.0.0.1", "[2001:db8::1]"], null, "socks5://s:2"),
      rule(["direct.example"], [[1, 1]], "http://p:1"),
      "direct",
      rule(null, null, "http://never:3"),
    ],
    () => null,
  );
  for (const [host, port, name] of [
    ["a.partner.example", 443, "http://p:1"],
    ["a.b.partner.example", 8500, "http://p:1"],
    ["partner.example", 443, null],
    ["a.partner.example", 444, null],
    ["one.example", 8000, "http://p:1"],
    ["one.example", 9000, null],
    ["10.0.0.1", 1, "socks5://s:2"],
    ["2001:db8::1", 65_535, "socks5://s:2"],
    ["10.0.0.2", 1, null],
    ["anything", 1, null],
  ] as const) {
    it(`${host} ${port}: ${name ?? "direct"}`, () => {
      assert.equal(ways.of(host, port)?.parents[0]?.name ?? null, name);
    });
  }

  it("without rules everything goes direct", () => {
    assert.equal(new Ways([], () => null).of("a", 80), null);
  });

  it("one proxy is one, in whichever rules; other credentials or authorities make another", () => {
    const files: string[] = [];
    const https = rule(["d"], null, "https://p:1");
    const two = new Ways(
      [
        rule(["a"], null, "http://u:1@p:1", "http://q:1", "http://u:1@p:1"),
        rule(["b"], null, "http://u:1@p:1"),
        rule(["c"], null, "http://u:2@p:1"),
        { ...https, ca: "/one" },
        { ...https, hosts: ["e"], ca: "/two" },
      ],
      (path) => {
        files.push(path);
        return `PEM of ${path}`;
      },
    );
    const of = (host: string) => two.of(host, 80)!.parents;
    assert.equal(of("a").length, 2);
    assert.equal(of("a")[0], of("b")[0]);
    assert.notEqual(of("b")[0], of("c")[0]);
    assert.deepEqual([of("d")[0]!.tls!.ca, of("e")[0]!.tls!.ca], ["PEM of /one", "PEM of /two"]);
    assert.deepEqual(files, ["/one", "/two"]);
  });
});
