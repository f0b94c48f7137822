/** Orders of features that undo what an authentication feature says, and those that do not. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseConfig } from "./parse.ts";
import { formatProblem } from "./problems.ts";

const HASH = "$2y$05$QQxXQxCQRLXpNwgcU8rjh.TJXFsQphwwuJ/iMNEQ7HzB4uh0RHZSe";
const BASIC = `basicAuth: { users: { a: "${HASH}" }, userHeader: X-User }`;
const KEY = `apiKey: { keys: [{ name: a, sha256: "${"0".repeat(64)}" }], nameHeader: x-client`;

const TOKEN = "algorithm: HS256, key: a-secret-of-the-tests";
const JWT = `jwt: { ${TOKEN}, headers: { x-user: sub }`;
const CREDENTIALS = (token: string, more = "") =>
  `credentials: { token: { ${TOKEN}${token} }, session: { store: "lmdb:/s" }, decrypt: off${more} }`;

const PLAIN = '":8080"';
const ASKING = '{ address: ":8443", tls: { certificates: [{ cert: a, key: b }], clientAuth: { ca: c } } }';
const OPTIONAL = ASKING.replace("ca: c", "ca: c, mode: optional");

function judge(use: readonly string[], listen = PLAIN): { readonly errors: string; readonly warnings: string } {
  const items = use.map((item) => `          - ${item}\n`).join("");
  const text = `servers:\n  web:\n    listen: ${listen}\n    routes:\n      - use:\n${items}        proxy: http://a\n`;
  const result = parseConfig(text, { file: "x" });
  const lines = (problems: readonly Parameters<typeof formatProblem>[0][]) =>
    problems
      .map((problem) => formatProblem(problem).replace(/^x:\d+:\d+: servers\.web\.(routes\[0\]\.)?/, ""))
      .join("\n");
  return result.ok
    ? { errors: "", warnings: lines(result.warnings) }
    : { errors: lines(result.problems), warnings: "" };
}

describe("an order of features", () => {
  const refused: readonly (readonly [use: readonly string[], message: RegExp])[] = [
    [
      ["headers: { request: { set: { Authorization: x } } }", BASIC],
      /^use\[0\]\.headers\.request\.set: gives every request the authorization in which basicAuth .* everybody would pass$/,
    ],
    [
      ["headers: { request: { add: { X-Api-Key: x } } }", `${KEY} }`],
      /^use\[0\]\.headers\.request\.add: gives every request the x-api-key in which apiKey .* everybody would pass$/,
    ],
    [
      ["headers: { request: { remove: [authorization] } }", `${KEY}, from: bearer }`],
      /^use\[0\]\.headers\.request\.remove: takes authorization away before apiKey .* nobody could pass$/,
    ],
    [
      ["headers: { request: { remove: [X-Api-*] } }", `${KEY} }`],
      /^use\[0\]\.headers\.request\.remove: takes x-api-\* away before apiKey/,
    ],
    [
      [BASIC, "headers: { request: { set: { x-user: x } } }"],
      /^use\[1\]\.headers\.request\.set: overrides x-user, by which basicAuth tells the upstream who asks$/,
    ],
    [
      ["headers: { request: { add: { x-user: x } } }", BASIC],
      /^use\[0\]\.headers\.request\.add: has no effect: basicAuth behind it removes x-user/,
    ],
    [
      [BASIC, `${JWT} }`.replace("x-user", "x-name")],
      /^use\[1\]\.jwt: looks for credentials in authorization, as basicAuth/,
    ],
    [[`${JWT}, header: x-token }`, BASIC], /^use\[1\]\.basicAuth: sets x-user, which jwt before it sets too/],
    [
      [`${JWT}, forward: false }`, CREDENTIALS("")],
      /^use\[1\]\.credentials: looks for its token in authorization, where jwt/,
    ],
    [
      [CREDENTIALS(", cookie: c"), `${JWT} }`],
      /^use\[1\]\.jwt: looks for credentials in authorization, which credentials before it sets$/,
    ],
    [
      [CREDENTIALS(""), "headers: { request: { set: { authorization: x } } }"],
      /^use\[1\]\.headers\.request\.set: overrides authorization, by which credentials tells/,
    ],
    [
      ["headers: { request: { set: { x-token: x } } }", CREDENTIALS(", header: x-token")],
      /^use\[0\]\.headers\.request\.set: gives every request the x-token in which credentials .* everybody would pass$/,
    ],
    [
      [`${JWT}, cookie: c }`, CREDENTIALS(", cookie: c", ", inject: { headers: { X-User: u } }")],
      /^use\[1\]\.credentials: sets x-user, which jwt before it sets too/,
    ],
    [[BASIC, BASIC], /use\[1\]\.basicAuth: looks for credentials in authorization, as basicAuth before it does/],
    [
      [BASIC, `${KEY}, from: bearer }`],
      /^use\[1\]\.apiKey: looks for credentials in authorization, as basicAuth before/,
    ],
    [
      [`${KEY} }`, BASIC.replace("X-User", "x-client")],
      /^use\[1\]\.basicAuth: sets x-client, which apiKey before it sets too/,
    ],
    [
      [`${KEY} }`, BASIC.replace("X-User", "x-api-key")],
      /^use\[1\]\.basicAuth: sets x-api-key, where apiKey before it looks/,
    ],
    [
      [BASIC.replace("X-User", "x-api-key"), `${KEY} }`],
      /^use\[1\]\.apiKey: looks for credentials in x-api-key, which basicAuth before it sets$/,
    ],
    [
      [BASIC.replace("X-User", "Authorization")],
      /^use\[0\]\.basicAuth: tells the upstream who asks in authorization, where the client/,
    ],
    [
      [`${KEY}, from: "header:X-Client" }`],
      /^use\[0\]\.apiKey: tells the upstream who asks in x-client, where the client/,
    ],
  ];
  for (const [use, message] of refused) {
    it(`${use.map((item) => item.slice(0, 60)).join(" | ")} is refused`, () =>
      assert.match(judge(use).errors, message));
  }

  it("of certificates that overwrite another identity is refused", () => {
    const { errors } = judge([BASIC, "clientCertificate: { headers: { x-user: subject } }"], ASKING);
    assert.match(errors, /^use\[1\]\.clientCertificate: sets x-user, which basicAuth before it sets too/);
  });

  const fine: readonly (readonly string[])[] = [
    [BASIC, `${KEY} }`, "compress: true"],
    ["ipAllow: [10.0.0.0/8]", "headers: { request: { remove: [x-user, x-client], set: { x-other: y } } }", BASIC],
    [BASIC, "headers: { request: { set: { authorization: x }, remove: [x-user] }, response: { set: { x-user: y } } }"],
    [`${JWT} }`, CREDENTIALS("")],
    [BASIC, CREDENTIALS(", cookie: c")],
    [
      `${JWT}, cookie: c, forward: false }`,
      CREDENTIALS("", ", inject: { headers: { X-Account: u } }"),
      "compress: true",
    ],
    [`${KEY}, from: [bearer, "query:k"] }`, "headers: { request: { add: { x-api-key: y } } }"],
  ];
  for (const use of fine) {
    it(`${use.map((item) => item.slice(0, 60)).join(" | ")} is fine`, () => {
      assert.deepEqual(judge(use), { errors: "", warnings: "" });
    });
  }
});

describe("forwardAuth", () => {
  const asks = (...headers: readonly string[]) =>
    `forwardAuth: { address: "http://auth/verify", responseHeaders: ${JSON.stringify(headers)} }`;
  const SET = "headers: { request: { set: { X-User: x } } }";

  const refused: readonly (readonly [use: readonly string[], message: RegExp])[] = [
    [[BASIC, asks("X-User")], /^use\[1\]\.forwardAuth: sets x-user, which basicAuth before it sets too/],
    [[BASIC, asks("/^x-/")], /^use\[1\]\.forwardAuth: sets x-user, which basicAuth before it sets too/],
    [[asks("/^x-/"), BASIC], /^use\[1\]\.basicAuth: sets x-user, which forwardAuth before it sets too/],
    [[asks("x-user"), asks("x-user")], /^use\[1\]\.forwardAuth: sets x-user, which forwardAuth before/],
    [[asks("/^x-api/"), `${KEY} }`], /^use\[1\]\.apiKey: looks for credentials in x-api-key, which forwardAuth/],
    [[asks("x-user"), SET], /^use\[1\]\.headers\.request\.set: overrides x-user, by which forwardAuth tells/],
    [[asks("/user$/"), SET], /^use\[1\]\.headers\.request\.set: overrides x-user, by which forwardAuth tells/],
    [
      [asks("x-user"), "cache: true"],
      /^use\[0\]\.forwardAuth: tells the upstream who asks, and not the cache behind it/,
    ],
    [[asks("/^x-/"), "cache: { key: { headers: [x-user] } }"], /^use\[0\]\.forwardAuth: tells the upstream who asks/],
    [[SET, asks("/user$/")], /^use\[0\]\.headers\.request\.set: has no effect: forwardAuth behind it removes x-user/],
  ];
  for (const [use, message] of refused) {
    it(`${use.map((item) => item.replace(HASH, "")).join(" | ")} is refused`, () =>
      assert.match(judge(use).errors, message));
  }

  it("may stand beside features with other fields, replace a token that was read, and give one", () => {
    for (const use of [
      [BASIC, asks("x-group", "/^x-auth-/"), "headers: { request: { set: { x-other: y } } }"],
      [`${JWT} }`, asks("authorization")],
      [asks("authorization"), `${JWT} }`],
      [SET, asks("x-group")],
      // The cache knows who asks, or tells answers apart by all that is said of that.
      [asks("x-user").replace(/ }$/, ", identityHeader: x-user }"), "cache: true"],
      [asks("X-User"), "cache: { key: { headers: [x-user] } }"],
      [asks(), "cache: true"],
      // No expression stands for what frames a message or describes its body.
      [asks("/./"), "headers: { request: { set: { content-type: text/plain } } }"],
    ]) {
      assert.deepEqual(judge(use), { errors: "", warnings: "" }, use.join(" | "));
    }
  });
});

describe("a list of features", () => {
  it("of a server that is its own route is judged too", () => {
    const text = `servers: { web: { listen: ${PLAIN}, use: [{ ${BASIC} }, { ${BASIC} }], respond: 204 } }`;
    const result = parseConfig(text, { file: "x" });
    assert.ok(!result.ok);
    assert.match(formatProblem(result.problems[0]!), /servers\.web\.use\[1\]\.basicAuth: looks for credentials/);
  });
});

describe("oidc", () => {
  const oidc = (more: string) =>
    `oidc: { issuer: "https://login.example.org", clientId: a, key: "${"ab".repeat(32)}", ${more} }`;

  it("tells who asks in fields that no other feature may touch", () => {
    const { errors } = judge([BASIC, oidc("claims: { x-user: email }")]);
    assert.match(errors, /^use\[1\]\.oidc: sets x-user, which basicAuth before it sets too/);
    assert.match(judge([oidc("forward: idToken"), BASIC]).errors, /authorization, which oidc before it sets/);
    assert.equal(judge([oidc("claims: { x-email: email }")]).errors, "");
  });
});

describe("clientCertificate", () => {
  const USE = ["clientCertificate: {}"];

  it("needs a listener that asks for certificates", () => {
    const expected =
      /^use\[0\]\.clientCertificate: no address of this server asks clients for certificates: it needs "tls: \{ clientAuth/;
    assert.match(judge(USE).errors, expected);
    assert.match(judge(USE, `[${PLAIN}, ":81"]`).errors, expected);
    for (const listen of [ASKING, OPTIONAL, `[${PLAIN}, ${OPTIONAL}]`]) {
      assert.deepEqual(judge(USE, listen), { errors: "", warnings: "" }, listen);
    }
  });

  it("is missed where certificates are asked for and nobody looks", () => {
    const warning = /^listen\.tls\.clientAuth: lets everybody in: no route of this server has clientCertificate/;
    assert.match(judge(["compress: true"], OPTIONAL).warnings, warning);
    assert.deepEqual(judge(["compress: true"], ASKING), { errors: "", warnings: "" });
  });

  it("may stand in a forward proxy", () => {
    const judgeAt = (listen: string) => {
      const forward = "{ use: [{ clientCertificate: {} }], allow: [{ clients: 10.0.0.0/8 }] }";
      const result = parseConfig(`servers: { web: { listen: ${listen}, forward: ${forward} } }`, { file: "x" });
      return (result.ok ? result.warnings : result.problems).map(formatProblem).join();
    };
    assert.match(judgeAt(PLAIN), /servers\.web\.forward\.use\[0\]\.clientCertificate: no address of this server/);
    for (const listen of [ASKING, OPTIONAL]) assert.equal(judgeAt(listen), "", listen);
  });

  it("may stand in a server that is its own route", () => {
    const text = `servers: { web: { listen: ${PLAIN}, use: [{ clientCertificate: {} }], respond: 204 } }`;
    const result = parseConfig(text, { file: "x" });
    assert.ok(!result.ok);
    assert.match(formatProblem(result.problems[0]!), /servers\.web\.use\[0\]\.clientCertificate: no address/);
  });
});
