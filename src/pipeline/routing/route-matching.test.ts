import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { StandInExchange, type StandInRequest, standInRoute } from "../../../test/support/stand-in-exchange.ts";
import { explainRoute } from "./explain.ts";
import type { RouteMatch } from "./match.ts";
import { compileRouter, type RouteEntry } from "./router.ts";

const ALL: RouteMatch = {
  host: null,
  path: null,
  pathRegex: null,
  method: null,
  header: null,
  cookie: null,
  query: null,
  client: null,
  websocket: null,
  scheme: null,
};

describe("a match", () => {
  const table: readonly {
    readonly match: Partial<RouteMatch>;
    readonly takes: readonly StandInRequest[];
    readonly leaves: readonly StandInRequest[];
  }[] = [
    { match: {}, takes: [{}, { target: "*", method: "OPTIONS", authority: "" }], leaves: [] },
    {
      match: { host: ["example.org"] },
      takes: [{ authority: "example.org:8080" }, { authority: "example.org." }, { authority: "example.org.:1" }],
      leaves: [
        { authority: "www.example.org" },
        { authority: "xexample.org" },
        { authority: "" },
        { authority: "org" },
      ],
    },
    {
      match: { host: ["*.example.org"] },
      takes: [{ authority: "a.example.org" }, { authority: "a.b.example.org:80" }, { authority: "a.example.org." }],
      leaves: [
        { authority: "example.org" },
        { authority: "xexample.org" },
        { authority: "a.example.org.evil.example" },
      ],
    },
    {
      match: { host: ["[::1]", "b"] },
      takes: [{ authority: "[::1]:80" }, { authority: "b" }],
      leaves: [{ authority: "[::2]" }],
    },
    {
      match: { path: ["/up"] },
      takes: [{ target: "/up" }, { target: "/up?x" }],
      leaves: [{ target: "/up/" }, { target: "/up/a" }, { target: "/u" }, { target: "/UP" }],
    },
    {
      match: { path: ["/jmap/*"] },
      takes: [{ target: "/jmap" }, { target: "/jmap/" }, { target: "/jmap/a/b?c" }],
      leaves: [{ target: "/jmapx" }, { target: "/" }, { target: "/x/jmap/" }, { target: "/jmap%2Fa" }],
    },
    { match: { path: ["/*"] }, takes: [{ target: "/" }, { target: "/a" }], leaves: [{ target: "*" }] },
    { match: { path: ["/", "/a/b/*"] }, takes: [{ target: "/" }, { target: "/a/b/c" }], leaves: [{ target: "/a" }] },
    {
      match: { pathRegex: ["^/v\\d+/", "\\.php$"] },
      takes: [{ target: "/v12/x" }, { target: "/a.php?x" }],
      leaves: [{ target: "/v/x" }, { target: "/a?x=.php" }],
    },
    {
      match: { method: ["GET", "HEAD"] },
      takes: [{}, { method: "HEAD" }],
      leaves: [{ method: "POST" }, { method: "get" }],
    },
    {
      match: { header: [{ name: "x-a", values: ["1", "2, 3"] }] },
      takes: [
        { fields: [["X-A", "1"]] },
        {
          fields: [
            ["x-a", "2"],
            ["X-A", "3"],
          ],
        },
      ],
      leaves: [
        {},
        { fields: [["X-A", "2"]] },
        {
          fields: [
            ["X-A", "1"],
            ["X-A", "1"],
          ],
        },
      ],
    },
    {
      match: {
        header: [
          { name: "x-a", values: null },
          { name: "x-b", values: ["1"] },
        ],
      },
      takes: [
        {
          fields: [
            ["X-A", ""],
            ["X-B", "1"],
          ],
        },
      ],
      leaves: [{ fields: [["X-A", ""]] }, { fields: [["X-B", "1"]] }],
    },
    {
      match: { cookie: [{ name: "a", values: ["1", ""] }] },
      takes: [
        { fields: [["Cookie", "a=1"]] },
        { fields: [["Cookie", "b=2; a=1"]] },
        { fields: [["Cookie", "a=2;a=1 ; c"]] },
        { fields: [["Cookie", "a="]] },
      ],
      leaves: [{}, { fields: [["Cookie", "a=2; b=1"]] }, { fields: [["Cookie", "A=1; a"]] }, { fields: [["A", "1"]] }],
    },
    {
      match: {
        cookie: [
          { name: "a", values: null },
          { name: "b", values: ["1"] },
        ],
      },
      takes: [{ fields: [["Cookie", "b=1; a=x"]] }],
      leaves: [{ fields: [["Cookie", "a=x"]] }, { fields: [["Cookie", "b=1"]] }],
    },
    {
      match: { query: [{ name: "a", values: ["1", ""] }] },
      takes: [{ target: "/?a=1" }, { target: "/?b&a=2&a=1" }, { target: "/?a" }, { target: "/?&&%61=%31" }],
      leaves: [
        {},
        { target: "/?" },
        { target: "/?a=2" },
        { target: "/?aa=1" },
        { target: "/?b=a=1" },
        { target: "/?A=1" },
      ],
    },
    {
      match: { query: [{ name: "a b", values: ["ä+%"] }] },
      takes: [{ target: "/?a+b=%C3%A4%2B%25" }, { target: "/?a%20b=%c3%a4%2B%" }],
      leaves: [{ target: "/?a+b=%E4%2B%25" }],
    },
    {
      match: { query: [{ name: "a", values: null }] },
      takes: [{ target: "/?b=1&a=x" }],
      leaves: [{ target: "/?b=a" }],
    },
    {
      match: { client: ["10.0.0.0/8", "::1"] },
      takes: [{ clientAddress: "10.1.1.1" }, { clientAddress: "::1" }],
      leaves: [{ clientAddress: "11.0.0.0" }, { clientAddress: "" }],
    },
    {
      match: { websocket: true },
      takes: [{ upgrade: "websocket" }],
      leaves: [{}, { upgrade: "h2c" }, { upgrade: "websocket", method: "POST" }],
    },
    { match: { websocket: false }, takes: [{}, { upgrade: "h2c" }], leaves: [{ upgrade: "websocket" }] },
    { match: { scheme: "https" }, takes: [{ scheme: "https" }], leaves: [{}] },
    {
      match: { host: ["a", "*.b"], path: ["/x", "/y/*"], method: ["GET"] },
      takes: [
        { authority: "a", target: "/x" },
        { authority: "c.b", target: "/y/z" },
      ],
      leaves: [
        { authority: "a", target: "/z" },
        { authority: "b", target: "/x" },
        { authority: "a", target: "/x", method: "POST" },
      ],
    },
  ];
  for (const { match, takes, leaves } of table) {
    it(JSON.stringify(match), () => {
      const wanted = standInRoute("wanted");
      const entries: RouteEntry[] = [{ match: { ...ALL, ...match }, route: wanted }];
      const router = compileRouter(entries);
      for (const [requests, expected] of [
        [takes, wanted],
        [leaves, null],
      ] as const) {
        for (const request of requests) {
          const exchange = new StandInExchange(request);
          assert.equal(router.find(exchange), expected, JSON.stringify(request));
          assert.equal(explainRoute(entries, exchange).matched, expected, JSON.stringify(request));
        }
      }
    });
  }
});

describe("of several routes", () => {
  const entriesOf = (...matches: readonly (Partial<RouteMatch> | null)[]): RouteEntry[] =>
    matches.map((match, index) => ({
      match: match === null ? null : { ...ALL, ...match },
      route: standInRoute(String(index)),
    }));

  it("the first that matches is taken, however exact the later ones are", () => {
    const router = compileRouter(
      entriesOf(
        { path: ["/a/b/c"], method: ["POST"] },
        { path: ["/a/*"] },
        { host: ["example.org"], path: ["/a/b/c"] },
        { host: ["*.org"] },
        { host: ["example.org"] },
        null,
        { path: ["/never"] },
      ),
    );
    const found = (request: StandInRequest) => router.find(new StandInExchange(request))?.name;
    assert.equal(found({ target: "/a/b/c", method: "POST" }), "0");
    assert.equal(found({ target: "/a/b/c" }), "1");
    assert.equal(found({ target: "/b" }), "3");
    assert.equal(found({ target: "/b", authority: "other" }), "5");
    assert.equal(found({ target: "/never", authority: "other" }), "5");
  });

  it("the one met is explained by the keys that did not match before it", () => {
    const entries = entriesOf(
      { host: ["other"], path: ["/x"] },
      { path: ["/a"], method: ["POST"] },
      { path: ["/a"] },
      null,
    );
    const { matched, passedOver } = explainRoute(entries, new StandInExchange({ target: "/a" }));
    assert.equal(matched?.name, "2");
    assert.deepEqual(
      passedOver.map(({ route: { name }, key }) => [name, key]),
      [
        ["0", "host"],
        ["1", "method"],
      ],
    );
  });

  it("none is met when there are none", () => {
    assert.equal(compileRouter([]).find(new StandInExchange()), null);
    assert.deepEqual(explainRoute([], new StandInExchange()), { matched: null, passedOver: [] });
  });

  it("a single one that takes everything asks nothing of the request", () => {
    const [entry] = entriesOf({});
    const untouchable = new Proxy({} as StandInExchange, {
      get: (_, name) => assert.fail(`asked for ${String(name)}`),
    });
    assert.equal(compileRouter([entry!]).find(untouchable), entry!.route);
  });

  it("conditions that cannot be compiled are refused", () => {
    assert.throws(() => compileRouter(entriesOf({ client: ["10.0.0.0/99"] })), RangeError);
    assert.throws(() => compileRouter(entriesOf({ pathRegex: ["("] })), SyntaxError);
  });
});
