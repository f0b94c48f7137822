/**
 * What is between two simulated connections of which one is spliced to the other: a pipe of a kernel, bounded, that fills from
 * the one and empties into the other. It only holds and counts; the connections move the bytes, in pieces that chance chooses.
 */
import { ByteQueue } from "../core/byte-queue.ts";
import type { Splice, SpliceHandler } from "../core/ports.ts";
import type { SimulatedConnection } from "./connection.ts";

/** What a pipe holds on Linux unless it was made larger. */
const PIPE_BYTES = 64 * 1024;

export class SimulatedSplice implements Splice {
  receivedBytes = 0;
  sentBytes = 0;
  readonly pipe = new ByteQueue();
  readonly from: SimulatedConnection;
  readonly to: SimulatedConnection;
  readonly handler: SpliceHandler;
  readonly #bytes: number;

  /** `bytes`: how many are to pass; Infinity: until the end. */
  constructor(from: SimulatedConnection, to: SimulatedConnection, bytes: number, handler: SpliceHandler) {
    this.from = from;
    this.to = to;
    this.#bytes = bytes;
    this.handler = handler;
  }

  /** How many more can be taken now. */
  get room(): number {
    return Math.min(PIPE_BYTES - this.pipe.length, this.#bytes - this.receivedBytes);
  }

  /** All that was asked for has been handed on. */
  get isComplete(): boolean {
    return this.sentBytes === this.#bytes;
  }

  take(from: ByteQueue, length: number): void {
    this.pipe.append(from.bytes, from.start, from.start + length);
    from.consume(length);
    this.receivedBytes += length;
  }
}
