import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FieldBlock } from "../core/fields.ts";
import { RequestMessage } from "../core/message.ts";
import { CidrSet } from "./cidr.ts";
import { clientAddress, type ForwardedFacts, setForwarded } from "./forwarded.ts";

type Line = readonly [name: string, value: string];

const TRUSTED = CidrSet.parse(["10.0.0.0/8", "fd00::/8"]);

describe("the address of the client", () => {
  const table: readonly (readonly [what: string, remote: string, lines: readonly Line[], client: string])[] = [
    ["the peer's, when it is not trusted", "192.0.2.9", [["X-Forwarded-For", "1.1.1.1"]], "192.0.2.9"],
    ["the peer's, when a trusted one says nothing", "10.0.0.1", [], "10.0.0.1"],
    ["what a trusted peer says", "10.0.0.1", [["X-Forwarded-For", "1.1.1.1"]], "1.1.1.1"],
    [
      "the last untrusted hop, not the first",
      "10.0.0.1",
      [["X-Forwarded-For", "6.6.6.6, 1.1.1.1, 10.0.0.2"]],
      "1.1.1.1",
    ],
    [
      "found over several lines",
      "10.0.0.1",
      [
        ["X-Forwarded-For", "6.6.6.6"],
        ["x-forwarded-for", "1.1.1.1"],
      ],
      "1.1.1.1",
    ],
    ["the first hop, when all are trusted", "10.0.0.1", [["X-Forwarded-For", "10.0.0.3, 10.0.0.2"]], "10.0.0.3"],
    ["the last known hop before garbage", "10.0.0.1", [["X-Forwarded-For", "1.1.1.1, unknown, 10.0.0.2"]], "10.0.0.2"],
    ["the peer's, when garbage comes first", "10.0.0.1", [["X-Forwarded-For", "1.1.1.1, <script>"]], "10.0.0.1"],
    ["the peer's, when an element is empty", "10.0.0.1", [["X-Forwarded-For", "1.1.1.1,"]], "10.0.0.1"],
    ["read without a port", "10.0.0.1", [["X-Forwarded-For", "1.1.1.1:4711"]], "1.1.1.1"],
    ["read without brackets", "10.0.0.1", [["X-Forwarded-For", "[2001:DB8::1]:4711"]], "2001:db8::1"],
    ["brought into one form", "fd00::1", [["X-Forwarded-For", "2001:db8:0:0::1"]], "2001:db8::1"],
    ["IPv4 when it is written as IPv6", "10.0.0.1", [["X-Forwarded-For", "::ffff:1.1.1.1"]], "1.1.1.1"],
    [
      "what Forwarded says",
      "10.0.0.1",
      [["Forwarded", 'for=6.6.6.6, For="[2001:db8::1]:80";proto=https']],
      "2001:db8::1",
    ],
    [
      "what Forwarded says behind other pairs",
      "10.0.0.1",
      [["Forwarded", "proto=http;for=1.1.1.1;by=10.0.0.1"]],
      "1.1.1.1",
    ],
    ["the peer's, when Forwarded hides it", "10.0.0.1", [["Forwarded", "for=_hidden"]], "10.0.0.1"],
    ["the peer's, when Forwarded has no for", "10.0.0.1", [["Forwarded", "proto=https"]], "10.0.0.1"],
    [
      "that of X-Forwarded-For before Forwarded",
      "10.0.0.1",
      [
        ["Forwarded", "for=6.6.6.6"],
        ["X-Forwarded-For", "1.1.1.1"],
      ],
      "1.1.1.1",
    ],
  ];
  for (const [what, remote, lines, client] of table) {
    it(`is ${what}`, () => assert.equal(clientAddress(FieldBlock.from(lines), remote, TRUSTED), client));
  }

  it("is the peer's when nobody is trusted", () => {
    assert.equal(clientAddress(FieldBlock.from([["X-Forwarded-For", "1.1.1.1"]]), "10.0.0.1", null), "10.0.0.1");
  });
});

describe("forwarding fields", () => {
  const CLIENT: ForwardedFacts = {
    remoteAddress: "192.0.2.9",
    trusted: false,
    scheme: "https",
    authority: "example.org:8443",
  };
  const PROXY: ForwardedFacts = { remoteAddress: "10.0.0.1", trusted: true, scheme: "http", authority: "inner:80" };

  function forwarded(lines: readonly Line[], facts: ForwardedFacts): Line[] {
    const request = new RequestMessage();
    for (const [name, value] of lines) request.fields.append(name, value);
    setForwarded(request, facts);
    return [...request.fields.entries()];
  }

  const OWN: readonly Line[] = [
    ["X-Forwarded-For", "192.0.2.9"],
    ["X-Forwarded-Proto", "https"],
    ["X-Forwarded-Host", "example.org:8443"],
  ];

  it("say what we know", () => {
    assert.deepEqual(forwarded([["Accept", "*/*"]], CLIENT), [["Accept", "*/*"], ...OWN]);
  });

  it("of an untrusted peer are removed, in every spelling", () => {
    const forged: Line[] = [
      ["x-forwarded-for", "127.0.0.1"],
      ["X-FORWARDED-PROTO", "https"],
      ["X-Forwarded-Host", "evil.example"],
      ["X-Forwarded-Port", "1"],
      ["X-Forwarded-Prefix", "/evil"],
      ["X-Forwarded-User", "root"],
      ["X-Forwarded-Ssl", "on"],
      ["X_Forwarded_For", "127.0.0.1"],
      ["X-Forwarded_Proto", "https"],
      ["Forwarded", "for=127.0.0.1"],
      ["X-Real-IP", "127.0.0.1"],
      ["X_Real_Ip", "127.0.0.1"],
      ["X.Forwarded!Host", "evil"],
    ];
    assert.deepEqual(forwarded(forged, CLIENT), OWN);
  });

  it("of other names are left alone", () => {
    const others: Line[] = [
      ["X-Forward", "1"],
      ["X-Forwarded", "2"],
      ["XForwarded-For", "3"],
      ["X-Real-IPs", "4"],
      ["X-Real-I", "5"],
    ];
    assert.deepEqual(forwarded(others, CLIENT), [...others, ...OWN]);
  });

  it("of a trusted peer are extended by it", () => {
    const lines: Line[] = [
      ["X-Forwarded-For", "1.1.1.1"],
      ["X-Forwarded-For", "10.0.0.2"],
      ["X-Forwarded-Proto", "https"],
      ["X-Forwarded-Host", "example.org"],
      ["X-Forwarded-Port", "443"],
      ["X-Real-IP", "1.1.1.1"],
    ];
    assert.deepEqual(forwarded(lines, PROXY), [...lines.slice(2), ["X-Forwarded-For", "1.1.1.1, 10.0.0.2, 10.0.0.1"]]);
  });

  it("that a trusted peer left out are added", () => {
    assert.deepEqual(forwarded([], PROXY), [
      ["X-Forwarded-For", "10.0.0.1"],
      ["X-Forwarded-Proto", "http"],
      ["X-Forwarded-Host", "inner:80"],
    ]);
    assert.deepEqual(forwarded([["X-Forwarded-For", ""]], PROXY)[0], ["X-Forwarded-For", "10.0.0.1"]);
  });

  it("include Forwarded only where a trusted peer began it", () => {
    const extended = forwarded([["Forwarded", "for=1.1.1.1"]], PROXY);
    assert.deepEqual(extended[0], ["Forwarded", 'for=1.1.1.1, for=10.0.0.1;host="inner:80";proto=http']);
    const overIpv6 = forwarded([["Forwarded", "for=1.1.1.1"]], {
      ...PROXY,
      remoteAddress: "fd00::1",
      authority: "inner",
    });
    assert.deepEqual(overIpv6[0], ["Forwarded", 'for=1.1.1.1, for="[fd00::1]";host=inner;proto=http']);
  });

  it("do without what is not known", () => {
    assert.deepEqual(forwarded([], { ...CLIENT, remoteAddress: "", authority: "" }), [["X-Forwarded-Proto", "https"]]);
    assert.deepEqual(forwarded([], { ...CLIENT, remoteAddress: "/run/a:1.sock", authority: "" }), [
      ["X-Forwarded-Proto", "https"],
    ]);
    const hidden = forwarded([["Forwarded", "for=1.1.1.1"]], { ...PROXY, remoteAddress: "", authority: "" });
    assert.deepEqual(hidden[0], ["Forwarded", "for=1.1.1.1, for=unknown;proto=http"]);
  });
});
