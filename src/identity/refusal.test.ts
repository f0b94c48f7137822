import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { bearerChallenge, bearerRefusal, REFUSALS, type RefusalReason, refusal } from "./refusal.ts";

const reasons = Object.keys(REFUSALS) as RefusalReason[];

describe("a refusal", () => {
  it("has the status that its reason asks for, and what belongs to it", () => {
    for (const reason of reasons) {
      const { status, fields, reason: told } = refusal("jwt", reason, { challenge: "Bearer" });
      const names = fields.map(([name]) => name);
      assert.equal(told, reason);
      assert.ok([401, 403, 429, 503].includes(status), reason);
      assert.equal(names.includes("WWW-Authenticate"), status === 401 || status === 403, reason);
      assert.equal(names.includes("Retry-After"), status === 429 || status === 503, reason);
    }
    assert.equal(refusal("jwt", "not_allowed").status, 403);
    assert.equal(refusal("jwt", "too_many_failures", { retryAfterSeconds: 17 }).fields[0]![1], "17");
  });

  it("looks the same to a client whatever is wrong with a token", () => {
    const ofTokens = reasons.filter((reason) => /^(token|session)_/.test(reason));
    assert.ok(ofTokens.length > 8);
    const seen = ofTokens.map((reason) => {
      const { status, fields, type } = refusal("jwt", reason, { challenge: bearerChallenge("mail", reason) });
      return JSON.stringify({ status, fields, type });
    });
    assert.equal(new Set(seen).size, 1);
  });

  it("names no error code to a client that has shown nothing (RFC 6750 section 3.1)", () => {
    assert.equal(bearerChallenge("mail", "credentials_missing"), 'Bearer realm="mail"');
    assert.match(bearerChallenge("mail", "not_allowed"), /error="insufficient_scope"$/);
  });

  it("is 400 where the request itself is malformed, and only there (RFC 6750 section 3.1)", () => {
    const challenge = bearerChallenge("mail", "credentials_malformed");
    assert.equal(challenge, 'Bearer realm="mail", error="invalid_request"');
    const { status, fields } = bearerRefusal("jwt", "credentials_malformed", { challenge });
    assert.deepEqual([status, fields], [400, [["WWW-Authenticate", challenge]]]);
    for (const reason of reasons.filter((one) => one !== "credentials_malformed")) {
      assert.equal(bearerRefusal("jwt", reason, { challenge }).status, refusal("jwt", reason).status, reason);
    }
  });

  it("has its reason in the documentation, and that has no others", () => {
    const root = path.resolve(import.meta.dirname, "../..");
    const section = readFileSync(path.join(root, "docs/auth.md"), "utf8").split("## Reasons\n")[1]!;
    const rows = [...section.matchAll(/^\| `(\w+)` \| (.*) \|$/gm)].map(([, reason, text]) => [reason, text]);
    assert.deepEqual(rows, Object.entries(REFUSALS));
  });
});
