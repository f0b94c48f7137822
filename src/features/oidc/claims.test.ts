import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { seed } from "../../../test/support/seed.ts";
import { claimAt } from "../../identity/tokens/claims.ts";
import { claimsOf, fieldValueOf, mergedClaims, unmetRequirement } from "./claims.ts";

describe("claims", () => {
  const values: readonly (readonly [claim: unknown, value: string | null])[] = [
    ["text", "text"],
    [" text ", "text"],
    [true, "true"],
    [7, "7"],
    [["a", "b"], "a,b"],
    [["a,b", "c"], "c"],
    [["a,b"], null],
    [[], null],
    [{ a: 1 }, null],
    [null, null],
    [undefined, null],
    ["a\r\nb", null],
    ["a\0", null],
    ["\ud800", null],
    ["ë", "\xc3\xab"],
  ];
  for (const [claim, value] of values) {
    it(`become a value: ${JSON.stringify(claim)}`, () => assert.equal(fieldValueOf(claim), value));
  }

  it("become a value that fits a field, whatever they are", () => {
    fc.assert(
      fc.property(fc.anything(), (claim) => {
        const value = fieldValueOf(claim);
        assert.ok(value === null || /^[\x20-\x7e\x80-\xff]*$/.test(value));
      }),
      { seed, numRuns: 2000 },
    );
  });

  it("are required by value, and one of a list is enough", () => {
    const given = { role: "admin", groups: ["a", "b"], email_verified: true, level: 2 };
    assert.equal(unmetRequirement(given, {}), null);
    assert.equal(unmetRequirement(given, { role: ["admin", "owner"], groups: ["b"], email_verified: [true] }), null);
    assert.equal(unmetRequirement(given, { role: ["owner"] }), "role");
    assert.equal(unmetRequirement(given, { groups: ["c", "A"] }), "groups");
    assert.equal(unmetRequirement(given, { email_verified: ["true"] }), "email_verified");
    assert.equal(unmetRequirement(given, { level: ["2"] }), "level");
    assert.equal(unmetRequirement(given, { missing: ["x"] }), "missing");
  });

  it("of a token that is none are none", () => {
    for (const token of ["", "a", "a.b", "a.bnVsbA.c", "a.W10.c", "a.Ig.c"]) assert.equal(claimsOf(token), null);
    assert.deepEqual(claimsOf(`a.${Buffer.from('{"sub":"x"}').toString("base64url")}.c`), { sub: "x" });
  });

  it("that are signed win over those of the userinfo endpoint, by whichever name they are asked for", () => {
    const signed = { sub: "mallory", realm_access: { roles: ["user"] }, "team.name": "blue", none: {} };
    const table: readonly (readonly [userInfo: Record<string, unknown>, name: string, value: unknown])[] = [
      [{ "realm_access.roles": ["admin"] }, "realm_access.roles", ["user"]],
      [{ realm_access: { roles: ["admin"] } }, "realm_access.roles", ["user"]],
      [{ "realm_access.level": 9 }, "realm_access.level", undefined],
      [{ "none.a.b": 9, "none.a": { b: 9 } }, "none.a.b", undefined],
      [{ team: { name: "red" } }, "team.name", "blue"],
      [{ "team.name": "red" }, "team.name", "blue"],
      [{ sub: "root" }, "sub", "mallory"],
      [{ "https://a.example/roles": ["x"] }, "https://a.example/roles", ["x"]],
      [{ address: { country: "FR" } }, "address.country", "FR"],
    ];
    for (const [userInfo, name, value] of table) {
      assert.deepEqual(claimAt(mergedClaims(signed, userInfo), name), value, JSON.stringify(userInfo));
    }
    assert.deepEqual(mergedClaims(signed, null), signed);
  });
});
