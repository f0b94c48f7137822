/**
 * Keeps the beginning of a request's body for another attempt. Bounded: a body that outgrows it can no longer be sent
 * again, and its memory is let go at once.
 */
import { REPLAY_BODY_BYTES_MAX } from "../core/limits.ts";

export class ReplayBuffer {
  #bytes: Buffer | null = null;
  #length = 0;
  /** The body outgrew the buffer. */
  overflowed = false;

  record(bytes: Uint8Array, start: number, end: number): void {
    if (this.overflowed) return;
    const needed = this.#length + end - start;
    if (needed > REPLAY_BODY_BYTES_MAX) {
      this.overflowed = true;
      this.#bytes = null;
      return;
    }
    if (this.#bytes === null || this.#bytes.length < needed) {
      const larger = Buffer.allocUnsafe(Math.min(REPLAY_BODY_BYTES_MAX, Math.max(needed, 2 * this.#length)));
      this.#bytes?.copy(larger, 0, 0, this.#length);
      this.#bytes = larger;
    }
    this.#bytes.set(bytes.subarray(start, end), this.#length);
    this.#length = needed;
  }

  /** What was recorded; empty when nothing was. Only while it has not overflowed. */
  get bytes(): Buffer {
    return this.#bytes === null ? EMPTY : this.#bytes.subarray(0, this.#length);
  }
}

const EMPTY = Buffer.alloc(0);
