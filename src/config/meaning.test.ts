/** What blocks mean together: short forms and long ones, inner blocks over outer ones, pools that routes share. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ActionConfig, Config, RouteConfig } from "./config.ts";
import { parseConfig } from "./parse.ts";
import { formatProblem } from "./problems.ts";

function configOf(text: string): Config {
  const result = parseConfig(text, { file: "headgate.yaml" });
  assert.ok(result.ok, result.ok ? "" : result.problems.map(formatProblem).join("\n"));
  return result.config;
}

/** The routes of a server whose routes are these lines. */
function routesOf(lines: string, top = ""): readonly RouteConfig[] {
  const indented = lines.replaceAll(/^/gm, "      ");
  return configOf(`${top}\nservers:\n  web:\n    listen: ":8080"\n    routes:\n${indented}\n`).servers[0]!.routes;
}

function proxyOf(route: RouteConfig | undefined): Extract<ActionConfig, { kind: "proxy" }> {
  assert.ok(route?.action.kind === "proxy");
  return route.action;
}

describe("short forms", () => {
  const pairs: readonly [short: string, long: string][] = [
    ["- proxy: http://a:1", "- proxy: { to: http://a:1 }"],
    ["- respond: 404", "- respond: { status: 404 }"],
    ["- redirect: https://a{uri}", '- redirect: { to: "https://a{uri}", status: 308 }'],
    ["- { match: { host: a, path: /b }, respond: 204 }", "- { match: { host: [a], path: [/b] }, respond: 204 }"],
    ["- { match: { header: { a: b } }, respond: 204 }", "- { match: { header: { A: [b] } }, respond: 204 }"],
    ["- { match: { client: 10.0.0.1 }, respond: 204 }", "- { match: { client: [10.0.0.1/32] }, respond: 204 }"],
    [
      "- { use: [{ ipAllow: [10.0.0.0/8] }], respond: 204 }",
      "- { use: [{ ipAllow: { allow: [10.0.0.0/8] } }], respond: 204 }",
    ],
    ["- { use: [{ compress: true }], respond: 204 }", "- { use: [{ compress: {} }], respond: 204 }"],
    ["- { proxy: { to: http://a, retries: 5 } }", "- { proxy: { to: http://a, retries: { max: 5 } } }"],
    [
      "- { use: [{ headers: { response: { add: { a: b } } } }], respond: 204 }",
      "- { use: [{ headers: { request: {}, response: { add: { a: [b] } } } }], respond: 204 }",
    ],
  ];
  for (const [short, long] of pairs) it(short, () => assert.deepEqual(routesOf(short), routesOf(long)));

  it("a server with one route", () => {
    const short = configOf(
      'servers: { web: { listen: ":80", proxy: http://a, upgrade: [], timeouts: { response: 1s } } }',
    );
    const long = configOf(
      'servers: { web: { listen: [{ address: ":80" }], routes: [{ proxy: http://a, upgrade: [], timeouts: { response: 1s } }] } }',
    );
    assert.equal(short.servers[0]!.routes[0]!.name, "web");
    assert.equal(long.servers[0]!.routes[0]!.name, "web.routes[0]");
    const withoutNames = (config: Config) => JSON.stringify(config).replaceAll("web.routes[0]", "web");
    assert.equal(withoutNames(short), withoutNames(long));
  });
});

describe("limits", () => {
  it("of a route win over those of its server, and those over the file's, field by field", () => {
    const { servers } = configOf(`
limits: { idle: 10s, body: 1MiB, tunnelLifetime: 1h }
servers:
  a:
    listen: ":80"
    limits: { idle: 20s, head: 8KiB }
    routes:
      - { match: { path: /a }, respond: 204, limits: { body: none, tunnelLifetime: none } }
      - respond: 204
  b: { listen: ":81", respond: 204 }
`);
    const [a, b] = servers;
    assert.deepEqual(
      [a!.limits.idleTimeoutMs, a!.limits.headBytesMax, a!.limits.bodyBytesMax],
      [20_000, 8_192, 1_048_576],
    );
    assert.deepEqual(
      [b!.limits.idleTimeoutMs, b!.limits.headBytesMax, b!.limits.bodyBytesMax],
      [10_000, 32_768, 1_048_576],
    );
    const [first, second] = a!.routes;
    assert.deepEqual([first!.limits.bodyBytesMax, first!.limits.tunnelLifetimeMs], [null, null]);
    assert.deepEqual([second!.limits.bodyBytesMax, second!.limits.tunnelLifetimeMs], [1_048_576, 3_600_000]);
  });
});

describe("the access log", () => {
  it("of a route wins over its server's, and that over the file's", () => {
    const { servers, log } = configOf(`
log: { access: { sample: 0.5, redact: [X-Api-Key, cookie] } }
servers:
  a:
    listen: ":80"
    log: { access: { sample: 0.1 } }
    routes:
      - { match: { path: /a }, respond: 204, log: { access: off } }
      - { match: { path: /b }, respond: 204, log: { access: { sample: 1 } } }
      - respond: 204
  b: { listen: ":81", respond: 204 }
  c: { listen: ":82", respond: 204, log: { access: off } }
  d: { listen: ":83", log: { access: off }, routes: [{ respond: 204, log: {} }] }
`);
    assert.deepEqual(
      servers.flatMap(({ routes }) => routes.map(({ accessLog }) => accessLog)),
      [
        { off: true, sample: 0 },
        { off: false, sample: 1 },
        { off: false, sample: 0.1 },
        { off: false, sample: 0.5 },
        { off: true, sample: 0 },
        { off: true, sample: 0 },
      ],
    );
    assert.deepEqual(log.access?.redact, ["authorization", "cookie", "set-cookie", "proxy-authorization", "x-api-key"]);
  });

  it("can be off as a whole", () => {
    assert.equal(configOf('log: { access: off }\nservers: { a: { listen: ":80", respond: 204 } }').log.access, null);
  });

  it("has templates in parts, with braces as text", () => {
    const text = `log: { access: { format: '{{"c": "{client}", "a": {header:User-Agent}}}' } }\nservers: { a: { listen: ":80", respond: 204 } }`;
    assert.deepEqual(configOf(text).log.access?.format, {
      kind: "template",
      parts: [
        '{"c": "',
        { kind: "field", name: "client" },
        '", "a": ',
        { kind: "requestHeader", name: "user-agent" },
        "}",
      ],
    });
  });
});

describe("pools of connections", () => {
  const UPSTREAM =
    'upstreams: { app: { servers: ["https://a"], timeouts: { connect: 1s, response: 2s }, retries: 1 } }';

  it("are shared by routes that say the same about connections, whatever else they say", () => {
    const routes = routesOf(
      "- { match: { path: /a }, proxy: { to: app, timeouts: { response: 9s }, host: upstream, retries: 0 } }\n- { proxy: app, timeouts: { response: 8s } }",
      UPSTREAM,
    ).map(proxyOf);
    assert.deepEqual(routes, [
      {
        kind: "proxy",
        upstream: "app",
        use: { host: "upstream", responseTimeoutMs: 9_000, bodyTimeoutMs: 300_000, retriesMax: 0 },
      },
      {
        kind: "proxy",
        upstream: "app",
        use: { host: "preserve", responseTimeoutMs: 8_000, bodyTimeoutMs: 300_000, retriesMax: 1 },
      },
    ]);
  });

  it("are made anew for a route that changes something about connections, once for each change", () => {
    const text = `${UPSTREAM}
servers:
  web:
    listen: ":80"
    routes:
      - { match: { path: /a }, proxy: { to: app, tls: { verify: false } } }
      - { match: { path: /b }, proxy: { to: app, tls: { verify: false } } }
      - { match: { path: /c }, proxy: { to: app, maxConnections: 5 } }
      - { match: { path: /d }, proxy: { to: "https://a", maxConnections: 5 } }
      - { match: { path: /e }, proxy: https://a:443/ }
      - proxy: app
`;
    const { upstreams, servers } = configOf(text);
    const names = servers[0]!.routes.map((route) => proxyOf(route).upstream);
    assert.equal(names[0], names[1]);
    assert.match(names[0]!, /^app#[0-9a-f]{8}$/);
    assert.match(names[2]!, /^app#[0-9a-f]{8}$/);
    assert.match(names[3]!, /^https:\/\/a#[0-9a-f]{8}$/);
    assert.deepEqual(names.slice(4), ["https://a", "app"]);
    assert.equal(new Set(names).size, 5);
    assert.deepEqual(upstreams.map(({ name }) => name).sort(), [...new Set(names)].sort());
    const of = (name: string | undefined) => upstreams.find((upstream) => upstream.name === name)!;
    assert.deepEqual([of(names[0]).tls.verify, of(names[0]).connectTimeoutMs], [false, 1_000]);
    assert.deepEqual([of(names[2]).tls.verify, of(names[2]).connectionsMax], [true, 5]);
    assert.deepEqual([of(names[3]).connectTimeoutMs, of(names[3]).connectionsMax], [3_000, 5]);
    // The name of a pool says what it is, in any file: a reload that moves the route keeps it.
    assert.deepEqual(
      new Set(configOf(text.replace("/a }", "/z }")).upstreams.map(({ name }) => name)),
      new Set(upstreams.map(({ name }) => name)),
    );
  });

  it("may have the names of things that every object has", () => {
    const { upstreams } = configOf(
      'upstreams: { constructor: { servers: ["http://a"] } }\nservers: { toString: { listen: ":80", proxy: constructor } }',
    );
    assert.deepEqual(
      upstreams.map(({ name }) => name),
      ["constructor"],
    );
    const missing = parseConfig('servers: { web: { listen: ":80", proxy: constructor } }', { file: "a.yaml" });
    assert.ok(!missing.ok && missing.problems[0]?.message.includes("no upstream has the name"));
  });
});

describe("answers", () => {
  it("have a type when they have a body", () => {
    const routes = routesOf(`- { match: { path: /a }, respond: { body: hello } }
- { match: { path: /b }, respond: { body: "{}", contentType: application/json, headers: { X-A: [b, c] } } }
- { match: { path: /c }, respond: { body: x, headers: { Content-Type: text/css } } }
- respond: 204`);
    assert.deepEqual(
      routes.map(({ action }) => action),
      [
        { kind: "respond", status: 200, headers: [["content-type", "text/plain; charset=utf-8"]], body: "hello" },
        {
          kind: "respond",
          status: 200,
          headers: [
            ["x-a", "b"],
            ["x-a", "c"],
            ["content-type", "application/json"],
          ],
          body: "{}",
        },
        { kind: "respond", status: 200, headers: [["content-type", "text/css"]], body: "x" },
        { kind: "respond", status: 204, headers: [], body: null },
      ],
    );
  });

  it("redirect by templates", () => {
    const [route] = routesOf('- redirect: { to: "{scheme}://www.{host}/new{path}?from={query}", status: 307 }');
    assert.deepEqual(route!.action, {
      kind: "redirect",
      status: 307,
      to: [{ part: "scheme" }, "://www.", { part: "host" }, "/new", { part: "path" }, "?from=", { part: "query" }],
    });
  });
});

describe("features", () => {
  it("come in the order of the file", () => {
    const [route] = routesOf("- { use: [{ stripPrefix: /a }, { compress: true }, { stripPrefix: /b }], respond: 204 }");
    assert.deepEqual(
      route!.use.map((use) => use.feature),
      ["stripPrefix", "compress", "stripPrefix"],
    );
  });
});

describe("the access log", () => {
  it("never shows what a feature takes as a key or a token", () => {
    const { log } = configOf(`servers:
  web:
    listen: ":80"
    use:
      - credentials:
          token: { cookie: c, header: X-Token, query: t, algorithm: HS256, key: a-secret-of-the-tests }
          session: { store: "lmdb:/sessions" }
          decrypt: off
      - jwt: { header: x-jwt, query: jwt, algorithm: HS256, key: a-secret-of-the-tests }
    proxy: http://a
`);
    assert.deepEqual(log.access?.redact.slice(-2), ["x-token", "x-jwt"]);
    assert.deepEqual(log.access?.redactQuery, ["t", "jwt"]);
  });
});

describe("warnings", () => {
  const warningsOf = (text: string) => {
    const result = parseConfig(text, { file: "headgate.yaml" });
    assert.ok(result.ok, result.ok ? "" : result.problems.map(formatProblem).join("\n"));
    return result.warnings.map(formatProblem);
  };

  it("say what is possible but hardly meant", () => {
    const text = `upstreams:
  idle: { servers: ["http://a"] }
  plain: { servers: ["http://b"], tls: { verify: false } }
servers:
  web:
    listen: ":80"
    routes:
      - { match: { path: /* }, proxy: plain }
      - respond: 404
`;
    assert.deepEqual(warningsOf(text), [
      "headgate.yaml:2:3: upstreams.idle: no route sends requests here",
      "headgate.yaml:3:35: upstreams.plain.tls: has no effect: no server's URL begins with https://",
      "headgate.yaml:3:50: upstreams.plain.tls.verify: certificates are not verified: anyone on the way can read and change the traffic",
      "headgate.yaml:9:9: servers.web.routes[1]: never reached: servers.web.routes[0] takes every request",
    ]);
  });

  it("do not say it of a route that comes last, or has another condition", () => {
    assert.deepEqual(
      warningsOf(
        'servers: { a: { listen: ":80", routes: [{ match: { path: /*, method: GET }, respond: 204 }, { respond: 404 }] } }',
      ),
      [],
    );
  });
});
