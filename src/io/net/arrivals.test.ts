// When connections are told of what their sockets have received.

import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { replayHint, seed } from "../../../test/support/seed.ts";
import { SeededRandom } from "../../testing/seeded-random.ts";
import { Arrivals, type Receiving } from "./arrivals.ts";

class Receiver implements Receiving {
  paused = false;
  text = "";
  react: (() => void) | null = null;

  handOver(buffer: Buffer, start: number, end: number): void {
    assert.equal(this.paused, false, "not while it is paused");
    this.text += buffer.toString("latin1", start, end);
    this.react?.();
  }
}

describe("arrivals", () => {
  let arrivals: Arrivals;
  let first: Receiver;
  let second: Receiver;

  beforeEach(() => {
    arrivals = new Arrivals();
    first = new Receiver();
    second = new Receiver();
  });

  function arrive(receiver: Receiver, text: string): void {
    arrivals.add(receiver, arrivals.buffer.write(text, "latin1"));
  }

  function resume(receiver: Receiver): void {
    receiver.paused = false;
    arrivals.resumed(receiver);
  }

  test("short reads are handed out in the same turn, in their order", async () => {
    const order: string[] = [];
    first.react = () => order.push("first");
    second.react = () => order.push("second");
    arrive(second, "b");
    arrive(first, "a");
    assert.deepEqual(order, []);
    await nextTurn();
    assert.deepEqual(order, ["second", "first"]);
    assert.equal(first.text + second.text, "ab");
  });

  test("a long read is handed out at once, behind all that was gathered", () => {
    const long = "x".repeat(60_000);
    arrive(first, "a");
    arrive(second, "b");
    arrive(first, long);
    assert.equal(first.text, `a${long}`);
    assert.equal(second.text, "b");
  });

  test("as much is gathered as there is room for", () => {
    const piece = "0123456789abcdef".repeat(200);
    for (let count = 0; count < 100; count++) arrive(count % 2 === 0 ? first : second, piece);
    assert.ok(first.text.length > 0);
    arrivals.handOut();
    assert.equal(first.text, piece.repeat(50));
    assert.equal(second.text, piece.repeat(50));
  });

  test("whom another one pauses is told when it is resumed, from the beginning", async () => {
    first.react = () => {
      second.paused = true;
    };
    arrive(first, "a");
    arrive(second, "b");
    await nextTurn();
    assert.equal(second.text, "");
    resume(second);
    assert.equal(second.text, "", "not within the call");
    arrive(second, "c");
    second.paused = true;
    await nextTurn();
    assert.equal(second.text, "");
    resume(second);
    await nextTurn();
    assert.equal(second.text, "bc");
  });

  test("what was taken is not told", async () => {
    assert.equal(arrivals.takeOf(first), null);
    arrive(first, "a");
    arrive(second, "b");
    first.paused = true;
    arrivals.handOut();
    arrive(first, "c");
    arrive(second, "d");
    assert.equal(String(arrivals.takeOf(first)), "ac");
    resume(first);
    await nextTurn();
    assert.deepEqual([first.text, second.text], ["", "bd"]);
    assert.equal(arrivals.takeOf(first), null);
  });

  test(`nothing is lost, doubled or told out of turn, whoever is paused when (${replayHint})`, async () => {
    const random = new SeededRandom(seed);
    const below = (limit: number): number => Math.floor(random.next() * limit);
    const receivers = Array.from({ length: 6 }, () => new Receiver());
    const sent = new Map(receivers.map((receiver) => [receiver, ""]));
    const any = (): Receiver => receivers[below(receivers.length)]!;
    const pauseOrResume = (): void => {
      const receiver = any();
      if (receiver.paused) resume(receiver);
      else if (below(2) === 0) receiver.paused = true;
    };
    for (const receiver of receivers) receiver.react = () => (below(3) === 0 ? pauseOrResume() : undefined);
    for (let step = 0; step < 5_000; step++) {
      const receiver = any();
      const what = below(12);
      if (what < 6) {
        // A socket is not read while its connection is paused.
        if (receiver.paused) continue;
        const text = String.fromCharCode(97 + below(26)).repeat(1 + below(below(20) === 0 ? 20_000 : 40));
        sent.set(receiver, sent.get(receiver) + text);
        arrive(receiver, text);
      } else if (what < 9) pauseOrResume();
      else if (what === 9) arrivals.handOut();
      else if (what === 10) await nextTurn();
      else receiver.text += arrivals.takeOf(receiver)?.toString("latin1") ?? "";
    }
    for (const receiver of receivers) {
      receiver.react = null;
      resume(receiver);
    }
    await nextTurn();
    for (const receiver of receivers) assert.equal(receiver.text, sent.get(receiver));
  });
});
