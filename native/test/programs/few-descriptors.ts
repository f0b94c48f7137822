// A program for a process that may have few descriptors (ulimit -n): what the addon does when there are none left. It ends
// with "done" on stdout, or with an exception. descriptors.test.ts runs it.

import assert from "node:assert/strict";
import { closeSync, openSync } from "node:fs";
import { constants } from "node:os";
import { setImmediate as nextTurn } from "node:timers/promises";
import { ACCEPT_FAILED, ACCEPTED, CONNECTED, READ, SPLICED } from "../../../src/io/native/wire.ts";
import { checked, Driver } from "../driver.ts";

const { EMFILE } = constants.errno;

/** Takes all the descriptors there are, but for `left` of them. */
function takeDescriptors(left: number): number[] {
  const taken: number[] = [];
  for (;;) {
    try {
      taken.push(openSync("/dev/null", "r"));
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, "EMFILE");
      for (const descriptor of taken.splice(0, left)) closeSync(descriptor);
      return taken;
    }
  }
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await nextTurn();
}

const driver = new Driver();
const listener = driver.listen();
const kinds = (kind: number) => driver.events.filter((event) => event.kind === kind);

// Four clients are waiting, and nothing can be accepted: told once, not in every turn.
for (let count = 0; count < 4; count++) checked(driver.addon.connect("127.0.0.1", listener.port, 0));
let taken = takeDescriptors(0);
assert.equal(driver.addon.connect("127.0.0.1", listener.port, 0), -EMFILE);
assert.equal(driver.addon.bind("127.0.0.1", 0, false, false, 1), -EMFILE);
assert.equal(driver.addon.duplicate(listener.descriptor), -EMFILE);
await driver.next(ACCEPT_FAILED);
await turns(50);
assert.deepEqual(
  kinds(ACCEPT_FAILED).map(({ slot, a }) => [slot, a]),
  [[listener.slot, EMFILE]],
);
assert.equal(kinds(CONNECTED).length, 4);
assert.equal(kinds(ACCEPTED).length, 0);

// Two of them can be accepted now, and then it is told again.
for (const descriptor of taken.splice(0, 2)) closeSync(descriptor);
assert.equal(driver.addon.resumeListener(listener.slot), 0);
await driver.until(() => kinds(ACCEPT_FAILED).length === 2);
await turns(50);
assert.equal(kinds(ACCEPT_FAILED).length, 2);
assert.equal(kinds(ACCEPTED).length, 2);

// And the rest.
for (const descriptor of taken.splice(0)) closeSync(descriptor);
assert.equal(driver.addon.resumeListener(listener.slot), 0);
await driver.until(() => kinds(ACCEPTED).length === 4);
assert.equal(kinds(ACCEPT_FAILED).length, 2);

// A splice for which there is no pipe copies.
const [first, second] = [await driver.pair(listener.port), await driver.pair(listener.port)];
taken = takeDescriptors(1);
const body = Buffer.alloc(300_000, "without a pipe ");
const from = driver.events.length;
assert.equal(driver.addon.splice(first.accepted, second.accepted, body.length), 0);
driver.write(first.dialed, body);
driver.submit();
await driver.next(SPLICED, first.accepted, from);
await driver.until(() => driver.received(second.dialed, from).length === body.length);
assert.ok(driver.received(second.dialed, from).equals(body));
assert.equal(driver.addon.inspect().pipes, 0);
assert.deepEqual(
  driver.events.slice(from).filter(({ kind, slot }) => kind === READ && slot === first.accepted),
  [],
);
for (const descriptor of taken.splice(0)) closeSync(descriptor);

driver.destroyAll();
console.log("done");
