/**
 * Time as the process has it. Node counts a timer from the start of the loop's turn, so after a long turn it would fire
 * early: here a timer that is early waits for the rest.
 */
import type { Clock, TimerHandle } from "../core/ports.ts";

/** The longest time that a timer of Node's can wait. Longer ones are set again when it has passed. */
const TIMER_MS_MAX = 2 ** 31 - 1;

export class SystemClock implements Clock {
  now(): number {
    return performance.now();
  }

  wallMs(): number {
    return Date.now();
  }

  after(delayMs: number, callback: () => void): TimerHandle {
    return new SystemTimer(performance.now() + delayMs, callback);
  }
}

class SystemTimer implements TimerHandle {
  readonly #dueMs: number;
  readonly #callback: () => void;
  #timer: NodeJS.Timeout;
  readonly #onTimeout = (): void => {
    if (performance.now() < this.#dueMs) this.#timer = this.#wait();
    else this.#callback();
  };

  constructor(dueMs: number, callback: () => void) {
    this.#dueMs = dueMs;
    this.#callback = callback;
    this.#timer = this.#wait();
  }

  #wait(): NodeJS.Timeout {
    const restMs = Math.ceil(this.#dueMs - performance.now());
    return setTimeout(this.#onTimeout, Math.min(Math.max(restMs, 0), TIMER_MS_MAX)).unref();
  }

  cancel(): void {
    clearTimeout(this.#timer);
  }
}
