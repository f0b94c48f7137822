import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { JsonObject } from "../../identity/tokens/json.ts";
import { holds, parseRule, type Rule, RuleError } from "./expression.ts";

const CLAIMS: JsonObject = {
  sub: "alice",
  level: 3,
  email_verified: true,
  disabled: false,
  nothing: null,
  scope: "openid mail mail:read",
  groups: ["staff", "admin", 7],
  realm_access: { roles: ["reports"] },
  "https://a.example/team": "blue",
  "amr-values": "pwd",
};

describe("a rule over claims", () => {
  const table: readonly (readonly [rule: string, holds: boolean])[] = [
    ["sub", true],
    ["missing", false],
    ["nothing", false],
    ["disabled", false],
    ["not disabled", true],
    ["email_verified", true],
    ['sub == "alice"', true],
    ['sub=="bob"', false],
    ['sub != "bob"', true],
    ['missing == "x"', false],
    ['missing != "x"', true],
    ["level == 3", true],
    ['level == "3"', false],
    ["email_verified == true", true],
    ["disabled == false", true],
    ["missing == false", false],
    ['"admin" in groups', true],
    ['"adm" in groups', false],
    ["7 in groups", true],
    ['"7" in groups', false],
    ['"mail" in scope', true],
    ['"mai" in scope', false],
    ['"openid mail" in scope', false],
    ['"root" not in groups', true],
    ['"root" not in missing', true],
    ['"a" in level', false],
    ['"reports" in realm_access.roles', true],
    ['"reports" in realm_access.`roles`', true],
    ['"reports" in realm_access.missing.deeper', false],
    ['`https://a.example/team` == "blue"', true],
    ['amr-values == "pwd"', true],
    ['sub == "bob" or level == 3 and email_verified', true],
    ['(sub == "bob" or level == 3) and disabled', false],
    ["not (disabled or missing)", true],
    ["not disabled and not missing", true],
    ['sub == "\\u0061lice"', true],
    ["toString", false],
    ["groups.length == 3", false],
    ["`__proto__`", false],
    ["((((sub))))", true],
    ["  sub\n and\tlevel  ", true],
  ];
  for (const [rule, expected] of table) {
    it(rule, () => assert.equal(holds(parseRule(rule), CLAIMS), expected));
  }

  for (const [rule, message, offset] of [
    ["", /the name of a claim/, 0],
    ["sub ==", /text in double quotes/, 6],
    ["sub == alice", /text in double quotes/, 7],
    ["sub == 'alice'", /text in double quotes/, 7],
    ['"admin"', /"in"/, 7],
    ['"admin" in', /the name of a claim/, 10],
    ["sub sub", /the end/, 4],
    ["(sub", /"\)"/, 4],
    ["sub)", /the end/, 3],
    ["and", /the name of a claim/, 0],
    ["sub or", /the name of a claim/, 6],
    ["not not sub", /the name of a claim/, 4],
    ["sub = 1", /the end/, 4],
    ["sub == 01", /text in double quotes/, 7],
    ["sub == 1x", /text in double quotes/, 7],
    ["a..b", /the name of a claim/, 2],
    ["`a", /the name of a claim/, 0],
    ["sub()", /the end/, 3],
    ["sub; process", /the end/, 3],
    ["(".repeat(40), /parentheses inside each other/, 33],
    ["a or ".repeat(500), /no more than 2048/, 2048],
  ] as const) {
    it(`cannot be ${JSON.stringify(rule).slice(0, 40)}`, () => {
      assert.throws(
        () => parseRule(rule),
        (error) => error instanceof RuleError && message.test(error.message) && error.offset === offset,
      );
    });
  }

  it("means what its tree means, however it is written", () => {
    const name = fc.constantFrom("a", "b", "c-d", "in", "x.y", "é");
    const value = fc.oneof(fc.constantFrom("v", 'q"\\', "and"), fc.integer({ min: -2, max: 2 }), fc.boolean());
    const path = fc.array(name, { minLength: 1, maxLength: 2 });
    const leaf: fc.Arbitrary<Rule> = fc.oneof(
      fc.record({ kind: fc.constantFrom("equals" as const, "in" as const), path, value }),
      fc.record({ kind: fc.constant("present" as const), path }),
    );
    const { rule } = fc.letrec<{ rule: Rule }>((tie) => ({
      rule: fc.oneof(
        { depthSize: "small" },
        leaf,
        fc.record({
          kind: fc.constantFrom("or" as const, "and" as const),
          rules: fc.array(tie("rule"), { minLength: 2, maxLength: 3 }),
        }),
        fc.record({ kind: fc.constant("not" as const), rule: tie("rule") }),
      ),
    }));
    const item = fc.oneof(value, fc.array(value, { maxLength: 3 }), fc.constantFrom(null, "v and"));
    const claims = fc.dictionary(name, fc.oneof(item, fc.dictionary(name, item)));
    const property = fc.property(rule, claims, (tree, given) => {
      const text = written(tree);
      if (text.length > 2048) return;
      assert.equal(holds(parseRule(text), given), holds(tree, given), text);
    });
    fc.assert(property, { numRuns: 1000 });
  });

  it("is read or refused by an error of its own, whatever the text", () => {
    const words = fc.constantFrom(
      "and",
      "or",
      "not",
      "in",
      "==",
      "!=",
      "(",
      ")",
      ".",
      '"x"',
      "1",
      "-",
      "a",
      "`b`",
      " ",
      "true",
      "\\",
      "'",
    );
    const property = fc.property(
      fc.oneof(
        fc.array(words, { maxLength: 12 }).map((list) => list.join(" ")),
        fc.string(),
      ),
      (text) => {
        try {
          holds(parseRule(text), CLAIMS);
        } catch (error) {
          assert.ok(error instanceof RuleError, text);
        }
      },
    );
    fc.assert(property, { numRuns: 3000 });
  });
});

function written(rule: Rule): string {
  const name = (path: readonly string[]) => path.map((part) => (/^[a-z]$/.test(part) ? part : `\`${part}\``)).join(".");
  switch (rule.kind) {
    case "or":
    case "and":
      return `(${rule.rules.map(written).join(` ${rule.kind} `)})`;
    case "not":
      return `(not (${written(rule.rule)}))`;
    case "equals":
      return `${name(rule.path)} == ${JSON.stringify(rule.value)}`;
    case "in":
      return `${JSON.stringify(rule.value)} in ${name(rule.path)}`;
    case "present":
      return name(rule.path);
  }
}
