/**
 * What the status tells of each worker, in memory that all threads share: a worker counts in its own column, the main
 * thread reads. A column has one writer, so counting is a plain addition, and a reader may see a number that is an
 * exchange old.
 */
import { wholeLines } from "../../core/cache-lines.ts";

/** How often a worker shows that it still runs, and is looked at. */
export const BEAT_MS = 1_000;

/** The cells of a column, in this order. Float64: a counter of requests outgrows 32 bits. */
const CONNECTIONS = 0;
const REQUESTS = 1;
const FAULTS = 2;
const UPSTREAM_CONNECTIONS = 3;
const BEATS = 4;
const CELLS = 5;
const { BYTES_PER_ELEMENT: CELL_BYTES } = Float64Array;
/** A column has cache lines to itself. */
const COLUMN_BYTES = CELL_BYTES * wholeLines(CELLS, CELL_BYTES);

export interface WorkerCounts {
  readonly connections: number;
  readonly requests: number;
  readonly faults: number;
  readonly upstreamConnections: number;
}

export function countersBuffer(columns: number): SharedArrayBuffer {
  return new SharedArrayBuffer(columns * COLUMN_BYTES);
}

/** One column. Whoever gets it next begins at nothing. */
export class Counters {
  readonly #cells: Float64Array;

  constructor(buffer: SharedArrayBuffer, column: number) {
    this.#cells = new Float64Array(buffer, column * COLUMN_BYTES, CELLS);
  }

  /** For a proxy that nobody asks. */
  static ofOneThread(): Counters {
    return new Counters(countersBuffer(1), 0);
  }

  /** Client connections. */
  countConnection(change: 1 | -1): void {
    this.#cells[CONNECTIONS]! += change;
  }

  /** Exchanges that have ended. */
  countRequest(): void {
    this.#cells[REQUESTS]!++;
  }

  /** Exchanges that failed by a bug. */
  countFault(): void {
    this.#cells[FAULTS]!++;
  }

  countUpstreamConnection(change: 1 | -1): void {
    this.#cells[UPSTREAM_CONNECTIONS]! += change;
  }

  /** The thread still runs. */
  beat(): void {
    this.#cells[BEATS]!++;
  }

  get beats(): number {
    return this.#cells[BEATS]!;
  }

  read(): WorkerCounts {
    const [connections = 0, requests = 0, faults = 0, upstreamConnections = 0] = this.#cells;
    return { connections, requests, faults, upstreamConnections };
  }

  clear(): void {
    this.#cells.fill(0);
  }
}
