/**
 * Asks one server again and again how it is. It decides when to ask and what answers amount to; how a server is asked is the probe's part,
 * and what follows from it that of whoever is told.
 */
import type { Clock, Random, TimerHandle } from "../../core/ports.ts";

export interface HealthCheckOptions {
  readonly intervalMs: number;
  /** In a row: failed checks until it is found to fail, and passed ones until it is found well again. */
  readonly fails: number;
  readonly passes: number;
}

export interface HealthSurroundings {
  readonly clock: Clock;
  readonly random: Random;
  /** Rejects with an Error that says why the server is not well. Told by `signal` that nobody wants to know any more. */
  readonly probe: (signal: AbortSignal) => Promise<void>;
  /** What was found, when it is another than before; `reason`: null when it passes. */
  readonly found: (reason: string | null) => void;
  /** It was found to fail, and does: why, this time. */
  readonly failsStill: (reason: string) => void;
}

/** A check is up to so much earlier or later than the interval says, so that those of many servers do not come at the same moment. */
const JITTER = 0.1;

export class HealthCheck {
  readonly #options: HealthCheckOptions;
  readonly #around: HealthSurroundings;
  readonly #stopped = new AbortController();
  #timer: TimerHandle;
  /** null: it was not asked yet. */
  #passes: boolean | null = null;
  /** Answers in a row that say otherwise. */
  #others = 0;

  /** Asks for the first time so long from now. */
  constructor(options: HealthCheckOptions, around: HealthSurroundings, firstMs: number) {
    this.#options = options;
    this.#around = around;
    this.#timer = around.clock.after(firstMs, () => void this.#ask());
  }

  /** Nothing is found any more. */
  stop(): void {
    this.#stopped.abort();
    this.#timer.cancel();
  }

  async #ask(): Promise<void> {
    const { clock, random, probe } = this.#around;
    const { signal } = this.#stopped;
    const begunMs = clock.now();
    const reason = await probe(signal).then(
      () => null,
      (error: Error) => error.message,
    );
    if (signal.aborted) return;
    this.#judge(reason);
    const interval = this.#options.intervalMs * (1 + JITTER * (2 * random.next() - 1));
    // From one beginning to the next, but never without a pause.
    const pause = Math.max(interval - (clock.now() - begunMs), interval / 2);
    this.#timer = clock.after(pause, () => void this.#ask());
  }

  #judge(reason: string | null): void {
    const passes = reason === null;
    if (passes === this.#passes) {
      this.#others = 0;
      if (reason !== null) this.#around.failsStill(reason);
      return;
    }
    this.#others++;
    const { fails, passes: needed } = this.#options;
    // Whoever has never been asked is what it is found to be.
    if (this.#passes !== null && this.#others < (passes ? needed : fails)) return;
    this.#passes = passes;
    this.#others = 0;
    this.#around.found(reason);
  }
}
