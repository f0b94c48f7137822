// The index of the router against the plain reading of the configuration: each route tried in turn.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { StandInExchange, standInRoute } from "../../../test/support/stand-in-exchange.ts";
import { explainRoute } from "./explain.ts";
import type { NamedValues, RouteMatch } from "./match.ts";
import { compileRouter, type RouteEntry } from "./router.ts";

const HOSTS = ["a.example", "b.example", "x.a.example", "y.x.a.example", "example", "localhost", "[::1]"];
const PATHS = ["/", "/a", "/a/", "/a/b", "/a/b/c", "/ab", "/b/c/d/e", "*"];

const hostPattern = fc.constantFrom(...HOSTS, "*.example", "*.a.example", "*.x.a.example", "*.b.example");
const pathPattern = fc.constantFrom("/", "/a", "/a/b", "/ab", "/*", "/a/*", "/a/b/*", "/a/b/c/*", "/b/c/d/e/*", "/a/");
const listOf = <T>(item: fc.Arbitrary<T>) => fc.option(fc.array(item, { minLength: 1, maxLength: 3 }));
const named = fc.option(
  fc.array(fc.record({ name: fc.constantFrom("a", "b"), values: listOf(fc.constantFrom("1", "2")) }), { maxLength: 2 }),
  { freq: 2 },
);

const match: fc.Arbitrary<RouteMatch> = fc.record({
  host: listOf(hostPattern),
  path: listOf(pathPattern),
  pathRegex: fc.option(fc.constantFrom(["^/a"], ["c$", "^/$"]), { freq: 2 }),
  method: fc.option(fc.constantFrom(["GET"], ["GET", "POST"]), { freq: 2 }),
  header: named,
  cookie: named,
  query: named,
  client: fc.option(fc.constantFrom(["10.0.0.0/8"], ["10.1.0.0/16", "::1"]), { freq: 2 }),
  websocket: fc.option(fc.boolean(), { freq: 2 }),
  scheme: fc.option(fc.constantFrom("http", "https"), { freq: 2 }),
});

const pairs = fc.array(fc.tuple(fc.constantFrom("a", "b"), fc.constantFrom("1", "2", "3")), { maxLength: 2 });

const request = fc
  .record({
    authority: fc
      .tuple(fc.constantFrom(...HOSTS, "other", ""), fc.constantFrom("", ".", ":80", ".:80"))
      .map((parts) => parts.join("")),
    path: fc.constantFrom(...PATHS),
    query: pairs,
    fields: pairs,
    cookies: pairs,
    method: fc.constantFrom("GET", "POST"),
    scheme: fc.constantFrom("http", "https"),
    isWebSocket: fc.boolean(),
    clientAddress: fc.constantFrom("10.1.2.3", "10.2.0.1", "::1", "192.0.2.1"),
  })
  .map(
    ({ path, query, isWebSocket, fields, cookies, ...given }) =>
      new StandInExchange({
        ...given,
        fields:
          cookies.length === 0 ? fields : [...fields, ["Cookie", cookies.map((pair) => pair.join("=")).join("; ")]],
        target: query.length === 0 || path === "*" ? path : `${path}?${query.map((pair) => pair.join("=")).join("&")}`,
        ...(isWebSocket ? { upgrade: "websocket" } : {}),
      }),
  );

describe("the router", () => {
  it("finds what trying every route in turn finds", () => {
    let found = 0;
    fc.assert(
      fc.property(
        fc.array(fc.option(match, { freq: 30 }), { maxLength: 30 }),
        fc.array(request, { minLength: 1, maxLength: 8 }),
        (matches, exchanges) => {
          const entries = matches.map(
            (given, index): RouteEntry => ({ match: given, route: standInRoute(`routes[${index}]`) }),
          );
          const router = compileRouter(entries);
          for (const exchange of exchanges) {
            const expected =
              entries.find((entry) => entry.match === null || takes(entry.match, exchange))?.route ?? null;
            if (expected !== null) found++;
            assert.equal(router.find(exchange), expected);
            assert.equal(explainRoute(entries, exchange).matched, expected);
          }
        },
      ),
      { numRuns: 1500 },
    );
    assert.ok(found > 500, `only ${found} requests met a route: the test says little`);
  });

  it("finds one of ten thousand as fast as one of one", () => {
    const entries: RouteEntry[] = [];
    for (let index = 0; index < 10_000; index++) {
      const host = index % 3 === 0 ? null : [index % 3 === 1 ? `h${index}.example` : `*.s${index}.example`];
      const path = index % 2 === 0 ? [`/p${index}/*`] : [`/p${index}`];
      entries.push({ match: { ...ALL, host, path }, route: standInRoute(`routes[${index}]`) });
    }
    const exchange = new StandInExchange({ authority: "a.s9998.example:80", target: "/p9998/a/b/c?d" });
    const [one, many] = [compileRouter([entries[9998]!]), compileRouter(entries)];
    assert.equal(one.find(exchange), entries[9998]!.route);
    assert.equal(many.find(exchange), entries[9998]!.route);
    // By far less exact than the goal, so that a busy machine does not fail it: a search in turn would be thousands of
    // times slower.
    const ratio = Math.min(...Array.from({ length: 10 }, () => timeOf(many, exchange) / timeOf(one, exchange)));
    assert.ok(ratio < 3, `ten thousand routes cost ${ratio.toFixed(2)} times as much as one`);
  });

  it("is not slowed down by long paths and hosts of a client's making", () => {
    const deep: RouteEntry = {
      match: { ...ALL, host: ["*.a.example"], path: ["/a/b/*"] },
      route: standInRoute("deep"),
    };
    const router = compileRouter([deep]);
    const exchange = new StandInExchange({ authority: `${"a.".repeat(8000)}a.example`, target: "/a".repeat(8000) });
    const timesMs = Array.from({ length: 30 }, () => {
      const startedMs = performance.now();
      assert.equal(router.find(exchange), null);
      return performance.now() - startedMs;
    });
    // A tenth of a millisecond; looking up each of the eight thousand prefixes takes more than seven.
    assert.ok(Math.min(...timesMs) < 2);
  });
});

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

function timeOf(router: ReturnType<typeof compileRouter>, exchange: StandInExchange): number {
  const startedMs = performance.now();
  for (let i = 0; i < 20_000; i++) router.find(exchange);
  return performance.now() - startedMs;
}

/** The meaning of a match, written down again without sharing any code with the router. */
function takes(
  given: RouteMatch,
  { request: { host, path, query, fields, method, scheme, upgrade }, clientAddress }: StandInExchange,
): boolean {
  const bare = host.replace(/\.$/, "");
  const below = (prefix: string) => `${path}/`.startsWith(`${prefix}/`) && path !== "*";
  const parameters = new URLSearchParams(query ?? "");
  const cookies = new URLSearchParams((fields.get("cookie") ?? "").replaceAll("; ", "&"));
  const has = (wanted: NamedValues, values: readonly string[]) =>
    values.length > 0 && (wanted.values === null || values.some((value) => wanted.values?.includes(value)));
  const inNetwork = (network: string) =>
    ({ "10.0.0.0/8": /^10\./, "10.1.0.0/16": /^10\.1\./, "::1": /^::1$/ })[network]?.test(clientAddress) ?? false;
  return [
    given.host?.some((pattern) => (pattern[0] === "*" ? bare.endsWith(pattern.slice(1)) : bare === pattern)),
    given.path?.some((pattern) => (pattern.endsWith("/*") ? below(pattern.slice(0, -2)) : path === pattern)),
    given.pathRegex?.some((pattern) => new RegExp(pattern, "u").test(path)),
    given.method?.includes(method),
    given.header?.every((wanted) =>
      has(wanted, fields.has(wanted.name) ? [fields.getAll(wanted.name).join(", ")] : []),
    ),
    given.cookie?.every((wanted) => has(wanted, cookies.getAll(wanted.name))),
    given.query?.every((wanted) => has(wanted, parameters.getAll(wanted.name))),
    given.client?.some(inNetwork),
    given.websocket === null ? undefined : given.websocket === (upgrade === "websocket" && method === "GET"),
    given.scheme === null ? undefined : given.scheme === scheme,
  ].every((verdict) => verdict !== false);
}
