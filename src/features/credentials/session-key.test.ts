import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { SESSION_KEY_BYTES_MAX } from "../../core/limits.ts";
import { credentialsOptions, type KeyTemplate } from "./options.ts";
import { sessionKeyOf } from "./session-key.ts";

const BLOCK = { token: { algorithm: "HS256", key: "long enough as a secret" }, decrypt: "off" };

function parse(key: string) {
  return credentialsOptions.safeParse({ ...BLOCK, session: { store: "s", key } });
}

function template(key: string): KeyTemplate {
  const { data, error } = parse(key);
  assert.ok(data !== undefined, JSON.stringify(error?.issues));
  return data.session.key;
}

describe("the key of a session", () => {
  const table: readonly (readonly [key: string, claims: Record<string, unknown>, made: string | { key: string }])[] = [
    ["{sid}", { sid: "s1" }, { key: "s1" }],
    ["{sid}", { sid: 42 }, { key: "42" }],
    ["session:{sub}", { sub: "jörg" }, { key: "session:jörg" }],
    ["{tenant.id}/{sub}!", { tenant: { id: "t" }, sub: "a/b" }, { key: "t/a/b!" }],
    ["{tenant.id}/{sub}", { tenant: { id: "t/a" }, sub: "b" }, "token_claim_refused"],
    ["s:{a}::{b}", { a: "x:", b: "y" }, "token_claim_refused"],
    ["s:{a}::{b}", { a: "x", b: ":y" }, { key: "s:x:::y" }],
    ["{a}-x-{b}", { a: "1-x", b: "2" }, "token_claim_refused"],
    ["{sid}", {}, "token_claim_missing"],
    ["{sid}", { sid: null }, "token_claim_missing"],
    ["{sid}", { sid: "" }, "token_claim_refused"],
    ["{sid}", { sid: "a\nb" }, "token_claim_refused"],
    ["{sid}", { sid: 2 ** 53 }, "token_claim_refused"],
    ["{sid}", { sid: 1.5 }, "token_claim_refused"],
    ["{sid}", { sid: ["a"] }, "token_claim_refused"],
    ["{sid}", { sid: true }, "token_claim_refused"],
    ["{sid}", { sid: "x".repeat(SESSION_KEY_BYTES_MAX) }, { key: "x".repeat(SESSION_KEY_BYTES_MAX) }],
    ["{sid}", { sid: "ü".repeat(SESSION_KEY_BYTES_MAX / 2 + 1) }, "token_claim_refused"],
    ["{toString}", {}, "token_claim_missing"],
  ];
  for (const [key, claims, made] of table) {
    it(`${key} of ${JSON.stringify(claims).slice(0, 60)}`, () => {
      assert.deepEqual(sessionKeyOf(template(key), claims), made);
    });
  }

  it("is never the same for two tokens whose claims differ", () => {
    const parts = template("{a}::{b}:{c}");
    const claim = fc.string({ unit: fc.constantFrom("a", "b", ":"), minLength: 1, maxLength: 4 });
    // Claims come from JSON, whose objects have a prototype; deepEqual tells those apart from objects without one.
    const claims = fc.record({ a: claim, b: claim, c: claim }, { noNullPrototype: true });
    const property = fc.property(claims, claims, (one, two) => {
      const [first, second] = [sessionKeyOf(parts, one), sessionKeyOf(parts, two)];
      if (typeof first === "string" || typeof second === "string" || first.key !== second.key) return;
      assert.deepEqual(one, two);
    });
    fc.assert(property, { numRuns: 5000 });
  });

  for (const [key, message] of [
    ["sid", /names no claim/],
    ["{a}{b}", /without text between/],
    ["{a", /braces/],
    ["}{a}", /braces/],
    ["{{a}}", /braces/],
    ["{}", /braces/],
  ] as const) {
    it(`cannot be ${key}`, () => assert.match(JSON.stringify(parse(key).error?.issues), message));
  }
});
