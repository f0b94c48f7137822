import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { seed } from "../../../test/support/seed.ts";
import { returnPathOf } from "./return-path.ts";

const OWN = new Set(["/oauth2/logout"]);

describe("where a browser goes behind its login", () => {
  const table: readonly (readonly [target: string, path: string])[] = [
    ["/", "/"],
    ["/a/b?c=d&e=%2F%2Fx", "/a/b?c=d&e=%2F%2Fx"],
    ["/a//b", "/a//b"],
    ["/?next=https://example.org/", "/?next=https://example.org/"],
    ["//evil.example", "/"],
    ["/\\evil.example", "/"],
    ["/a\\b", "/"],
    ["/.//evil.example", "/"],
    ["/x/..//evil.example", "/"],
    ["/%2e//evil.example", "/"],
    ["https://evil.example/", "/"],
    ["/a b", "/"],
    ["/a\tb", "/"],
    ["/é", "/"],
    ["", "/"],
    ["/oauth2/logout", "/"],
    ["/oauth2/x/../logout?y", "/"],
    ["/oauth2/%6cogout", "/"],
    ["/oauth2//logout", "/"],
    ["/a%2", "/"],
    [`/${"a".repeat(3000)}`, "/"],
  ];
  for (const [target, path] of table) {
    it(`${JSON.stringify(target.slice(0, 40))} leads to ${path}`, () => assert.equal(returnPathOf(target, OWN), path));
  }

  it("is always a path of the same host, as browsers read it", () => {
    const piece = fc.constantFrom(
      "/",
      "\\",
      ".",
      "..",
      "%2e",
      "%2f",
      "@",
      ":",
      "?",
      "#",
      "evil.example",
      "http:",
      "\t",
      "a",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 10 }), (pieces) => {
        const path = returnPathOf(pieces.join(""), OWN);
        const url = new URL(path, "https://app.example.org/oauth2/callback");
        assert.equal(url.origin, "https://app.example.org");
        assert.ok(!url.pathname.startsWith("//"));
      }),
      { seed, numRuns: 3000 },
    );
  });
});
