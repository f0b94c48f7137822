/**
 * What plain sockets have received: all those of a thread into one buffer, so nothing is allocated for a read. Short reads are
 * gathered, and handed out one after the other when the loop has read all sockets that were ready. Each would otherwise be followed by
 * its JavaScript and its writes, and the kernel's work in between drives those out of the processor's caches: a tenth of what a small
 * request costs. A long read is handed out at once, from where it lies.
 *
 * It decides when a connection is told of its bytes: in their order, in the same turn, and not while it is paused. Its connection
 * calls `handOut` before it tells of what came behind them, and waits with that while something is held for it: a loop that finds more
 * sockets ready than it asks for at once reads some of them twice, and finds their ends, before anything is handed out.
 */
import { copyBytes, viewOf } from "../../core/copy-bytes.ts";

/** What is read at once from a socket: the size that Node itself uses. */
const READ_BYTES = 64 * 1024;
/** Reads up to this size are gathered: heads and short bodies. To copy more costs what is won. */
const SHORT_READ_BYTES_MAX = 4 * 1024;
/** What is gathered at most before it is handed out: hundreds of heads, and no more than the processor's second cache holds. */
const GATHERED_BYTES_MAX = 128 * 1024;

/** A connection, as arrivals see it. */
export interface Receiving {
  /** It takes no bytes now, and will say so when it does again (`resumed`). */
  readonly paused: boolean;
  /** Its handler is told of `buffer[start, end)`, which is valid during the call. */
  handOver(buffer: Buffer, start: number, end: number): void;
}

export class Arrivals {
  /** Where sockets receive. */
  readonly buffer: Buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  readonly #bufferView = viewOf(this.buffer);
  readonly #gathered: Buffer = Buffer.allocUnsafeSlow(GATHERED_BYTES_MAX);
  readonly #gatheredView = viewOf(this.#gathered);
  /** Whose bytes are gathered, and where they end; they begin where the ones before them end. null: they were taken. */
  readonly #receivers: (Receiving | null)[] = [];
  readonly #ends: number[] = [];
  #count = 0;
  #next = 0;
  /** What had been gathered of connections that were paused before they were told. */
  readonly #held = new Map<Receiving, Buffer>();
  /** Of these, who takes bytes again. */
  readonly #resumed: Receiving[] = [];
  #scheduled = false;
  readonly #onTurn = (): void => {
    this.#scheduled = false;
    this.handOut();
  };

  /** `buffer[0, length)` was received for `receiver`. */
  add(receiver: Receiving, length: number): void {
    if (length > SHORT_READ_BYTES_MAX) {
      this.handOut();
      this.#tell(receiver, this.buffer, 0, length);
      return;
    }
    if (this.#startOf(this.#count) + length > GATHERED_BYTES_MAX) this.handOut();
    const index = this.#count++;
    const start = this.#startOf(index);
    this.#ends[index] = copyBytes(this.#gathered, this.#gatheredView, start, this.buffer, this.#bufferView, 0, length);
    this.#receivers[index] = receiver;
    this.#schedule();
  }

  /** Hands out everything, but to those who are paused. */
  handOut(): void {
    for (;;) {
      if (this.#resumed.length > 0) this.#tellResumed();
      const index = this.#next;
      if (index === this.#count) break;
      this.#next = index + 1;
      const receiver = this.#receivers[index]!;
      this.#receivers[index] = null;
      if (receiver !== null) this.#tell(receiver, this.#gathered, this.#startOf(index), this.#ends[index]!);
    }
    this.#next = this.#count = 0;
  }

  /** A connection takes bytes again. */
  resumed(receiver: Receiving): void {
    if (!this.holds(receiver)) return;
    this.#resumed.push(receiver);
    this.#schedule();
  }

  /** Whether something waits for a connection that was paused. */
  holds(receiver: Receiving): boolean {
    return this.#held.size > 0 && this.#held.has(receiver);
  }

  /** What a connection has not been told of, and will not be; null: nothing. */
  takeOf(receiver: Receiving): Buffer | null {
    for (let index = this.#next; index < this.#count; index++) {
      if (this.#receivers[index] !== receiver) continue;
      this.#receivers[index] = null;
      this.#hold(receiver, this.#gathered, this.#startOf(index), this.#ends[index]!);
    }
    const bytes = this.#held.get(receiver) ?? null;
    if (bytes !== null) this.#held.delete(receiver);
    return bytes;
  }

  #startOf(index: number): number {
    return index === 0 ? 0 : this.#ends[index - 1]!;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#onTurn);
  }

  #tell(receiver: Receiving, buffer: Buffer, start: number, end: number): void {
    if (receiver.paused || this.holds(receiver)) this.#hold(receiver, buffer, start, end);
    else receiver.handOver(buffer, start, end);
  }

  #hold(receiver: Receiving, buffer: Buffer, start: number, end: number): void {
    const bytes = buffer.subarray(start, end);
    const held = this.#held.get(receiver);
    this.#held.set(receiver, held === undefined ? Buffer.from(bytes) : Buffer.concat([held, bytes]));
  }

  #tellResumed(): void {
    for (let receiver = this.#resumed.pop(); receiver !== undefined; receiver = this.#resumed.pop()) {
      if (receiver.paused) continue;
      const bytes = this.takeOf(receiver);
      if (bytes !== null) receiver.handOver(bytes, 0, bytes.length);
    }
  }
}
