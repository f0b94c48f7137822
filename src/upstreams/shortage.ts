/**
 * No socket is left for one more connection: the process has as many files open as it may, or the machine no free local port. That says
 * nothing of a server. Requests wait for connections that come free, and one at a time tries whether there is a socket again:
 * what lacks is everybody's, and may come back without a word.
 */
import { Deadline, type DeadlineWheel } from "../core/deadlines.ts";
import type { ProxyError } from "../core/errors.ts";

/** So often it is tried: a failing attempt costs some microseconds, and a request may wait for seconds. */
const RETRY_MS = 100;
/** So often it is told. */
const TELL_INTERVAL_MS = 60_000;

export class Shortage {
  /** Whether a connection may be asked for now. */
  mayDial = true;
  /** Why none was to be had last; null: there are sockets, as far as is known. */
  reason: ProxyError | null = null;
  #toldAtMs = Number.NEGATIVE_INFINITY;
  readonly #retry: Deadline;

  /** `onRetry`: it is time to ask again, if anybody waits. */
  constructor(deadlines: DeadlineWheel, onRetry: () => void) {
    this.#retry = new Deadline(deadlines, onRetry);
  }

  /** There was none. True: it is to be told. */
  felt(reason: ProxyError, nowMs: number): boolean {
    this.reason = reason;
    this.#wait();
    if (nowMs - this.#toldAtMs < TELL_INTERVAL_MS) return false;
    this.#toldAtMs = nowMs;
    return true;
  }

  /** A connection is asked for: while sockets are short, nobody else asks before it is known what becomes of it. */
  dialBegins(): void {
    if (this.reason !== null) this.#wait();
  }

  #wait(): void {
    this.mayDial = false;
    this.#retry.arm(RETRY_MS);
  }

  /** There was a socket, or there may be one: the next one who waits may ask. `isOver`: nobody waits. */
  eases(isOver: boolean): void {
    if (this.reason === null) return;
    this.mayDial = true;
    if (isOver) this.end();
  }

  end(): void {
    this.reason = null;
    this.mayDial = true;
    this.#retry.dispose();
  }
}
