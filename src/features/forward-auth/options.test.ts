// What may be said of forwardAuth, and what is said about mistakes.
import assert from "node:assert/strict";
import path from "node:path";
import { describe, it } from "node:test";
import { configOf } from "../../../test/support/proxy-under-test.ts";
import { replayHint, seed } from "../../../test/support/seed.ts";
import { parseConfigObject } from "../../config/parse.ts";
import { RequestMessage } from "../../core/message.ts";
import { SeededRandom } from "../../testing/index.ts";
import { forwardAuthOptions } from "./options.ts";

function parsed(options: Record<string, unknown>) {
  const result = forwardAuthOptions.safeParse({ address: "http://auth/", ...options });
  return result.success ? result.data : result.error.issues.map(({ path, message }) => [path.join("."), message]);
}

function fileWith(forwardAuth: Record<string, unknown>, upstreams: Record<string, unknown> = {}) {
  const use = [{ forwardAuth }];
  return { upstreams, servers: { web: { listen: ":0", use, proxy: "http://127.0.0.1:3000" } } };
}

function problemsOf(forwardAuth: Record<string, unknown>, upstreams?: Record<string, unknown>) {
  const result = parseConfigObject(fileWith(forwardAuth, upstreams), { file: "test" });
  return (result.ok ? [] : result.problems).map(({ message, suggestion }) => [message, suggestion ?? null]);
}

describe("the options of forwardAuth", () => {
  it("have defaults", () => {
    assert.deepEqual(parsed({}), {
      address: {
        at: { server: { url: "http://auth", scheme: "http", host: "auth", port: 80, authority: "auth" } },
        target: "/",
      },
      timeout: 5_000,
      method: "GET",
      responseHeaders: [],
      responseCookies: [],
      body: { forward: false, max: 65_536 },
      maxResponseBody: 1_048_576,
    });
  });

  for (const [address, where, target] of [
    ["http://127.0.0.1:4181/verify?a=b", "http://127.0.0.1:4181", "/verify?a=b"],
    ["HTTPS://Auth.example.org", "https://auth.example.org", "/"],
    ["https://auth.example.org?x", "https://auth.example.org", "/?x"],
    ["http://[::1]:1/%7Euser/..", "http://[::1]:1", "/%7Euser/.."],
    ["auth/verify?a", "auth", "/verify?a"],
    ["auth", "auth", "/"],
  ] as const) {
    it(`take ${address}`, () => {
      const { at, target: found } = forwardAuthOptions.parse({ address }).address;
      assert.deepEqual(["name" in at ? at.name : at.server.url, found], [where, target]);
    });
  }

  for (const address of [
    "",
    "http://",
    "http://a:b@c/",
    "http://auth/#x",
    "http://auth/a b",
    "ftp://auth/",
    "auth:80/verify",
    "/verify",
    "http://auth/{x}",
    "unix:/run/auth.sock",
  ]) {
    it(`refuse the address ${JSON.stringify(address)}`, () => {
      assert.equal(forwardAuthOptions.safeParse({ address }).success, false);
    });
  }

  it("take an address whole or not at all, whatever it is", () => {
    const random = new SeededRandom(seed);
    const parts = [
      "http",
      "https",
      "://",
      ":",
      "/",
      "//",
      "?",
      "#",
      "@",
      "auth",
      "a.b",
      "[::1]",
      "80",
      "%",
      "%41",
      " ",
      "..",
      "{",
      "\\",
      "\n",
      "é",
      "unix:",
    ];
    let taken = 0;
    for (let i = 0; i < 20_000; i++) {
      let address = random.chance(0.5) ? "http://a" : "";
      while (random.chance(0.75)) address += parts[Math.floor(random.next() * parts.length)];
      const result = forwardAuthOptions.safeParse({ address });
      if (!result.success) continue;
      taken++;
      const { at, target } = result.data.address;
      const [, path = "", query = null] = /^([^?]*)(?:\?(.*))?$/s.exec(target)!;
      // Throws when it could not stand in a request line.
      new RequestMessage().setTarget(path, query);
      assert.ok(target.startsWith("/"), `${address}, ${replayHint}`);
      const where = "name" in at ? at.name : at.server.url;
      assert.match(where, "name" in at ? /^[^:@/?#\s]+$/ : /^https?:\/\/[^/?#@\s]+$/, `${address}, ${replayHint}`);
    }
    assert.ok(taken > 100, replayHint);
  });

  it("take names and regular expressions of headers", () => {
    const { responseHeaders } = forwardAuthOptions.parse({ address: "a", responseHeaders: ["X-User", "/^x-/"] });
    assert.deepEqual(responseHeaders, [{ name: "x-user" }, { regex: "^x-" }]);
    for (const header of ["host", "Content-Length", "a b", "/(/", "//"]) {
      assert.ok(Array.isArray(parsed({ responseHeaders: [header] })), header);
    }
    assert.match(JSON.stringify(parsed({ responseHeaders: ["/(/"] })), /not a regular expression: unterminated group/);
    assert.match(JSON.stringify(parsed({ responseHeaders: ["Host"] })), /host/i);
  });

  it("take a sign-in page whose host no request can choose", () => {
    for (const signIn of ["https://a.example/x?rd={url}", "/login?rd={url}", "https://a.example/{url}", "http://a"]) {
      assert.ok(!Array.isArray(parsed({ signIn })), signIn);
    }
    for (const signIn of [
      "{url}",
      "https://{url}/",
      "//a/{url}",
      "https://a{url}",
      "https://a/{uri}",
      "ftp://a/",
      "https://a/ b",
    ]) {
      assert.ok(Array.isArray(parsed({ signIn })), signIn);
    }
  });

  it("say what decisions depend on", () => {
    assert.deepEqual(
      forwardAuthOptions.parse({
        address: "a",
        decisions: { for: "10s", by: ["header:X-Key", "cookie:Session", "client"] },
      }).decisions,
      {
        for: 10_000,
        by: [{ kind: "header", name: "x-key" }, { kind: "cookie", name: "Session" }, { kind: "client" }],
        each: "request",
      },
    );
    for (const decisions of [
      {},
      { for: "10s", by: [] },
      { for: "10s", by: ["header:"] },
      { for: "10s", by: ["path"] },
      { for: "10s", each: "caller" },
      { for: "10s", each: "caller", by: ["client"] },
    ]) {
      assert.ok(Array.isArray(parsed({ decisions })), JSON.stringify(decisions));
    }
  });
});

describe("the service's pool", () => {
  const upstreams = { auth: { servers: ["http://127.0.0.1:4181"], maxConnections: 7 } };
  const poolsOf = (forwardAuth: Record<string, unknown>) => {
    const config = configOf(fileWith(forwardAuth, upstreams));
    const use = config.servers[0]!.routes[0]!.use[0]!;
    assert.equal(use.feature, "forwardAuth");
    const { upstream } = use as { upstream: string };
    const { connectionsMax, tls, servers } = config.upstreams.find(({ name }) => name === upstream)!;
    return { upstream, connectionsMax, ca: tls.ca, url: servers[0]!.url };
  };

  it("is the upstream's of that name, or one of its own", () => {
    const url = "http://127.0.0.1:4181";
    assert.deepEqual(poolsOf({ address: "auth/x" }), { upstream: "auth", connectionsMax: 7, ca: null, url });
    const other = poolsOf({ address: "auth/x", maxConnections: 3 });
    assert.match(other.upstream, /^auth#[0-9a-f]{8}$/);
    assert.deepEqual([other.connectionsMax, other.url], [3, url]);
    assert.deepEqual(poolsOf({ address: `${url}/x` }), { upstream: url, connectionsMax: null, ca: null, url });
    const tls = poolsOf({ address: "https://auth.internal/x", tls: { ca: "ca.pem" } });
    assert.deepEqual([tls.url, tls.ca], ["https://auth.internal", path.resolve("ca.pem")]);
  });

  it("must be there, and counts as used", () => {
    assert.deepEqual(problemsOf({ address: "auht/x" }, upstreams), [['no upstream has the name "auht"', "auth"]]);
    assert.deepEqual(problemsOf({ address: "auth.internal/x" }), [
      ['no upstream has the name "auth.internal"', "http://auth.internal/x"],
    ]);
    assert.deepEqual(
      problemsOf({ address: "auth.internal:81/x" }).map(([, suggestion]) => suggestion),
      ["http://auth.internal:81/x"],
    );
    const result = parseConfigObject(fileWith({ address: "auth/x" }, upstreams), { file: "test" });
    assert.ok(result.ok);
    assert.deepEqual(result.warnings, []);
  });

  it("has no use for TLS at an address without it", () => {
    const result = parseConfigObject(fileWith({ address: "http://auth/x", tls: { ca: "ca.pem" } }), { file: "test" });
    assert.ok(result.ok);
    assert.match(result.warnings[0]!.message, /has no effect/);
  });
});
