/** What every transport keeps for all its connections, listeners and attempts: how many there are, and whom to tell of faults. */
import { ProxyError } from "../core/errors.ts";
import type { Clock } from "../core/ports.ts";

export class TransportState {
  readonly clock: Clock;
  connections = 0;
  attempts = 0;
  readonly #onFault: (fault: Error) => void;

  /** By default a fault is a warning of the process. */
  constructor(clock: Clock, onFault: (fault: Error) => void = (fault) => process.emitWarning(fault)) {
    this.clock = clock;
    this.#onFault = onFault;
  }

  countConnection(change: 1 | -1): void {
    this.connections += change;
  }

  countAttempt(change: 1 | -1): void {
    this.attempts += change;
  }

  /** Never throws: it is called where a throw would lose the rest of a batch. */
  reportFault(thrown: unknown): void {
    try {
      this.#onFault(thrown instanceof Error ? thrown : ProxyError.from(thrown));
    } catch (second) {
      process.emitWarning(ProxyError.from(second));
    }
  }
}
