/**
 * What each user of the forward proxy has had: requests, tunnels, bytes each way. A thread counts in its own column of memory that
 * all threads share, and has a row there for each name that it meets; the main thread reads the columns and adds up. A column has
 * one writer, so counting is a plain addition.
 *
 * The rows of a column are bounded, so that names can never fill the memory: users who come when all rows are taken are counted
 * together, as others. Who has not said who it is has a row of its own.
 *
 * Bytes are those of bodies and of tunnels, and are counted when the exchange ends: a tunnel that runs shows in `openTunnels` alone.
 */

/** Users of a thread that are told apart: more than anybody reads, in a third of a megabyte. */
export const USERS_MAX = 1_000;

/** Cells of a row behind its name, in this order. Float64: bytes outgrow 32 bits. */
const REQUESTS = 0;
const TUNNELS = 1;
const OPEN_TUNNELS = 2;
const REQUEST_BYTES = 3;
const RESPONSE_BYTES = 4;
const CELLS = 5;
/** The byte that says how long a name is, and the longest name that a configuration may have, 255 bytes. */
const NAME_BYTES = 256;
const ROW_BYTES = NAME_BYTES + CELLS * Float64Array.BYTES_PER_ELEMENT;
/** Of a column: how many rows are in use, alone in its cache line. */
const HEADER_BYTES = 64;
const COLUMN_BYTES = HEADER_BYTES + (USERS_MAX + 2) * ROW_BYTES;
/** The first two rows, which are always there. */
const UNNAMED = 0;
const OTHERS = 1;
const FIRST_USER = 2;

export interface UserCounts {
  /** Exchanges that have ended, tunnels among them. */
  readonly requests: number;
  /** Tunnels that were opened, WebSockets among them. */
  readonly tunnels: number;
  /** Those that are open. */
  readonly openTunnels: number;
  /** From the client, and to the client. */
  readonly requestBytes: number;
  readonly responseBytes: number;
}

export interface UserReport {
  /** By name. */
  readonly users: ReadonlyMap<string, UserCounts>;
  /** Of nobody who has said who it is. */
  readonly unnamed: UserCounts;
  /** Of users for whom there was no row. */
  readonly others: UserCounts;
}

export const NO_COUNTS: UserCounts = { requests: 0, tunnels: 0, openTunnels: 0, requestBytes: 0, responseBytes: 0 };

export function userMemory(columns: number): SharedArrayBuffer {
  return new SharedArrayBuffer(columns * COLUMN_BYTES);
}

/** One thread's column. */
export class UserCounter {
  readonly #memory: SharedArrayBuffer;
  readonly #start: number;
  readonly #used: Int32Array;
  readonly #unnamed: Float64Array;
  readonly #others: Float64Array;
  readonly #rows = new Map<string, Float64Array>();

  constructor(memory: SharedArrayBuffer, column: number) {
    this.#memory = memory;
    this.#start = column * COLUMN_BYTES;
    this.#used = new Int32Array(memory, this.#start, 1);
    this.#unnamed = cellsOf(memory, this.#start, UNNAMED);
    this.#others = cellsOf(memory, this.#start, OTHERS);
  }

  /** For a proxy that nobody asks. */
  static ofOneThread(): UserCounter {
    return new UserCounter(userMemory(1), 0);
  }

  /** A tunnel of a user, null for nobody, begins. */
  openTunnel(user: string | null): void {
    const cells = this.#cellsOf(user);
    cells[TUNNELS]!++;
    cells[OPEN_TUNNELS]!++;
  }

  closeTunnel(user: string | null): void {
    this.#cellsOf(user)[OPEN_TUNNELS]!--;
  }

  /** An exchange has ended. */
  count(user: string | null, requestBytes: number, responseBytes: number): void {
    const cells = this.#cellsOf(user);
    cells[REQUESTS]!++;
    cells[REQUEST_BYTES]! += requestBytes;
    cells[RESPONSE_BYTES]! += responseBytes;
  }

  #cellsOf(user: string | null): Float64Array {
    if (user === null) return this.#unnamed;
    return this.#rows.get(user) ?? this.#addRow(user) ?? this.#others;
  }

  #addRow(user: string): Float64Array | null {
    const used = this.#rows.size;
    const name = Buffer.from(user, "utf8");
    if (used === USERS_MAX || name.length >= NAME_BYTES) return null;
    const row = FIRST_USER + used;
    const bytes = new Uint8Array(this.#memory, this.#start + HEADER_BYTES + row * ROW_BYTES, NAME_BYTES);
    bytes[0] = name.length;
    bytes.set(name, 1);
    const cells = cellsOf(this.#memory, this.#start, row).fill(0);
    this.#rows.set(user, cells);
    // The row is there before it can be read.
    Atomics.store(this.#used, 0, used + 1);
    return cells;
  }
}

function cellsOf(memory: SharedArrayBuffer, start: number, row: number): Float64Array {
  return new Float64Array(memory, start + HEADER_BYTES + row * ROW_BYTES + NAME_BYTES, CELLS);
}

/** All columns together, with what threads have counted that are gone. For the main thread. */
export class UserTotals {
  readonly #memory: SharedArrayBuffer;
  readonly #columns: number;
  /** Of threads that are gone. */
  readonly #past = new Sum();

  constructor(memory: SharedArrayBuffer, columns: number) {
    this.#memory = memory;
    this.#columns = columns;
  }

  read(): UserReport {
    const sum = new Sum();
    sum.addAll(this.#past.report);
    for (let column = 0; column < this.#columns; column++) this.#addColumn(sum, column);
    return sum.report;
  }

  /** Keeps what a thread that is gone has counted, and frees its column; its tunnels are gone with it. */
  closeColumn(column: number): void {
    this.#addColumn(this.#past, column);
    this.#past.closeTunnels();
    const start = column * COLUMN_BYTES;
    for (const row of [UNNAMED, OTHERS]) cellsOf(this.#memory, start, row).fill(0);
    Atomics.store(new Int32Array(this.#memory, start, 1), 0, 0);
  }

  #addColumn(sum: Sum, column: number): void {
    const start = column * COLUMN_BYTES;
    const used = Atomics.load(new Int32Array(this.#memory, start, 1), 0);
    sum.unnamed = added(sum.unnamed, countsOf(cellsOf(this.#memory, start, UNNAMED)));
    sum.others = added(sum.others, countsOf(cellsOf(this.#memory, start, OTHERS)));
    for (let row = FIRST_USER; row < FIRST_USER + used; row++) {
      const at = start + HEADER_BYTES + row * ROW_BYTES;
      const length = new Uint8Array(this.#memory, at, 1)[0]!;
      const name = Buffer.from(this.#memory, at + 1, length).toString("utf8");
      sum.add(name, countsOf(cellsOf(this.#memory, start, row)));
    }
  }
}

class Sum {
  readonly #users = new Map<string, UserCounts>();
  unnamed = NO_COUNTS;
  others = NO_COUNTS;

  get report(): UserReport {
    return { users: this.#users, unnamed: this.unnamed, others: this.others };
  }

  add(user: string, counts: UserCounts): void {
    const known = this.#users.get(user);
    if (known === undefined && this.#users.size >= USERS_MAX) this.others = added(this.others, counts);
    else this.#users.set(user, added(known ?? NO_COUNTS, counts));
  }

  addAll({ users, unnamed, others }: UserReport): void {
    for (const [user, counts] of users) this.add(user, counts);
    this.unnamed = added(this.unnamed, unnamed);
    this.others = added(this.others, others);
  }

  closeTunnels(): void {
    for (const [user, counts] of this.#users) this.#users.set(user, { ...counts, openTunnels: 0 });
    this.unnamed = { ...this.unnamed, openTunnels: 0 };
    this.others = { ...this.others, openTunnels: 0 };
  }
}

function countsOf(cells: Float64Array): UserCounts {
  return {
    requests: cells[REQUESTS]!,
    tunnels: cells[TUNNELS]!,
    openTunnels: cells[OPEN_TUNNELS]!,
    requestBytes: cells[REQUEST_BYTES]!,
    responseBytes: cells[RESPONSE_BYTES]!,
  };
}

function added(one: UserCounts, other: UserCounts): UserCounts {
  return {
    requests: one.requests + other.requests,
    tunnels: one.tunnels + other.tunnels,
    openTunnels: one.openTunnels + other.openTunnels,
    requestBytes: one.requestBytes + other.requestBytes,
    responseBytes: one.responseBytes + other.responseBytes,
  };
}
