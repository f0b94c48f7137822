/** Waiting in the background: for a time, or until all is to end; and work that is to leave the disk to others most of the time. */
import type { Clock } from "../../core/ports.ts";

/** Shorter ones are put together: a timer for each would cost more than what it is for. */
const PAUSE_MS_MIN = 25;

/** Resolves when the time is over, or at once when all is to end; then nothing of it is left. */
export function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const end = (): void => {
      timer.cancel();
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = clock.after(ms, end);
    signal.addEventListener("abort", end);
  });
}

/** How much may be read. Records are counted too: of short ones it is not their bytes that take time. */
export interface PaceRates {
  readonly bytesPerSecond: number;
  readonly recordsPerSecond: number;
}

export class Pace {
  readonly #clock: Clock;
  readonly #msOfByte: number;
  readonly #msOfRecord: number;
  readonly #signal: AbortSignal;
  #owedMs = 0;

  constructor(clock: Clock, { bytesPerSecond, recordsPerSecond }: PaceRates, signal: AbortSignal) {
    this.#clock = clock;
    this.#msOfByte = 1000 / bytesPerSecond;
    this.#msOfRecord = 1000 / recordsPerSecond;
    this.#signal = signal;
  }

  /** So much was read; resolves when the next may be. */
  async took(records: number, bytes: number): Promise<void> {
    this.#owedMs += records * this.#msOfRecord + bytes * this.#msOfByte;
    if (this.#owedMs < PAUSE_MS_MIN) return;
    const ms = this.#owedMs;
    this.#owedMs = 0;
    await pause(this.#clock, ms, this.#signal);
  }
}
