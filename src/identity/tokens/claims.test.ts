import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type ClaimRules, claimAt, claimText, refusedClaims, subjectOf } from "./claims.ts";

const NOW = 1_800_000_000_000;
const NOW_S = NOW / 1000;
const RULES: ClaimRules = { leewayMs: 0, isExpRequired: true, issuers: null, audiences: null, claims: [] };

describe("claims", () => {
  const exp = NOW_S + 60;
  const table: readonly (readonly [
    claims: Record<string, unknown>,
    rules: Partial<ClaimRules>,
    refused: string | null,
  ])[] = [
    [{ exp }, {}, null],
    [{}, {}, "token_claim_missing"],
    [{}, { isExpRequired: false }, null],
    [{ exp: NOW_S }, {}, "token_expired"],
    [{ exp: NOW_S + 0.001 }, {}, null],
    [{ exp: NOW_S - 4 }, { leewayMs: 5000 }, null],
    [{ exp: NOW_S - 5 }, { leewayMs: 5000 }, "token_expired"],
    [{ exp: NOW_S - 5 }, { isExpRequired: false }, "token_expired"],
    [{ exp: String(exp) }, {}, "token_claim_refused"],
    [{ exp: null }, { isExpRequired: false }, "token_claim_refused"],
    [{ exp: [exp] }, {}, "token_claim_refused"],
    [{ exp: Number.POSITIVE_INFINITY }, {}, "token_claim_refused"],
    [{ exp, nbf: NOW_S }, {}, null],
    [{ exp, nbf: NOW_S + 1 }, {}, "token_not_yet_valid"],
    [{ exp, nbf: NOW_S + 1 }, { leewayMs: 1000 }, null],
    [{ exp, nbf: "1" }, {}, "token_claim_refused"],
    [{ exp, iss: "a" }, { issuers: ["a", "b"] }, null],
    [{ exp, iss: "c" }, { issuers: ["a", "b"] }, "token_issuer_refused"],
    [{ exp }, { issuers: ["a"] }, "token_issuer_refused"],
    [{ exp, iss: ["a"] }, { issuers: ["a"] }, "token_issuer_refused"],
    [{ exp, aud: "a" }, { audiences: ["a"] }, null],
    [{ exp, aud: ["x", "a"] }, { audiences: ["a"] }, null],
    [{ exp, aud: ["x"] }, { audiences: ["a", "b"] }, "token_audience_refused"],
    [{ exp }, { audiences: ["a"] }, "token_audience_refused"],
    [{ exp, aud: "ab" }, { audiences: ["a"] }, "token_audience_refused"],
    [{ exp, use: "access" }, { claims: [{ name: "use", values: ["access"] }] }, null],
    [{ exp, use: "id" }, { claims: [{ name: "use", values: ["access"] }] }, "token_claim_refused"],
    [{ exp, use: ["id", "access"] }, { claims: [{ name: "use", values: ["access"] }] }, null],
    [{ exp, level: "1" }, { claims: [{ name: "level", values: [1] }] }, "token_claim_refused"],
    [{ exp }, { claims: [{ name: "use", values: null }] }, "token_claim_missing"],
    [{ exp, use: null }, { claims: [{ name: "use", values: null }] }, "token_claim_missing"],
    [{ exp, use: false }, { claims: [{ name: "use", values: null }] }, "token_claim_refused"],
    [{ exp, use: false }, { claims: [{ name: "use", values: [false] }] }, null],
    [{ exp, use: "" }, { claims: [{ name: "use", values: null }] }, null],
    [{ exp, use: 0 }, { claims: [{ name: "use", values: null }] }, null],
    [{ exp }, { claims: [{ name: "toString", values: null }] }, "token_claim_missing"],
    [{ exp }, { claims: [{ name: "constructor.name", values: null }] }, "token_claim_missing"],
  ];
  for (const [claims, rules, refused] of table) {
    it(`${JSON.stringify(claims)} under ${JSON.stringify(rules)}`, () => {
      assert.equal(refusedClaims(claims, { ...RULES, ...rules }, NOW), refused);
    });
  }

  it("are found whole before dots lead into them", () => {
    const claims = { "https://a.example/roles": ["x"], a: { b: { c: 1 } }, "a.b": 2, list: [{ a: 1 }] };
    assert.deepEqual(claimAt(claims, "https://a.example/roles"), ["x"]);
    assert.equal(claimAt(claims, "a.b"), 2);
    assert.equal(claimAt(claims, "a.b.c"), 1);
    for (const name of ["a.b.c.d", "a..b", "", "list.0", "a.__proto__", "length"]) {
      assert.equal(claimAt(claims, name), undefined, name);
    }
  });

  it("become text only where nothing is lost or hidden", () => {
    for (const [value, text] of [
      ["x y", "x y"],
      ["jörg", "jörg"],
      [0, "0"],
      [2 ** 53 - 1, "9007199254740991"],
      [2 ** 53, null],
      [1.5, null],
      ["", null],
      ["a\nb", null],
      ["a\0", null],
      ["a\u0085b", null],
      ["\ud800", null],
      [true, null],
      [null, null],
      [["a"], null],
      [{}, null],
    ] as const) {
      assert.equal(claimText(value), text, JSON.stringify(value));
    }
  });

  it("name their subject, which a log can hold", () => {
    assert.equal(subjectOf({ sub: "alice", sid: "1" }), "alice");
    assert.equal(subjectOf({ sid: 17 }), "17");
    assert.equal(subjectOf({}), "(no subject)");
    for (const sub of ["a\r\nb", "", {}, "x".repeat(513)]) assert.equal(subjectOf({ sub }), null);
  });
});
