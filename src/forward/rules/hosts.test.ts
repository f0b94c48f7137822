// Sets of hosts against a matcher that tries every pattern.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { seed } from "../../../test/support/seed.ts";
import { HostSet } from "./hosts.ts";

test("exact hosts, all below a suffix, addresses, and all", () => {
  const hosts = new HostSet(["a.example", "*.example.org", "[::1]", "10.0.0.1"]);
  for (const host of ["a.example", "b.example.org", "c.b.example.org", "::1", "10.0.0.1"])
    assert.ok(hosts.has(host), host);
  for (const host of ["b.a.example", "example.org", "xexample.org", "example", "org", "", "::2", "110.0.0.1"]) {
    assert.ok(!hosts.has(host), host);
  }
  assert.ok(new HostSet(["*"]).has("whatever.example"));
  assert.ok(!new HostSet([]).has("a.example"));
});

test("as a matcher that tries every pattern", () => {
  const name = fc
    .array(fc.constantFrom("a", "b", "xa", "example", "1"), { minLength: 1, maxLength: 4 })
    .map((labels) => labels.join("."));
  const pattern = fc.oneof(
    name,
    name.map((suffix) => `*.${suffix}`),
  );
  fc.assert(
    fc.property(fc.array(pattern, { maxLength: 6 }), name, (patterns, host) => {
      const isMatch = (one: string) => (one.startsWith("*.") ? host.endsWith(one.slice(1)) : one === host);
      assert.equal(new HostSet(patterns).has(host), patterns.some(isMatch));
    }),
    { seed, numRuns: 2_000 },
  );
});
