/**
 * What all threads of the process know of the servers of upstreams: which of them could not be reached, which fail their health checks, and
 * what was counted. Who finds a server dead says so to all, so that it costs one request its time and not one in each thread.
 *
 * It keeps and counts. Whether a server is chosen is the pool's part, and who asks it how it is, the checks'.
 *
 * The cells, all Float64, for a memory with room for `capacity` servers:
 *
 *     for each server            SHARED cells, which all threads read and write
 *     then for each column, in cache lines of its own
 *       for each server          COUNTS cells, which have one writer
 *
 * Nothing here is atomic. Two threads that find out the same at the same moment write the same; what can be lost is that one request more
 * tries a server that is away, or that a line of the log comes twice.
 */
import { wholeLines } from "../core/cache-lines.ts";
import { ERROR_TYPES, type ErrorType } from "../core/errors.ts";

/**
 * A server that could not be reached is avoided for so long, unless there is no other, and for twice as long after each further attempt
 * that fails. nginx's fail_timeout is 10 s; a restart takes less, and a dead machine is not to cost a request its connect timeout that often.
 */
const AVOID_MS = 2_000;
const AVOID_MS_MAX = 30_000;
/**
 * A server that closes so many new connections in a row without a word is as good as one that cannot be reached: something else takes
 * its connections, as a port that a container publishes does while nobody listens within. One that closes some, as for requests that
 * it does not want, has answered others in between.
 */
const UNANSWERED_MAX = 3;
/** From one time that a server is told to be away to the next: one that comes and goes must not fill the log. */
const TELL_INTERVAL_MS = 10_000;

/** Process time; 0: the last attempt reached it, or there was none. */
const AVOID_UNTIL = 0;
/** How long it is avoided after the next failure; 0: AVOID_MS. */
const AVOID_FOR = 1;
/** While it is not 0: the wall time of the first of the attempts in a row that failed; and why the last did, by number in ERROR_TYPES. */
const LOST_AT = 2;
const REASON = 3;
/** 1: the log says that it is away. */
const IS_TOLD = 4;
/** Process time; 0: never. */
const TOLD_AT = 5;
/** Wall time; 0: its checks pass, or there are none. */
const FAILING_SINCE = 6;
/** New connections that it closed without an answer, since it answered last. */
const UNANSWERED = 7;
const SHARED = 8;

const CONNECTIONS = 0;
const REQUESTS = 1;
const FAILURES = 2;
const BAD_ANSWERS = 3;
const COUNTS = 4;

const { BYTES_PER_ELEMENT: CELL_BYTES } = Float64Array;

const TYPES = Object.keys(ERROR_TYPES) as ErrorType[];

/** Equal for upstreams that share what is known: those of one name with the same servers. */
export function upstreamKey(options: { readonly name: string; readonly servers: readonly { readonly url: string }[] }) {
  return JSON.stringify([options.name, ...options.servers.map(({ url }) => url)]);
}

/** Where the servers of one upstream are in a memory that several may share. */
export interface StatesPlace {
  readonly memory: SharedArrayBuffer | ArrayBuffer;
  /** Servers that the memory has room for. */
  readonly capacity: number;
  /** The first of this upstream's. */
  readonly first: number;
}

export function statesBytes(capacity: number, columns: number): number {
  return CELL_BYTES * columnBase(capacity, columns);
}

function columnBase(capacity: number, column: number): number {
  return wholeLines(SHARED * capacity, CELL_BYTES) + column * wholeLines(COUNTS * capacity, CELL_BYTES);
}

/** Forgets the connections of a thread that is gone, in the whole memory. What it has counted stays: whoever has its column next goes on from there. */
export function closeStatesColumn({ memory, capacity }: StatesPlace, column: number): void {
  const cells = new Float64Array(memory);
  const base = columnBase(capacity, column);
  for (let server = 0; server < capacity; server++) cells[base + COUNTS * server + CONNECTIONS] = 0;
}

/** What is known of one server. */
export interface ServerReport {
  /** Since when it cannot be reached, in wall time; null: when it was last tried, it could be. */
  readonly lostSinceMs: number | null;
  /** Why; null: it can be. */
  readonly reason: ErrorType | null;
  /** Since when it fails its health checks, in wall time; null: it passes them, or there are none. */
  readonly failingSinceMs: number | null;
  /** Connections that are open. */
  readonly connections: number;
  /** Attempts that were given a connection to it. */
  readonly requests: number;
  /** Connections that could not be made. */
  readonly failures: number;
  /** Requests that it had and did not answer: in no time, not to the end, or with what is no HTTP. */
  readonly badAnswers: number;
}

/** Of all threads. */
export function reportOf({ memory, capacity, first }: StatesPlace, server: number, columns: number): ServerReport {
  const cells = new Float64Array(memory);
  const at = SHARED * (first + server);
  const isLost = cells[at + AVOID_UNTIL] !== 0;
  const failingSince = cells[at + FAILING_SINCE]!;
  let [connections, requests, failures, badAnswers] = [0, 0, 0, 0];
  for (let column = 0; column < columns; column++) {
    const counts = columnBase(capacity, column) + COUNTS * (first + server);
    connections += cells[counts + CONNECTIONS]!;
    requests += cells[counts + REQUESTS]!;
    failures += cells[counts + FAILURES]!;
    badAnswers += cells[counts + BAD_ANSWERS]!;
  }
  return {
    lostSinceMs: isLost ? cells[at + LOST_AT]! : null,
    reason: isLost ? TYPES[cells[at + REASON]!]! : null,
    failingSinceMs: failingSince === 0 ? null : failingSince,
    connections,
    requests,
    failures,
    badAnswers,
  };
}

/** One thread's view of the servers of one upstream. `server`: its number among them. */
export class ServerStates {
  readonly #cells: Float64Array;
  /** Where this upstream's part of the shared cells begins, and of the thread's column. */
  readonly #shared: number;
  readonly #counts: number;

  constructor({ memory, capacity, first }: StatesPlace, column: number) {
    this.#cells = new Float64Array(memory);
    this.#shared = SHARED * first;
    this.#counts = columnBase(capacity, column) + COUNTS * first;
  }

  /** For a proxy without threads. */
  static ofOneThread(servers: number): ServerStates {
    return new ServerStates({ memory: new ArrayBuffer(statesBytes(servers, 1)), capacity: servers, first: 0 }, 0);
  }

  /** It is to be chosen when there is no other. */
  isAvoided(server: number, nowMs: number): boolean {
    return this.isLost(server, nowMs) || this.#cells[this.#shared + SHARED * server + FAILING_SINCE]! > 0;
  }

  /** It could not be reached, and the time to try it again has not come. */
  isLost(server: number, nowMs: number): boolean {
    return this.#cells[this.#shared + SHARED * server + AVOID_UNTIL]! > nowMs;
  }

  /** Behind a time in which it was avoided, one request tries it, and the others go on to avoid it until that one has been successful. */
  beginsDial(server: number, nowMs: number): void {
    const cells = this.#cells;
    const at = this.#shared + SHARED * server;
    const avoidUntil = cells[at + AVOID_UNTIL]!;
    if (avoidUntil === 0 || avoidUntil > nowMs) return;
    const avoidMs = Math.min((cells[at + AVOID_FOR]! || AVOID_MS) * 2, AVOID_MS_MAX);
    cells[at + AVOID_FOR] = avoidMs;
    cells[at + AVOID_UNTIL] = nowMs + avoidMs;
  }

  /** True: it is to be told that it is there again. */
  wasReached(server: number): boolean {
    const cells = this.#cells;
    const at = this.#shared + SHARED * server;
    // That it takes connections is known, of one that does no more than that.
    if (cells[at + AVOID_UNTIL] === 0 || cells[at + UNANSWERED]! >= UNANSWERED_MAX) return false;
    cells[at + AVOID_UNTIL] = 0;
    cells[at + AVOID_FOR] = 0;
    const isTold = cells[at + IS_TOLD] === 1;
    cells[at + IS_TOLD] = 0;
    return isTold;
  }

  /** True: as of `wasReached`. */
  answered(server: number): boolean {
    const cells = this.#cells;
    const at = this.#shared + SHARED * server;
    const unanswered = cells[at + UNANSWERED]!;
    if (unanswered === 0) return false;
    cells[at + UNANSWERED] = 0;
    return unanswered >= UNANSWERED_MAX && this.wasReached(server);
  }

  /** It closed a new connection without an answer. True: it is to be told that it is away. */
  didNotAnswer(server: number, reason: ErrorType, nowMs: number, wallMs: number): boolean {
    const unanswered = ++this.#cells[this.#shared + SHARED * server + UNANSWERED]!;
    return unanswered >= UNANSWERED_MAX && this.#leaveOut(server, reason, nowMs, wallMs);
  }

  /** True: it is to be told that it is away. */
  wasNotReached(server: number, reason: ErrorType, nowMs: number, wallMs: number): boolean {
    this.#cells[this.#counts + COUNTS * server + FAILURES]!++;
    return this.#leaveOut(server, reason, nowMs, wallMs);
  }

  #leaveOut(server: number, reason: ErrorType, nowMs: number, wallMs: number): boolean {
    const cells = this.#cells;
    const at = this.#shared + SHARED * server;
    if (cells[at + AVOID_UNTIL] === 0) cells[at + LOST_AT] = wallMs;
    cells[at + AVOID_UNTIL] = nowMs + (cells[at + AVOID_FOR]! || AVOID_MS);
    cells[at + REASON] = TYPES.indexOf(reason);
    const toldAt = cells[at + TOLD_AT]!;
    if (cells[at + IS_TOLD] === 1 || (toldAt > 0 && nowMs - toldAt < TELL_INTERVAL_MS)) return false;
    cells[at + IS_TOLD] = 1;
    cells[at + TOLD_AT] = nowMs;
    return true;
  }

  /** Since this moment of wall time. */
  failsChecks(server: number, sinceMs: number): void {
    this.#cells[this.#shared + SHARED * server + FAILING_SINCE] = sinceMs;
  }

  /** Or nobody checks it any more. What could not be reached before is tried again at once. True: as of `wasReached`. */
  passesChecks(server: number): boolean {
    const at = this.#shared + SHARED * server;
    this.#cells[at + FAILING_SINCE] = 0;
    this.#cells[at + UNANSWERED] = 0;
    return this.wasReached(server);
  }

  countConnection(server: number, change: 1 | -1): void {
    this.#cells[this.#counts + COUNTS * server + CONNECTIONS]! += change;
  }

  /** An attempt that has a connection. */
  countRequest(server: number): void {
    this.#cells[this.#counts + COUNTS * server + REQUESTS]!++;
  }

  countBadAnswer(server: number): void {
    this.#cells[this.#counts + COUNTS * server + BAD_ANSWERS]!++;
  }
}
