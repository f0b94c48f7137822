/**
 * Fills that nobody reads: they are brought to their end for who comes later, and must be worth their place. One that hardly moves is
 * given up, and when all places are taken, the slowest of them is. It decides which; whoever reads a fill is never harmed, however
 * slow it is.
 */
import type { Flight } from "./flight.ts";
import type { Flights } from "./flights.ts";
import type { ProgressTable } from "./progress-table.ts";

/**
 * So much must have come in so much time, a kilobyte a second: an origin that drips bytes would otherwise hold a place, a connection
 * and a file for as long as it likes. Others end such downloads with their clients (Squid: quick_abort_min) or never (nginx).
 */
export const UNREAD_WINDOW_MS = 60_000;
export const UNREAD_BYTES_MIN = 64 * 1024;
/** Before that nobody knows how fast it is; and who was told to follow it has begun by then. */
export const UNREAD_MS_MIN = 10_000;

/** For so long an order holds; as late comes one that is ready by then. Sorting all of them takes a fraction of a millisecond. */
export const RANKED_MS = 1000;

/** To be called now and then of each fill that has a head: whether it is to be given up. */
export function isTooSlow(flight: Flight, table: ProgressTable, nowMs: number): boolean {
  const written = table.writtenOf(flight.row);
  const isRead = isWanted(flight, table);
  // Its thread went on with it.
  if (isRead) flight.isGivenUp = false;
  if (!isRead && nowMs - flight.unreadMs < UNREAD_WINDOW_MS) return false;
  if (!isRead && written - flight.unreadBytes < UNREAD_BYTES_MIN) return true;
  flight.unreadMs = nowMs;
  flight.unreadBytes = written;
  return false;
}

/**
 * Which ones are given up for others, the slowest first. All are looked at once in a while and put in order; who asks takes the next one
 * that nobody has begun to read since: where every place is taken that is asked with each miss.
 */
export class SlowestUnread {
  readonly #flights: Flights;
  readonly #table: ProgressTable;
  /** Their numbers, the slowest last. */
  #ranked: number[] = [];
  #rankedMs = Number.NEGATIVE_INFINITY;

  constructor(flights: Flights, table: ProgressTable) {
    this.#flights = flights;
    this.#table = table;
  }

  /** null: all of them are read, or were a moment ago. */
  take(nowMs: number): Flight | null {
    if (nowMs - this.#rankedMs >= RANKED_MS) this.#rank(nowMs);
    for (;;) {
      const number = this.#ranked.pop();
      if (number === undefined) return null;
      const flight = this.#flights.get(number);
      if (flight !== undefined && this.#isReady(flight, nowMs)) return flight;
    }
  }

  #rank(nowMs: number): void {
    const rates: { readonly number: number; readonly rate: number }[] = [];
    for (const flight of this.#flights.all()) {
      if (!this.#isReady(flight, nowMs)) continue;
      const written = this.#table.writtenOf(flight.row) - flight.unreadBytes;
      rates.push({ number: flight.number, rate: written / (nowMs - flight.unreadMs) });
    }
    this.#ranked = rates.sort((a, b) => b.rate - a.rate).map(({ number }) => number);
    this.#rankedMs = nowMs;
  }

  #isReady(flight: Flight, nowMs: number): boolean {
    if (flight.phase !== "flowing" || flight.isGivenUp || nowMs - flight.unreadMs < UNREAD_MS_MIN) return false;
    return !isWanted(flight, this.#table);
  }
}

/** Somebody reads it, or waits for its file to read it on another thread. */
function isWanted(flight: Flight, table: ProgressTable): boolean {
  return table.readersOf(flight.row) > 0 || flight.waiters.size > 0;
}
