// Bodies of any size that are never kept: every position has its byte, so that a part which is missing, doubled, moved or
// changed shows where it begins. The block repeats after a prime number of bytes, which no buffer size divides.

import assert from "node:assert/strict";
import { SeededRandom } from "../../src/testing/seeded-random.ts";

const PERIOD_BYTES = 1_048_573;
/** The most that can be had, or is compared, at once. */
const PIECE_BYTES_MAX = 65_536;

const block = makeBlock();

function makeBlock(): Buffer {
  const random = new SeededRandom(PERIOD_BYTES);
  const bytes = Buffer.allocUnsafe(PERIOD_BYTES + PIECE_BYTES_MAX);
  for (let at = 0; at < PERIOD_BYTES; at++) bytes[at] = random.below(256);
  bytes.copy(bytes, PERIOD_BYTES, 0, PIECE_BYTES_MAX);
  return bytes;
}

/** The bytes at `position`, at most 64 KiB of them; a view: never written to. */
export function patternAt(position: number, bytes: number): Buffer {
  const start = position % PERIOD_BYTES;
  return block.subarray(start, start + Math.min(bytes, PIECE_BYTES_MAX));
}

/** Any number of the bytes at `position`, for who may write to them. */
export function copyPattern(position: number, bytes: number): Buffer {
  const copy = Buffer.allocUnsafe(bytes);
  let at = 0;
  while (at < bytes) at += patternAt(position + at, bytes - at).copy(copy, at);
  return copy;
}

/** Compares what arrives with what belongs there. */
export class PatternCheck {
  position: number;

  constructor(position = 0) {
    this.position = position;
  }

  /** Throws at the first piece that is not as it should be. */
  add(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      const expected = patternAt(this.position, chunk.length - at);
      const same = expected.compare(chunk, at, at + expected.length) === 0;
      assert.ok(
        same,
        `the bytes from ${this.position} to ${this.position + expected.length} are not those that were sent`,
      );
      at += expected.length;
      this.position += expected.length;
    }
  }
}
