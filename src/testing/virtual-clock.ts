/**
 * Time that moves only when a test says so. It decides in which order due timers run: by their time, then by the order in
 * which they were set. It never reads the clock of the machine.
 */
import type { Clock, TimerHandle } from "../core/ports.ts";

/** More timers than this in one call mean that they set each other for ever. */
const TIMERS_PER_CALL_MAX = 1_000_000;

class VirtualTimer implements TimerHandle {
  readonly dueMs: number;
  readonly callback: () => void;
  cancelled = false;

  constructor(dueMs: number, callback: () => void) {
    this.dueMs = dueMs;
    this.callback = callback;
  }

  cancel(): void {
    this.cancelled = true;
  }
}

export class VirtualClock implements Clock {
  #nowMs = 0;
  readonly #wallStartMs: number;
  /** Sorted: the next one last, so that taking it is cheap. Cancelled ones stay until they come up. */
  #timers: VirtualTimer[] = [];

  /** `wallStartMs`: what the wall clock shows at the start; Date fields and log lines show it. */
  constructor(wallStartMs = Date.UTC(2026, 0, 1)) {
    this.#wallStartMs = wallStartMs;
  }

  now(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#wallStartMs + this.#nowMs;
  }

  after(delayMs: number, callback: () => void): TimerHandle {
    const timer = new VirtualTimer(this.#nowMs + Math.max(0, delayMs), callback);
    // Behind those of the same time: the list is sorted from the last to the first.
    let low = 0;
    let high = this.#timers.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#timers[middle]!.dueMs > timer.dueMs) low = middle + 1;
      else high = middle;
    }
    this.#timers.splice(low, 0, timer);
    return timer;
  }

  /** When the next timer is due; null when none is set. */
  get nextDueMs(): number | null {
    for (let last = this.#timers.at(-1); last !== undefined; last = this.#timers.at(-1)) {
      if (!last.cancelled) return last.dueMs;
      this.#timers.pop();
    }
    return null;
  }

  /** Timers that are set and not cancelled. */
  get pendingTimers(): number {
    return this.#timers.reduce((count, timer) => count + (timer.cancelled ? 0 : 1), 0);
  }

  /** Moves time forward and runs what falls due on the way, each timer at its own time. */
  advance(ms: number): void {
    this.advanceTo(this.#nowMs + ms);
  }

  /** Like `advance`, to a time that `now` will show. A time that has passed changes nothing but runs what is due. */
  advanceTo(untilMs: number): void {
    this.#run(untilMs, TIMERS_PER_CALL_MAX);
    this.#nowMs = Math.max(this.#nowMs, untilMs);
  }

  /** Time passes and no timer runs: the process was stopped, or one callback took this long. Late timers run next. */
  stall(ms: number): void {
    this.#nowMs += ms;
  }

  /** Runs timers until none is set. Throws when `timersMax` of them did not lead to that. */
  runUntilIdle(timersMax = TIMERS_PER_CALL_MAX): void {
    this.#run(Number.POSITIVE_INFINITY, timersMax);
  }

  #run(untilMs: number, timersMax: number): void {
    for (let count = 0; ; count++) {
      const dueMs = this.nextDueMs;
      if (dueMs === null || dueMs > untilMs) return;
      if (count === timersMax) throw new Error(`timers are still due after ${timersMax} of them ran`);
      const timer = this.#timers.pop()!;
      this.#nowMs = Math.max(this.#nowMs, dueMs);
      timer.callback();
    }
  }
}
