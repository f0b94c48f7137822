// What people write in place of what a field takes, and what they are told.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hintOf } from "./hints.ts";
import { parseConfig } from "./parse.ts";
import { formatProblem } from "./problems.ts";

const forward = (block: string) => `servers: { egress: { listen: "127.0.0.1:1", forward: ${block} } }`;
const rule = (fields: string) => forward(`{ allow: [{ ${fields} }] }`);
const beside = (text: string) => `${text}\n${server('listen: ":1"')}`;
const matched = (path: string) =>
  `servers: { web: { listen: ":1", routes: [{ match: { path: "${path}" }, respond: 204 }] } }`;
const cache = (fields: string) => beside(`caches: { a: { ${fields} } }`);
const use = (fields: string) => server(`listen: ":1", use: [{ cache: { ${fields} } }]`);
const server = (fields: string) => `servers: { web: { respond: 204, ${fields} } }`;

describe("a common slip", () => {
  for (const [text, expected] of [
    [server("listen: 3128"), /\.listen: .*; did you mean ":3128"\?$/],
    [server("listen: [3128]"), /\.listen\[0\]: .*; did you mean ":3128"\?$/],
    [server("listen: { address: 3128 }"), /\.listen\.address: .*; did you mean ":3128"\?$/],
    [server("listen: 70000"), /got a number$/],
    ['servers: { web: { listen: ":1", proxy: ["http://a"] } }', /: several servers are an upstream: .*, proxy: NAME$/],
    [
      'upstreams: { a: "http://a" }\nservers: { web: { listen: ":1", proxy: a } }',
      /upstreams\.a: .*, got text: write \{ servers: \[\.\.\.\] \}$/,
    ],
    [server("listen: 443 ssl"), /, got "443 ssl": write \{ address: ":443", tls: \{ certificates: \[.*\] \} \}$/],
    [
      server('listen: { address: ":1", tls: { certificates: { cert: a, key: b } } }'),
      /\.certificates: expected a list, got a mapping: a list of one is \[\{ \.\.\. \}\]$/,
    ],
    [
      'upstreams: { a: { servers: "http://a" } }\nservers: { web: { listen: ":1", proxy: a } }',
      /\.servers: expected a list, got text: a list of one is \[URL\]$/,
    ],
    [
      'servers: { web: { listen: ":1", routes: [{ match: { host: "*" }, respond: 204 }] } }',
      /\.match\.host: .*, got "\*": for every host leave host out$/,
    ],
    ['servers: { web: { listen: ":1", respond: "404" } }', /\.respond: .*, got text: a status has no quotes$/],
    [forward("{ timeouts: { dial: 5s } }"), /\.timeouts\.dial: unknown field; did you mean "connect"\?$/],
    ['servers: { web: { listen: ":1", respond: busy } }', /\.respond: .*, got text: a text is \{ body: TEXT \}$/],
    [
      server('listen: ":1", use: [{ rateLimit: { per: 1s } }]'),
      /\.rateLimit: requests of a client are not limited here: /,
    ],
    [server('listen: ":1", error_page: /50x.html'), /\.error_page: there is no field for pages of errors: a plugin /],
    [
      'servers: { web: { listen: ":1", proxy: "http://a", timeouts: { connect: 5s } } }',
      /\.timeouts\.connect: belongs to what is connected to: write proxy: \{ to: \S+, timeouts: \{ connect: 5s \} \}$/,
    ],
    [
      server('listen: ":1", use: [[{ ipAllow: [10.0.0.0/8] }], { compress: true }]'),
      /\.use\[0\]: expected a mapping, got a list: write its items here, one by one$/,
    ],
    [matched("~ ^/admin"), /, got "~ \^\/admin": a regular expression is a pathRegex$/],
    [matched("^/admin"), /, got "\^\/admin": a regular expression is a pathRegex$/],
    [matched("^~ /admin"), /, got "\^~ \/admin"$/],
    [matched("/admin*"), /: `\*` stands behind a slash, as in \/admin\/\*$/],
    [beside("log: { access: access.log }"), /access: .*: a file is \{ output: PATH \}, a format \{ format: FORMAT \}$/],
    [forward(""), /\.forward: expected a mapping, got nothing: for a proxy without options write forward: \{\}$/],
    [
      `forward: {}\n${server('listen: ":1"')}`,
      /forward: belongs to a server: servers: \{ NAME: \{ listen, forward \} \}$/,
    ],
    [rule('hosts: "*"'), /\.hosts: .*: for every host leave hosts out$/],
    [rule('hosts: ["*"]'), /\.hosts\[0\]: .*: for every host leave hosts out$/],
    [forward("{ timeouts: { connect: 5 } }"), /\.connect: .*; did you mean "5s"\?$/],
    [forward("{ timeouts: { connect: 0 } }"), /\.connect: expected a duration such as 30s, got 0$/],
    [
      forward('{ via: [{ proxy: ["socks5://a", "http://b"] }] }'),
      /\.proxy: SOCKS proxies and others in one list: a request is made for the one or for the other kind$/,
    ],
    [rule("times: { days: [monday] }"), /\.days\[0\]: .*; did you mean "mon"\?$/],
    [rule("times: { days: Monday }"), /\.days: expected a list, got text: a list of one is \[mon\]$/],
    [rule('times: { from: "8:00" }'), /\.from: .*; did you mean "08:00"\?$/],
    [server('listen: { address: ":1", proxyProtocol: true }'), /: write \{ from: NETWORKS \}, those of the balancers$/],
    [
      forward("{ allow: { networks: 10.0.0.0/8 } }"),
      /\.allow: expected a list, got a mapping: a list of one is \[\{ \.\.\. \}\]$/,
    ],
    [
      beside("caches: [a]"),
      /caches: expected a mapping, got a list: write caches: \{ NAME: \{ directory: PATH, size: 50GiB \} \}$/,
    ],
    [beside("caches: { a }"), /caches\.a: expected a mapping, got nothing: for a cache without options write \{\}$/],
    [beside("caches: { a: /var/cache/a }"), /caches\.a: expected a mapping, got text: write \{ directory: PATH \}$/],
    [cache("dir: /x"), /caches\.a\.dir: unknown field; did you mean "directory"\?$/],
    [cache("max_size: 1GiB"), /caches\.a\.max_size: unknown field; did you mean "size"\?$/],
    [cache("redis: x"), /caches\.a\.redis: unknown field; did you mean "shared"\?$/],
    [cache("ttl: 1d"), /caches\.a\.ttl: how long answers are fresh is said by rules of `cache`: rules: \[.*\]$/],
    [cache("memory: off"), /caches\.a\.memory: .*: for nothing in memory write 0$/],
    [cache("inactive: never"), /caches\.a\.inactive: .*: write off$/],
    [
      use("directory: /x"),
      /\.cache\.directory: belongs to the cache that "store" names: caches: \{ NAME: \{ .* \} \}$/,
    ],
    [use("maxAge: 1d"), /\.cache\.maxAge: how long answers are fresh is said by rules of `cache`: rules: \[.*\]$/],
    [use("ignore: [vary]"), /\.cache\.ignore: belongs to a rule: rules: \[\{ ignore: \[cache-control\] \}\]$/],
    [use("vary: [x]"), /\.cache\.vary: belongs to "key": key: \{ headers: \[accept-language\] \}$/],
    [use("lock: true"), /\.cache\.lock: is always so: leave it out$/],
    [use("grace: 10m"), /\.cache\.grace: unknown field; did you mean "staleWhileRevalidate"\?$/],
    [use("staleIfError: 1d"), /\.cache\.staleIfError: unknown field; did you mean "staleOnError"\?$/],
    [use("negative: 1w"), /\.cache\.negative: expected a duration such as 30s, got "1w"; did you mean "7d"\?$/],
    [use("rules: [{ path: /a/*/b, for: 1d }]"), /\.rules\[0\]\.path: a path has its only `\*` at the end$/],
    [cache("levels: '1:2'"), /caches\.a\.levels: is nothing that this cache needs: leave it out$/],
    [
      cache("shared: { url: redis://a }"),
      /caches\.a\.shared: .*, got a mapping: such fields stand in "stores": stores: \{ NAME: \{ url: URL \} \}, shared: NAME$/,
    ],
    [use("name: a"), /\.cache\.name: unknown field; did you mean "store"\?$/],
    [use("swr: 1m"), /\.cache\.swr: unknown field; did you mean "staleWhileRevalidate"\?$/],
    [use("rules: { for: 1d }"), /\.cache\.rules: expected a list, got a mapping: a list of one is \[\{ \.\.\. \}\]$/],
    [use("rules: [{ status: 200, ttl: 1d }]"), /\.cache\.rules\[0\]\.ttl: unknown field; did you mean "for"\?$/],
    [use("key: [accept]"), /\.cache\.key: .*: write \{ headers: \[\.\.\.\] \}, or query, cookies or identity$/],
    [use("heuristic: 0.1"), /\.cache\.heuristic: .*: write \{ share: NUMBER, max: 1d \}$/],
    [use("heuristic: true"), /\.cache\.heuristic: .*: write \{\}, or \{ share: 0\.1, max: 1d \}$/],
    [use("staleOnError: true"), /\.cache\.staleOnError: .*: say for how long: 1d$/],
  ] as const) {
    it(text.replace("\n", " "), () => {
      const result = parseConfig(text, { file: "headgate.yaml" });
      assert.ok(!result.ok, "it was taken");
      const lines = result.problems.map(formatProblem);
      assert.equal(lines.length, 1, lines.join("\n"));
      assert.match(lines[0]!, expected);
    });
  }
});

it("a value of a program that has no text is no slip", () => {
  const path = ["servers", "web", "routes", 0, "match", "path"];
  for (const value of [Object.create(null), [Object.create(null)], Symbol("a"), () => {}]) {
    assert.deepEqual(hintOf(path, value), {});
  }
  assert.deepEqual(hintOf(path, ["/a", "/a*b"]), { advice: "use pathRegex for more" });
});
