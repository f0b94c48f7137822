/**
 * What is being fetched, as the keeper of one cache knows it: who asks for something that is not stored gets the right to fetch it, or
 * waits for who has it, and follows from when there is a head. One fill at a time has an id; a purge or an invalidation takes the id
 * away from it, and what it brings is not stored.
 *
 * It decides by ids, versions and progress alone. Nobody waits without end: a fill that makes no progress (fill-watch.ts), and a thread
 * that dies, let those go who wait; everybody is told exactly one thing.
 */
import type { Clock } from "../../core/ports.ts";
import type { PassReason } from "../cache.ts";
import { entryIdOf } from "../keeping/entry-id.ts";
import type { Mark } from "../keeping/keeper-purges.ts";
import type { Keeping } from "../keeping/keeping.ts";
import { type AnswerRecord, BLOCK_BYTES, decodeRecord, type StoredBody } from "../keeping/record.ts";
import type { StoredReader } from "../keeping/stored-reader.ts";
import type { CacheBooks, EntryId } from "../ports.ts";
import { DISK_STATES, type SharedCache } from "../shared.ts";
import type { FillTier } from "../tier/keeper-tier.ts";
import type { TierFinding } from "../tier/shared-answers.ts";
import { FILL_STALL_MS, FillWatch } from "./fill-watch.ts";
import type { FillThread, Flight, Waiter } from "./flight.ts";
import { Flights } from "./flights.ts";
import { Leaving } from "./leaving.ts";
import { PassMemory } from "./pass-memory.ts";
import { PROGRESS_STATES, type ProgressTable } from "./progress-table.ts";
import type { LinkToThread, Refreshed, ToKeeper, ToThread } from "./protocol.ts";
import { forgetWaiter, takeWaiters, tell, waitFor } from "./waiters.ts";

/** For so long others pass when a body was longer than may be stored: it will be again, and everybody would wait for it in vain. */
const OVERLONG_PASS_MS = 60_000;
/**
 * So long a thread does not ask again for what could not be stored the last time and is being fetched: what many ask for at once, and is
 * for each of them alone, costs a message to the keeper ten times a second and not for each request.
 */
const LONE_FETCH_PASS_MS = 100;

/** What the broker needs of who keeps the books. */
export type FillKeeping = Pick<
  Keeping,
  "keep" | "refresh" | "invalidate" | "drop" | "dropDamaged" | "newBodyId" | "mark"
> & {
  readonly purges: Pick<Keeping["purges"], "isMetSince" | "isTagMetSince">;
  readonly health: Pick<Keeping["health"], "failed">;
};

export interface BrokerParts {
  readonly keeping: FillKeeping;
  readonly books: Pick<CacheBooks, "removeBody">;
  readonly shared: SharedCache;
  readonly reader: StoredReader;
  readonly clock: Clock;
  readonly table: ProgressTable;
  /** Resolves when nothing with the tag is found any more. */
  readonly invalidateTag: (tag: string) => Promise<void>;
  /** An answer is not stored because there may be no further open file; the disk works. `reason`: as the system says it. */
  readonly onShortOfFiles: (reason: string) => void;
  /** Other machines, which may have what is not here; null: there are none. */
  readonly tier?: FillTier | null;
  readonly stallMs?: number;
}

export class Broker {
  readonly #keeping: FillKeeping;
  readonly #parts: BrokerParts;
  readonly #reader: StoredReader;
  readonly #clock: Clock;
  readonly #table: ProgressTable;
  readonly #passes: PassMemory;
  readonly #threads = new Map<number, FillThread>();
  readonly #flights: Flights;
  readonly #watch: FillWatch;
  /** Who waits for what other machines have under an id. */
  readonly #lookups = new Map<EntryId, Waiter[]>();
  readonly #tier: FillTier | null;
  readonly #leaving = new Leaving();
  #nextThread = 1;

  constructor(parts: BrokerParts) {
    const { keeping, reader, clock, table, stallMs = FILL_STALL_MS } = parts;
    this.#parts = parts;
    this.#tier = parts.tier ?? null;
    this.#keeping = keeping;
    this.#reader = reader;
    this.#clock = clock;
    this.#table = table;
    this.#passes = new PassMemory(clock);
    this.#flights = new Flights(table);
    this.#watch = new FillWatch(this.#flights, table, clock, stallMs, (flight) => {
      this.#pass(takeWaiters(flight), "stalled", 0);
    });
  }

  /** Fills that have not ended, or that somebody still reads. */
  get flights(): number {
    return this.#flights.size;
  }

  /** A thread takes part from here on. Returns its number. */
  attach(link: LinkToThread): number {
    const thread: FillThread = { number: this.#nextThread++, link, waiters: new Map() };
    this.#threads.set(thread.number, thread);
    link.onMessage = (message) => this.#receive(thread, message);
    return thread.number;
  }

  /** The thread is gone, and all that it was doing. */
  detach(number: number): void {
    const thread = this.#threads.get(number);
    if (thread === undefined) return;
    this.#threads.delete(number);
    for (const ask of thread.waiters.keys()) forgetWaiter(thread, ask);
    for (const flight of [...this.#flights.all()]) {
      flight.follows.delete(thread);
      if (flight.thread === thread) {
        flight.thread = null;
        if (flight.isOpen) this.#lose(flight);
      }
      this.#retire(flight);
    }
  }

  close(): void {
    this.#watch.close();
  }

  #receive(thread: FillThread, message: ToKeeper): void {
    if (!this.#threads.has(thread.number)) return;
    switch (message.kind) {
      case "acquire": {
        const { ask, id, storedId, key, seen, isPart } = message;
        return this.#place({ thread, ask, id, storedId, key, seen, isPart, flight: null });
      }
      case "cancel":
        return forgetWaiter(thread, message.ask);
      case "left":
        return this.#left(thread, message.flight, message.follows);
      case "refreshStored":
        return void this.#putRefreshed(message.refreshed, this.#keeping.mark());
      case "damaged":
        return this.#dropDamaged(message.id, message.version);
      case "invalidate":
        return this.#invalidate(thread, message.call, message.key);
      case "invalidateTag":
        return this.#invalidateTag(thread, message.call, message.tag);
      default: {
        const flight = this.#flights.get(message.flight);
        if (flight?.thread === thread) this.#advance(flight, message);
      }
    }
  }

  #advance(flight: Flight, message: Extract<ToKeeper, { flight: number }>): void {
    if (!flight.isOpen) return;
    flight.progressMs = this.#clock.now();
    flight.isStalled = false;
    switch (message.kind) {
      case "begin":
        return this.#begin(flight, message);
      case "file":
        flight.hasFile = true;
        return this.#follow(flight, takeWaiters(flight));
      case "unkept":
        return this.#unkept(flight, message);
      case "end":
        return this.#end(flight, message);
      case "refresh":
        return this.#refresh(flight, message);
      case "release":
        return this.#release(flight, message.reason, message.passMs);
      case "fail":
        return this.#fail(flight);
    }
  }

  /** Finds out what an ask gets, or what it waits for. `isSought`: other machines do not have it. */
  #place(waiter: Waiter, isSought = false): void {
    const { id } = waiter;
    if (this.#parts.shared.state !== DISK_STATES.works) return this.#pass([waiter], "off", 0);
    const reason = this.#passes.reasonFor(id);
    // Hit-for-miss: nobody waits for who fetches it, as it was nobody else's the last time; but one at a time fetches it to be stored.
    const isAlone = reason === "uncacheable";
    const passMs = isAlone ? this.#passes.restMsFor(id) : this.#passes.msFor(id);
    if (reason !== null && passMs > 0) return this.#pass([waiter], reason, passMs);
    const flight = this.#flights.listed(id);
    // What comes of a part may take as long as it likes, and would be of no use to who wants all: he begins with that.
    const isOfUse = flight !== undefined && (waiter.isPart || !flight.isPart);
    if (isOfUse && !this.#isMet(flight)) {
      if (isAlone) return this.#pass([waiter], reason, LONE_FETCH_PASS_MS);
      if (flight.isStalled && !this.#watch.hasMoved(flight)) return this.#pass([waiter], "stalled", 0);
      if (flight.phase === "flowing") return this.#follow(flight, [waiter]);
      return waitFor(flight, waiter);
    }
    const version = this.#versionFor(waiter);
    if (version !== 0 && version !== waiter.seen) return tell([waiter], (asks) => ({ kind: "stored", asks }));
    if (isSought || isAlone || this.#tier === null) this.#grant(waiter);
    else this.#seek(waiter, this.#tier);
  }

  /** One look-up for all who ask. */
  #seek(waiter: Waiter, tier: FillTier): void {
    const { id, key, storedId, thread, ask } = waiter;
    thread.waiters.set(ask, waiter);
    const before = this.#lookups.get(id);
    if (before !== undefined) return void before.push(waiter);
    this.#lookups.set(id, [waiter]);
    const record = this.#reader.read(storedId)?.record;
    const seen = record?.kind === "answer" && record.key === key ? { id: storedId, record } : null;
    void tier.find(id, key, seen).then((finding) => this.#onSought(id, finding));
  }

  #onSought(id: EntryId, finding: TierFinding): void {
    const waiters = this.#lookups.get(id)!;
    this.#lookups.delete(id);
    // The others have given up, or their thread is gone.
    const waiting = waiters.filter((waiter) => waiter.thread.waiters.get(waiter.ask) === waiter);
    for (const { thread, ask } of waiting) thread.waiters.delete(ask);
    if (finding.kind === "kept") return tell(waiting, (asks) => ({ kind: "stored", asks }));
    const { kind } = finding;
    if (kind === "names") return tell(waiting, (asks) => ({ kind, asks, names: finding.names }));
    for (const waiter of waiting) this.#place(waiter, true);
  }

  #grant(waiter: Waiter): void {
    const { thread, ask } = waiter;
    if (this.#flights.isFull) {
      // The place comes too late for this one, which passes.
      this.#watch.makeRoom();
      return this.#pass([waiter], "full", 0);
    }
    const flight = this.#flights.open(waiter, this.#keeping.newBodyId(), this.#keeping.mark(), this.#clock.now());
    flight.shared = this.#tier?.mark() ?? null;
    this.#watch.begin();
    const { number, row, generation, body } = flight;
    thread.link.send({ kind: "granted", ask, flight: number, row, generation, body });
  }

  /** The version of what the ask would find now; 0: nothing. */
  #versionFor({ storedId, key }: Waiter): number {
    const record = this.#reader.read(storedId)?.record;
    if (record === undefined || record.key !== key) return 0;
    const tags = record.kind === "answer" ? record.head.tags : [];
    return this.#leaving.has(storedId, record.version, key, tags) ? 0 : record.version;
  }

  /** Whether a purge or an invalidation has met it since it began: then nobody else joins it, and it is not stored. */
  #isMet(flight: Flight): boolean {
    const { isObsolete, unmetSince, primaryId, key, tags } = flight;
    if (isObsolete) return true;
    flight.isObsolete = this.#keeping.purges.isMetSince(unmetSince, primaryId, key, tags);
    if (flight.isObsolete) this.#flights.unlist(flight);
    else flight.unmetSince = this.#keeping.mark();
    return flight.isObsolete;
  }

  /**
   * Those on other threads wait for the file, and for something in it: where the disk is full already, or takes no new file, they have
   * got nothing yet that would break.
   */
  #follow(flight: Flight, waiters: readonly Waiter[]): void {
    if (waiters.length === 0) return;
    flight.unreadMs = this.#clock.now();
    flight.unreadBytes = this.#table.writtenOf(flight.row);
    const isHere = ({ thread }: Waiter): boolean => thread === flight.thread;
    const others = waiters.filter((waiter) => !isHere(waiter));
    // Until its thread knows of them, it writes whole blocks, and goes by the readers of its own.
    if (others.length > 0 && !flight.isShared) {
      flight.isShared = true;
      flight.thread?.link.send({ kind: "share", flight: flight.number });
    }
    if (flight.hasFile) return this.#tellToFollow(flight, waiters);
    this.#tellToFollow(flight, waiters.filter(isHere));
    for (const waiter of others) waitFor(flight, waiter);
  }

  #tellToFollow(flight: Flight, waiters: readonly Waiter[]): void {
    tell(waiters, (asks, thread) => {
      if (thread === flight.thread) return { kind: "follow", asks, flight: flight.number, fill: null };
      flight.follows.set(thread, (flight.follows.get(thread) ?? 0) + asks.length);
      return { kind: "follow", asks, flight: flight.number, fill: flight.followedFill() };
    });
  }

  #begin(flight: Flight, begun: Extract<ToKeeper, { kind: "begin" }>): void {
    const { id, record, names, values } = begun;
    const decoded = decodeRecord(Buffer.from(record));
    if (flight.phase !== "waiting" || decoded?.kind !== "answer") return;
    flight.phase = "flowing";
    flight.record = record;
    flight.tags = decoded.head.tags;
    flight.unmetSince = flight.since;
    flight.names = names;
    flight.values = values;
    flight.start = begun.start;
    flight.end = begun.end;
    flight.isPart &&= begun.start > 0 || begun.end !== decoded.head.bodyBytes;
    flight.id = id;
    this.#forgetPasses(flight);
    // Those who came behind a purge of its tags, which nobody knew then, must not get it. Who they are is not known either.
    const wasMet = flight.isObsolete;
    const isMet = this.#isMet(flight);
    if (isMet && (!wasMet || this.#keeping.purges.isTagMetSince(flight.since, flight.tags)))
      return this.#placeAgain(flight);
    if (!isMet) this.#flights.list(flight);
    this.#follow(flight, takeWaiters(flight));
  }

  #unkept(flight: Flight, { why, trouble }: Extract<ToKeeper, { kind: "unkept" }>): void {
    flight.isUnkept = true;
    this.#flights.unlist(flight);
    if (why === "disk") this.#keeping.health.failed(new Error(trouble));
    else if (why === "short-of-files") this.#parts.onShortOfFiles(trouble);
    else for (const id of [flight.askedId, flight.id]) this.#passes.remember(id, "too-large", OVERLONG_PASS_MS);
    this.#tellFollowers(flight, { kind: "broken", flight: flight.number });
    this.#placeAgain(flight);
  }

  #end(flight: Flight, message: Extract<ToKeeper, { kind: "end" }>): void {
    flight.phase = "ending";
    const { inline, checksums, start, end, bodyBytes } = message;
    if (inline !== null) {
      this.#tellToFollow(flight, takeWaiters(flight));
      this.#tellFollowers(flight, { kind: "whole", flight: flight.number, bytes: inline });
    }
    const decoded = decodeRecord(Buffer.from(flight.record ?? []));
    if (this.#isMet(flight) || flight.isUnkept || decoded?.kind !== "answer") return this.#settle(flight, false, true);
    const { body: id, key, names, values, since } = flight;
    const body: StoredBody =
      inline === null
        ? { kind: "file", start, end, body: id, blockBytes: BLOCK_BYTES, checksums }
        : { kind: "inline", start, end, bytes: Buffer.from(inline) };
    const head = { ...decoded.head, bodyBytes: bodyBytes < 0 ? end : bodyBytes };
    const vary = names.length === 0 ? null : { names, values };
    // A body in a file is the keeper's from here on.
    const isDiscarded = inline !== null;
    const answer = { key, head, body, vary, since };
    this.#keeping.keep(answer).then((outcome) => {
      this.#settle(flight, outcome.isKept, isDiscarded);
      if (outcome.isKept && flight.shared !== null)
        void this.#tier?.give({ id: flight.id, names, values, record: outcome.record, mark: flight.shared });
    });
  }

  #refresh(flight: Flight, { refreshed, names, values }: Extract<ToKeeper, { kind: "refresh" }>): void {
    if (flight.phase !== "waiting") return this.#fail(flight);
    flight.phase = "ending";
    this.#forgetPasses(flight);
    this.#putRefreshed(refreshed, flight.since).then((record) => {
      this.#settle(flight, record !== null, false);
      if (record !== null && flight.shared !== null)
        void this.#tier?.confirm({ id: flight.askedId, names, values, record, mark: flight.shared });
    });
  }

  async #putRefreshed({ id, version, record }: Refreshed, since: Mark): Promise<AnswerRecord | null> {
    const decoded = decodeRecord(Buffer.from(record));
    return decoded?.kind !== "answer" ? null : this.#keeping.refresh(id, version, decoded.head, since);
  }

  #dropDamaged(id: EntryId, version: number): void {
    const dropped = version === 0 ? this.#keeping.dropDamaged(id) : this.#keeping.drop(id, version, "damaged");
    void this.#leaving.damaged(id, version, dropped);
  }

  #release(flight: Flight, reason: "uncacheable" | "failed", passMs: number | null): void {
    if (flight.phase !== "waiting") return this.#fail(flight);
    if (passMs === null) return this.#settle(flight, false, false);
    const isRemembered = !flight.isObsolete && passMs > 0;
    if (isRemembered) this.#passes.remember(flight.askedId, reason, passMs);
    // What is only marked is fetched by one of them to be stored; the others are let go behind him.
    if (!isRemembered || reason !== "uncacheable") this.#pass(takeWaiters(flight), reason, isRemembered ? passMs : 0);
    this.#settle(flight, false, false);
  }

  /** It may be stored this time: what comes from here on is waited for again. */
  #forgetPasses({ askedId, id }: Flight): void {
    this.#passes.forget(askedId);
    this.#passes.forget(id);
  }

  #fail(flight: Flight): void {
    this.#tellFollowers(flight, { kind: "broken", flight: flight.number });
    this.#pass(takeWaiters(flight), "failed", 0);
    this.#settle(flight, false, true);
  }

  /** Its thread is gone in the middle of it. Who waits finds somebody else. */
  #lose(flight: Flight): void {
    this.#table.settle(flight.row, PROGRESS_STATES.broken);
    this.#tellFollowers(flight, { kind: "broken", flight: flight.number });
    this.#settle(flight, false, true);
  }

  /** It is over. Those who wait still look again, or are placed anew. `isDiscarded`: its file, if it has one, is nobody's. */
  #settle(flight: Flight, isKept: boolean, isDiscarded: boolean): void {
    flight.phase = "over";
    flight.isDiscarded = isDiscarded;
    this.#flights.unlist(flight);
    if (isKept) tell(takeWaiters(flight), (asks) => ({ kind: "stored", asks }));
    else this.#placeAgain(flight);
    this.#retire(flight);
  }

  /** When nobody looks at it any more: its row goes to another one, and a file that is nobody's is removed. */
  #retire(flight: Flight): void {
    if (flight.phase !== "over" || flight.follows.size > 0 || !this.#flights.close(flight)) return;
    const { number, thread, isDiscarded } = flight;
    if (thread !== null) thread.link.send({ kind: "settled", flight: number, isDiscarded });
    else if (isDiscarded && flight.record !== null) void this.#parts.books.removeBody(flight.body).catch(ignore);
  }

  #placeAgain(flight: Flight): void {
    for (const waiter of takeWaiters(flight)) this.#place(waiter);
  }

  #left(thread: FillThread, number: number, follows: number): void {
    const flight = this.#flights.get(number);
    if (flight === undefined) return;
    const left = (flight.follows.get(thread) ?? 0) - follows;
    if (left > 0) flight.follows.set(thread, left);
    else flight.follows.delete(thread);
    this.#retire(flight);
  }

  #invalidate(thread: FillThread, call: number, key: string): void {
    this.#tier?.invalidate(key);
    this.#passes.forget(entryIdOf(key, ""));
    this.#answer(
      thread,
      call,
      this.#leaving.key(key, () => this.#keeping.invalidate(key)),
    );
  }

  #invalidateTag(thread: FillThread, call: number, tag: string): void {
    this.#tier?.invalidateTag(tag);
    this.#answer(
      thread,
      call,
      this.#leaving.tag(tag, () => this.#parts.invalidateTag(tag)),
    );
  }

  #answer(thread: FillThread, call: number, done: Promise<void>): void {
    const tell = (trouble: string | null): void => thread.link.send({ kind: "invalidated", call, trouble });
    done.then(
      () => tell(null),
      (error) => tell(error instanceof Error ? error.message : "it could not be removed"),
    );
  }

  #pass(waiters: readonly Waiter[], reason: PassReason, passMs: number): void {
    tell(waiters, (asks) => ({ kind: "pass", asks, reason, passMs }));
  }

  #tellFollowers(flight: Flight, message: ToThread): void {
    for (const thread of flight.follows.keys()) thread.link.send(message);
  }
}

function ignore(): void {
  // What is left behind is removed at the next start.
}
