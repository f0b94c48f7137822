/**
 * Looks now and then at the fills that are under way, for what no message tells: one that makes no progress, so that nobody should wait
 * for it any more, and one that nobody reads and that is not worth its place (unread.ts), which is given up. Whom a stalled one
 * lets go, and where they go, the broker decides.
 */
import type { Clock, TimerHandle } from "../../core/ports.ts";
import type { Flight } from "./flight.ts";
import type { Flights } from "./flights.ts";
import type { ProgressTable } from "./progress-table.ts";
import { isTooSlow, SlowestUnread } from "./unread.ts";

/**
 * A fill whose body has not grown for so long, or that has no head yet, makes nobody wait any more. nginx: proxy_cache_lock_timeout
 * 5 s; twice that, because a build that an origin makes on demand takes its time, and the others would all ask for it.
 */
export const FILL_STALL_MS = 10_000;
/** How often is looked, in that time. */
const LOOKS = 4;

export class FillWatch {
  readonly #flights: Flights;
  readonly #table: ProgressTable;
  readonly #clock: Clock;
  readonly #stallMs: number;
  readonly #onStalled: (flight: Flight) => void;
  readonly #slowestUnread: SlowestUnread;
  #look: TimerHandle | null = null;

  constructor(
    flights: Flights,
    table: ProgressTable,
    clock: Clock,
    stallMs: number,
    onStalled: (flight: Flight) => void,
  ) {
    this.#flights = flights;
    this.#table = table;
    this.#clock = clock;
    this.#stallMs = stallMs;
    this.#onStalled = onStalled;
    this.#slowestUnread = new SlowestUnread(flights, table);
  }

  /** A fill has begun; looking ends by itself, with the last of them. */
  begin(): void {
    this.#look ??= this.#clock.after(this.#stallMs / LOOKS, this.#lookAtAll);
  }

  close(): void {
    this.#look?.cancel();
    this.#look = null;
  }

  /** Every place is taken: the slowest fill that nobody reads is given up, for who asks later. */
  makeRoom(): void {
    const slowest = this.#slowestUnread.take(this.#clock.now());
    if (slowest !== null) this.#giveUp(slowest);
  }

  /** Something has come since it was looked at last: it stands still no longer. */
  hasMoved(flight: Flight): boolean {
    const written = this.#table.writtenOf(flight.row);
    if (written === flight.written) return false;
    flight.written = written;
    flight.progressMs = this.#clock.now();
    flight.isStalled = false;
    return true;
  }

  readonly #lookAtAll = (): void => {
    this.#look = null;
    const now = this.#clock.now();
    let isAnyOpen = false;
    for (const flight of this.#flights.all()) {
      if (!flight.isOpen) continue;
      isAnyOpen = true;
      if (flight.phase === "flowing" && isTooSlow(flight, this.#table, now)) this.#giveUp(flight);
      if (this.hasMoved(flight) || flight.isStalled || now - flight.progressMs < this.#stallMs) continue;
      flight.isStalled = true;
      this.#onStalled(flight);
    }
    if (isAnyOpen) this.begin();
  };

  /** Nobody joins it any more. Should somebody read it after all, its thread goes on with it. */
  #giveUp(flight: Flight): void {
    flight.isGivenUp = true;
    this.#flights.unlist(flight);
    flight.thread?.link.send({ kind: "giveUp", flight: flight.number });
  }
}
