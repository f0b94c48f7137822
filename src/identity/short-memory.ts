/**
 * What is remembered for a while: texts, each until its time is over, and so many at most, of which the oldest is forgotten first.
 */
import { FifoMap } from "../core/fifo-map.ts";
import type { Clock } from "../core/ports.ts";

export class ShortMemory {
  readonly #clock: Clock;
  readonly #entriesMax: number;
  readonly #lastsMs: number;
  /** Text to the time when it is forgotten, the oldest first. */
  readonly #untilMs = new FifoMap<string, number>();

  constructor(clock: Clock, entriesMax: number, lastsMs: number) {
    this.#clock = clock;
    this.#entriesMax = entriesMax;
    this.#lastsMs = lastsMs;
  }

  has(text: string): boolean {
    const untilMs = this.#untilMs.get(text);
    return untilMs !== undefined && untilMs > this.#clock.now();
  }

  add(text: string): void {
    const untilMs = this.#untilMs;
    if (!untilMs.has(text) && untilMs.size >= this.#entriesMax) untilMs.delete(untilMs.oldest!);
    untilMs.set(text, this.#clock.now() + this.#lastsMs);
  }
}
