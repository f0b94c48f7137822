// Tunnels of a client address over all threads: never one too many, never refused for another's, gone with the thread that had them.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { seed } from "../../test/support/seed.ts";
import { type CountedTunnel, clearTunnelColumn, TunnelCounts, tunnelMemory } from "./tunnel-counts.ts";

/** Threads that share their counts. */
function threads(columns: number) {
  const memory = tunnelMemory(columns);
  const all = Array.from({ length: columns }, (_, column) => new TunnelCounts(memory, columns, column));
  return { memory, all, columns };
}

test("one more than the maximum is refused, whichever thread asks, and allowed again when one has ended", () => {
  const [one, other] = threads(2).all as [TunnelCounts, TunnelCounts];
  const first = one.take("egress", "192.0.2.1", 2)!;
  const second = other.take("egress", "192.0.2.1", 2)!;
  assert.ok(first !== null && second !== null);
  for (const thread of [one, other]) assert.equal(thread.take("egress", "192.0.2.1", 2), null);
  assert.notEqual(one.take("egress", "192.0.2.2", 2), null, "another address");
  assert.notEqual(one.take("other", "192.0.2.1", 2), null, "another server");
  second.giveBack();
  assert.notEqual(one.take("egress", "192.0.2.1", 2), null);
  assert.equal(other.take("egress", "192.0.2.1", 2), null);
});

test("all addresses of an IPv6 network of 64 bits are one client", () => {
  const counts = TunnelCounts.ofOneThread();
  assert.notEqual(counts.take("egress", "2001:db8:0:1::1", 1), null);
  assert.equal(counts.take("egress", "2001:db8:0:1:ffff::2", 1), null);
  assert.notEqual(counts.take("egress", "2001:db8:0:2::1", 1), null);
});

test("a thread that is gone has no tunnels", () => {
  const { memory, all, columns } = threads(2);
  const [one, other] = all as [TunnelCounts, TunnelCounts];
  one.take("egress", "192.0.2.1", 1);
  assert.equal(other.take("egress", "192.0.2.1", 1), null);
  clearTunnelColumn(memory, 0);
  assert.notEqual(other.take("egress", "192.0.2.1", 1), null);
  const next = new TunnelCounts(memory, columns, 0);
  assert.equal(next.take("egress", "192.0.2.1", 1), null, "that of the thread that lives");
});

test("addresses beyond the table refuse nobody, and each is still limited within its thread", () => {
  const { all } = threads(2);
  const [one, other] = all as [TunnelCounts, TunnelCounts];
  // Ten times as many as there are places.
  const taken = Array.from({ length: 80_000 }, (_, client) => {
    return one.take("egress", `10.${client >> 16}.${(client >> 8) & 255}.${client & 255}`, 1);
  });
  assert.ok(taken.every((tunnel) => tunnel !== null));
  assert.equal(one.clients, 80_000);
  assert.equal(one.take("egress", "10.0.0.7", 1), null);
  assert.equal(one.take("egress", "10.1.56.1", 1), null);
  assert.notEqual(other.take("egress", "192.0.2.1", 1), null, "of an address that has none");
  for (const tunnel of taken) tunnel!.giveBack();
  assert.equal(one.clients, 0);
  // Its place is free again, or all would have stayed unseen.
  assert.notEqual(one.take("egress", "192.0.2.9", 1), null);
  assert.equal(other.take("egress", "192.0.2.9", 1), null);
});

test("whatever opens and ends in whatever order: as many as a plain count says", () => {
  const act = fc.record({
    thread: fc.nat(2),
    client: fc.nat(5),
    what: fc.constantFrom("take", "take", "give back", "die"),
    which: fc.nat(),
  });
  fc.assert(
    fc.property(fc.array(act, { maxLength: 200 }), fc.integer({ min: 1, max: 4 }), (acts, max) => {
      const { memory, all, columns } = threads(3);
      const open: { thread: number; client: number; tunnel: CountedTunnel }[] = [];
      for (const { thread, client, what, which } of acts) {
        if (what === "take") {
          const has = open.filter((one) => one.client === client).length;
          const tunnel = all[thread]!.take("egress", `192.0.2.${client}`, max);
          assert.equal(tunnel !== null, has < max, `${has} of ${max}`);
          if (tunnel !== null) open.push({ thread, client, tunnel });
        } else if (what === "give back" && open.length > 0) {
          open.splice(which % open.length, 1)[0]!.tunnel.giveBack();
        } else if (what === "die") {
          clearTunnelColumn(memory, thread);
          all[thread] = new TunnelCounts(memory, columns, thread);
          for (let at = open.length - 1; at >= 0; at--) if (open[at]!.thread === thread) open.splice(at, 1);
        }
      }
      for (const { tunnel } of open) tunnel.giveBack();
      for (const thread of all) assert.equal(thread.clients, 0);
    }),
    { seed, numRuns: 200 },
  );
});
