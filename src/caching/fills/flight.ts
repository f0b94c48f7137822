/** A fill as the keeper counts it, and those that wait for it. State alone: the broker decides. */

import type { Mark } from "../keeping/keeper-purges.ts";
import type { BodyId, EntryId } from "../ports.ts";
import type { TierMark } from "../tier/shared-answer.ts";
import type { FollowedFill, LinkToThread } from "./protocol.ts";

/** A thread that takes part. */
export interface FillThread {
  readonly number: number;
  readonly link: LinkToThread;
  /** Those of its asks that were told nothing yet. */
  readonly waiters: Map<number, Waiter>;
}

/** An ask that was told nothing yet. */
export interface Waiter {
  readonly thread: FillThread;
  readonly ask: number;
  readonly id: EntryId;
  readonly storedId: EntryId;
  readonly key: string;
  readonly seen: number;
  /** It wants a part alone. Who wants all of it does not wait for what is fetched for such a one. */
  readonly isPart: boolean;
  flight: Flight | null;
}

export type FlightPhase =
  /** There is no head yet. */
  | "waiting"
  /** Its body comes, and others read it. */
  | "flowing"
  /** All is here; it is being committed. */
  | "ending"
  | "over";

export class Flight {
  readonly number: number;
  /** Who fetches; null: that thread is gone. */
  thread: FillThread | null;
  readonly key: string;
  readonly primaryId: EntryId;
  /** Under which it was asked for. */
  readonly askedId: EntryId;
  /** The one that has its own variant: known with the head. */
  id: EntryId;
  readonly row: number;
  readonly generation: number;
  readonly body: BodyId;
  /** When it began, in the order of purges and invalidations. */
  readonly since: Mark;
  /** Up to here nothing has met it, as far as its tags are known: with what came before it is not compared again. */
  unmetSince: Mark;
  /** The same in the log of purges that machines share; null: what it brings is not given to others. */
  shared: TierMark | null = null;
  phase: FlightPhase = "waiting";
  record: Uint8Array | null = null;
  tags: readonly string[] = [];
  names: readonly string[] = [];
  values: readonly string[] = [];
  start = 0;
  end = -1;
  hasFile = false;
  /** A part was asked for, and no more than that comes, as far as is known. */
  isPart = false;
  /** Its thread was told that others read. */
  isShared = false;
  /** A purge or an invalidation has met it. */
  isObsolete = false;
  /** Its file, if it has one, is nobody's. */
  isDiscarded = false;
  /** Its body will not be stored. */
  isUnkept = false;
  readonly waiters = new Set<Waiter>();
  /** How many asks of other threads follow it. */
  readonly follows = new Map<FillThread, number>();
  written = 0;
  progressMs: number;
  isStalled = false;
  /** Since when, at the earliest, nobody reads it, and what had come by then; moved on as long as it is fast enough. */
  unreadMs: number;
  unreadBytes = 0;
  /** Its thread was told to end it. */
  isGivenUp = false;

  constructor(
    number: number,
    thread: FillThread,
    key: string,
    primaryId: EntryId,
    id: EntryId,
    place: { readonly row: number; readonly generation: number; readonly body: BodyId },
    since: Mark,
    nowMs: number,
  ) {
    this.number = number;
    this.thread = thread;
    this.key = key;
    this.primaryId = primaryId;
    this.askedId = this.id = id;
    this.row = place.row;
    this.generation = place.generation;
    this.body = place.body;
    this.since = this.unmetSince = since;
    this.progressMs = this.unreadMs = nowMs;
  }

  get isOpen(): boolean {
    return this.phase === "waiting" || this.phase === "flowing";
  }

  /** For another thread; there is a head. */
  followedFill(): FollowedFill {
    const { id, names, start, end, row, generation, body, hasFile } = this;
    return { id, record: this.record!, names, start, end, row, generation, body, hasFile };
  }
}
