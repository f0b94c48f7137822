/**
 * The places for connections to an upstream that has a maximum per server: taken before a connection is made, given back
 * when it is gone. All threads of the process share them, so that the maximum is one for all; whoever has to wait draws a
 * ticket, and a place that becomes free is for the lowest ticket, whichever thread holds it.
 *
 * It counts and says whose turn it is. It neither waits nor closes anything: that is the pool's part. A thread that dies
 * takes its column with it (`clearColumn`), so nothing that it held is lost to the others.
 *
 * The cells, all Int32, for S servers and one column a thread:
 *
 *     0                 the last ticket that was drawn
 *     1                 tickets that wait, of all threads: nearly always none, and then nothing else is looked at
 *     2 ... S+1         places that are taken, for each server: the count that the maximum is compared with
 *     then for each column, in cache lines of its own
 *       0               the lowest of this thread's tickets; 0: none waits
 *       1               how many of them wait
 *       2 ... S+1       of the places that are taken, those of this thread
 *       S+2 ... 2S+1    of those, connections that rest, for whomever, or are made for nobody: the thread could do without them
 */
import { wholeLines } from "../core/cache-lines.ts";
import { FifoMap } from "../core/fifo-map.ts";

const TICKET = 0;
const WAITING = 1;
const TAKEN = 2;
/** Within a column. */
const LOWEST = 0;
const OWN_WAITING = 1;
const HELD = 2;
const { BYTES_PER_ELEMENT: CELL_BYTES } = Int32Array;

export interface PlacesShape {
  /** Servers of the upstream. */
  readonly servers: number;
  /** Threads that may share it at the same time. */
  readonly columns: number;
}

export function placesBytes({ servers, columns }: PlacesShape): number {
  return CELL_BYTES * columnBase(servers, columns);
}

function columnBase(servers: number, column: number): number {
  return wholeLines(TAKEN + servers, CELL_BYTES) + column * wholeLines(HELD + 2 * servers, CELL_BYTES);
}

/** Forgets a thread that is gone: what it held is free again, and its waiting requests are nobody's. */
export function clearColumn(buffer: SharedArrayBuffer, { servers }: PlacesShape, column: number): void {
  const cells = new Int32Array(buffer);
  const base = columnBase(servers, column);
  Atomics.store(cells, base + LOWEST, 0);
  Atomics.sub(cells, WAITING, Atomics.exchange(cells, base + OWN_WAITING, 0));
  for (let server = 0; server < servers; server++) {
    Atomics.store(cells, base + HELD + servers + server, 0);
    Atomics.sub(cells, TAKEN + server, Atomics.exchange(cells, base + HELD + server, 0));
  }
}

/** Is told that a place may have become free, or that somebody elsewhere waits for one that rests here. */
export interface PlacesUser {
  placesChanged(): void;
  /** In this thread. */
  placeFreed(): void;
}

export interface SharedPlaces extends PlacesShape {
  readonly buffer: SharedArrayBuffer;
  /** This thread's. */
  readonly column: number;
  /** Makes `changed` be called in every other thread, soon. */
  readonly tellOthers: () => void;
}

/** One thread's view of the places of one upstream. Pools of the same upstream share it, before and after a reload. */
export class Places {
  readonly #cells: Int32Array;
  readonly #servers: number;
  readonly #columns: number;
  readonly #column: number;
  /** Where this thread's column begins. */
  readonly #base: number;
  readonly #tellOthers: () => void;
  readonly #users = new Set<PlacesUser>();
  /** Tickets of this thread, lowest first. */
  readonly #waiting = new FifoMap<number, true>();

  constructor({ buffer, servers, columns, column, tellOthers }: SharedPlaces) {
    this.#cells = new Int32Array(buffer);
    this.#servers = servers;
    this.#columns = columns;
    this.#column = column;
    this.#base = columnBase(servers, column);
    this.#tellOthers = tellOthers;
  }

  /** For a proxy without threads. */
  static ofOneThread(servers: number): Places {
    const shape = { servers, columns: 1 };
    return new Places({
      ...shape,
      buffer: new SharedArrayBuffer(placesBytes(shape)),
      column: 0,
      tellOthers: () => {},
    });
  }

  addUser(user: PlacesUser): void {
    this.#users.add(user);
  }

  removeUser(user: PlacesUser): void {
    this.#users.delete(user);
  }

  /** Another thread says that something is different. */
  changed(): void {
    for (const user of [...this.#users]) user.placesChanged();
  }

  /** One user's request waits, and another one may have a connection that rests: those of a pool after a reload, and before it. */
  waitsHere(user: PlacesUser): void {
    if (this.#users.size === 1) return;
    for (const other of [...this.#users]) if (other !== user) other.placesChanged();
  }

  /** A user's request waits still, and what rests elsewhere may be of use to it now. */
  waitsStill(user: PlacesUser): void {
    if (this.#othersRest()) this.#tellOthers();
    this.waitsHere(user);
  }

  /** A user gave a place back: one that was there before a reload has others waiting behind it. */
  freed(): void {
    for (const user of [...this.#users]) user.placeFreed();
  }

  isFree(server: number, max: number): boolean {
    return Atomics.load(this.#cells, TAKEN + server) < max;
  }

  /** Takes a place; false: another thread was quicker. */
  take(server: number, max: number): boolean {
    const cells = this.#cells;
    const at = TAKEN + server;
    let taken = Atomics.load(cells, at);
    while (taken < max) {
      const found = Atomics.compareExchange(cells, at, taken, taken + 1);
      if (found === taken) {
        Atomics.add(cells, this.#base + HELD + server, 1);
        return true;
      }
      taken = found;
    }
    return false;
  }

  giveBack(server: number): void {
    Atomics.sub(this.#cells, this.#base + HELD + server, 1);
    Atomics.sub(this.#cells, TAKEN + server, 1);
    if (this.#othersWait()) this.#tellOthers();
  }

  /** A connection came to rest, or is made for nobody any more (1); it is in use again, or gone (-1). */
  countResting(server: number, change: 1 | -1): void {
    Atomics.add(this.#cells, this.#base + HELD + this.#servers + server, change);
  }

  /**
   * Draws a ticket for a request that found no place. The caller looks for a place once more afterwards: one that became free in
   * between was offered to nobody.
   */
  wait(): number {
    let ticket = (Atomics.add(this.#cells, TICKET, 1) + 1) | 0;
    // 0 stands for none, also when the numbers begin anew.
    if (ticket === 0) ticket = (Atomics.add(this.#cells, TICKET, 1) + 1) | 0;
    this.#waiting.set(ticket, true);
    this.#showWaiting(1);
    if (this.#othersRest()) this.#tellOthers();
    return ticket;
  }

  /** The request has a place, or has given up. */
  waitOver(ticket: number): void {
    if (!this.#waiting.delete(ticket)) return;
    this.#showWaiting(-1);
    // What it leaves may be enough for the next one, here or elsewhere.
    if (this.#othersWait() || (this.#waiting.size > 0 && this.#othersRest())) this.#tellOthers();
  }

  /**
   * A request elsewhere, in another thread or another pool of this one, is to have the next place: it drew its ticket before `own`,
   * the lowest of the `waiting` ones of the pool that asks, or that has none (0).
   */
  othersComeFirst(own: number, waiting: number): boolean {
    const cells = this.#cells;
    if (Atomics.load(cells, WAITING) <= waiting) return false;
    for (let column = 0; column < this.#columns; column++) {
      const lowest = Atomics.load(cells, columnBase(this.#servers, column) + LOWEST);
      if (lowest !== 0 && lowest !== own && (own === 0 || isBefore(lowest, own))) return true;
    }
    return false;
  }

  #showWaiting(change: 1 | -1): void {
    Atomics.store(this.#cells, this.#base + LOWEST, this.#waiting.oldest ?? 0);
    Atomics.add(this.#cells, this.#base + OWN_WAITING, change);
    Atomics.add(this.#cells, WAITING, change);
  }

  #othersWait(): boolean {
    return Atomics.load(this.#cells, WAITING) > this.#waiting.size;
  }

  #othersRest(): boolean {
    for (let column = 0; column < this.#columns; column++) {
      if (column === this.#column) continue;
      const resting = columnBase(this.#servers, column) + HELD + this.#servers;
      for (let server = 0; server < this.#servers; server++) {
        if (Atomics.load(this.#cells, resting + server) > 0) return true;
      }
    }
    return false;
  }
}

/** Numbers begin anew after 2^32 tickets; those that wait at the same time are never so far apart. */
function isBefore(ticket: number, other: number): boolean {
  return ((ticket - other) | 0) < 0;
}
