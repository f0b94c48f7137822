/**
 * The parts of an answer that are sent from files without being read: how much of them is still under way, and what of it never
 * left. The exchange lasts until the last of them has: a log that told of a body as soon as it was handed on would tell of hundreds
 * of megabytes that nobody has got.
 */
import type { Downstream } from "./downstream.ts";

export class SentFiles {
  readonly #downstream: Downstream;
  readonly #onAllSent: () => void;
  readonly #onThrow: (thrown: unknown) => void;
  #count = 0;
  #bytes = 0;

  /** `onAllSent` is called whenever none is under way any more; `onThrow` with what whoever lent a descriptor throws. */
  constructor(downstream: Downstream, onAllSent: () => void, onThrow: (thrown: unknown) => void) {
    this.#downstream = downstream;
    this.#onAllSent = onAllSent;
    this.#onThrow = onThrow;
  }

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /** False: it cannot be sent that way, and nothing was done. */
  send(descriptor: number, offset: number, length: number, onSent: () => void): boolean {
    this.#count++;
    this.#bytes += length;
    const isSent = this.#downstream.sendFile(descriptor, offset, length, () => this.#sent(length, onSent));
    if (!isSent) {
      this.#count--;
      this.#bytes -= length;
    }
    return isSent;
  }

  #sent(length: number, onSent: () => void): void {
    this.#count--;
    this.#bytes -= length;
    try {
      onSent();
    } catch (thrown) {
      this.#onThrow(thrown);
    }
    if (this.#count === 0) this.#onAllSent();
  }

  /** The answer is over before it was sent: how many bytes of files were counted that have not left, and will not. */
  get lostBytes(): number {
    return this.#count === 0 ? 0 : Math.min(this.#bytes, this.#downstream.unsentBytes);
  }
}
