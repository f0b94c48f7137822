// What `cache warm` makes of what the cache says: each word has its sentence, and what the origin has confirmed is there.

import assert from "node:assert/strict";
import { test } from "node:test";
import { REASONS } from "../features/cache/reasons.ts";
import { outcomeOf } from "./warm-client.ts";

const outcome = (cacheStatus: string) => outcomeOf({ statusCode: 200, headers: { "cache-status": cacheStatus } }, 7);

test("whatever the cache says of why, its sentence stands behind it", () => {
  for (const [detail, sentence] of Object.entries(REASONS)) {
    const said = `fwd=miss; fwd-status=200; detail=${detail}`;
    assert.deepEqual(outcome(`headgate; ${said}`), { kind: "not stored", reason: `${said}: ${sentence}` });
  }
});

test("another cache's word has none, and who says nothing is told of", () => {
  for (const said of ["fwd=miss; detail=elsewhere", "fwd=miss; detail=toString", "fwd=miss"]) {
    assert.deepEqual(outcome(`other; ${said}`), { kind: "not stored", reason: said });
  }
  assert.deepEqual(outcome("headgate"), { kind: "not stored", reason: "the cache does not say why" });
});

test("what was there and was confirmed is there", () => {
  for (const said of ["hit; ttl=3", "fwd=stale; fwd-status=304; ttl=600"]) {
    assert.deepEqual(outcome(`elsewhere; fwd=miss, headgate; ${said}`), { kind: "there", bytes: 7 });
  }
});

test("a forward proxy that asks who it is: what says so is named", () => {
  const headers = { "proxy-status": "headgate; error=http_request_denied" };
  const reason = "407 (http_request_denied): the proxy asks who it is, which --auth-file says";
  assert.deepEqual(outcomeOf({ statusCode: 407, headers }, 0), { kind: "failed", reason });
  assert.deepEqual(outcomeOf({ statusCode: 403, headers }, 0), { kind: "failed", reason: "403 (http_request_denied)" });
});
