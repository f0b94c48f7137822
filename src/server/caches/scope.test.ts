/** Which routes share answers under one URL. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseConfig } from "../../config/parse.ts";
import { cacheScope, forwardScope, kisscacheScope } from "./scope.ts";

function scopeOf(use: string, proxy = "http://127.0.0.1:1", more = ""): string {
  const text = `upstreams: { app: { servers: ["http://10.0.0.1:1"] } }\nservers: { web: { listen: ":80", routes: [${more}{ use: [${use}], proxy: ${proxy} }] } }\n`;
  const result = parseConfig(text, { file: "headgate.yaml" });
  assert.ok(result.ok, result.ok ? "" : result.problems.map(({ message }) => message).join());
  const route = result.config.servers[0]!.routes.at(-1)!;
  return cacheScope(
    route,
    route.use.findIndex(({ feature }) => feature === "cache"),
    result.config.upstreams,
  );
}

const PLAIN = scopeOf("{ cache: true }");

describe("routes share answers", () => {
  it("when they lead to the same place, wherever they stand", () => {
    assert.equal(scopeOf("{ cache: true }", "http://127.0.0.1:1", "{ match: { path: /x }, respond: 204 }, "), PLAIN);
    assert.equal(scopeOf("{ compress: true }, { cache: true }"), PLAIN);
    assert.equal(scopeOf("{ headers: { response: { set: { x-a: a } } } }, { cache: true }"), PLAIN);
    assert.equal(scopeOf("{ cache: true }", "{ to: 'http://127.0.0.1:1', timeouts: { connect: 1s } }"), PLAIN);
  });

  it("not when they go there by other TLS: nobody gets what came from a server that was verified for others alone", () => {
    const to = (tls: string) => scopeOf("{ cache: true }", `{ to: "https://127.0.0.1:1"${tls} }`);
    const all = [
      to(""),
      to(", tls: { verify: false }"),
      to(", tls: { serverName: app.internal }"),
      to(", tls: { ca: ca.pem }"),
      to(", tls: { ca: other.pem }"),
      to(", tls: { cert: one.pem, key: one.key }"),
      to(", tls: { cert: two.pem, key: two.key }"),
      scopeOf("{ cache: true }", "{ to: app, tls: { verify: false } }"),
      scopeOf("{ cache: true }", "app"),
    ];
    assert.equal(new Set(all).size, all.length);
    assert.equal(to(", tls: { minVersion: '1.3' }"), to(""));
    assert.equal(to(", tls: {}"), scopeOf("{ cache: true }", "https://127.0.0.1:1"));
  });

  it("not when they lead elsewhere, or as another host", () => {
    const all = [
      PLAIN,
      scopeOf("{ cache: true }", "http://127.0.0.1:2"),
      scopeOf("{ cache: true }", "app"),
      scopeOf("{ cache: true }", "{ to: app, host: upstream }"),
      scopeOf("{ cache: true }, { stripPrefix: /a }"),
      scopeOf("{ cache: true }, { headers: { request: { set: { x-tenant: a } } } }"),
      scopeOf("{ cache: true }, { headers: { request: { set: { x-tenant: b } } } }"),
      scopeOf("{ headers: { request: { set: { x-tenant: a } } } }, { cache: true }"),
      scopeOf("{ headers: { request: { set: { x-tenant: b } } } }, { cache: true }"),
      scopeOf("{ headers: { request: { remove: [cookie] } } }, { cache: true }"),
    ];
    assert.equal(new Set(all).size, all.length);
  });
});

describe("forward proxies share answers", () => {
  const TENANT = (name: string) => ({ headers: { request: { set: { "x-tenant": name } } } });

  function scopesOf(use: readonly object[], tls?: object, via?: readonly unknown[]): readonly string[] {
    const block = { use, tls, via, cache: true };
    const text = JSON.stringify({ servers: { web: { listen: "127.0.0.1:80", forward: block } } });
    const result = parseConfig(text, { file: "headgate.yaml" });
    assert.ok(result.ok, result.ok ? "" : result.problems.map(({ message }) => message).join());
    const forward = result.config.servers[0]!.forward!;
    return [forwardScope(forward, forward.use.length - 1), kisscacheScope(forward)];
  }

  it("unless they set something in requests, or believe other authorities", () => {
    const usual = scopesOf([]);
    const others = [scopesOf([TENANT("a")]), scopesOf([TENANT("b")]), scopesOf([], { ca: "a.pem" })];
    assert.deepEqual(usual, ["", "kisscache"]);
    assert.equal(new Set([usual, ...others].flat()).size, 8);
  });

  it("unless other proxies answer for the origins, or the same ones for other users", () => {
    const parent = (url: string) => scopesOf([], undefined, [{ proxy: url }]);
    const all = [
      scopesOf([]),
      parent("http://p.example:3128"),
      parent("http://a:1@p.example:3128"),
      parent("http://b:1@p.example:3128"),
      parent("socks5://p.example:1080"),
    ];
    assert.equal(new Set(all.flat()).size, 10);
    assert.deepEqual(parent("http://a:2@p.example:3128"), parent("http://a:1@p.example:3128"));
    assert.deepEqual(scopesOf([], undefined, ["direct"]), scopesOf([]));
  });
});
