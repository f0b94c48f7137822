// Places for connections that threads share: the maximum holds, the lowest ticket comes first, and a thread that is gone leaves
// nothing behind. Here the threads are views of one memory, and what they tell each other is called by hand.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { clearColumn, Places, placesBytes } from "./places.ts";

const SHAPE = { servers: 2, columns: 3 };

function threads(): { buffer: SharedArrayBuffer; told: number[]; all: readonly [Places, Places, Places] } {
  const buffer = new SharedArrayBuffer(placesBytes(SHAPE));
  const told = [0, 0, 0];
  const view = (column: number) => new Places({ ...SHAPE, buffer, column, tellOthers: () => void told[column]!++ });
  return { buffer, told, all: [view(0), view(1), view(2)] };
}

describe("places", () => {
  test("are counted for all threads together, server by server", () => {
    const { all } = threads();
    const [one, two] = all;
    assert.ok(one.take(0, 2));
    assert.ok(two.take(0, 2));
    assert.equal(one.take(0, 2), false);
    assert.equal(two.isFree(0, 2), false);
    assert.ok(two.isFree(1, 2));
    one.giveBack(0);
    assert.ok(two.take(0, 2));
  });

  test("of a thread that is gone are free again, and its tickets are nobody's", () => {
    const { buffer, all } = threads();
    const [one, two] = all;
    one.take(0, 2);
    two.take(0, 2);
    one.wait();
    assert.ok(two.othersComeFirst(0, 0));
    clearColumn(buffer, SHAPE, 0);
    assert.equal(two.othersComeFirst(0, 0), false);
    assert.ok(two.take(0, 2));
    assert.equal(two.take(0, 2), false, "the other thread's own place is still taken");
  });

  test("are for the lowest ticket of all", () => {
    const { all } = threads();
    const [one, two, three] = all;
    const first = one.wait();
    const second = two.wait();
    const whoYields = (): boolean[] => [
      one.othersComeFirst(first, 1),
      two.othersComeFirst(second, 1),
      three.othersComeFirst(0, 0),
    ];
    assert.deepEqual(whoYields(), [false, true, true]);
    one.waitOver(first);
    assert.deepEqual(two.othersComeFirst(second, 1), false);
    assert.deepEqual([one.othersComeFirst(0, 0), three.othersComeFirst(0, 0)], [true, true]);
    two.waitOver(second);
    assert.deepEqual(
      [one, two, three].map((places) => places.othersComeFirst(0, 0)),
      [false, false, false],
    );
  });

  test("are for the lowest ticket of a thread, whichever of its pools has it", () => {
    const { all } = threads();
    const [one] = all;
    const first = one.wait();
    const second = one.wait();
    assert.deepEqual([one.othersComeFirst(first, 1), one.othersComeFirst(second, 1)], [false, true]);
    one.waitOver(first);
    assert.equal(one.othersComeFirst(second, 1), false);
    assert.ok(one.othersComeFirst(0, 0));
  });

  test("stay in order when the numbers of tickets begin anew", () => {
    const { buffer, all } = threads();
    const [one, two] = all;
    new Int32Array(buffer)[0] = 2 ** 31 - 2;
    const tickets = [one.wait(), two.wait(), two.wait()];
    assert.deepEqual(tickets, [2 ** 31 - 1, -(2 ** 31), -(2 ** 31) + 1]);
    assert.deepEqual([one.othersComeFirst(tickets[0]!, 1), two.othersComeFirst(tickets[1]!, 2)], [false, true]);
    new Int32Array(buffer)[0] = -1;
    assert.equal(one.wait(), 1, "0 stands for none");
  });

  test("that become free are told of where others wait, and nowhere else", () => {
    const { told, all } = threads();
    const [one, two] = all;
    one.take(0, 1);
    one.giveBack(0);
    assert.deepEqual(told, [0, 0, 0]);
    one.take(0, 1);
    const ticket = two.wait();
    assert.deepEqual(told, [0, 0, 0], "nothing rests that could be given up");
    one.giveBack(0);
    assert.deepEqual(told, [1, 0, 0]);
    two.waitOver(ticket);
    assert.deepEqual(told, [1, 0, 0]);
  });

  test("of connections that rest elsewhere are asked for by whoever begins to wait", () => {
    const { told, all } = threads();
    const [one, two] = all;
    one.take(1, 1);
    one.countResting(1, 1);
    two.wait();
    assert.deepEqual(told, [0, 1, 0]);
    one.countResting(1, -1);
    two.wait();
    assert.deepEqual(told, [0, 1, 0]);
  });

  test("that others leave unused are offered to the next", () => {
    const { told, all } = threads();
    const [one, two] = all;
    const ticket = one.wait();
    two.wait();
    one.waitOver(ticket);
    assert.deepEqual(told, [1, 0, 0]);
  });
});
