// What has one key, and what never has.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type Line, StandInExchange, type StandInRequest } from "../../../test/support/stand-in-exchange.ts";
import type { Identity } from "../../pipeline/exchange.ts";
import { type Destination, Forwarding } from "../../pipeline/forwarding.ts";
import { CacheKeys } from "./keys.ts";
import { cacheOptions } from "./options.ts";

interface Given extends StandInRequest {
  readonly identity?: Identity;
  readonly to?: Partial<Destination>;
}

const keysOf = (key: Record<string, unknown> = {}, scope = "") =>
  new CacheKeys(cacheOptions.parse({ store: "a", key }).key, scope);

function exchangeOf({ identity, to, ...given }: Given): StandInExchange {
  const exchange = new StandInExchange(given);
  exchange.identity = identity ?? null;
  if (to !== undefined) {
    const destination = { kind: "http", host: "o.example", isAddress: false, port: 80, address: null, ...to } as const;
    exchange.forward = new Forwarding(destination, null);
  }
  return exchange;
}

describe("a key", () => {
  const table: readonly (readonly [what: string, given: Given, key: string | null])[] = [
    ["has scheme and host", { target: "/a?b" }, "http://example.org/a?b"],
    ["has the scheme of TLS", { scheme: "https" }, "https://example.org/"],
    ["has the port", { authority: "example.org:8080" }, "http://example.org:8080/"],
    ["has no default port", { authority: "example.org:80" }, "http://example.org/"],
    ["has no default port of TLS", { scheme: "https", authority: "a:443" }, "https://a/"],
    ["has the default port of another scheme", { authority: "a:443" }, "http://a:443/"],
    ["has no empty port", { authority: "a:" }, "http://a/"],
    ["has an address in brackets", { authority: "[::80]" }, "http://[::80]/"],
    ["keeps a port that ends alike", { authority: "a:180" }, "http://a:180/"],
    ["tells an empty query from none", { target: "/a?" }, "http://example.org/a?"],
    ["is not there without a host", { authority: "" }, null],
    ["is not there when it is too long", { target: `/${"a".repeat(40_000)}` }, null],
    ["is that of the destination", { authority: "client.says", to: {}, target: "/a" }, "http://o.example/a"],
    ["has the destination's port", { to: { kind: "https", port: 8443 } }, "https://o.example:8443/"],
    ["has no default port of the destination", { to: { kind: "https", port: 443 } }, "https://o.example/"],
    ["has brackets around the destination's address", { to: { host: "::1" } }, "http://[::1]/"],
    ["is not there for a tunnel", { to: { kind: "tunnel", port: 443 } }, null],
  ];
  for (const [what, given, key] of table) {
    it(what, () => assert.equal(keysOf().of(exchangeOf(given)), key));
  }

  it("has the scope", () => assert.equal(keysOf({}, "r1").of(exchangeOf({})), "http://example.org/\n#r1"));

  it("forgets the destination before", () => {
    const keys = keysOf();
    const [one, other] = [exchangeOf({ to: { host: "a" } }), exchangeOf({ to: { host: "b" } })];
    assert.deepEqual(
      [one, other, one].map((exchange) => keys.of(exchange)),
      ["http://a/", "http://b/", "http://a/"],
    );
  });
});

describe("the query in a key", () => {
  const table: readonly (readonly [query: unknown, target: string, kept: string])[] = [
    ["all", "/?b=1&a=2", "/?b=1&a=2"],
    ["none", "/?b=1&a=2", "/"],
    [{ sort: true }, "/?b=1&a=2&a=1&c", "/?a=2&a=1&b=1&c"],
    [{ exclude: ["utm_*", "fbclid"] }, "/?utm_source=x&a=1&fbclid=y", "/?a=1"],
    [{ exclude: ["utm_*"] }, "/?utm_source=x", "/"],
    [{ exclude: ["utm_*"] }, "/?", "/"],
    [{ exclude: ["a b"] }, "/?a%20b=1&a+b=2&c", "/?c"],
    [{ include: ["page"] }, "/?x=1&page=2&p%61ge=3", "/?page=2&p%61ge=3"],
    [{ include: ["page"], sort: true }, "/?x=1", "/"],
  ];
  for (const [query, target, kept] of table) {
    it(`${JSON.stringify(query)} of ${target} is ${kept}`, () =>
      assert.equal(keysOf({ query }).of(exchangeOf({ target })), `http://example.org${kept}`));
  }

  it("keeps what other servers would read as a parameter of its own", () => {
    const keys = keysOf({ query: { exclude: ["utm_source"] } });
    assert.equal(keys.of(exchangeOf({ target: "/?utm_source=x;page=2" })), "http://example.org/?utm_source=x;page=2");
  });
});

describe("the further parts of a key", () => {
  const key = { headers: ["x-a", "x-b"], cookies: ["lang"], identity: true };
  const table: readonly (readonly [what: string, given: Given, lines: readonly string[]])[] = [
    ["say what is not there", {}, ["h x-a", "h x-b", "c lang", "@"]],
    [
      "say what is empty",
      {
        fields: [
          ["X-A", ""],
          ["Cookie", "lang="],
        ],
      },
      ["h x-a:", "h x-b", "c lang=", "@"],
    ],
    [
      "tell two lines from one",
      {
        fields: [
          ["X-A", "1"],
          ["x-a", "2"],
          ["X-B", "1, 2"],
        ],
      },
      ["h x-a:1", " 2", "h x-b:1, 2", "c lang", "@"],
    ],
    ["have one cookie of many", { fields: [["Cookie", "a=1; lang=de; b=2"]] }, ["h x-a", "h x-b", "c lang=de", "@"]],
    [
      "have the identity and who proved it",
      { identity: { subject: "a\nb c", by: "jwt" } },
      ["h x-a", "h x-b", "c lang", "@jwt a%0Ab%20c"],
    ],
    [
      "have all that was proved",
      { identity: { subject: "app", by: "apiKey", besides: { subject: "a", by: "jwt", qualifier: "https://i" } } },
      ["h x-a", "h x-b", "c lang", "@apiKey app", "@jwt a https%3A%2F%2Fi"],
    ],
  ];
  for (const [what, given, lines] of table) {
    it(what, () => assert.equal(keysOf(key).of(exchangeOf(given)), ["http://example.org/", ...lines].join("\n")));
  }
});

describe("what a proxy in front says of the URL", () => {
  const table: readonly (readonly [what: string, fields: readonly Line[], lines: readonly string[]])[] = [
    [
      "is what we know",
      [
        ["X-Forwarded-Host", "example.org"],
        ["X-Forwarded-Proto", "http"],
      ],
      [],
    ],
    ["is another host", [["X-Forwarded-Host", "evil.example"]], ["<host:evil.example"]],
    [
      "is two hosts",
      [
        ["X-Forwarded-Host", "example.org"],
        ["X-Forwarded-Host", "b"],
      ],
      ["<host:example.org, b"],
    ],
    ["is something else than a scheme", [["X-Forwarded-Proto", "wss"]], ["<proto:wss"]],
    [
      "is two schemes",
      [
        ["X-Forwarded-Proto", "https"],
        ["X-Forwarded-Proto", "http"],
      ],
      ["<proto:https, http"],
    ],
    ["is a prefix", [["X-Forwarded-Prefix", "/app"]], ["<prefix:/app"]],
    ["is a port", [["X-Forwarded-Port", "8443"]], ["<port:8443"]],
    [
      "stands in Forwarded",
      [["Forwarded", 'for=192.0.2.1;host="a";proto=https, for=x;by=y']],
      ['<forwarded:host="a";proto=https'],
    ],
    [
      "is not about the URL",
      [
        ["Forwarded", "for=192.0.2.1"],
        ["X-Forwarded-For", "192.0.2.1"],
      ],
      [],
    ],
  ];
  for (const [what, fields, lines] of table) {
    it(what, () => assert.equal(keysOf().of(exchangeOf({ fields })), ["http://example.org/", ...lines].join("\n")));
  }

  it("is the scheme, where it ends TLS for us", () => {
    const told: readonly Line[] = [["X-Forwarded-Proto", "https"]];
    assert.equal(keysOf().of(exchangeOf({ fields: told })), "https://example.org/");
    assert.equal(keysOf().of(exchangeOf({ fields: told, authority: "a:443" })), "https://a/");
    assert.equal(
      keysOf().of(exchangeOf({ scheme: "https", fields: [["X-Forwarded-Proto", "http"]] })),
      "http://example.org/",
    );
  });

  it("is the client's own matter on the way to a destination", () =>
    assert.equal(keysOf().of(exchangeOf({ to: {}, fields: [["X-Forwarded-Host", "b"]] })), "http://o.example/"));
});

describe("the key of another URL", () => {
  const table: readonly (readonly [url: string, isRouted: boolean, key: string | null])[] = [
    ["http://example.org/b", true, "http://example.org/b"],
    ["http://example.org/b?x=1&utm_source=2#c", true, "http://example.org/b?x=1"],
    ["http://EXAMPLE.org:80/%7Ea/./b", true, "http://example.org/~a/b"],
    ["http://example.org/%7Ea", false, "http://example.org/%7Ea"],
    ["http://example.org/a/..%2fb", true, null],
  ];
  for (const [url, isRouted, key] of table) {
    it(`${url} is ${key}`, () => {
      const keys = keysOf({ query: { exclude: ["utm_source"] }, headers: ["x-a"] }, "s");
      const own = keys.of(exchangeOf({ target: "/a?b", fields: [["X-A", "1"]] }))!;
      assert.equal(keys.ofUrl(own, url, isRouted), key === null ? null : `${key}\n#s\nh x-a:1`);
    });
  }
});

describe("keys of different requests", () => {
  const text = fc.stringMatching(/^[ -~]{0,6}$/);
  const value = fc.option(
    text.map((one) => one.trim()),
    { nil: null },
  );
  const subject = fc.option(fc.string({ unit: "binary", maxLength: 6 }), { nil: null });
  const host = fc.constantFrom("a", "a:80", "a:8", "b");
  const target = fc.stringMatching(/^\/[!-">-~$-;=]{0,4}(\?[!-"$-~]{0,6})?$/);
  const arbitrary = fc.record({ host, target, header: value, cookie: value, subject });

  it("differ", () => {
    const keys = keysOf({ headers: ["x-a"], cookies: ["c"], identity: true }, "s");
    const keyOf = (one: {
      host: string;
      target: string;
      header: string | null;
      cookie: string | null;
      subject: string | null;
    }) => {
      const fields: Line[] = [];
      if (one.header !== null) fields.push(["X-A", one.header]);
      if (one.cookie !== null) fields.push(["Cookie", `c=${one.cookie.replaceAll(";", "")}`]);
      const { authority, target: asked } = { authority: one.host, target: one.target };
      const identity = one.subject === null ? {} : { identity: { subject: one.subject.toWellFormed(), by: "jwt" } };
      const exchange = exchangeOf({ authority, target: asked, fields, ...identity });
      const meaning = [
        one.host.replace(/:80$/, ""),
        asked,
        one.header,
        exchange.request.fields.get("cookie"),
        identity,
      ];
      return { key: keys.of(exchange), meaning: JSON.stringify(meaning) };
    };
    const seen = new Map<string, string>();
    fc.assert(
      fc.property(arbitrary, (one) => {
        const { key, meaning } = keyOf(one);
        assert.ok(key !== null);
        assert.equal(seen.get(key) ?? meaning, meaning);
        seen.set(key, meaning);
      }),
      { numRuns: 3000 },
    );
  });
});
