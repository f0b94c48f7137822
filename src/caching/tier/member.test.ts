// Which purges an answer of another machine has to outlive: those behind it in the log that it knew, and our own that no log has yet;
// and what becomes of those that cannot be logged.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { settle } from "../../../test/support/cache-dialogue.ts";
import type { Clock } from "../../core/ports.ts";
import { MemoryTier } from "../../testing/tier-store.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import { type MemberSurroundings, OWED_MAX, TIER_TIMES, TierMember } from "./member.ts";
import type { TierPosition, TierStore } from "./ports.ts";
import { EVERYTHING } from "./purges.ts";

function memberOf(store: TierStore, clock: Clock, more: Partial<MemberSurroundings> = {}): TierMember {
  return new TierMember({
    store,
    clock,
    machine: "m",
    apply: async () => {},
    onLease() {},
    onChange() {},
    readPosition: () => null,
    writePosition: async () => {},
    ...more,
  });
}

test("purges behind a position: logged ones and own ones, or nobody knows when it is of another log", async (t) => {
  const clock = new VirtualClock();
  const member = memberOf(new MemoryTier(clock).open(), clock);
  t.after(() => member.close());
  member.start();
  await settle();
  const positions: TierPosition[] = [member.position!];
  for (const text of ["one", "two", "three"]) {
    void member.tell(member.announce(text)).catch(() => {});
    await settle();
    positions.push(member.position!);
  }
  const behind = (position: TierPosition) => member.purgesBehind(position)?.map(({ text }) => text) ?? null;
  assert.deepEqual(positions.map(behind), [["one", "two", "three"], ["two", "three"], ["three"], []]);
  const own = member.announce("own");
  assert.deepEqual([behind(positions[3]!), behind(positions[2]!)], [["own"], ["three", "own"]]);
  member.withdraw(own);
  for (const position of positions) {
    assert.equal(behind({ ...position, id: "another" }), null);
    assert.equal(behind({ ...position, generation: "another" }), null);
  }
  assert.equal(behind({ ...positions[3]!, number: 4 }), null);
});

type Phase = "apply" | "writePosition";

/** A member that has begun, and stops in that phase once `hold` was called, until `letGo`. */
async function gatedMember(t: TestContext, phase: Phase, more: Partial<MemberSurroundings> = {}) {
  const clock = new VirtualClock();
  const tier = new MemoryTier(clock);
  const gate = Promise.withResolvers<void>();
  let isGated = false;
  const member = memberOf(tier.open(), clock, { [phase]: async () => (isGated ? gate.promise : undefined), ...more });
  t.after(() => {
    gate.resolve();
    return member.close();
  });
  member.start();
  await settle();
  const hold = (): void => {
    isGated = true;
  };
  return { clock, tier, member, before: member.position!, hold, letGo: () => gate.resolve() };
}

// What a purge has met on this disk must not come back from the others, at any moment.
for (const phase of ["apply", "writePosition"] as const) {
  for (const whose of ["its own", "another's"] as const) {
    test(`${whose} purge is behind the position of before while ${phase} is under way`, async (t) => {
      const { tier, member, before, hold, letGo } = await gatedMember(t, phase);
      hold();
      if (whose === "its own") void member.tell(member.announce("purge")).catch(() => {});
      else await tier.open().append(before.generation, "other.1", "purge");
      await settle();
      const behind = () => member.purgesBehind(before)?.map(({ text }) => text);
      assert.deepEqual(behind(), ["purge"]);
      letGo();
      await settle();
      assert.notDeepEqual(member.position, before);
      assert.deepEqual(behind(), ["purge"]);
    });
  }

  test(`nothing is behind a lost log's position while all is forgotten and ${phase} is under way`, async (t) => {
    let forgotten = 0;
    const onForgotten = (): void => void forgotten++;
    const { clock, tier, member, before, hold, letGo } = await gatedMember(t, phase, { onForgotten });
    assert.deepEqual(member.purgesBehind(before), []);
    hold();
    tier.lose();
    clock.advance(TIER_TIMES.renewMs);
    await settle();
    assert.equal(member.purgesBehind(before), null);
    assert.equal(forgotten, 0);
    letGo();
    await settle();
    assert.equal(member.purgesBehind(before), null);
    assert.equal(forgotten, 1);
  });
}

test("more is owed than is kept, while the first of it is being told: the others are told to purge everything", async (t) => {
  const clock = new VirtualClock();
  const tier = new MemoryTier(clock);
  const store = tier.open();
  const { promise: isThere, resolve } = Promise.withResolvers<void>();
  const append = store.append.bind(store);
  store.append = async (...args) => {
    await isThere;
    return append(...args);
  };
  const member = memberOf(store, clock);
  t.after(() => member.close());
  const tell = (text: string) => void member.tell(member.announce(text)).catch(() => {});
  for (let count = 0; count < OWED_MAX; count++) tell(`${count}`);
  member.start();
  await settle();
  tell("one more");
  resolve();
  await settle();
  assert.deepEqual(
    tier.log.map(({ text }) => text),
    ["0", EVERYTHING],
  );
  assert.equal(member.state.owed, 0);
});

test("many purges at once ask about the machines together, and each is done when all have applied it", async (t) => {
  const clock = new VirtualClock();
  const tier = new MemoryTier(clock);
  const store = tier.open();
  const machines = t.mock.method(store, "machines");
  const member = memberOf(store, clock);
  t.after(() => member.close());
  member.start();
  await settle();
  tier.grow();
  clock.advance(2000);
  await settle();
  // Another machine, which is behind.
  const other = tier.open();
  await other.report("other", member.position, 60_000);
  let done = 0;
  const told = Array.from({ length: 200 }, (_, index) => {
    return member.tell(member.announce(`purge ${index}`)).then(() => done++);
  });
  await settle(500);
  assert.equal(done, 0);
  for (let count = 0; count < 10; count++) {
    clock.advance(250);
    await settle(500);
  }
  assert.equal(done, 0);
  await other.report("other", member.position, 60_000);
  await settle(500);
  await Promise.all(told);
  // Each appended one is a change, and so is each moment.
  assert.ok(machines.mock.callCount() < told.length, `${machines.mock.callCount()} questions`);
});
