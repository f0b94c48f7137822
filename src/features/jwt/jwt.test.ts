import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Line, StandInExchange } from "../../../test/support/stand-in-exchange.ts";
import { hmacToken, secondsFrom } from "../../../test/support/tokens.ts";
import type { Kept } from "../../core/ports.ts";
import { FailedAttempts } from "../../identity/failed-attempts.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import { createJwtFeature } from "./index.ts";
import { jwtOptions } from "./options.ts";

const SECRET = "the secret of the tests, long enough";

function door(options: Record<string, unknown> = {}) {
  const clock = new VirtualClock();
  const parsed = jwtOptions.parse({ algorithm: "HS256", key: SECRET, ...options });
  const fetchFor = () => () => Promise.reject(new Error("nothing is fetched"));
  const kept: Kept = (_kind, _options, make) => make();
  const feature = createJwtFeature(parsed, { clock, attempts: new FailedAttempts(clock), fetchFor, kept });
  const send = (claims: object, fields: readonly Line[] = [], secret = SECRET) => {
    const token = hmacToken({ sub: "alice", exp: secondsFrom(clock, 3600), ...claims }, secret);
    const exchange = new StandInExchange({ fields: [["Authorization", `Bearer ${token}`], ...fields] });
    assert.equal(feature.request!(exchange), undefined);
    const [error] = exchange.errors;
    const lines = exchange.requestLines.filter(([name]) => name !== "Authorization");
    return { exchange, lines, refused: error === undefined ? null : `${error.status} ${error.reason}`, error };
  };
  return { clock, feature, send };
}

describe("jwt", () => {
  it("lets a good token pass and keeps it, or takes it away", () => {
    const { exchange, refused } = door().send({});
    assert.equal(refused, null);
    assert.equal(exchange.requestLines.length, 1);
    assert.deepEqual(exchange.identity, { subject: "alice", by: "jwt" });
    assert.deepEqual(door({ forward: false }).send({}).exchange.requestLines, []);
  });

  it("refuses a forged one with 401, and no token with a challenge", () => {
    const { refused, error } = door({ realm: "reports" }).send({}, [], `${SECRET}!`);
    assert.equal(refused, "401 token_signature_invalid");
    assert.deepEqual(error?.fields, [["WWW-Authenticate", 'Bearer realm="reports", error="invalid_token"']]);
    const exchange = new StandInExchange();
    door({ realm: "reports" }).feature.request!(exchange);
    assert.deepEqual(exchange.errors[0]?.fields, [["WWW-Authenticate", 'Bearer realm="reports"']]);
    assert.equal(exchange.identity, null);
  });

  it("refuses a request that could be of two tokens, whatever they are worth", () => {
    const places = { bearer: true, cookie: "tok" };
    for (const second of [
      ["Cookie", "tok=x"],
      ["Authorization", "Basic eg=="],
    ] as const) {
      const { refused, error, exchange } = door(places).send({}, [second]);
      assert.equal(refused, "400 credentials_malformed");
      assert.deepEqual(error?.fields, [["WWW-Authenticate", 'Bearer realm="restricted", error="invalid_request"']]);
      assert.equal(exchange.identity, null);
    }
  });

  describe("asks for what the route requires, with 403", () => {
    const table: readonly (readonly [required: unknown, claims: object, isAllowed: boolean])[] = [
      ['"admin" in groups', { groups: ["admin"] }, true],
      ['"admin" in groups', { groups: ["user"] }, false],
      ['"admin" in groups', {}, false],
      [{ groups: "admin" }, { groups: ["user", "admin"] }, true],
      [{ groups: ["root", "admin"] }, { groups: "admin" }, true],
      [{ groups: "admin", verified: true }, { groups: "admin", verified: true }, true],
      [{ groups: "admin", verified: true }, { groups: "admin", verified: false }, false],
      [{ groups: "admin", verified: true }, { groups: "admin" }, false],
      [{ "realm_access.roles": "x" }, { realm_access: { roles: ["x"] } }, true],
      [{ level: [1, 2] }, { level: 3 }, false],
    ];
    for (const [required, claims, isAllowed] of table) {
      it(`${JSON.stringify(required)} of ${JSON.stringify(claims)}`, () => {
        const { refused, error, exchange } = door({ require: required }).send(claims);
        assert.equal(refused, isAllowed ? null : "403 not_allowed");
        assert.equal(exchange.identity?.subject, "alice");
        if (!isAllowed) {
          assert.deepEqual(error?.fields, [
            ["WWW-Authenticate", 'Bearer realm="restricted", error="insufficient_scope"'],
          ]);
        }
      });
    }

    it("and a rule that cannot be read is a mistake of the configuration", () => {
      const result = jwtOptions.safeParse({ algorithm: "HS256", key: SECRET, require: "admin in groups" });
      assert.match(JSON.stringify(result.error?.issues), /expected \\"and\\", \\"or\\" or the end at character 7/);
    });
  });

  describe("tells the upstream of claims", () => {
    const headers = { "X-User": "sub", "x-groups": "groups", "x-level": "level" };

    it("and of nothing that the client said of itself", () => {
      const spoofed: Line[] = [
        ["x-user", "root"],
        ["X_User", "root"],
        ["X-GROUPS", "admin"],
        ["X-Level", "9"],
        ["X-Other", "1"],
      ];
      assert.deepEqual(door({ headers }).send({ groups: ["a", "b"] }, spoofed).lines, [
        ["X-Other", "1"],
        ["x-user", "alice"],
        ["x-groups", "a,b"],
      ]);
    });

    it("as text, numbers, true and false, and lists of them", () => {
      const text = (groups: unknown) => {
        const { lines, refused } = door({ headers: { g: "groups" } }).send({ groups });
        return refused ?? (lines[0] === undefined ? null : Buffer.from(lines[0][1], "latin1").toString());
      };
      assert.equal(text("jörg"), "jörg");
      assert.equal(text(17), "17");
      assert.equal(text(false), "false");
      assert.equal(text(["a", 1, true]), "a,1,true");
      assert.equal(text([]), "");
      assert.equal(text(""), "");
      assert.equal(text("a,b"), "a,b");
      assert.equal(text(null), null);
      const refused = [
        "a\r\nX-Admin: 1",
        "a\nb",
        "a\0",
        "\t",
        " root",
        "root ",
        "a\u0085",
        {},
        [["a"]],
        [{}],
        [null],
        ["a,admin"],
        [" a"],
        1.5,
        "x".repeat(4097),
      ];
      for (const value of refused)
        assert.equal(text(value), "401 token_claim_refused", JSON.stringify(value).slice(0, 40));
    });
  });

  it("is configured without surprises", () => {
    const { data } = jwtOptions.safeParse({ algorithm: "HS256", key: SECRET });
    assert.deepEqual([data?.tokens.forward, data?.tokens.isExpRequired, data?.tokens.leewayMs], [true, true, 0]);
    assert.equal(jwtOptions.safeParse({ algorithm: "HS256", key: SECRET, headers: { host: "sub" } }).success, false);
    assert.equal(jwtOptions.safeParse({}).success, false);
  });
});
