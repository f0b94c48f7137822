/**
 * A splice from one connection of the addon to another. Bytes that had been read when it was asked for are handed on from
 * here; the addon moves the rest. It decides nothing about the connections' ends: they tell it.
 */
import type { Splice, SpliceHandler } from "../../core/ports.ts";
import type { NativeConnection } from "./connection.ts";
import type { EventLoop } from "./event-loop.ts";

export class NativeSplice implements Splice {
  readonly source: NativeConnection;
  readonly target: NativeConnection;
  readonly #loop: EventLoop;
  readonly #handler: SpliceHandler;
  #left: number;
  /** Handed on from here. */
  #early = 0;
  #stage: "waiting" | "running" | "over" = "waiting";
  /** What the addon had counted when it was over: the slot may be another's by now. */
  #received = 0;
  #sent = 0;

  constructor(
    loop: EventLoop,
    source: NativeConnection,
    target: NativeConnection,
    bytes: number,
    handler: SpliceHandler,
  ) {
    this.#loop = loop;
    this.source = source;
    this.target = target;
    this.#left = bytes;
    this.#handler = handler;
  }

  get receivedBytes(): number {
    const received = this.#stage === "running" ? this.#loop.received[this.source.slot]! : this.#received;
    return this.#early + received;
  }

  get sentBytes(): number {
    const sent = this.#stage === "running" ? this.#loop.sent[this.source.slot]! : this.#sent;
    return this.#early + sent;
  }

  /** All that was written before has been handed over. */
  start(): void {
    // Where one of the two is about to close, the addon refuses, and the little that may still come is copied.
    if (this.#stage !== "waiting" || this.source.holdsBytes) return;
    if (this.#loop.addon.splice(this.source.slot, this.target.slot, this.#left) === 0) this.#stage = "running";
  }

  /** Bytes that were read before it began; the offset behind those that belong to it. */
  take(buffer: Buffer, start: number, end: number): number {
    const length = Math.min(this.#left, end - start);
    this.target.write(buffer, start, start + length);
    this.#left -= length;
    this.#early += length;
    return start + length;
  }

  get isComplete(): boolean {
    return this.#left === 0;
  }

  /** Its connections are over, or it has moved everything: the counts stay as they are. */
  freeze(): void {
    if (this.#stage === "running") {
      this.#received = this.#loop.received[this.source.slot]!;
      this.#sent = this.#loop.sent[this.source.slot]!;
    }
    this.#stage = "over";
  }

  onSpliced(): void {
    this.#handler.onSpliced();
  }
}
