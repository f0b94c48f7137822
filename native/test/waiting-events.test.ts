// Events that wait for the record, more than it holds: none is lost, they come in their order, and nothing that happens later is told
// before them.

import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { DRAIN, EVENTS_MAX, READ, WATCH } from "../../src/io/native/wire.ts";
import { Driver, withoutAddon } from "./driver.ts";

/** Twice the record, and a part of it. */
const WAITING = 2 * EVENTS_MAX + 100;

describe("events that wait", { skip: withoutAddon }, () => {
  const driver = withoutAddon ? null! : new Driver();
  const listener = withoutAddon ? null! : driver.listen();
  after(() => driver.destroyAll());

  /** Nothing is queued on either side of the pair, so each watch is answered at once; on which, goes by turns of unequal length. */
  function watchBy(slots: readonly number[]): number[] {
    const watched = Array.from({ length: WAITING }, (_, index) => slots[(index % 7) & 1]!);
    for (const slot of watched) driver.command(WATCH, slot);
    return watched;
  }

  test("are taken up whole and in order", async () => {
    const { dialed, accepted } = await driver.pair(listener.port);
    const from = driver.events.length;
    const watched = watchBy([dialed, accepted]);
    assert.equal(driver.handOver(), WAITING);
    driver.submit();
    assert.deepEqual(
      driver.events.slice(from).map(({ kind, slot }) => [kind, slot]),
      watched.map((slot) => [DRAIN, slot]),
    );
    driver.destroy(dialed, accepted);
  });

  test("are told by the next turn, and what is read in it behind all of them", async () => {
    const { dialed, accepted } = await driver.pair(listener.port);
    const from = driver.events.length;
    const watched = watchBy([dialed, accepted]);
    driver.write(dialed, Buffer.from("later"));
    assert.equal(driver.handOver(), WAITING);
    // The turn has nobody who takes up what waits between its calls.
    driver.submits = false;
    await driver.next(READ, accepted, from);
    driver.submits = true;
    assert.deepEqual(
      driver.events.slice(from).map(({ kind, slot }) => [kind, slot]),
      [...watched.map((slot) => [DRAIN, slot]), [READ, accepted]],
    );
    assert.equal(driver.received(accepted, from).toString(), "later");
    driver.destroy(dialed, accepted);
  });
});
