import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseConfigObject } from "../../config/parse.ts";
import { formatProblem } from "../../config/problems.ts";
import { oidcOptions } from "./options.ts";

const KEY = "ab".repeat(32);
const LEAST = { issuer: "https://login.example.org", clientId: "headgate", key: KEY };

function problemsOf(routes: readonly object[]): string[] {
  const file = { log: { access: "off" }, servers: { web: { listen: "127.0.0.1:0", routes } } };
  const result = parseConfigObject(file, { file: "test" });
  return result.ok ? [] : result.problems.map((problem) => formatProblem(problem).replace(/^test: /, ""));
}

function misfits(more: object): string[] {
  const result = oidcOptions.safeParse({ ...LEAST, ...more });
  return result.success ? [] : result.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
}

describe("options of oidc", () => {
  it("have defaults for all that can have one", () => {
    const options = oidcOptions.parse(LEAST);
    assert.deepEqual(options.scopes, ["openid", "profile", "email"]);
    assert.deepEqual(options.key, [KEY]);
    assert.equal(options.session, null);
    assert.equal(options.failedAttempts, 30);
    assert.equal(oidcOptions.parse({ ...LEAST, failedAttempts: "off" }).failedAttempts, null);
    assert.deepEqual(oidcOptions.parse({ ...LEAST, scopes: ["groups"] }).scopes, ["openid", "groups"]);
  });

  const table: readonly (readonly [more: object, problem: RegExp | null])[] = [
    [{ issuer: "http://localhost:8080/realms/a" }, null],
    [{ issuer: "http://127.0.0.1" }, null],
    [{ issuer: "http://[::1]:1" }, null],
    [{ issuer: "http://login.example.org" }, /^issuer: .*https/],
    [{ issuer: "http://127.0.0.1.evil.example" }, /^issuer: .*https/],
    [{ issuer: "http://login.example.org", insecure: true }, null],
    [{ issuer: "ftp://login.example.org" }, /^issuer: expected the URL of an issuer/],
    [{ issuer: "https://user@login.example.org" }, /^issuer: an issuer has no user name/],
    [{ backchannelLogoutPath: "/b" }, /^backchannelLogoutPath: needs "session/],
    [{ backchannelLogoutPath: "/b", session: { store: "logins" } }, null],
    [{ loginPath: "/oauth2/callback" }, /^redirectPath: each path/],
    [{ cookie: { path: "/app" } }, /^cookie: with this "path"/],
    [{ cookie: { path: "/app" }, redirectPath: "/app/callback" }, null],
    [{ cookie: { path: "/app" }, redirectPath: "/apple" }, /^cookie: with this "path"/],
    [{ cookie: { name: "__Host-a" } }, /prefix/],
    [{ cookie: { sameSite: "none", secure: false } }, /^cookie: browsers take/],
    [{ clientAuthentication: "post" }, /^clientAuthentication: only has a meaning/],
    [{ parameters: { state: "x" } }, /^parameters/],
    [{ parameters: { prompt: "login" } }, null],
    [{ key: [KEY, KEY] }, /twice/],
    [{ key: "short" }, /^key: /],
    [{ postLogoutRedirect: "//evil.example" }, /^postLogoutRedirect/],
    [{ postLogoutRedirect: "javascript:alert(1)" }, /^postLogoutRedirect/],
    [{ postLogoutRedirect: "https://www.example.org/bye" }, null],
    [{ redirectPath: "/" }, /^redirectPath/],
    [{ claims: { Host: "email" } }, /^claims/],
    [{ unauthenticated: 403 }, /^unauthenticated/],
  ];
  for (const [more, problem] of table) {
    it(`${JSON.stringify(more)}: ${problem === null ? "fine" : "refused"}`, () => {
      const found = misfits(more);
      if (problem === null) assert.deepEqual(found, []);
      else assert.match(found.join("\n"), problem);
    });
  }

  it("never show a secret in what is wrong with them", () => {
    const found = misfits({ clientSecret: " a secret ", key: "another secret" }).join("\n");
    assert.doesNotMatch(found, /a secret|another/);
    assert.match(found, /clientSecret/);
  });
});

describe("a route with a login", () => {
  const use = (more: object = {}) => [{ oidc: { ...LEAST, ...more } }];
  const to = { proxy: "http://127.0.0.1:3000" };

  it("must take the path to which the issuer sends browsers back", () => {
    const alone = [{ match: { path: "/app/*" }, use: use(), ...to }];
    assert.match(
      problemsOf(alone).join(),
      /routes\[0\]\.use\[0\]\.oidc: no route with this login takes its "redirectPath"/,
    );
    assert.deepEqual(
      problemsOf([{ match: { path: "/app/*" }, use: use({ redirectPath: "/app/callback" }), ...to }]),
      [],
    );
    assert.deepEqual(problemsOf([...alone, { match: { path: ["/x", "/oauth2/callback"] }, use: use(), ...to }]), []);
    assert.deepEqual(problemsOf([...alone, { match: { path: "/oauth2/*" }, use: use(), ...to }]), []);
    assert.deepEqual(problemsOf([...alone, { use: use(), ...to }]), []);
    assert.equal(problemsOf([...alone, { match: { path: "/oauth2/callback" }, ...to }]).length, 1);
  });
});
