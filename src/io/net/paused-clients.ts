/**
 * Clients that nobody reads from: their uploads wait for an origin that is slow, say. Node asks the system about a socket only while
 * it reads or has something to write, so that such a client could be gone for hours, and whatever it asked for would go on all the
 * while. Here each is asked after now and then.
 */
import type { Clock } from "../../core/ports.ts";

/** Between two questions: so long, at most, a client that is gone keeps its connection and that to its origin. */
export const PAUSED_PROBE_MS = 2_000;

export interface Probed {
  /** Closes the connection soon if its peer has reset it. Never throws, and never calls a handler. */
  probe(): void;
}

export class PausedClients {
  readonly #clock: Clock;
  readonly #paused = new Set<Probed>();
  #isWaiting = false;
  readonly #ask = (): void => {
    this.#isWaiting = false;
    for (const client of this.#paused) client.probe();
    this.#wait();
  };

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(client: Probed): void {
    this.#paused.add(client);
    this.#wait();
  }

  delete(client: Probed): void {
    this.#paused.delete(client);
  }

  #wait(): void {
    if (this.#isWaiting || this.#paused.size === 0) return;
    this.#isWaiting = true;
    this.#clock.after(PAUSED_PROBE_MS, this.#ask);
  }
}
