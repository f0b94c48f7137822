// The system's clock, which a test moves ahead: time passes that nobody waits for. Timers fire as ever.

import type { Clock, TimerHandle } from "../../src/core/ports.ts";
import { SystemClock } from "../../src/io/clock.ts";

export class ShiftedClock implements Clock {
  readonly #real = new SystemClock();
  #standsAt: { readonly now: number; readonly wallMs: number } | null = null;
  aheadMs = 0;

  /** From here on it goes only as the test says. */
  stand(): void {
    this.#standsAt = { now: this.#real.now(), wallMs: this.#real.wallMs() };
  }

  now(): number {
    return (this.#standsAt?.now ?? this.#real.now()) + this.aheadMs;
  }

  wallMs(): number {
    return (this.#standsAt?.wallMs ?? this.#real.wallMs()) + this.aheadMs;
  }

  /** What counts by the minute has a whole one before it. */
  toNextMinute(): void {
    this.aheadMs += 60_000 - (this.wallMs() % 60_000);
  }

  after(delayMs: number, callback: () => void): TimerHandle {
    return this.#real.after(delayMs, callback);
  }
}
