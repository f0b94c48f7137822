/**
 * Which of the parents of a way has a request: the first one of the list that is well. Another one is tried only when the one before
 * could not be reached, so that nothing of the request was sent: one that has answered, whatever it says, has decided.
 */
import { ProxyError } from "../../core/errors.ts";
import type { Connection, PendingDial } from "../../core/ports.ts";
import type { Lessor, Sender, UpstreamHandler } from "../../pipeline/upstream.ts";
import type { LeaseFailed } from "../../upstreams/pool.ts";
import { ParentUnreachable, type TunnelDialHandler } from "./dialer.ts";
import type { Parent } from "./parent.ts";
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
    const { type, status, side, reason } = failures[0]!;
    // Every way was tried: to try them all again at once helps nobody.
    const cause = new AggregateError(failures, message);
    return new ProxyError(type, message, { status, side, retryable: false, cause, reason: reason! });
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

/** What is done through one parent; `sender.forward` then says through which. */
export interface ThroughParents {
  leaseThrough(parent: Parent, way: Way, sender: Sender, handler: UpstreamHandler, failed: LeaseFailed): Lessor;
  tunnelThrough(parent: Parent, way: Way, sender: Sender, handler: TunnelDialHandler): PendingDial;
  /** Coarse, on the monotonic clock. */
  readonly nowMs: number;
}

/** A request for which a connection is had through the first parent that can be reached. */
export class LeaseThroughParents implements LeaseFailed, Lessor {
  readonly #way: Way;
  readonly #through: ThroughParents;
  readonly #sender: Sender;
  readonly #handler: UpstreamHandler;
  readonly #choice: ParentChoice;
  /** The pool of the parent whose turn it is. */
  #lessor: Lessor | null = null;

  constructor(way: Way, through: ThroughParents, sender: Sender, handler: UpstreamHandler) {
    this.#way = way;
    this.#through = through;
    this.#sender = sender;
    this.#handler = handler;
    this.#choice = new ParentChoice(way, through.nowMs);
  }

  begin(): void {
    this.#lessor = this.#through.leaseThrough(this.#choice.current, this.#way, this.#sender, this.#handler, this);
  }

  cancel(handler: UpstreamHandler): void {
    this.#lessor?.cancel(handler);
  }

  allowRetry(handler: UpstreamHandler, nothingSent: boolean): boolean {
    return this.#lessor?.allowRetry(handler, nothingSent) === true;
  }

  onLeaseFailed(error: ProxyError): void {
    if (this.#choice.goesOn(error, this.#through.nowMs)) this.begin();
    else this.#handler.onLeaseFailed(this.#choice.summaryOf(error));
  }
}

/** A tunnel that is made through the first parent that can be reached. */
export class TunnelThroughParents implements PendingDial, TunnelDialHandler {
  readonly #way: Way;
  readonly #through: ThroughParents;
  readonly #sender: Sender;
  readonly #handler: TunnelDialHandler;
  readonly #choice: ParentChoice;
  #pending: PendingDial;

  constructor(way: Way, through: ThroughParents, sender: Sender, handler: TunnelDialHandler) {
    this.#way = way;
    this.#through = through;
    this.#sender = sender;
    this.#handler = handler;
    this.#choice = new ParentChoice(way, through.nowMs);
    this.#pending = this.#begin();
  }

  #begin(): PendingDial {
    return this.#through.tunnelThrough(this.#choice.current, this.#way, this.#sender, this);
  }

  cancel(): void {
    this.#pending.cancel();
  }

  onConnected(connection: Connection, early?: Buffer): void {
    this.#handler.onConnected(connection, early);
  }

  onFailed(error: ProxyError): void {
    if (this.#choice.goesOn(error, this.#through.nowMs)) this.#pending = this.#begin();
    else this.#handler.onFailed(this.#choice.summaryOf(error));
  }
}
