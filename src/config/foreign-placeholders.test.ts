// Placeholders of other proxies, and ours in the wrong place: each is refused or warned of, and what is meant is said.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { REQUEST_PARTS } from "../core/request-template.ts";
import { ACCESS_FIELDS } from "./access-fields.ts";
import { FOREIGN_PLACEHOLDERS } from "./foreign-placeholders.ts";
import { parseConfig, parseConfigObject } from "./parse.ts";
import { formatProblem } from "./problems.ts";

/** What is said of a value; errors begin with "error", warnings with "warning". */
function said(block: (value: string) => string, value: string, env: Record<string, string> = {}): readonly string[] {
  const result = parseConfig(block(JSON.stringify(value)), { file: "f.yaml", env });
  const problems = result.ok ? result.warnings : result.problems;
  const kind = result.ok ? "warning" : "error";
  return problems.map((problem) => `${kind}: ${formatProblem(problem).replace(/^f\.yaml:1:\d+: [^ ]*: /, "")}`);
}

const server = (fields: string) => `servers: { web: { listen: ":1", ${fields} } }`;
const redirect = (value: string) => server(`redirect: ${value}`);
const target = (value: string) => server(`routes: [{ redirect: { to: ${value} } }]`);
const format = (value: string) => `{ log: { access: { format: ${value} } }, ${server("respond: 204")} }`;
const headers = (changes: string) => server(`use: [{ headers: { ${changes} } }], proxy: "http://a"`);
const field = (value: string) => headers(`request: { set: { x-a: ${value} } }`);
const added = (value: string) => headers(`request: { add: { x-a: [b, ${value}] } }`);
const answerField = (value: string) => headers(`response: { set: { x-a: ${value} } }`);
const respondField = (value: string) => server(`respond: { headers: { x-a: ${value} } }`);
const body = (value: string) => server(`respond: { body: ${value} }`);
const rewrite = (value: string) => server(`use: [{ rewrite: { match: "^/a", to: ${value} } }], proxy: "http://a"`);
const ofForward = (value: string) =>
  server(`forward: { allow: [{ clients: 10.0.0.0/8 }], use: [{ headers: { request: { set: { x-a: ${value} } } } }] }`);

/** "$" in front of braces, which the linter would take for a template literal's. */
const ref = (content: string) => `\${${content}}`;

const NONE = "is none of {scheme}, {host}, {path}, {query} and {uri}";
const ELSEWHERE = "is sent as it stands: parts of the request are filled in only by redirect and by headers.request";

describe("a placeholder that is none here", () => {
  for (const [block, value, ...expected] of [
    [redirect, "https://$host$request_uri", `error: $host ${NONE}; did you mean "https://{host}{uri}"?`],
    [target, "$scheme://a$uri", `error: $scheme ${NONE}; did you mean "{scheme}://a{path}"?`],
    [redirect, "{scheme}://www.$host/", `error: $host ${NONE}; did you mean "{scheme}://www.{host}/"?`],
    [redirect, "https://$backend/", `error: $backend ${NONE}`],
    [redirect, "https://user:pa$word@a/"],
    [redirect, "https://$http_host/", `error: $http_host ${NONE}; did you mean "https://{host}/"?`],
    [redirect, "https://a/$args", 'warning: $args is sent as it stands; did you mean "https://a/{query}"?'],
    [redirect, "https://a/$metadata?$filter=b"],
    [
      redirect,
      "/b?c=$remote_addr",
      "warning: $remote_addr is sent as it stands: the words here are {scheme}, {host}, {path}, {query} and {uri}",
    ],
    [
      redirect,
      "https://{http.request.host}{uri}",
      `error: {http.request.host} ${NONE}; did you mean "https://{host}{uri}"?`,
    ],
    [redirect, "https://{hst}{uri}", `error: {hst} ${NONE}; did you mean "https://{host}{uri}"?`],
    [redirect, "https://a/{client}", `error: {client} ${NONE}`],
    [redirect, "https://%[hdr(host)]/", `error: %[hdr(host)] ${NONE}; did you mean "https://{host}/"?`],
    [
      format,
      "$remote_addr $status",
      'error: fields stand in braces, and $remote_addr is none; did you mean "{client} {status}"?',
    ],
    [
      format,
      "$remote_addr {status}",
      'warning: $remote_addr is written as it stands; did you mean "{client} {status}"?',
    ],
    [
      format,
      "{remote_host} {status}",
      'error: the access log has no field {remote_host}; did you mean "{client} {status}"?',
    ],
    [format, "{clientt}", 'error: the access log has no field {clientt}; did you mean "{client}"?'],
    [
      format,
      "{status} $http_x_Id",
      'warning: $http_x_Id is written as it stands; did you mean "{status} {header:x-id}"?',
    ],
    [
      format,
      "{status} {http.request.header.X-Id}",
      'error: the access log has no field {http.request.header.X-Id}; did you mean "{status} {header:x-id}"?',
    ],
    [
      format,
      "{status} $sent_http_etag $unknown",
      'warning: $sent_http_etag is written as it stands; did you mean "{responseHeader:etag}"?',
    ],
    [
      format,
      '"$request" {status}',
      'warning: $request is written as it stands; did you mean "\\"{method} {uri} {protocol}\\" {status}"?',
    ],
    [format, '%h %l %u %t "%r" %>s %b', /^error: expected json, .*; did you mean "combined"\?$/],
    [format, "{client} {{clientt}} $10"],
    [field, "$remote_addr", 'warning: $remote_addr is sent as it stands; did you mean "{client}"?'],
    [added, "$remote_addr", 'warning: $remote_addr is sent as it stands; did you mean "{client}"?'],
    [ofForward, "{remote_host}", 'warning: {remote_host} is sent as it stands; did you mean "{client}"?'],
    [field, "{clientt}", 'warning: {clientt} is sent as it stands; did you mean "{client}"?'],
    [field, "a-secret $host", 'warning: $host is sent as it stands; did you mean "{host}"?'],
    [
      field,
      "$request_method",
      "warning: $request_method is sent as it stands: the words here are {client}, {scheme}, {host}, {path}, {query} and {uri}",
    ],
    [field, '{"a":1} {{clientt}} $2b$10$host1 {x} $1'],
    [answerField, "{client}", `warning: {client} ${ELSEWHERE}`],
    [answerField, "{a} {clientt}"],
    [respondField, "https://$host{uri}", `warning: $host ${ELSEWHERE}`],
    [body, "you are {client}", `warning: {client} ${ELSEWHERE}`],
    [body, "<script>const {host} = location</script>"],
    [
      rewrite,
      "/b{path}",
      'warning: {path} becomes text of the path: what is kept of the path are groups of "match", $1 or $<name>',
    ],
    [rewrite, "/b$$uri"],
  ] as const) {
    it(`${block(JSON.stringify(value))}`, () => {
      const lines = said(block, value);
      assert.equal(lines.length, expected.length, lines.join("\n"));
      for (const [index, one] of expected.entries()) {
        if (typeof one === "string") assert.equal(lines[index], one);
        else assert.match(lines[index]!, one);
      }
    });
  }

  it("in the form of a reference to the environment", () => {
    const lines = said(redirect, `https://${ref("host")}${ref("request_uri")}`);
    const line = (name: string) =>
      `error: the environment variable ${name} is not set; ${ref(`${name}:-default`)} would give it a default; did you mean "https://{host}{uri}"?`;
    assert.deepEqual(lines, [line("host"), line("request_uri")]);
    assert.doesNotMatch(said(field, `secret ${ref("host")}`).join(), /secret|mean/);
  });

  it("shows no value of the environment", () => {
    for (const block of [field, redirect]) {
      const [line] = said(block, `https://a/${ref("KEY")}`, { KEY: "hidden-words/$host" });
      assert.match(line!, /^warning: \$host is sent as it stands$/);
    }
  });

  it("in a target or a host, which have none", () => {
    const proxied = (value: string) => server(`proxy: ${value}`);
    assert.match(said(proxied, "http://$backend").join(), /, got "http:\/\/\$backend": a target has no placeholders: /);
    const host = (value: string) => server(`proxy: { to: "http://a", host: ${value} }`);
    for (const value of ["$host", "{http.request.host}"]) {
      assert.match(said(host, value).join(), /: preserve is the host that the client asked for$/);
    }
  });
});

it("every word that is proposed exists", () => {
  const words = new Set<string>([...REQUEST_PARTS, ...Object.keys(ACCESS_FIELDS)]);
  for (const own of Object.keys(FOREIGN_PLACEHOLDERS)) {
    for (const [, word] of own.matchAll(/\{(.*?)\}/g)) assert.ok(words.has(word!), own);
  }
  const all = Object.values(FOREIGN_PLACEHOLDERS).flatMap((list) => list.split(" "));
  assert.equal(new Set(all).size, all.length, "a word stands there twice");
});

it("objects of a program are not looked into", () => {
  const plugin: Record<string, unknown> = { name: "p", request() {}, headers: { request: { set: { a: "$host" } } } };
  plugin.use = [plugin];
  const value = { servers: { web: { listen: ":1", use: [plugin], respond: 204 } } };
  const result = parseConfigObject(value, { file: "headgate.ts" });
  assert.ok(result.ok);
  assert.deepEqual(result.warnings, []);
});
