// What users have had, counted by threads and added up: nothing is lost when a thread ends, and names never fill the memory.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { seed } from "../../test/support/seed.ts";
import { NO_COUNTS, USERS_MAX, UserCounter, UserTotals, userMemory } from "./user-counts.ts";

function threads(columns: number) {
  const memory = userMemory(columns);
  return {
    totals: new UserTotals(memory, columns),
    counter: (column: number) => new UserCounter(memory, column),
  };
}

test("threads count the same user, and others, and who has no name", () => {
  const { totals, counter } = threads(2);
  const [one, other] = [counter(0), counter(1)];
  one.openTunnel("ci");
  one.count("ci", 10, 100);
  other.count("ci", 1, 2);
  other.count("builder é", 5, 2 ** 40);
  other.count(null, 7, 8);
  const { users, unnamed, others } = totals.read();
  assert.deepEqual(
    [...users],
    [
      ["ci", { requests: 2, tunnels: 1, openTunnels: 1, requestBytes: 11, responseBytes: 102 }],
      ["builder é", { requests: 1, tunnels: 0, openTunnels: 0, requestBytes: 5, responseBytes: 2 ** 40 }],
    ],
  );
  assert.deepEqual(unnamed, { ...NO_COUNTS, requests: 1, requestBytes: 7, responseBytes: 8 });
  assert.deepEqual(others, NO_COUNTS);
  one.closeTunnel("ci");
  assert.equal(totals.read().users.get("ci")!.openTunnels, 0);
});

test("what a thread has counted stays when it is gone, and its tunnels do not", () => {
  const { totals, counter } = threads(1);
  const before = counter(0);
  before.openTunnel("ci");
  before.openTunnel(null);
  before.count("ci", 1, 2);
  totals.closeColumn(0);
  const expected = { requests: 1, tunnels: 1, openTunnels: 0, requestBytes: 1, responseBytes: 2 };
  assert.deepEqual(totals.read().users.get("ci"), expected);
  assert.deepEqual(totals.read().unnamed, { ...NO_COUNTS, tunnels: 1 });
  const after = counter(0);
  after.count("new", 3, 4);
  after.count("ci", 1, 1);
  totals.closeColumn(0);
  assert.deepEqual(totals.read().users.get("ci"), { ...expected, requests: 2, requestBytes: 2, responseBytes: 3 });
  assert.deepEqual(totals.read().users.get("new"), { ...NO_COUNTS, requests: 1, requestBytes: 3, responseBytes: 4 });
});

test("users beyond the bound are counted together, and a name of any length that may be is kept", () => {
  const { totals, counter } = threads(1);
  const one = counter(0);
  const longest = "é".repeat(127);
  one.count(longest, 1, 1);
  for (let number = 0; number < USERS_MAX + 9; number++) one.count(`user-${number}`, 1, 0);
  one.openTunnel("late");
  one.closeTunnel("late");
  const { users, others } = totals.read();
  assert.equal(users.size, USERS_MAX);
  assert.ok(users.has(longest));
  assert.deepEqual(others, { ...NO_COUNTS, requests: 10, tunnels: 1, requestBytes: 10 });
  totals.closeColumn(0);
  const next = counter(0);
  next.count("another", 1, 0);
  assert.equal(totals.read().users.size, USERS_MAX);
  assert.equal(totals.read().others.requests, 11);
});

test("sums are those of a plain count, in whatever order threads come and go", () => {
  const act = fc.record({
    thread: fc.nat(2),
    user: fc.constantFrom("a", "b", "c", null),
    bytes: fc.nat(2 ** 31),
    ends: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(act, { maxLength: 100 }), (acts) => {
      const { totals, counter } = threads(3);
      const counters = [0, 1, 2].map(counter);
      const plain = new Map<string | null, number>();
      for (const { thread, user, bytes, ends } of acts) {
        counters[thread]!.count(user, bytes, 0);
        plain.set(user, (plain.get(user) ?? 0) + bytes);
        if (!ends) continue;
        totals.closeColumn(thread);
        counters[thread] = counter(thread);
      }
      const { users, unnamed } = totals.read();
      for (const [user, bytes] of plain) {
        assert.equal((user === null ? unnamed : users.get(user)!).requestBytes, bytes);
      }
      assert.equal(users.size, [...plain.keys()].filter((user) => user !== null).length);
    }),
    { seed, numRuns: 100 },
  );
});
