/**
 * What a person reads about a file that is wrong: every line of it, with its place. Long because it is one table, in which a
 * message is looked up.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseConfig } from "./parse.ts";
import { formatProblem, joinOr } from "./problems.ts";
import { featureFields } from "./route-schema.ts";

/** The lines for a file, without its name. */
function linesFor(text: string, file = "headgate.yaml"): readonly string[] {
  const result = parseConfig(text, { file, env: {} });
  assert.ok(!result.ok, "the file was taken");
  return result.problems.map((problem) => {
    const line = formatProblem(problem);
    assert.ok(line.startsWith(`${file}:`), line);
    return line.slice(file.length + 1);
  });
}

/** A file whose one route has the given line in it. */
const route = (line: string) =>
  `servers:\n  web:\n    listen: ":8080"\n    routes:\n      - respond: 204\n        ${line}\n`;
/** A file whose one server has the given line in it. */
const server = (line: string) => `servers:\n  web:\n    listen: ":8080"\n    respond: 204\n    ${line}\n`;
/** A file with the given line at the top. */
const top = (line: string) => `${line}\n${server("")}`;

type Case = readonly [name: string, text: string, ...lines: string[]];

const MISPLACED: readonly Case[] = [
  [
    "a misspelled field, which is not also missing",
    `servers:
  web:
    listen: ":8080"
    routes:
      - match: { path: /up }
        proxi: http://127.0.0.1:3000
`,
    '6:9: servers.web.routes[0].proxi: unknown field; did you mean "proxy"?',
  ],
  ["another case", top("drain_timeout: 3s"), '1:1: drain_timeout: unknown field; did you mean "drainTimeout"?'],
  ["nothing near", top("colour: red"), "1:1: colour: unknown field"],
  [
    "a forward proxy for whom a load balancer names",
    `servers:
  web:
    listen: { address: "127.0.0.1:3128", proxyProtocol: { from: [127.0.0.1] } }
    forward: {}
`,
    '4:5: servers.web.forward: would serve everybody whom "proxyProtocol" names at 127.0.0.1:3128: name the networks of its clients (allow: [{ clients: [10.0.0.0/8] }]), ask who they are (auth), or listen without "proxyProtocol"',
  ],
  [
    "a forward proxy for strangers",
    server("forward: {}"),
    "5:5: servers.web.forward: would serve everybody who can reach :8080: name the networks of its clients (allow: [{ clients: [10.0.0.0/8] }]), ask who they are (auth), or listen on 127.0.0.1",
  ],
  [
    "a limit of a server in a route",
    route("limits: { idle: 3s }"),
    "6:19: servers.web.routes[0].limits.idle: is a limit of a server: it applies before a route is chosen",
  ],
  [
    "match in a server",
    server("match: {}"),
    "5:5: servers.web.match: belongs to a route: write routes: [{ match: ... }]",
  ],
  [
    "a field of a route beside routes",
    'servers:\n  web:\n    listen: ":8080"\n    use: []\n    routes:\n      - respond: 204\n',
    '4:5: servers.web.use: cannot stand beside "routes": write it in the routes',
  ],
  [
    "TLS beside the address, which is a part of it",
    server("tls: { certificates: [{ cert: a, key: b }] }"),
    '5:5: servers.web.tls: belongs to an address of the server: write listen: { address: ":443", tls: { certificates: [{ cert: PATH, key: PATH }] } }',
  ],
  [
    "a feature beside routes",
    'servers:\n  web:\n    listen: ":8080"\n    compress: true\n    routes:\n      - respond: 204\n',
    '4:5: servers.web.compress: is a feature, which stands in "use" of a route: write routes: [{ use: [{ compress: ... }] }]',
  ],
  [
    "a feature beside proxy in a server",
    server("basicAuth: { file: a }"),
    '5:5: servers.web.basicAuth: is a feature, which stands in "use": write use: [{ basicAuth: ... }]',
  ],
  [
    "a feature of a route outside of use",
    route("headers: {}"),
    '6:9: servers.web.routes[0].headers: is a feature, which stands in "use": write use: [{ headers: ... }]',
  ],
  [
    "a feature at the top",
    top("jwt: {}"),
    '1:1: jwt: is a feature, which stands in "use" of a server or a route: write use: [{ jwt: ... }]',
  ],
  ["one of several at the top", top("cache: {}"), '1:1: cache: unknown field; did you mean "caches"?'],
  [
    "a feature in proxy",
    server("proxy: { to: 'http://a', rewrite: {} }").replace("    respond: 204\n", ""),
    '4:30: servers.web.proxy.rewrite: is a feature, which stands in "use" beside "proxy": write use: [{ rewrite: ... }]',
  ],
  [
    "an end of a route in use",
    route("use: [{ redirect: /a }]"),
    '6:17: servers.web.routes[0].use[0].redirect: is no feature: it stands beside "use"',
  ],
  [
    "a field of a server at the top",
    top('listen: ":80"'),
    "1:1: listen: belongs to a server: write servers: { NAME: { listen: ... } }",
  ],
  [
    "a field of a server in a route",
    route("listen: ':80'"),
    '6:9: servers.web.routes[0].listen: belongs to the server, beside "routes"',
  ],
  [
    "a field of a server in its address",
    'servers:\n  web:\n    listen: { address: ":80", routes: [] }\n    respond: 204\n',
    '3:31: servers.web.listen.routes: belongs to the server, beside "listen"',
  ],
  [
    "a condition beside its match",
    route("pathRegex: ^/a"),
    "6:9: servers.web.routes[0].pathRegex: is a condition: write match: { pathRegex: ... }",
  ],
  [
    "a field of proxy beside it",
    route("retries: 1"),
    '6:9: servers.web.routes[0].retries: belongs to "proxy": write proxy: { to: ..., retries: ... }',
  ],
  [
    "the words of nginx",
    "http: {}\nservers:\n  web:\n    listen: 80\n    server_name: a\n    gzip: on\n    location: /\n",
    '1:1: http: unknown field; did you mean "servers"?',
    '4:13: servers.web.listen: expected an address such as :8080, 127.0.0.1:8080 or unix:/run/web.sock, a mapping or a list, got a number; did you mean ":80"?',
    "5:5: servers.web.server_name: is a condition of a route: write routes: [{ match: { host: example.org }, proxy: http://127.0.0.1:3000 }]",
    "6:5: servers.web.gzip: is the feature compress: write use: [{ compress: true }]",
    "7:5: servers.web.location: is a condition of a route: write routes: [{ match: { path: /api/* }, proxy: http://127.0.0.1:3000 }]",
  ],
  [
    "the words of HAProxy",
    'frontend:\n  web: {}\nservers:\n  web:\n    bind: ":80"\n    default_backend: app\n',
    '1:1: frontend: unknown field; did you mean "servers"?',
    '5:5: servers.web.bind: unknown field; did you mean "listen"?',
    '6:5: servers.web.default_backend: unknown field; did you mean "proxy"?',
  ],
  [
    "what is of the access log in the log",
    top("log: { format: json, file: a }"),
    "1:8: log.format: belongs to the access log: write access: { format: ... }",
    "1:22: log.file: belongs to the access log: write access: { output: PATH }",
  ],
  [
    "a server of an upstream by other words",
    'upstreams: { app: { servers: [{ address: "http://a" }] } }\nservers: { web: { listen: ":1", proxy: app } }\n',
    '1:33: upstreams.app.servers[0].address: unknown field; did you mean "url"?',
  ],
  [
    "a feature of a forward proxy outside of use",
    server("forward: { compress: true }"),
    '5:16: servers.web.forward.compress: is a feature, which stands in "use": write use: [{ compress: ... }]',
  ],
  [
    "WebSockets, which pass",
    route("websocket: true"),
    "6:9: servers.web.routes[0].websocket: is always so: leave it out",
  ],
  [
    "the name of a field in place of a change",
    route("use: [{ headers: { X-Frame-Options: DENY } }]"),
    '6:28: servers.web.routes[0].use[0].headers.X-Frame-Options: is the name of a field: write request: { set: { NAME: VALUE } }, or the same with "response"',
  ],
  [
    "servers without names",
    "servers:\n  - respond: 204\n",
    "2:3: servers: expected a mapping, got a list: each has a name: NAME: { ... }",
  ],
  [
    "features without a list",
    route("use: { compress: true }"),
    "6:14: servers.web.routes[0].use: expected a list, got a mapping: a list of one is [{ ... }]",
  ],
  ["no servers", "via: off\n", "1:1: servers: this field is required"],
  ["an empty file", "# nothing\n", "1:1: the configuration is empty"],
  ["servers without a server", "servers: {}\n", "1:10: servers: needs at least one server"],
  [
    "a server without anything",
    "servers:\n  web: {}\n",
    "2:3: servers.web.listen: this field is required",
    '2:3: servers.web: needs one of "routes", "proxy", "respond", "redirect", "handle" or "forward"',
  ],
  ["a server that is no block", "servers:\n  web:\n", "2:7: servers.web: expected a mapping, got nothing"],
  [
    "a route that ends nowhere",
    'servers:\n  web:\n    listen: ":8080"\n    routes:\n      - match: { path: /up }\n',
    '5:9: servers.web.routes[0]: needs one of "proxy", "respond", "redirect" or "handle"',
  ],
  [
    "a route that ends twice",
    route("redirect: https://example.org"),
    '6:9: servers.web.routes[0].redirect: cannot stand beside "respond": a route ends in one of them',
  ],
  [
    "upgrades without an upstream",
    route("upgrade: []"),
    '6:9: servers.web.routes[0].upgrade: only has a meaning beside "proxy"',
  ],
  [
    "no routes",
    'servers:\n  web:\n    listen: ":8080"\n    routes: []\n',
    "4:13: servers.web.routes: expected at least one item, got none",
  ],
  [
    "a name that is none",
    'servers:\n  "my web":\n    listen: ":1"\n    respond: 204\n',
    '2:3: servers["my web"]: expected a name of letters, digits, dots, hyphens and underscores, got "my web"',
  ],
];

const VALUES: readonly Case[] = [
  [
    "a duration without a unit",
    top("drainTimeout: 30"),
    '1:15: drainTimeout: expected a duration such as 30s, got 30; did you mean "30s"?',
  ],
  [
    "a duration with a space",
    top("drainTimeout: 30 sec"),
    '1:15: drainTimeout: expected a duration such as 30s, got "30 sec"; did you mean "30s"?',
  ],
  ["a duration in words", top("drainTimeout: soon"), '1:15: drainTimeout: expected a duration such as 30s, got "soon"'],
  ["a duration of nothing", top("drainTimeout: 0s"), '1:15: drainTimeout: expected a duration such as 30s, got "0s"'],
  [
    "a duration of centuries",
    top("drainTimeout: 99999d"),
    '1:15: drainTimeout: expected a duration such as 30s, got "99999d"',
  ],
  [
    "a size in thousands",
    top("limits: { body: 10 MB }"),
    '1:17: limits.body: expected a size such as 64KiB, got "10 MB"; did you mean "10MiB"?',
  ],
  ["a negative size", top("limits: { body: -1 }"), "1:17: limits.body: expected a size such as 64KiB, got -1"],
  [
    "no size where there are bounds",
    top("limits: { head: -1 }"),
    "1:17: limits.head: expected a size such as 64KiB, got -1",
  ],
  ["half a byte", top("limits: { head: 0.5 }"), "1:17: limits.head: expected a size such as 64KiB, got 0.5"],
  ["a size out of bounds", top("limits: { head: 10 }"), "1:17: limits.head: expected a size from 1KiB to 1MiB, got 10"],
  ["a fraction of a field", top("limits: { fields: 9.5 }"), "1:19: limits.fields: expected a whole number, got 9.5"],
  ["too few fields", top("limits: { fields: 1 }"), "1:19: limits.fields: expected a number of at least 8, got 1"],
  [
    "too large a share",
    top("log: { access: { sample: 2 } }"),
    "1:26: log.access.sample: expected a number of at most 1, got 2",
  ],
  [
    "a word that is none of them",
    top("log: { level: warning }"),
    '1:15: log.level: expected fatal, error, warn, info, debug, trace or silent, got "warning"; did you mean "warn"?',
  ],
  [
    "false for off",
    top("log: { access: false }"),
    '1:16: log.access: expected off or a mapping, got false; did you mean "off"?',
  ],
  [
    "a transport that there is not",
    top("transport: fast"),
    '1:12: transport: expected auto, native or net, got "fast"',
  ],
  ["no workers", top("workers: 0"), "1:10: workers: expected a number of at least 1, got 0"],
  ["workers in words", top("workers: two"), '1:10: workers: expected auto or a number, got "two"'],
  ["a word for a block", top("limits: none"), "1:9: limits: expected a mapping, got text"],
  ["a word for a list", top("trustedProxies: 10.0.0.0/8"), "1:17: trustedProxies: expected a list, got text"],
  ["a word for a switch", server("halfClose: yes"), '5:16: servers.web.halfClose: expected true or false, got "yes"'],
  [
    "bits beyond the prefix",
    top("trustedProxies: [10.1.2.3/8]"),
    '1:18: trustedProxies[0]: expected a network such as 10.0.0.0/8 or an address, got "10.1.2.3/8"; did you mean "10.0.0.0/8"?',
  ],
  [
    "too long a prefix",
    top("trustedProxies: [10.0.0.0/33]"),
    '1:18: trustedProxies[0]: expected a network such as 10.0.0.0/8 or an address, got "10.0.0.0/33"',
  ],
  [
    "an octal address",
    top("trustedProxies: [010.0.0.1]"),
    '1:18: trustedProxies[0]: expected a network such as 10.0.0.0/8 or an address, got "010.0.0.1"',
  ],
  [
    "a field of the log",
    top('log: { access: { format: "{clinet}" } }'),
    '1:26: log.access.format: the access log has no field {clinet}; did you mean "{client}"?',
  ],
  [
    "a lone brace",
    top('log: { access: { format: "{client} }" } }'),
    '1:26: log.access.format: a lone "}": write it twice',
  ],
  [
    "fields of another format",
    top("log: { access: { format: combined, fields: [time] } }"),
    '1:36: log.access.fields: only has a meaning with "format: json"',
  ],
  [
    "a format by a wrong name",
    top("log: { access: { format: common } }"),
    '1:26: log.access.format: expected json, combined, or a template such as {client} {method} {path} {status}, got "common"',
  ],
  [
    "a port that does not exist",
    'servers: { web: { listen: ":70000", respond: 204 } }',
    "1:27: servers.web.listen: the port is 70000, the highest one is 65535",
  ],
  [
    "a listener as a URL",
    "servers: { web: { listen: ['http://127.0.0.1:80/'], respond: 204 } }",
    '1:28: servers.web.listen[0]: expected an address such as :8080, 127.0.0.1:8080 or unix:/run/web.sock, got "http://127.0.0.1:80/"; did you mean "127.0.0.1:80"?',
  ],
  [
    "an address twice",
    "servers: { a: { listen: ':80', respond: 204 }, b: { listen: ['[::1]:81', ':80'], respond: 204 } }",
    "1:74: servers.b.listen[1]: :80 is listened on by servers.a.listen already: several hosts at one address are routes of one server, each with match: { host }",
  ],
  [
    "an address among those of another listener",
    "servers: { a: { listen: ':80', respond: 204 }, b: { listen: ['[::1]:81', '127.0.0.1:80'], respond: 204 } }",
    "1:74: servers.b.listen[1]: 127.0.0.1:80 overlaps :80, which is listened on by servers.a.listen already: several hosts at one address are routes of one server, each with match: { host }",
  ],
  [
    "every address of IPv6, beside one of them",
    "servers: { a: { listen: ['[::1]:80', '0.0.0.0:80'], respond: 204 }, b: { listen: '[0::0]:80', respond: 204 } }",
    "1:82: servers.b.listen: [::]:80 overlaps [::1]:80, which is listened on by servers.a.listen[0] already: several hosts at one address are routes of one server, each with match: { host }",
  ],
  [
    "TLS without certificates",
    "servers: { web: { listen: { address: ':443', tls: { certificates: [] } }, respond: 204 } }",
    "1:67: servers.web.listen.tls.certificates: expected at least one item, got none",
  ],
  [
    "an old TLS version",
    "servers: { web: { listen: { address: ':443', tls: { certificates: [{ cert: a, key: b }], minVersion: 1.1 } }, respond: 204 } }",
    "1:102: servers.web.listen.tls.minVersion: expected 1.2 or 1.3, got 1.1",
  ],
];

const ROUTES: readonly Case[] = [
  [
    "features that nothing would pass",
    'servers:\n  web:\n    listen: "127.0.0.1:1"\n    forward: {}\n    use: [{ ipAllow: [10.0.0.0/8] }]\n',
    "5:5: servers.web.use: is for routes, and this server has none: for what is forwarded write forward: { use: ... }",
  ],
  [
    "timeouts and upgrades of no route",
    'servers:\n  web:\n    listen: "127.0.0.1:1"\n    forward: {}\n    timeouts: {}\n    upgrade: []\n',
    "5:5: servers.web.timeouts: is for routes, and this server has none: for what is forwarded write forward: { timeouts: ... }",
    "6:5: servers.web.upgrade: is for routes, and this server has none",
  ],
  [
    "a path without a slash",
    route("match: { path: up }"),
    '6:24: servers.web.routes[0].match.path: expected a path such as /up or /jmap/*, got "up"; did you mean "/up"?',
  ],
  [
    "cookies that no request has",
    route("match: { cookie: { a: '1; b=2', b: ['', ' 1'] } }"),
    "6:31: servers.web.routes[0].match.cookie.a: expected the value of a cookie (visible ASCII without semicolons, no space at either end), got other text",
    "6:49: servers.web.routes[0].match.cookie.b[1]: expected the value of a cookie (visible ASCII without semicolons, no space at either end), got other text",
  ],
  [
    "a header field in two spellings",
    route("match: { header: { X-A: '1', x-b: '1', x-a: '2' } }"),
    "6:48: servers.web.routes[0].match.header.x-a: is the same field as X-A, which is there already",
  ],
  [
    "the same in an answer",
    route("").replace("respond: 204", "respond: { headers: { Set-Cookie: a, set-cookie: b } }"),
    "5:46: servers.web.routes[0].respond.headers.set-cookie: is the same field as Set-Cookie, which is there already",
  ],
  [
    "the same of a feature",
    route("use: [{ headers: { request: { set: { X-A: a, x-a: b } } } }]"),
    "6:54: servers.web.routes[0].use[0].headers.request.set.x-a: is the same field as X-A, which is there already",
  ],
  [
    "a star in the middle",
    route("match: { path: /a/*/b }"),
    "6:24: servers.web.routes[0].match.path: a path has its only `*` at the end: use pathRegex for more",
  ],
  [
    "a star behind no slash",
    route("match: { path: [/x, /jmap*] }"),
    "6:29: servers.web.routes[0].match.path[1]: `*` stands behind a slash, as in /jmap/*",
  ],
  [
    "a path that no request has",
    route("match: { path: /a/../b }"),
    '6:24: servers.web.routes[0].match.path: expected a path such as /up or /jmap/*, got "/a/../b"',
  ],
  [
    "a host with a port",
    route("match: { host: 'example.org:80' }"),
    '6:24: servers.web.routes[0].match.host: expected a host such as app.example.org or *.example.org, without port, got "example.org:80"; did you mean "example.org"?',
  ],
  [
    "a star that is an alias",
    route("match: { host: *.example.org }"),
    '6:24: servers.web.routes[0].match.host: put quotes around a text that begins with *: "*.example.org"',
  ],
  [
    "a method in lower case",
    route("match: { method: [GET, post] }"),
    '6:32: servers.web.routes[0].match.method[1]: expected a method such as GET, got "post"; did you mean "POST"?',
  ],
  [
    "a broken pattern",
    route('match: { pathRegex: "(" }'),
    "6:29: servers.web.routes[0].match.pathRegex: not a regular expression: unterminated group",
  ],
  [
    "a field's name with its colon",
    route('match: { header: { "x-a:": b } }'),
    '6:28: servers.web.routes[0].match.header["x-a:"]: expected the name of a header field, got "x-a:"; did you mean "x-a"?',
  ],
  [
    "an unknown feature",
    route("use: [{ headres: {} }]"),
    '6:17: servers.web.routes[0].use[0].headres: unknown field; did you mean "headers"?',
  ],
  [
    "two features in an item",
    route("use: [{ compress: true, stripPrefix: /a }]"),
    "6:15: servers.web.routes[0].use[0]: has compress and stripPrefix: give each an item of its own, in the wanted order",
  ],
  [
    "an item without a feature",
    route("use: [{}]"),
    `6:15: servers.web.routes[0].use[0]: needs one of ${joinOr(Object.keys(featureFields))}`,
  ],
  [
    "a name for a feature",
    route("use: [compress]"),
    "6:15: servers.web.routes[0].use[0]: expected a mapping, got text: write { NAME: ... }",
  ],
  [
    "a prefix with a slash",
    route("use: [{ stripPrefix: /app/ }]"),
    '6:30: servers.web.routes[0].use[0].stripPrefix: expected a path such as /app, got "/app/"; did you mean "/app"?',
  ],
  [
    "a group that is not there",
    route('use: [{ rewrite: { match: "^/(a)", to: "/$2" } }]'),
    "6:48: servers.web.routes[0].use[0].rewrite.to: $2 refers to a group that the pattern does not have (it has 1)",
  ],
  [
    "a named group that is not there",
    route('use: [{ rewrite: { match: "^/a", to: "/$<id>" } }]'),
    "6:46: servers.web.routes[0].use[0].rewrite.to: $<id> refers to a group that the pattern does not name",
  ],
  [
    "a lone dollar sign",
    route('use: [{ rewrite: { match: "^/a", to: "/a$b" } }]'),
    '6:46: servers.web.routes[0].use[0].rewrite.to: "$" stands for a group ($1, $<name>, $&): write $$ for the character itself',
  ],
  [
    "nobody allowed or denied",
    route("use: [{ ipAllow: {} }]"),
    '6:26: servers.web.routes[0].use[0].ipAllow: needs "allow", "deny" or both',
  ],
  [
    "a coding that is none",
    route("use: [{ compress: { encodings: [gzp] } }]"),
    '6:41: servers.web.routes[0].use[0].compress.encodings[0]: expected zstd, br or gzip, got "gzp"; did you mean "gzip"?',
  ],
  [
    "the Host as a field",
    route("use: [{ headers: { request: { set: { Host: x } } } }]"),
    '6:46: servers.web.routes[0].use[0].headers.request.set.Host: the Host of the upstream request is set by "host" beside "to" in "proxy"',
  ],
  [
    "a field of the framing",
    route("use: [{ headers: { response: { remove: [Content-Length] } } }]"),
    "6:49: servers.web.routes[0].use[0].headers.response.remove[0]: content-length is set by the proxy itself",
  ],
  [
    "a line break in a field, which is not shown",
    route('use: [{ headers: { request: { set: { a: "secret\\nb: c" } } } }]'),
    "6:49: servers.web.routes[0].use[0].headers.request.set.a: expected the value of a header field (visible ASCII, no line break, no space at either end), got other text",
  ],
  [
    "a body where none can be",
    'servers: { web: { listen: ":80", respond: { status: 204, body: x } } }',
    "1:58: servers.web.respond.body: an answer of status 204 has no body",
  ],
  [
    "a status that is none",
    'servers: { web: { listen: ":80", respond: 99 } }',
    "1:43: servers.web.respond: expected a number of at least 200, got 99",
  ],
  [
    "a type without a body",
    'servers: { web: { listen: ":80", respond: { contentType: text/html } } }',
    '1:45: servers.web.respond.contentType: only has a meaning beside "body"',
  ],
  [
    "a redirect with another status",
    'servers: { web: { listen: ":80", redirect: { to: /a, status: 300 } } }',
    "1:62: servers.web.redirect.status: expected 301, 302, 303, 307 or 308, got 300",
  ],
  [
    "a redirect to another scheme's URL",
    'servers: { web: { listen: ":80", redirect: "//example.org" } }',
    '1:44: servers.web.redirect: expected a URL such as https://example.org{uri}, or a path, got "//example.org"',
  ],
  [
    "a redirect to a port that there is not",
    'servers: { web: { listen: ":80", redirect: "https://example.org:99999{uri}" } }',
    '1:44: servers.web.redirect: "https://example.org:99999{uri}" is no URL, whatever is filled in',
  ],
  [
    "a password in such a redirect",
    'servers: { web: { listen: ":80", redirect: "https://u:hunter2@example.org:99999{uri}" } }',
    '1:44: servers.web.redirect: "https://[hidden]@example.org:99999{uri}" is no URL, whatever is filled in',
  ],
  [
    "a redirect that a link could lead astray",
    'servers: { web: { listen: ":80", redirect: "/{path}" } }',
    "1:44: servers.web.redirect: {path} and {uri} begin with a slash themselves: leave yours out",
  ],
  [
    "a redirect whose host a query is",
    'servers: { web: { listen: ":80", redirect: "/{query}" } }',
    "1:44: servers.web.redirect: {query} may begin with a slash, and what follows it would be taken for a host: put something before it",
  ],
  [
    "a redirect whose host a query is behind the path of a root",
    'servers: { web: { listen: ":80", redirect: "{path}{query}" } }',
    "1:44: servers.web.redirect: {query} may begin with a slash, and what follows it would be taken for a host: put something before it",
  ],
  [
    "a redirect whose host a query ends",
    'servers: { web: { listen: ":80", redirect: "https://a{query}" } }',
    "1:44: servers.web.redirect: what comes from the request would become part of the host",
  ],
  [
    "a redirect with an unknown part",
    'servers: { web: { listen: ":80", redirect: "https://a{ur}" } }',
    '1:44: servers.web.redirect: {ur} is none of {scheme}, {host}, {path}, {query} and {uri}; did you mean "https://a{uri}"?',
  ],
  [
    "a handler that is none",
    'servers: { web: { listen: ":80", handle: kissCache } }',
    '1:42: servers.web.handle: expected kisscache or a mapping, got text; did you mean "kisscache"?',
  ],
];

/** A file with an upstream `app` and a route with this line as its end. */
const proxied = (upstream: string, proxy: string) =>
  `upstreams:\n  app: ${upstream}\nservers:\n  web:\n    listen: ":8080"\n    proxy: ${proxy}\n`;
const APP = '{ servers: ["http://127.0.0.1:3000"] }';

const health = (value: string) => top(`upstreams: { app: { servers: ['http://a'], health: ${value} } }`);

const UPSTREAMS: readonly Case[] = [
  [
    "a health check of a path without its slash",
    health("healthz"),
    '1:52: upstreams.app.health: expected a path such as /healthz, got "healthz"; did you mean "/healthz"?',
  ],
  [
    "a health check by a class of statuses",
    health("{ status: 2xx }"),
    '1:62: upstreams.app.health.status: expected a status or a range of them such as 200-299, got "2xx"; did you mean "200-299"?',
  ],
  [
    "a health check by a range that ends before it begins",
    health("{ status: [200, 299-200] }"),
    '1:68: upstreams.app.health.status[1]: expected a status or a range of them such as 200-299, got "299-200"',
  ],
  [
    "the same by others' names",
    top("upstreams: { app: { servers: ['http://a'], health_check: { uri: /x, fall: 3, rise: 2 } } }"),
    '1:44: upstreams.app.health_check: unknown field; did you mean "health"?',
  ],
  [
    "an upstream that does not exist",
    proxied(APP, "ap"),
    '6:12: servers.web.proxy: no upstream has the name "ap"; did you mean "app"?',
  ],
  [
    "the same in the long form",
    proxied(APP, "{ to: apq }"),
    '6:18: servers.web.proxy.to: no upstream has the name "apq"; did you mean "app"?',
  ],
  [
    "a URL without its scheme",
    proxied(APP, "localhost:3000"),
    '6:12: servers.web.proxy: no upstream has the name "localhost:3000"; did you mean "http://localhost:3000"?',
  ],
  [
    "a port alone",
    proxied(APP, "':3000'"),
    '6:12: servers.web.proxy: no upstream has the name ":3000"; did you mean "http://127.0.0.1:3000"?',
  ],
  [
    "an address that lacks its brackets",
    proxied(APP, "'::1'"),
    '6:12: servers.web.proxy: no upstream has the name "::1", and it is no URL such as http://127.0.0.1:3000',
  ],
  [
    "a unix socket as nginx has it",
    proxied(APP, "http://unix:/run/app.sock:/"),
    "6:12: servers.web.proxy: a unix socket is written unix:/run/app.sock",
  ],
  [
    "a URL with a path",
    proxied(APP, "http://a/base"),
    "6:12: servers.web.proxy: a server's URL ends after the host and port: change the path with the feature `rewrite`, and write http://a",
  ],
  [
    "a WebSocket URL",
    proxied(APP, "{ to: ws://a }"),
    '6:18: servers.web.proxy.to: a server\'s URL begins with http:// or https://: upgrades to WebSocket pass on it; did you mean "http://a"?',
  ],
  [
    "a URL with credentials",
    proxied(APP, "http://me:secret@a"),
    "6:12: servers.web.proxy: a server's URL carries no credentials: set the authorization field with the feature `headers`",
  ],
  [
    "another scheme",
    proxied(APP, "ftp://a"),
    '6:12: servers.web.proxy: expected a URL such as http://127.0.0.1:3000, got "ftp://a"',
  ],
  [
    "a port too high",
    proxied('{ servers: ["http://a:65536"] }', "app"),
    "2:20: upstreams.app.servers[0]: the port is 65536, the highest one is 65535",
  ],
  [
    "port 0",
    proxied('{ servers: [{ url: "http://a:0" }] }', "app"),
    "2:27: upstreams.app.servers[0].url: the port is 0, which no server listens on",
  ],
  [
    "no servers",
    proxied("{ servers: [] }", "app"),
    "2:19: upstreams.app.servers: expected at least one item, got none",
  ],
  [
    "a misspelled balance",
    proxied('{ servers: ["http://a"], balance: least_connections }', "app"),
    '2:42: upstreams.app.balance: expected round-robin, least-connections, p2c, random or hash, got "least_connections"; did you mean "least-connections"?',
  ],
  [
    "a hash without its balance",
    proxied(APP, "{ to: app, hash: { by: path } }"),
    '6:23: servers.web.proxy.hash: only has a meaning with "balance: hash"',
  ],
  [
    "a hash by something else",
    proxied('{ servers: ["http://a"], balance: hash, hash: { by: ip } }', "app"),
    '2:60: upstreams.app.hash.by: expected client, path, header:NAME or cookie:NAME, got "ip"',
  ],
  [
    "a misspelled keyword for a host",
    proxied(APP, "{ to: app, host: presrve }"),
    '6:29: servers.web.proxy.host: expected preserve, upstream, or a host (a name without a dot with its port, as in app:80), got "presrve"',
  ],
  [
    "a certificate without its key",
    proxied(APP, '{ to: "https://a", tls: { cert: a.pem } }'),
    '6:44: servers.web.proxy.tls.cert: needs "key" beside it',
  ],
  [
    "retries in words",
    proxied(APP, "{ to: app, retries: many }"),
    "6:32: servers.web.proxy.retries: expected a number or a mapping, got text",
  ],
];

/** A file whose server listens there. */
const listen = (value: string) => `servers:\n  web:\n    listen: ${value}\n    respond: 204\n`;
const QUOTE_BRACKET = 'put quotes around a text that begins with [, as in "[::1]:8080"';
const QUOTE_BRACE = 'put quotes around a text that begins with {, as in "{host}"';

const SYNTAX: readonly Case[] = [
  ["a field twice", `${server("")}via: off\nvia: edge\n`, "7:1: via: this field is there twice"],
  ["a field twice below", server("respond: 404"), "5:5: servers.web.respond: this field is there twice"],
  ["a tab", "servers:\n\tweb: 3\n", "2:1: a tab cannot indent YAML: use spaces"],
  [
    "a tab, and what comes of it",
    "servers:\n  web:\n\tlisten: :80\n    respond: 204\n",
    "3:1: a tab cannot indent YAML: use spaces",
  ],
  [
    "an item's field that is not below the first",
    server("routes:\n      - match: { path: /a }\n       respond: 204\n"),
    "7:8: not valid: the fields of a block begin at the same column",
  ],
  [
    "a field that is not below the others",
    `${server("")}\n   respond: 204\n`,
    "7:4: not valid: the fields of a block begin at the same column",
  ],
  ["a key without a colon", server("redirect /x"), "5:5: not valid: a key has a colon and a space behind it"],
  [
    "a key without a space",
    top("drainTimeout:10s\nvia: off"),
    "1:1: not valid: a key has a colon and a space behind it, in the same line",
  ],
  [
    "a block that does not end",
    "servers: { web: [\n",
    "2:1: not valid: flow sequence in block collection must be sufficiently indented and end with a ]",
  ],
  ["two documents", "--- {}\n--- {}\n", "2:1: the file has more than one document"],
  ["a tag", top("via: !secret x"), "1:6: not valid: unresolved tag: !secret"],
  ["a merge key", server("<<: {}"), '5:5: servers.web["<<"]: merge keys are no part of YAML 1.2: repeat the fields'],
  ["the prototype", server("__proto__: {}"), "5:5: servers.web.__proto__: unknown field"],
  ["a list as a key", top("? [a]\n: b"), `1:3: ${QUOTE_BRACKET}`],
  ["no text as a key", top("? \n: b"), "1:3: a key must be text"],
  ["an address that is a list to YAML", listen("[::]:8080"), `3:13: ${QUOTE_BRACKET}`],
  ["the same with a comment behind it", listen("[::1]:8080 # here"), `3:13: ${QUOTE_BRACKET}`],
  ["the same as an item", listen("\n      - :80\n      - [::1]:8080"), `5:9: ${QUOTE_BRACKET}`],
  ["the same in a list", listen("[[::]:8080, :81]"), `3:14: servers.web.listen[0]: ${QUOTE_BRACKET}`],
  ["the same in a block", listen("{ address: [::]:80 }"), `3:24: ${QUOTE_BRACKET}`],
  ["the same in a block of several lines", listen("{\n      address: [::]:80,\n    }"), `4:16: ${QUOTE_BRACKET}`],
  [
    "every address as in other proxies",
    listen("*:8080"),
    "3:13: servers.web.listen: * begins an alias in YAML: for every address write :8080",
  ],
  [
    "every address in quotes",
    listen("'*:8080'"),
    '3:13: servers.web.listen: expected an address such as :8080, 127.0.0.1:8080 or unix:/run/web.sock, got "*:8080"; did you mean ":8080"?',
  ],
  [
    "an address without its brackets",
    listen("'::1:8080'"),
    '3:13: servers.web.listen: expected an address such as :8080, 127.0.0.1:8080 or unix:/run/web.sock, got "::1:8080"; did you mean "[::1]:8080"?',
  ],
  [
    "an alias without its anchor",
    listen("*web"),
    "3:13: servers.web.listen: there is no anchor &web: put quotes around a text that begins with *",
  ],
  [
    "a part of the request",
    server("redirect: {uri}").replace("respond: 204", ""),
    '5:15: servers.web.redirect: put quotes around it: "{uri}"',
  ],
  [
    "a part of the request in a block",
    server("redirect: { to: {uri} }").replace("respond: 204", ""),
    '5:21: servers.web.redirect.to: put quotes around it: "{uri}"',
  ],
  [
    "a part of the request in a field",
    route("use: [{ headers: { request: { set: { x-real-ip: {client} } } } }]"),
    '6:57: servers.web.routes[0].use[0].headers.request.set.x-real-ip: put quotes around it: "{client}"',
  ],
  [
    "a field of the log",
    top("log: { access: { format: {client} } }"),
    '1:26: log.access.format: put quotes around it: "{client}"',
  ],
  ["fields of the log", top("log:\n  access:\n    format: {client} {method}"), `3:13: ${QUOTE_BRACE}`],
  ["a text that begins with a part of the request", server("redirect: {scheme}://a{uri}"), `5:15: ${QUOTE_BRACE}`],
  ["the same in a block", server("redirect: { to: {scheme}://a, status: 301 }"), `5:21: ${QUOTE_BRACE}`],
  [
    "a text with a part of the request in a block",
    server("redirect: { to: https://example.org{uri}, status: 301 }"),
    '5:21: put quotes around a text with { or [ in it, as in "https://example.org{uri}"',
  ],
  [
    "a format of Apache",
    top("log:\n  access:\n    format: %h %l"),
    "3:13: put quotes around a text that begins with %",
  ],
  [
    "a password that is shown nowhere",
    server("respond: { body: @hunter2 }"),
    "5:22: put quotes around a text that begins with @",
  ],
  [
    "a block in one line",
    server("forward: allow: []"),
    "5:14: this line has two keys: put { } around the second one and its value, or quotes around what is text",
  ],
  [
    "a list in a line that goes on",
    server("forward: { allow: [a, b] c }"),
    "5:30: not valid: unexpected scalar at node end",
  ],
  [
    "an empty block in a line that goes on",
    server("forward: {} allow: []"),
    "5:17: not valid: unexpected scalar at node end",
  ],
  [
    "more behind a block",
    server("forward: { allow: [] } }"),
    '5:28: not valid: unexpected flow-map-end token in YAML stream: "}"',
  ],
];

for (const [title, cases] of Object.entries({ MISPLACED, VALUES, ROUTES, UPSTREAMS, SYNTAX })) {
  describe(`problems: ${title.toLowerCase()}`, () => {
    for (const [name, text, ...lines] of cases) it(name, () => assert.deepEqual(linesFor(text), lines));
  });
}

describe("problems: a file as a whole", () => {
  it("says everything that is wrong, in the order of the text", () => {
    const text = `drainTimeout: soon
servers:
  web:
    lisen: ":80"
    routes:
      - proxy: nowhere
      - respond: 999
via: "a b"
`;
    assert.deepEqual(linesFor(text), [
      '1:15: drainTimeout: expected a duration such as 30s, got "soon"',
      '4:5: servers.web.lisen: unknown field; did you mean "listen"?',
      '6:16: servers.web.routes[0].proxy: no upstream has the name "nowhere", and it is no URL such as http://127.0.0.1:3000',
      "7:18: servers.web.routes[1].respond: expected a number of at most 599, got 999",
      '8:6: via: expected a name of letters, digits, dots and hyphens, auto or off, got "a b"',
    ]);
  });

  it("counts lines and columns in a file of Windows with a byte order mark", () => {
    assert.deepEqual(linesFor("\uFEFFservers:\r\n  web:\r\n    listen: ':80'\r\n    respnd: 204\r\n"), [
      '4:5: servers.web.respnd: unknown field; did you mean "respond"?',
    ]);
  });

  it("has places in JSON too", () => {
    const text = '{\n  "servers": {\n    "web": { "listen": ":80", "respond": 204, "listen": ":81" }\n  }\n}\n';
    assert.deepEqual(linesFor(text, "headgate.json"), ["3:47: servers.web.listen: this field is there twice"]);
  });

  it("takes no YAML for JSON", () => {
    assert.deepEqual(linesFor('{ "via": "off", }', "headgate.json"), [
      '1:17: not valid JSON: expected a name in double quotes, got "}"',
    ]);
    assert.deepEqual(linesFor("via: off", "headgate.json"), ['1:1: not valid JSON: expected a value, got "v"']);
    assert.deepEqual(linesFor('{ "via":\n', "headgate.json"), [
      "1:8: not valid JSON: expected a value, got the end of the file",
    ]);
  });
});
