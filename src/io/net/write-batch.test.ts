// Where the bytes of many connections are that are written to in one event.

import assert from "node:assert/strict";
import { test } from "node:test";
import { type BatchMember, type Slab, WriteBatch } from "./write-batch.ts";

const BYTES = 8 * 1024;

/** A connection that has written once; the kernel takes it at once, unless Node holds it. */
class Written implements BatchMember {
  flushes = 0;
  readonly slab: Slab;
  readonly #batch: WriteBatch;
  readonly #end: number;
  readonly #isHeld: boolean;

  constructor(batch: WriteBatch, isHeld: boolean) {
    this.#batch = batch;
    this.#isHeld = isHeld;
    batch.open(this, BYTES);
    this.slab = batch.slab;
    this.slab.bytes.fill(1, batch.position, batch.position + BYTES);
    this.#end = batch.position += BYTES;
    batch.add(this);
  }

  flush(): void {
    this.flushes++;
    if (this.#isHeld) this.slab.lost = true;
    this.#batch.release(this.slab, this.#end, this.#isHeld);
  }
}

test("hundreds of connections that are written to in one event share a slab, and each is flushed once", () => {
  const batch = new WriteBatch();
  batch.enter();
  const all = Array.from({ length: 500 }, () => new Written(batch, false));
  batch.leave();
  assert.equal(new Set(all.map(({ slab }) => slab)).size, 1);
  assert.ok(all.every(({ flushes }) => flushes === 1));
});

test("what Node holds is not written over", () => {
  const batch = new WriteBatch();
  batch.enter();
  const first = new Written(batch, true);
  const others = Array.from({ length: 100 }, () => new Written(batch, false));
  batch.leave();
  assert.equal(first.flushes, 1);
  first.slab.bytes.fill(2, 0, BYTES);
  batch.enter();
  for (let count = 0; count < 100; count++) others.push(new Written(batch, false));
  batch.leave();
  assert.ok(first.slab.bytes.subarray(0, BYTES).every((byte) => byte === 2));
  assert.ok(others.every(({ flushes }) => flushes === 1));
});
