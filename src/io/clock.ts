/**
 * Time as the process has it. Node counts a timer from the start of the loop's turn, so after a long turn it would fire
 * early: here a timer that is early waits for the rest. `now` counts from the start of the process, in all its threads.
 */
import { performance } from "node:perf_hooks";
import type { Clock, TimerHandle } from "../core/ports.ts";

/** The longest time that a timer of Node's can wait. Longer ones are set again when it has passed. */
export const TIMER_MS_MAX = 2 ** 31 - 1;

/** What a thread's own count of time lacks, should it begin with the thread. */
const startMs = process.uptime() * 1000 - performance.now();

function processMs(): number {
  return performance.now() + startMs;
}

/** The time of the events that are being handed out; 0: it is read for everyone who asks. */
let heldMs = 0;
/** What the wall clock says at that moment; 0: nobody has asked for it yet. */
let heldWallMs = 0;

/**
 * Until `releaseTime`, all clocks of this thread say the time of this moment. For a transport that hands out many events one
 * after the other, each of which would read the clock three times: call it again every few events, and never leave it held
 * while code runs that may wait. Timers do not go by it.
 */
export function holdTime(): void {
  heldMs = processMs();
  heldWallMs = 0;
}

export function releaseTime(): void {
  heldMs = 0;
}

export class SystemClock implements Clock {
  now(): number {
    return heldMs > 0 ? heldMs : processMs();
  }

  wallMs(): number {
    if (heldMs === 0) return Date.now();
    if (heldWallMs === 0) heldWallMs = Date.now();
    return heldWallMs;
  }

  after(delayMs: number, callback: () => void): TimerHandle {
    return new SystemTimer(performance.now() + delayMs, callback);
  }
}

/** The same, but that time never stands still: for what must not be done a moment too late, also not when the process was stopped. */
export class UnheldClock extends SystemClock {
  override now(): number {
    return processMs();
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
