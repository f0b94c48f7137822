// The member of Cache-Status, as RFC 9211 shows it and as every parser reads it.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { seed } from "../../../test/support/seed.ts";
import { type CacheStatus, cacheStatusValue } from "./cache-status.ts";
import { parseStructuredList } from "./structured-fields.ts";

const HIT: CacheStatus = {
  hit: true,
  forward: null,
  forwardStatus: 0,
  stored: false,
  collapsed: false,
  ttlMs: null,
  key: null,
  detail: null,
};
const MISS: CacheStatus = { ...HIT, hit: false, forward: "uri-miss" };

describe("Cache-Status", () => {
  const table: readonly (readonly [status: CacheStatus, value: string])[] = [
    // The forms of RFC 9211, section 4.
    [{ ...HIT, ttlMs: 376_900 }, "headgate; hit; ttl=376"],
    [{ ...HIT, ttlMs: -412_000 }, "headgate; hit; ttl=-412"],
    [{ ...HIT, ttlMs: 999 }, "headgate; hit; ttl=0"],
    [{ ...HIT, ttlMs: -999 }, "headgate; hit; ttl=0"],
    [{ ...HIT, ttlMs: -1001 }, "headgate; hit; ttl=-1"],
    [{ ...MISS, collapsed: true }, "headgate; fwd=uri-miss; collapsed"],
    [{ ...MISS, stored: true, ttlMs: 60_000 }, "headgate; fwd=uri-miss; stored; ttl=60"],
    [{ ...MISS, forward: "stale", forwardStatus: 304 }, "headgate; fwd=stale; fwd-status=304"],
    [{ ...MISS, forward: "bypass", detail: "no-store" }, "headgate; fwd=bypass; detail=no-store"],
    [{ ...HIT, hit: true, forward: "stale" }, "headgate; fwd=stale"],
    [{ ...HIT, key: 'https://example.org/"\n' }, 'headgate; hit; key="https://example.org/\\"?"'],
    [{ ...HIT, hit: false, detail: "only if cached" }, 'headgate; detail="only if cached"'],
  ];
  for (const [status, value] of table) it(value, () => assert.equal(cacheStatusValue("headgate", status), value));

  it("is always a member of a list of structured fields", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.string(), (name, key, detail) => {
        const value = cacheStatusValue(name, { ...HIT, key, detail });
        assert.match(value, /^[\x20-\x7e]*$/);
        assert.equal(parseStructuredList(`OriginCache; hit, ${value}`)?.length, 2);
      }),
      { seed },
    );
  });
});
