// A path that matches less than it seems to is warned of, and one that is likely meant so is not.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseConfig } from "./parse.ts";
import { formatProblem } from "./problems.ts";

function warnings(routes: string): readonly string[] {
  const text = `servers: { web: { listen: ":1", routes: [${routes}] } }`;
  const result = parseConfig(text, { file: "f.yaml" });
  assert.ok(result.ok, result.ok ? "" : result.problems.map(formatProblem).join("\n"));
  return result.warnings.map(formatProblem);
}

const api = "{ match: { path: /api/ }, proxy: 'http://a' }";
const root = "{ match: { path: / }, proxy: 'http://a' }";

describe("a folder's path", () => {
  it("is told with its place, and with what to write for either meaning", () => {
    assert.deepEqual(warnings("{ match: { path: [/x, /api.v1/] }, proxy: 'http://a' }"), [
      String.raw`f.yaml:1:64: servers.web.routes[0].match.path[1]: matches /api.v1/ alone: write /api.v1/* for that and all below it, or pathRegex "^/api\\.v1/$" if it is meant so`,
    ]);
  });

  for (const [title, routes, count] of [
    ["sent to an upstream", api, 1],
    [
      "with features, before all other paths",
      `{ match: { path: /admin/ }, use: [{ ipAllow: [10.0.0.0/8] }], proxy: 'http://a' }, { proxy: 'http://a' }`,
      1,
    ],
    ["that is refused", "{ match: { path: /private/ }, respond: 403 }", 1],
    ["that is redirected with what is below it", "{ match: { path: /old/ }, redirect: 'https://b{uri}' }", 1],
    ["that is redirected to one place", "{ match: { path: /about/ }, redirect: 'https://{host}/about-us/' }", 0],
    ["that is answered", "{ match: { path: /health/ }, respond: 200 }", 0],
    ["in both spellings", "{ match: { path: [/login, /login/] }, proxy: 'http://a' }", 0],
    ["with all below it", "{ match: { path: [/api/, /api/*] }, proxy: 'http://a' }", 0],
    ["with all below it in another route", `${api}, { match: { path: /api/* }, proxy: 'http://b' }`, 0],
    ["with something else below it", `${api}, { match: { path: /api/v1/* }, proxy: 'http://b' }`, 1],
    ["as an expression", "{ match: { pathRegex: '^/api/$' }, proxy: 'http://a' }", 0],
    ["without its slash", "{ match: { path: /api }, proxy: 'http://a' }", 0],
  ] as const) {
    it(`${title}: ${routes}`, () => assert.equal(warnings(routes).length, count));
  }
});

describe("the root", () => {
  it("is told when nothing else goes to its upstream", () => {
    assert.deepEqual(warnings(`{ match: { path: /static/* }, proxy: 'http://b' }, ${root}`), [
      'f.yaml:1:110: servers.web.routes[1].match.path: matches the root alone, and nothing else goes to this upstream: write /* for every path, or pathRegex "^/$" if it is meant so',
    ]);
  });

  for (const [title, routes, count] of [
    ["of one host", "{ match: { host: a.example, path: / }, proxy: 'http://a' }", 1],
    [
      "of one host, beside another one",
      "{ match: { host: a.example, path: / }, proxy: 'http://a' }, { match: { host: b.example }, proxy: 'http://b' }",
      1,
    ],
    [
      "of one host, whose other paths go elsewhere",
      "{ match: { host: a.example, path: / }, proxy: 'http://a' }, { match: { host: a.example }, proxy: 'http://b' }",
      0,
    ],
    ["of an upstream that gets other paths", `${root}, { match: { path: /assets/* }, proxy: 'http://a' }`, 0],
    ["before a route for the rest", `${root}, { respond: 404 }`, 0],
    ["beside other paths", "{ match: { path: [/, /index.html] }, proxy: 'http://a' }", 0],
    ["for WebSockets", "{ match: { path: /, websocket: true }, proxy: 'http://a' }", 0],
    ["of a method", "{ match: { path: /, method: POST }, proxy: 'http://a' }", 0],
    ["that is redirected", "{ match: { path: / }, redirect: /app/ }", 0],
    ["that is answered", "{ match: { path: / }, respond: 403 }", 0],
  ] as const) {
    it(`${title}: ${routes}`, () => assert.equal(warnings(routes).length, count));
  }
});

describe("cookies", () => {
  it("are told of as one field, and not by their names", () => {
    assert.deepEqual(warnings("{ match: { header: { Cookie: canary=1 } }, proxy: 'http://a' }"), [
      "f.yaml:1:61: servers.web.routes[0].match.header: is compared with all cookies of a request: write cookie: { NAME: VALUE } for one of them",
    ]);
    assert.deepEqual(warnings("{ match: { header: { cookie: true } }, proxy: 'http://a' }"), []);
    assert.deepEqual(warnings("{ match: { cookie: { canary: '1' } }, proxy: 'http://a' }"), []);
  });
});

describe("an expression", () => {
  it("with what paths never have in it is told how they have it", () => {
    const told = warnings(
      "{ match: { pathRegex: ['^/a', '^/über', 'a b', '%2f', '%2F', '%25', '^/[^ /]+$', '[^%aA]'] }, respond: 404 }",
    );
    const place = (index: number) => `servers.web.routes[0].match.pathRegex[${index}]`;
    assert.deepEqual(
      told.map((line) => line.replace(/^f.yaml:1:\d+: /, "")),
      [
        `${place(1)}: "ü" is in no path as routes see it: write %C3%BC`,
        `${place(2)}: " " is in no path as routes see it: write %20`,
        `${place(3)}: "%2f" is in no path as routes see it: write %2F`,
      ],
    );
  });
});
