/**
 * How many retries an upstream gets: a share of its recent requests, and a few in any case. So retries help with a
 * broken connection and cannot multiply the load of a broken upstream.
 */
import type { Clock } from "../core/ports.ts";

/** "Recent": two windows of this length, the one that runs and the one before. */
const WINDOW_MS = 5_000;

export class RetryBudget {
  readonly #clock: Pick<Clock, "now">;
  readonly #share: number;
  readonly #min: number;
  #windowStartMs: number;
  #requests = 0;
  #requestsBefore = 0;
  #retries = 0;
  #retriesBefore = 0;

  /** `clock` is read for every request: a coarse one will do. */
  constructor(clock: Pick<Clock, "now">, share: number, min: number) {
    this.#clock = clock;
    this.#share = share;
    this.#min = min;
    this.#windowStartMs = clock.now();
  }

  /** A request was made that is no retry. */
  countRequest(): void {
    this.#turn();
    this.#requests++;
  }

  /** Takes one retry when there is one left. */
  take(): boolean {
    this.#turn();
    const requests = this.#requests + this.#requestsBefore;
    const allowed = Math.max(this.#min, requests * this.#share);
    if (this.#retries + this.#retriesBefore >= allowed) return false;
    this.#retries++;
    return true;
  }

  #turn(): void {
    const elapsed = this.#clock.now() - this.#windowStartMs;
    if (elapsed < WINDOW_MS) return;
    const recent = elapsed < 2 * WINDOW_MS;
    this.#requestsBefore = recent ? this.#requests : 0;
    this.#retriesBefore = recent ? this.#retries : 0;
    this.#requests = this.#retries = 0;
    this.#windowStartMs += Math.floor(elapsed / WINDOW_MS) * WINDOW_MS;
  }
}
