/**
 * What became of requests that met a cache: how many, and how many bytes of bodies their clients got. A thread counts in its own
 * column of memory that all threads share; the keeper's thread reads the columns and adds up. A column has one writer, so counting
 * is a plain addition, and a reader may see a number that is an exchange old.
 */

/** How a request was served. What is behind the first three did not wait for a body from the origin of its own. */
export const OUTCOMES = ["hit", "stale", "revalidated", "shared", "miss", "pass"] as const;

export type CacheOutcome =
  /** From the cache, fresh. */
  | "hit"
  /** From the cache though no longer fresh: the origin failed, or is being asked meanwhile. */
  | "stale"
  /** From the cache, after the origin had said that it is good still. */
  | "revalidated"
  /** From a download that another request had begun, or from another machine. */
  | "shared"
  /** By a download of its own, which others could share and which may be stored. */
  | "miss"
  /** From the origin, past the cache: it may not be stored, or was not to be. */
  | "pass";

export interface OutcomeCount {
  readonly requests: number;
  /** Of bodies, as sent to clients. */
  readonly bytes: number;
}

export type CacheTotals = Readonly<Record<CacheOutcome, OutcomeCount>>;

const CELLS = 2 * OUTCOMES.length;
/** A column has two cache lines to itself: threads that count in one line take it from each other with every request. */
const COLUMN_BYTES = 128;

const PLACES = Object.fromEntries(OUTCOMES.map((outcome, index) => [outcome, 2 * index])) as Readonly<
  Record<CacheOutcome, number>
>;

export function countsMemory(columns: number): SharedArrayBuffer {
  return new SharedArrayBuffer(columns * COLUMN_BYTES);
}

/** One thread's column. */
export class CacheCounts {
  readonly #cells: Float64Array;

  constructor(memory: SharedArrayBuffer, column: number) {
    this.#cells = new Float64Array(memory, column * COLUMN_BYTES, CELLS);
  }

  /** For a cache that one thread alone uses. */
  static ofOneThread(): CacheCounts {
    return new CacheCounts(countsMemory(1), 0);
  }

  /** A request has ended. */
  count(outcome: CacheOutcome, bytes: number): void {
    const place = PLACES[outcome];
    this.#cells[place]!++;
    this.#cells[place + 1]! += bytes;
  }
}

/** The sums of all columns, of threads that are gone as well. */
export class CacheCountSums {
  readonly #memory: SharedArrayBuffer;
  readonly #gone = new Float64Array(CELLS);

  constructor(memory: SharedArrayBuffer) {
    this.#memory = memory;
  }

  read(): CacheTotals {
    const sums = Float64Array.from(this.#gone);
    for (let start = 0; start < this.#memory.byteLength; start += COLUMN_BYTES) add(sums, this.#columnAt(start));
    const entries = OUTCOMES.map((outcome, index) => {
      return [outcome, { requests: sums[2 * index]!, bytes: sums[2 * index + 1]! }] as const;
    });
    return Object.fromEntries(entries) as CacheTotals;
  }

  /** The thread of this column is gone; the next one begins at nothing. */
  closeColumn(column: number): void {
    const cells = this.#columnAt(column * COLUMN_BYTES);
    add(this.#gone, cells);
    cells.fill(0);
  }

  #columnAt(start: number): Float64Array {
    return new Float64Array(this.#memory, start, CELLS);
  }
}

function add(sums: Float64Array, cells: Float64Array): void {
  for (let index = 0; index < CELLS; index++) sums[index]! += cells[index]!;
}
