/**
 * The fills that are under way, or that somebody still follows: by number, by the ids under which others join them, and each in a row of
 * the table of progress, of which there are so many and no more.
 */
import { entryIdOf } from "../keeping/entry-id.ts";
import type { Mark } from "../keeping/keeper-purges.ts";
import type { BodyId, EntryId } from "../ports.ts";
import { Flight, type Waiter } from "./flight.ts";
import type { ProgressTable } from "./progress-table.ts";

export class Flights {
  readonly #table: ProgressTable;
  readonly #flights = new Map<number, Flight>();
  readonly #listed = new Map<EntryId, Flight>();
  readonly #freeRows: number[] = [];
  #next = 1;

  constructor(table: ProgressTable) {
    this.#table = table;
    for (let row = table.rows - 1; row >= 0; row--) this.#freeRows.push(row);
  }

  get size(): number {
    return this.#flights.size;
  }

  all(): IterableIterator<Flight> {
    return this.#flights.values();
  }

  get(number: number): Flight | undefined {
    return this.#flights.get(number);
  }

  /** Which one whoever asks for the id joins. */
  listed(id: EntryId): Flight | undefined {
    return this.#listed.get(id);
  }

  get isFull(): boolean {
    return this.#freeRows.length === 0;
  }

  /** For who asks, who is to fetch it; not when it is full. */
  open({ thread, id, key, isPart }: Waiter, body: BodyId, since: Mark, nowMs: number): Flight {
    const row = this.#freeRows.pop()!;
    const place = { row, generation: this.#table.begin(row), body };
    const flight = new Flight(this.#next++, thread, key, entryIdOf(key, ""), id, place, since, nowMs);
    flight.isPart = isPart;
    this.#flights.set(flight.number, flight);
    this.#listed.set(id, flight);
    return flight;
  }

  /** Others join it under its own id too, now that it has a head, unless they join another one there. */
  list(flight: Flight): void {
    if (!this.#listed.has(flight.id)) this.#listed.set(flight.id, flight);
  }

  /** Nobody joins it any more. */
  unlist(flight: Flight): void {
    for (const id of [flight.askedId, flight.id]) if (this.#listed.get(id) === flight) this.#listed.delete(id);
  }

  /** Its row goes to another one. false: it has gone already. */
  close(flight: Flight): boolean {
    if (!this.#flights.delete(flight.number)) return false;
    this.#table.free(flight.row);
    this.#freeRows.push(flight.row);
    return true;
  }
}
