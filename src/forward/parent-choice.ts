/**
 * Which of the parents of a way has a request: the first one of the list that is well. Another one is tried only when the one before
 * could not be reached, so that nothing of the request was sent: one that has answered, whatever it says, has decided.
 */
import { ProxyError } from "../core/errors.ts";
import type { Connection, PendingDial } from "../core/ports.ts";
import type { Parent } from "./parent.ts";
import { ParentUnreachable, type TunnelDialHandler } from "./parent-dialer.ts";
import type { Way } from "./ways.ts";

export class ParentChoice {
  readonly #way: Way;
  #failures: Map<Parent, ProxyError> | null = null;
  current: Parent;

  constructor(way: Way, nowMs: number) {
    this.#way = way;
    this.current = way.parents[0]!;
    this.#choose(nowMs);
  }

  /** The current one has failed. Whether there is another one, which is then the current one. */
  goesOn(error: ProxyError, nowMs: number): boolean {
    if (!(error instanceof ParentUnreachable)) return false;
    this.#failures ??= new Map();
    this.#failures.set(this.current, error);
    if (this.#failures.size === this.#way.parents.length) return false;
    this.#choose(nowMs);
    return true;
  }

  /** What to tell of an error behind which nothing is tried any more. */
  summaryOf(error: ProxyError): ProxyError {
    const failures = [...(this.#failures?.values() ?? [])];
    if (failures.length < 2 || !(error instanceof ParentUnreachable)) return error;
    const message = failures.map((failure) => failure.message).join("; ");
    const { type, status, side } = failures[0]!;
    // Every way was tried: to try them all again at once helps nobody.
    const cause = new AggregateError(failures, message);
    return new ProxyError(type, message, { status, side, retryable: false, cause });
  }

  /** When none is well, it is the first one that was not tried yet. */
  #choose(nowMs: number): void {
    let avoided: Parent | null = null;
    for (const parent of this.#way.parents) {
      if (this.#failures?.has(parent) === true) continue;
      if (parent.mayBeTried(nowMs)) {
        this.current = parent;
        return;
      }
      avoided ??= parent;
    }
    this.current = avoided!;
  }
}

/** Begins to connect through the parent that is chosen now. */
export type AttemptThrough = (handler: TunnelDialHandler) => PendingDial;

/** A connection that is being made through the first parent that can be reached. */
export class TunnelThroughParents implements PendingDial, TunnelDialHandler {
  readonly #choice: ParentChoice;
  readonly #attempt: AttemptThrough;
  readonly #now: () => number;
  readonly #handler: TunnelDialHandler;
  #pending: PendingDial;

  constructor(choice: ParentChoice, attempt: AttemptThrough, now: () => number, handler: TunnelDialHandler) {
    this.#choice = choice;
    this.#attempt = attempt;
    this.#now = now;
    this.#handler = handler;
    this.#pending = attempt(this);
  }

  cancel(): void {
    this.#pending.cancel();
  }

  onConnected(connection: Connection, early?: Buffer): void {
    this.#handler.onConnected(connection, early);
  }

  onFailed(error: ProxyError): void {
    if (this.#choice.goesOn(error, this.#now())) this.#pending = this.#attempt(this);
    else this.#handler.onFailed(this.#choice.summaryOf(error));
  }
}
