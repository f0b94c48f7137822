// The limits fit together: each is sane by itself, and none makes another one useless.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as limits from "./limits.ts";

describe("limits", () => {
  it("are positive numbers whose names end in their units", () => {
    for (const [name, value] of Object.entries(limits)) {
      assert.ok(Number.isFinite(value) && value > 0, name);
      assert.match(name, /_(MS|MAX|BYTES|SHARE|MIN)$/, name);
      if (/(BYTES|_MS$|LENGTH|FIELDS)/.test(name)) assert.ok(Number.isInteger(value), name);
    }
  });

  it("of heads leave room for fields beside the longest request line", () => {
    assert.ok(limits.REQUEST_LINE_BYTES_MAX < limits.HEAD_BYTES_MAX);
    assert.ok(limits.TRAILER_BYTES_MAX < limits.HEAD_BYTES_MAX);
    assert.ok(limits.CHUNK_LINE_BYTES_MAX < limits.CHUNK_OVERHEAD_BYTES_MAX);
  });

  it("of time let the shorter wait end before the longer one that contains it", () => {
    assert.ok(limits.CONNECTION_ATTEMPT_DELAY_MS < limits.CONNECT_TIMEOUT_MS);
    assert.ok(limits.CONNECT_TIMEOUT_MS < limits.RESPONSE_TIMEOUT_MS);
    assert.ok(limits.POOL_IDLE_MS < limits.POOL_LIFETIME_MS);
    assert.ok(limits.KEEP_ALIVE_MARGIN_MS < limits.POOL_IDLE_MS);
    assert.ok(limits.LINGER_TIMEOUT_MS < limits.LINGER_MS_MAX);
    assert.ok(limits.LINGER_MS_MAX < limits.DRAIN_TIMEOUT_MS);
    assert.ok(limits.DNS_NEGATIVE_TTL_MS < limits.DNS_TTL_MS);
    assert.ok(limits.DNS_TTL_MIN_MS < limits.DNS_TTL_MS && limits.DNS_TTL_MS < limits.DNS_TTL_MAX_MS);
    assert.ok(limits.DNS_TRY_TIMEOUT_MS * (2 ** limits.DNS_TRIES_MAX - 1) < limits.DNS_TIMEOUT_MS);
    assert.ok(limits.DNS_RESOLUTION_DELAY_MS < limits.CONNECTION_ATTEMPT_DELAY_MS);
    // Kubernetes kills after 30 s.
    assert.ok(limits.DRAIN_TIMEOUT_MS < 30_000);
  });

  it("of retries cannot multiply an outage", () => {
    assert.ok(limits.RETRY_BUDGET_SHARE < 1);
    assert.ok(limits.REPLAY_BODY_BYTES_MAX <= limits.QUEUE_HIGH_WATER_BYTES);
  });
});
