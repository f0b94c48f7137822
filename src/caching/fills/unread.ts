/**
 * Fills that nobody reads: they are brought to their end for who comes later, and must be worth their place. One that hardly moves is
 * given up, and when all places are taken, the slowest of them is. It decides which; whoever reads a fill is never harmed, however
 * slow it is.
 */
import type { Flight } from "./flight.ts";
import type { ProgressTable } from "./progress-table.ts";

/**
 * So much must have come in so much time, a kilobyte a second: an origin that drips bytes would otherwise hold a place, a connection
 * and a file for as long as it likes. Others end such downloads with their clients (Squid: quick_abort_min) or never (nginx).
 */
export const UNREAD_WINDOW_MS = 60_000;
export const UNREAD_BYTES_MIN = 64 * 1024;
/** Before that nobody knows how fast it is; and who was told to follow it has begun by then. */
export const UNREAD_MS_MIN = 10_000;

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

/** Which one is given up for another; null: all of them are read, or were a moment ago. */
export function slowestUnread(flights: Iterable<Flight>, table: ProgressTable, nowMs: number): Flight | null {
  let slowest: Flight | null = null;
  let rateMin = Number.POSITIVE_INFINITY;
  for (const flight of flights) {
    const ms = nowMs - flight.unreadMs;
    if (flight.phase !== "flowing" || flight.isGivenUp || ms < UNREAD_MS_MIN) continue;
    if (isWanted(flight, table)) continue;
    const rate = (table.writtenOf(flight.row) - flight.unreadBytes) / ms;
    if (rate >= rateMin) continue;
    rateMin = rate;
    slowest = flight;
  }
  return slowest;
}

/** Somebody reads it, or waits for its file to read it on another thread. */
function isWanted(flight: Flight, table: ProgressTable): boolean {
  return table.readersOf(flight.row) > 0 || flight.waiters.size > 0;
}
