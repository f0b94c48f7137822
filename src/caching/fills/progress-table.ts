/**
 * How far each fill has come, in memory that all threads share: the thread that fills writes, those that follow read and are woken.
 * A row belongs to one fill until the keeper gives it to another one; its generation tells the two apart. Nothing is asked for and
 * nothing polled: who follows waits for the row's wake count to change.
 */

/** Fills at one time in a cache, in all threads together: each may hold FILL_AHEAD_BYTES_MAX in memory while its disk is slow. */
export const FILLS_MAX = 1024;

/** A row: four Int32, then two Float64 (lengths outgrow 32 bits). One cache line has two rows: they change once a piece of 64 KiB. */
const ROW_BYTES = 32;
const INTS = ROW_BYTES / Int32Array.BYTES_PER_ELEMENT;
const FLOATS = ROW_BYTES / Float64Array.BYTES_PER_ELEMENT;
const GENERATION = 0;
const STATE = 1;
const WAKES = 2;
const READERS = 3;
const WRITTEN = 2;
const READABLE = 3;

export const PROGRESS_STATES = { free: 0, growing: 1, complete: 2, broken: 3 } as const;
export type ProgressState = (typeof PROGRESS_STATES)[keyof typeof PROGRESS_STATES];

export function progressBuffer(fillsMax = FILLS_MAX): SharedArrayBuffer {
  return new SharedArrayBuffer(fillsMax * ROW_BYTES);
}

/** How a thread waits for a cell of shared memory to change, and wakes those that do. */
export interface Wakes {
  /** Calls back once, in a later turn, when the cell has been woken, or at once in a later turn when it is not `seen` any more. */
  wait(cells: Int32Array, index: number, seen: number, callback: () => void): void;
  wake(cells: Int32Array, index: number): void;
}

/** On Atomics: no thread stands still, nothing is polled. */
export const atomicWakes: Wakes = {
  wait(cells, index, seen, callback) {
    const waiting = Atomics.waitAsync(cells, index, seen);
    if (waiting.async) void waiting.value.then(callback);
    else queueMicrotask(callback);
  },
  wake(cells, index) {
    Atomics.notify(cells, index);
  },
};

export class ProgressTable {
  readonly #ints: Int32Array;
  readonly #floats: Float64Array;
  readonly #wakes: Wakes;
  readonly rows: number;

  constructor(buffer: SharedArrayBuffer, wakes: Wakes) {
    this.#ints = new Int32Array(buffer);
    this.#floats = new Float64Array(buffer);
    this.#wakes = wakes;
    this.rows = buffer.byteLength / ROW_BYTES;
  }

  /** For the keeper: the row is another fill's from here on. Returns its generation. */
  begin(row: number): number {
    this.#floats[row * FLOATS + WRITTEN] = 0;
    this.#floats[row * FLOATS + READABLE] = 0;
    Atomics.store(this.#ints, row * INTS + READERS, 0);
    Atomics.store(this.#ints, row * INTS + STATE, PROGRESS_STATES.growing);
    return Atomics.add(this.#ints, row * INTS + GENERATION, 1) + 1;
  }

  free(row: number): void {
    this.settle(row, PROGRESS_STATES.free);
  }

  /**
   * For who fills. `written`: all that has come; `readable`: what others can read from the file. A length is one aligned word, which
   * no processor tears; the atomic store behind it is what makes it seen.
   */
  publish(row: number, written: number, readable: number): void {
    const isMoreToRead = readable !== this.#floats[row * FLOATS + READABLE];
    this.#floats[row * FLOATS + WRITTEN] = written;
    this.#floats[row * FLOATS + READABLE] = readable;
    if (isMoreToRead) this.#wake(row);
  }

  settle(row: number, state: ProgressState): void {
    Atomics.store(this.#ints, row * INTS + STATE, state);
    this.#wake(row);
  }

  /** Somebody begins to read, or is done: by who fills or follows, and never once the row may be another fill's. */
  countReader(row: number, change: 1 | -1): void {
    Atomics.add(this.#ints, row * INTS + READERS, change);
  }

  /** Those of a thread that died count on. */
  readersOf(row: number): number {
    return Atomics.load(this.#ints, row * INTS + READERS);
  }

  generationOf(row: number): number {
    return Atomics.load(this.#ints, row * INTS + GENERATION);
  }

  stateOf(row: number): ProgressState {
    return Atomics.load(this.#ints, row * INTS + STATE) as ProgressState;
  }

  wakesOf(row: number): number {
    return Atomics.load(this.#ints, row * INTS + WAKES);
  }

  writtenOf(row: number): number {
    return this.#floats[row * FLOATS + WRITTEN]!;
  }

  readableOf(row: number): number {
    return this.#floats[row * FLOATS + READABLE]!;
  }

  /** Fills that are under way. */
  get growing(): number {
    let count = 0;
    for (let row = 0; row < this.rows; row++) if (this.stateOf(row) === PROGRESS_STATES.growing) count++;
    return count;
  }

  /** Calls back in a later turn, once there is something new since `wakesOf` was `seen`. */
  wait(row: number, seen: number, callback: () => void): void {
    this.#wakes.wait(this.#ints, row * INTS + WAKES, seen, callback);
  }

  #wake(row: number): void {
    Atomics.add(this.#ints, row * INTS + WAKES, 1);
    this.#wakes.wake(this.#ints, row * INTS + WAKES);
  }
}
