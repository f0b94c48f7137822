/**
 * Faults that may come by the thousand, such as failed handshakes: the first one of a kind is told at once, the next ones
 * at most once in a while, with the number of those that were left out. So the log shows that something is wrong, and
 * clients cannot fill a disk.
 */
import type { Clock } from "../core/ports.ts";

/** Between two lines about the same kind of fault. */
export const INTERVAL_MS = 10_000;

/** How a fault is told; `untold` is there when like ones came since the last time. */
export type TellFault = (details: { readonly untold?: number }) => void;

interface Kind {
  quietUntilMs: number;
  untold: number;
}

export class RepeatedFaults {
  readonly #clock: Clock;
  readonly #kinds = new Map<string, Kind>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `kind` comes from the configuration or from the code, never from a client: there are few of them. */
  report(kind: string, tell: TellFault): void {
    const now = this.#clock.now();
    const known = this.#kinds.get(kind);
    if (known !== undefined && now < known.quietUntilMs) {
      known.untold++;
      return;
    }
    this.#kinds.set(kind, { quietUntilMs: now + INTERVAL_MS, untold: 0 });
    tell(known === undefined || known.untold === 0 ? {} : { untold: known.untold });
  }
}
