/**
 * Finds out that bytes have stood still, by looking now and then at how far they are: where they pass without being seen no event
 * tells of them, and where they are seen it spares a clock for each of them. A stall is noticed late, by a fourth of the time that
 * it may last and some ticks of the wheel at most, and never early.
 */
import { Deadline, type DeadlineWheel } from "../core/deadlines.ts";

/** Looks within the time that a stall may last. */
const LOOKS = 4;

export class StallWatch {
  readonly #deadlines: DeadlineWheel;
  readonly #deadline: Deadline;
  #everyMs = 0;
  /** How far they were when they were seen to have moved last; not a number before the first look. */
  #position = Number.NaN;
  #sinceMs = 0;

  /** `onLook` asks `stalledMs`, unless it is all over. */
  constructor(deadlines: DeadlineWheel, onLook: () => void) {
    this.#deadlines = deadlines;
    this.#deadline = new Deadline(deadlines, onLook);
  }

  /** From now on, for stalls that may last so long. */
  begin(limitMs: number): void {
    this.#everyMs = limitMs / LOOKS;
    this.#position = Number.NaN;
    this.#deadline.arm(this.#everyMs);
  }

  /** At a look: for how long the position, any number that changes whenever a byte moves, is known to have been the same. */
  stalledMs(position: number): number {
    this.#deadline.arm(this.#everyMs);
    const nowMs = this.#deadlines.coarseMs;
    if (position !== this.#position) {
      this.#position = position;
      this.#sinceMs = nowMs;
    }
    return nowMs - this.#sinceMs;
  }

  dispose(): void {
    this.#deadline.dispose();
  }
}
