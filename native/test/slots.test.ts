// A slot that was closed is given to a new connection only when nothing that was told before can still name it, and what is
// commanded for a closed one reaches nobody.

import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { CLOSED, DESTROY, END, FINISH, PAUSE, READ, RESUME, SEND_BYTES, WATCH } from "../../src/io/native/wire.ts";
import { checked, Driver, withoutAddon } from "./driver.ts";

/** Nobody has registered it, and the program that misuses the addon binds none like it: nothing listens there. */
const CLOSED_PORT = 87;

describe("slots", { skip: withoutAddon }, () => {
  const driver = withoutAddon ? null! : new Driver();
  const listener = withoutAddon ? null! : driver.listen();
  after(() => driver.destroyAll());

  test("one that is closed while a batch is told is not given away in that batch", async () => {
    const { dialed, accepted } = await driver.pair(listener.port);
    const from = driver.events.length;
    let opened = -1;
    driver.onBatch = (batch) => {
      if (!batch.some(({ kind, slot }) => kind === READ && slot === accepted)) return;
      driver.onBatch = null;
      driver.destroy(accepted);
      // Nobody listens on a path like this, so it is refused before there is a slot; the next one gets a slot.
      assert.ok(driver.addon.connect("/nonexistent/socket", 0, 0) < 0);
      opened = checked(driver.addon.connect("127.0.0.1", listener.port, 0));
      driver.destroy(opened);
    };
    driver.write(dialed, Buffer.from("x"));
    driver.submit();
    await driver.next(END, dialed, from);
    assert.notEqual(opened, -1);
    assert.notEqual(opened, accepted);
    driver.destroy(dialed);
  });

  /** The numbers that two new connections get: of those that were closed last, were they free. */
  function numbersOfNew(): number[] {
    return [0, 1].map(() => checked(driver.addon.connect("127.0.0.1", listener.port, 0)));
  }

  test("one that an event names is not given away while the event waits, nor before it was read", async () => {
    const { dialed, accepted } = await driver.pair(listener.port);
    const isBehindTurn = Promise.withResolvers<void>();
    driver.submits = false;
    // What comes of the first call is told by a second one in the same turn; what comes of that one waits.
    let calls = 0;
    driver.onBatch = () => {
      driver.command(WATCH, accepted);
      if (++calls === 2) {
        driver.onBatch = null;
        driver.command(DESTROY, accepted);
        setImmediate(isBehindTurn.resolve);
      }
      assert.equal(driver.handOver(), 1);
    };
    driver.write(dialed, Buffer.from("x"));
    driver.handOver();
    await isBehindTurn.promise;
    const whileItWaits = numbersOfNew();
    assert.ok(!whileItWaits.includes(accepted), `${accepted}: ${whileItWaits}`);
    assert.equal(driver.addon.submit(0, true), 1);
    const whileItIsRead = numbersOfNew();
    assert.ok(!whileItIsRead.includes(accepted), `${accepted}: ${whileItIsRead}`);
    assert.equal(driver.addon.submit(0, true), 0);
    const afterwards = numbersOfNew();
    assert.ok(afterwards.includes(accepted), `${accepted}: ${afterwards}`);
    driver.submits = true;
    driver.destroy(dialed, ...whileItWaits, ...whileItIsRead, ...afterwards);
  });

  test("one that is given away again has nothing of what its last owner lost", async () => {
    const { dialed, accepted } = await driver.pair(listener.port);
    // What is closed inside of a turn is free behind it.
    await nextTurn();
    driver.command(PAUSE, accepted);
    for (const bytes = Buffer.alloc(SEND_BYTES); driver.queued[dialed] === 0; driver.submit())
      driver.write(dialed, bytes);
    driver.destroy(dialed);
    assert.ok(driver.queued[dialed]! > 0);
    const given = numbersOfNew();
    assert.ok(given.includes(dialed), `${dialed}: ${given}`);
    assert.equal(driver.queued[dialed], 0);
    driver.destroy(accepted, ...given);
  });

  test("ten thousand connections, one after the other, need a handful", async () => {
    const used = new Set<number>();
    for (let round = 0; round < 10_000; round++) {
      const slot = checked(driver.addon.connect("127.0.0.1", CLOSED_PORT, 0));
      used.add(slot);
      const from = driver.events.length;
      // Refused, or destroyed before that is known.
      if (round % 2 === 0) await driver.next(CLOSED, slot, from);
      else driver.destroy(slot);
      driver.events.length = 0;
    }
    assert.ok(used.size < 16, `${used.size} slots`);
  });

  test("commands behind the one that closes it reach nobody", async () => {
    const [first, second] = [await driver.pair(listener.port), await driver.pair(listener.port)];
    const from = driver.events.length;
    driver.write(first.dialed, Buffer.from("before"));
    driver.command(DESTROY, first.dialed);
    driver.write(first.dialed, Buffer.from("behind"));
    for (const opcode of [PAUSE, RESUME, WATCH, FINISH, DESTROY]) driver.command(opcode, first.dialed);
    driver.write(second.dialed, Buffer.from("other"));
    driver.submit();
    await Promise.all([driver.next(END, first.accepted, from), driver.next(READ, second.accepted, from)]);
    assert.equal(driver.received(first.accepted, from).toString(), "before");
    assert.equal(driver.received(second.accepted, from).toString(), "other");
    driver.destroy(first.accepted, second.accepted, second.dialed);
  });

  test("it may be told END and closed in one batch, and is told nothing after that", async () => {
    const { dialed, accepted } = await driver.pair(listener.port);
    const from = driver.events.length;
    driver.command(FINISH, accepted);
    driver.write(dialed, Buffer.from("last"));
    driver.command(FINISH, dialed);
    driver.submit();
    await Promise.all([driver.next(CLOSED, dialed, from), driver.next(CLOSED, accepted, from)]);
    for (const slot of [dialed, accepted]) {
      const kinds = driver.events.slice(from).filter((event) => event.slot === slot);
      assert.deepEqual(
        kinds.map(({ kind, a }) => (kind === CLOSED ? [kind, a] : kind)),
        slot === dialed ? [END, [CLOSED, 0]] : [READ, END, [CLOSED, 0]],
      );
    }
    assert.equal(driver.received(accepted, from).toString(), "last");
  });
});
