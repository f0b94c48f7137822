// The policy against a model of lists that can be checked by reading, and what it promises: scans, sizes, memory, no long pauses.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SeededRandom } from "../../testing/seeded-random.ts";
import { S3Fifo } from "./s3-fifo.ts";

const UNIT = 512;

interface Modelled {
  readonly slot: number;
  units: number;
  readonly hash: number;
}

/** The same rules on arrays, the first of which goes next. */
class Model {
  readonly frequencies: Uint8Array;
  small: Modelled[] = [];
  main: Modelled[] = [];
  /** In the order of their evictions. */
  #ghosts: { readonly hash: number; readonly before: number }[] = [];
  /** Units from the small queue. */
  #evicted = 0;
  #reach = 0;

  constructor(frequencies: Uint8Array) {
    this.frequencies = frequencies;
  }

  get all(): Modelled[] {
    return [...this.small, ...this.main];
  }

  get units(): number {
    return sumOf(this.all);
  }

  add(slot: number, units: number, hash: number): void {
    this.remove(slot);
    (this.#takeGhost(hash) ? this.main : this.small).push({ slot, units, hash });
  }

  replace(slot: number, by: number, units: number, hash: number): void {
    const isSmall = this.small.some((entry) => entry.slot === slot);
    const isMain = this.main.some((entry) => entry.slot === slot);
    this.add(by, units, hash);
    if (!isSmall && !isMain) return;
    this.remove(slot);
    this.remove(by);
    (isMain ? this.main : this.small).push({ slot: by, units, hash });
    this.frequencies[by] = Math.max(this.frequencies[by]!, this.frequencies[slot]!);
  }

  remove(slot: number): void {
    this.small = this.small.filter((entry) => entry.slot !== slot);
    this.main = this.main.filter((entry) => entry.slot !== slot);
  }

  evict(): number {
    while (this.all.length > 0) {
      const isFromSmall = sumOf(this.small) >= this.units * 0.1 || this.main.length === 0;
      const entry = (isFromSmall ? this.small : this.main).shift()!;
      const frequency = this.frequencies[entry.slot]!;
      if (frequency > 0) {
        this.frequencies[entry.slot] = isFromSmall ? 0 : frequency - 1;
        this.main.push(entry);
        continue;
      }
      if (isFromSmall) {
        this.#reach = this.units * 0.9;
        this.#ghosts.push({ hash: entry.hash, before: this.#evicted });
        this.#evicted += entry.units;
      }
      return entry.slot;
    }
    return -1;
  }

  /** Whether no more was evicted from it on than is remembered. */
  #takeGhost(hash: number): boolean {
    const at = this.#ghosts.findIndex((ghost) => ghost.hash === hash);
    if (at < 0) return false;
    const isAlive = this.#evicted - this.#ghosts[at]!.before <= this.#reach;
    this.#ghosts.splice(at, 1);
    return isAlive;
  }
}

function sumOf(entries: readonly Modelled[]): number {
  return entries.reduce((sum, { units }) => sum + units, 0);
}

function hashOf(object: number): number {
  return Math.imul(object + 1, 0x9e37_79b1) >>> 0;
}

describe("S3-FIFO", () => {
  for (const seed of [1, 2, 3, 4, 5, 6]) {
    it(`lets go of the same as its model, in the same order (seed ${seed})`, () => {
      const random = new SeededRandom(seed);
      const frequencies = new Uint8Array(4096);
      const model = new Model(new Uint8Array(4096));
      const policy = new S3Fifo({ frequencies });
      const objects = new Map<number, number>();
      let next = 0;
      // Slots that have nothing in common with the order: also above what there is room for at first.
      const slotOf = (): number => (next++ * 37) % 4096;
      for (let step = 0; step < 6000; step++) {
        const slots = [...objects.keys()];
        const some = slots[random.below(Math.max(1, slots.length))];
        const units = random.chance(0.1) ? random.between(1, 4000) : random.between(1, 40);
        const roll = random.next();
        if (roll < 0.4 || some === undefined) {
          const slot = slotOf();
          const object = random.below(400);
          if (objects.has(slot) || [...objects.values()].includes(object)) continue;
          frequencies[slot] = model.frequencies[slot] = 0;
          objects.set(slot, object);
          policy.add(slot, units * UNIT, hashOf(object));
          model.add(slot, units, hashOf(object));
        } else if (roll < 0.6) {
          frequencies[some] = model.frequencies[some] = Math.min(3, frequencies[some]! + 1);
        } else if (roll < 0.65) {
          policy.resize(some, units * UNIT - 1);
          for (const entry of model.all) if (entry.slot === some) entry.units = units;
        } else if (roll < 0.7) {
          const by = slotOf();
          if (objects.has(by)) continue;
          frequencies[by] = model.frequencies[by] = 0;
          const object = objects.get(some)!;
          objects.delete(some);
          objects.set(by, object);
          policy.replace(some, by, units * UNIT, hashOf(object));
          model.replace(some, by, units, hashOf(object));
        } else if (roll < 0.75) {
          objects.delete(some);
          policy.remove(some);
          model.remove(some);
          policy.remove(some);
        } else if (slots.length > 150 || roll < 0.76) {
          const slot = policy.evict();
          assert.equal(slot, model.evict(), `step ${step}`);
          assert.equal(objects.delete(slot), true);
        }
        assert.equal(policy.bytes, model.units * UNIT, `step ${step}`);
        assert.equal(policy.entries, objects.size, `step ${step}`);
      }
      while (objects.size > 0) {
        const slot = policy.evict();
        assert.equal(slot, model.evict());
        objects.delete(slot);
      }
      assert.equal(policy.evict(), -1);
      assert.equal(policy.bytes, 0);
    });
  }

  it("keeps what is used through a scan of ten times its size", () => {
    const frequencies = new Uint8Array(20_000);
    const policy = new S3Fifo({ frequencies });
    for (let slot = 0; slot < 1000; slot++) policy.add(slot, 4096, hashOf(slot));
    frequencies.fill(3, 0, 900);
    const gone = new Set<number>();
    for (let slot = 1000; slot < 11_000; slot++) {
      gone.add(policy.evict());
      policy.add(slot, 4096, hashOf(slot));
    }
    for (let slot = 0; slot < 900; slot++) assert.equal(gone.has(slot), false, `slot ${slot}`);
  });

  it("one of 10 GiB that nobody asks for again does not displace what is used", () => {
    const frequencies = new Uint8Array(2000);
    const policy = new S3Fifo({ frequencies });
    for (let slot = 0; slot < 1000; slot++) policy.add(slot, 2 ** 20, hashOf(slot));
    frequencies.fill(1, 0, 900);
    policy.add(1500, 10 * 2 ** 30, hashOf(1500));
    const gone: number[] = [];
    while (gone.at(-1) !== 1500) gone.push(policy.evict());
    assert.deepEqual(
      gone.slice(0, -1),
      Array.from({ length: 100 }, (_, index) => 900 + index),
    );
  });

  it("what comes back soon is kept longer than what is new", () => {
    const policy = new S3Fifo({ frequencies: new Uint8Array(2000) });
    for (let slot = 0; slot < 100; slot++) policy.add(slot, 512, hashOf(slot));
    const back = policy.evict();
    policy.add(back, 512, hashOf(back));
    for (let count = 0; count < 90; count++) assert.notEqual(policy.evict(), back);
  });

  it("what was found at the start goes in the order of its last use, unless it was used more than once", () => {
    const frequencies = new Uint8Array(2000);
    const policy = new S3Fifo({ frequencies });
    const order = [7, 3, 9, 1, 5];
    frequencies[9] = 2;
    for (const slot of order) policy.add(slot, 512, hashOf(slot));
    assert.deepEqual(
      order.map(() => policy.evict()),
      [7, 3, 1, 5, 9],
    );
  });

  it("a slot that was given to another answer is that answer's", () => {
    const policy = new S3Fifo({ frequencies: new Uint8Array(10) });
    policy.add(1, 5000, hashOf(1));
    policy.add(1, 512, hashOf(2));
    assert.deepEqual([policy.entries, policy.bytes], [1, 512]);
    assert.deepEqual([policy.evict(), policy.evict()], [1, -1]);
  });

  it("takes less than 64 bytes an entry at a million, with all that it remembers, and no call takes long", () => {
    const entries = 1_000_000;
    const frequencies = new Uint8Array(2 * entries);
    const policy = new S3Fifo({ frequencies });
    let longestMs = 0;
    const timed = (act: () => void): void => {
      const begin = process.cpuUsage();
      act();
      const { user, system } = process.cpuUsage(begin);
      longestMs = Math.max(longestMs, (user + system) / 1000);
    };
    // In groups, since looking at the clock costs more than what is measured.
    for (let slot = 0; slot < entries; slot += 1000) {
      timed(() => {
        for (let each = slot; each < slot + 1000; each++) policy.add(each, 4096, hashOf(each));
      });
    }
    // The worst that readers can do: all of them are used, as often as it counts.
    frequencies.fill(3);
    for (let count = 0; count < 20; count++) timed(() => policy.evict());
    frequencies.fill(0);
    for (let count = 0; count < entries / 2; count += 1000) {
      timed(() => {
        for (let each = 0; each < 1000; each++) {
          const slot = policy.evict();
          policy.add(slot, 4096, hashOf(entries + count + each));
        }
      });
    }
    const each = policy.memoryBytes / entries;
    assert.ok(each < 64, `${each} bytes an entry`);
    // Some milliseconds; a whole pass over a million entries that were used three times takes more than a hundred.
    assert.ok(longestMs < 60, `${longestMs} ms`);
  });
});
