/**
 * This machine among those that share a cache. It may serve while it holds a lease: it has applied the whole log of purges, and has
 * said so, a short time ago. The lease ends by the clock, whoever looks at it: no timer has to fire. A purge is done when every machine
 * that is there has applied it; a machine that does not say so is there no more when its presence ends, which is after its lease has: it
 * serves nothing until it has applied what it missed. What the log does not hold any more, or what was lost with it, may have been
 * anything: then all is forgotten.
 *
 * The log is a chain of ids, so that a machine sees when it goes on from another entry than the one that it knows: a server that had not
 * seen all has taken over. What was lost with the old one nobody can say who comes later, so that everything is purged then, for all.
 */
import type { Clock, TimerHandle } from "../../core/ports.ts";
import { type LoggedText, TIER_LOG_MAX, type TierMachines, type TierPosition, type TierStore } from "./ports.ts";
import { EVERYTHING } from "./purges.ts";

export interface TierTimes {
  /** How long a purge waits at most for a machine that has vanished. */
  readonly presenceMs: number;
  /** Shorter than that by more than clocks differ in so short a time, and by what a thread takes to give what it has found. */
  readonly leaseMs: number;
  /** Three times within a lease. */
  readonly renewMs: number;
}

export const TIER_TIMES: TierTimes = { presenceMs: 10_000, leaseMs: 7000, renewMs: 2000 };

/** For servers that do not tell what changes. */
const LOOK_MS = 250;
/** What could not be logged waits for Redis to be back; behind that many, everything is purged in their place. */
export const OWED_MAX = 1000;

export interface MemberSurroundings {
  readonly store: TierStore;
  readonly clock: Clock;
  readonly times?: TierTimes;
  /** No other machine has it, nor had it before a restart. */
  readonly machine: string;
  /** Resolves when it is in force on this machine. EVERYTHING: all goes. */
  readonly apply: (text: string) => Promise<void>;
  /** It may serve until then, by the clock. */
  readonly onLease: (untilMs: number) => void;
  /** It takes part from now on, or does not, with the reason: once for each change. What it begins with is no change. */
  readonly onChange: (cutOff: string | null) => void;
  /** All that was stored here is gone: what was purged meanwhile is not known any more. */
  readonly onForgotten?: () => void;
  /** What survives a restart. */
  readonly readPosition: () => TierPosition | null;
  readonly writePosition: (position: TierPosition) => Promise<void>;
}

/** A purge of this machine's own, in force here, that the others are told of. */
export interface OwnPurge {
  readonly id: string;
  readonly text: string;
}

export interface MemberState {
  /** Why it does not take part, in a sentence; null: it does. */
  readonly cutOff: string | null;
  /** On the wall clock: since when that is so. */
  readonly sinceMs: number;
  /** Purges that it knows to be logged, and has not applied. */
  readonly behind: number;
  /** Purges of its own that the others have not been told of. */
  readonly owed: number;
}

const NOT_YET = "it has not caught up with the others yet";
const YOUNG = "Redis was started anew, or another one has taken over: those that may know more are waited for";
const TOO_LATE = "it was too busy to say in time that it is there";

export class TierMember {
  readonly #around: MemberSurroundings;
  readonly #times: TierTimes;
  /** Up to where the log is applied here; null: it never took part. */
  #position: TierPosition | null;
  /** What is known of the log, in order, also of what was applied before. */
  #known: LoggedText[] = [];
  /** The number of the last entry, as was heard last. */
  #heard = 0;
  #leaseUntilMs = 0;
  #isClosed = false;
  /** Tells of the end of the lease, a moment behind it. */
  #ending: TimerHandle | null = null;
  #timer: TimerHandle | null = null;
  #step: Promise<void> | null = null;
  #isStepDue = false;
  #ownCount = 0;
  /** Own purges that were not yet found in the log, by id. */
  readonly #untold = new Map<string, OwnPurge>();
  /** Those of them that could not be logged. */
  readonly #owed: OwnPurge[] = [];
  /** All goes, and what the others have of before is as old. */
  #isForgetting = false;
  /** How often what was logged here may have got lost. */
  #losses = 0;
  readonly #looking = new Set<() => void>();
  /** The question about the machines that is under way, and the one that follows it. */
  #asked: Promise<TierMachines | null> | null = null;
  #askedNext: Promise<TierMachines | null> | null = null;
  /** Why the last step failed; null: it did not. */
  #trouble: string | null = null;
  #cutOff: string | null = NOT_YET;
  #sinceMs: number;

  constructor(around: MemberSurroundings) {
    const { store, clock } = around;
    this.#around = around;
    this.#times = around.times ?? TIER_TIMES;
    this.#position = around.readPosition();
    this.#sinceMs = clock.wallMs();
    store.onLog = () => {
      this.#look();
      this.#begin();
    };
    store.onMachines = () => this.#look();
  }

  get isServing(): boolean {
    return this.#around.clock.now() < this.#leaseUntilMs;
  }

  /** Up to where purges are in force here; null: it never took part. */
  get position(): TierPosition | null {
    return this.#position;
  }

  get state(): MemberState {
    const behind = Math.max(0, this.#heard - (this.#position?.number ?? 0));
    const isCutOff = this.#cutOff !== null || !this.isServing;
    // What is wrong now, rather than what was wrong first.
    const cutOff = isCutOff ? (this.#trouble ?? this.#cutOff ?? TOO_LATE) : null;
    return { cutOff, sinceMs: this.#sinceMs, behind, owed: this.#owed.length };
  }

  /** What was purged behind this position, here or anywhere; null: not all of it is known any more, or it is of another log. */
  purgesBehind({ generation, number, id }: TierPosition): readonly { readonly text: string }[] | null {
    const at = this.#position;
    if (at === null || this.#isForgetting || generation !== at.generation || number > at.number) return null;
    const [first] = this.#known;
    const from = first === undefined ? 0 : number + 1 - first.number;
    const known = from < 0 ? [] : this.#known.slice(from);
    // What is known and not yet applied, or applied and not yet written down, is behind the last position, too.
    const isOfThisLog = number === at.number ? id === at.id : known[0]?.before === id;
    return isOfThisLog ? [...known, ...this.#untold.values()] : null;
  }

  start(): void {
    this.#around.store.start();
    this.#begin();
  }

  /** From here on nothing that it meets is taken from others. To be told, or withdrawn, when it is in force here. */
  announce(text: string): OwnPurge {
    const own = { id: `${this.#around.machine}.${++this.#ownCount}`, text };
    this.#untold.set(own.id, own);
    return own;
  }

  withdraw({ id }: OwnPurge): void {
    this.#untold.delete(id);
  }

  /**
   * Resolves when every machine that is there has applied it. Rejects when it cannot be logged: the others get it when that can be done
   * again. It is to be in force here before.
   */
  async tell(own: OwnPurge): Promise<void> {
    while (!this.#isClosed) {
      if (!this.isServing) {
        this.#owe(own);
        throw new Error("the machines that share the cache cannot be told now; they will be");
      }
      const losses = this.#losses;
      let number: number | null;
      try {
        number = await this.#around.store.append(this.#position!.generation, own.id, own.text);
      } catch (error) {
        this.#owe(own);
        throw error;
      }
      this.#begin();
      // Of another generation: the log was lost. It is told to the next one, as everything that is lost behind it.
      if (number === null) await this.#step;
      else if (await this.#isAppliedByAll(number, losses)) return;
    }
    throw new Error("the cache is closed");
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#ending?.cancel();
    this.#serveUntil(0);
    this.#look();
    await this.#step;
    // Without it, purges wait until its presence ends.
    await this.#around.store.leave(this.#around.machine).catch(() => {});
    await this.#around.store.close();
  }

  #owe(own: OwnPurge): void {
    if (this.#owed.length < OWED_MAX) {
      this.#owed.push(own);
      return;
    }
    const all = this.announce(EVERYTHING);
    for (const { id } of this.#owed.splice(0, this.#owed.length, all)) this.#untold.delete(id);
    this.#untold.delete(own.id);
  }

  /** A step, or another one when one is under way. */
  #begin(): void {
    if (this.#isClosed) return;
    if (this.#step !== null) {
      this.#isStepDue = true;
      return;
    }
    this.#isStepDue = false;
    this.#timer?.cancel();
    this.#step = this.#catchUp()
      .then(
        (waitsFor) => {
          this.#trouble = waitsFor;
        },
        (error: unknown) => this.#failed(error),
      )
      .finally(() => {
        this.#step = null;
        if (this.#isStepDue) this.#begin();
        else if (!this.#isClosed) this.#timer = this.#around.clock.after(this.#times.renewMs, () => this.#begin());
      });
  }

  /** The lease ends by itself. */
  #failed(error: unknown): void {
    this.#trouble = error instanceof Error ? error.message : "it could not catch up with the others";
    if (this.#cutOff === NOT_YET) this.#changed(this.#trouble);
  }

  /** What is waited for, in a sentence; null: nothing. */
  async #catchUp(): Promise<string | null> {
    const before = this.#position;
    let sentMs = this.#around.clock.now();
    let there = await this.#report();
    // What was purged before it took part does not concern what is stored here.
    if (before === null) await this.#move(there.position);
    else if (before.generation !== there.position.generation) await this.#forget(there.position);
    else if (this.#isAnother(there.position)) return this.#branch(there.position);
    await this.#payOwed();
    do {
      if (!(await this.#applyUntil(there.position))) return this.#branch(there.position);
      sentMs = this.#around.clock.now();
      there = await this.#report();
      if (there.position.generation !== this.#position!.generation) return this.#again();
    } while (there.position.number > this.#position!.number);
    if (this.#isAnother(there.position)) return this.#again();
    // It may have begun to forget, and found what it knew.
    this.#isForgetting = false;
    // What was purged while it was away may be known to others alone, who say so when they come.
    if (there.isYoung && !this.isServing && before?.generation === there.position.generation) return YOUNG;
    if (!this.#isClosed) this.#takePartUntil(sentMs + this.#times.leaseMs);
    return null;
  }

  async #report(): ReturnType<TierStore["report"]> {
    const { store, machine } = this.#around;
    const there = await store.report(machine, this.#position, this.#times.presenceMs);
    this.#heard = there.position.number;
    return there;
  }

  /** The log's end is where this machine cannot have been before it: it is another log, of the same generation. */
  #isAnother(there: TierPosition): boolean {
    const at = this.#position!;
    return there.number < at.number || (there.number === at.number && there.id !== at.id);
  }

  /** Whoever comes later must not take what he has for all that there was. */
  async #branch(there: TierPosition): Promise<null> {
    // Nothing of before is taken from the others meanwhile, nor behind it.
    const all = this.announce(EVERYTHING);
    try {
      await this.#forget(there);
    } catch (error) {
      this.withdraw(all);
      throw error;
    }
    this.#owe(all);
    return this.#again();
  }

  #again(): null {
    this.#isStepDue = true;
    return null;
  }

  async #payOwed(): Promise<void> {
    for (let own = this.#owed[0]; own !== undefined; own = this.#owed[0]) {
      if ((await this.#around.store.append(this.#position!.generation, own.id, own.text)) === null)
        return void this.#again();
      // Everything may stand in its place by now.
      if (this.#owed[0] === own) this.#owed.shift();
    }
  }

  /** Anything may have been purged meanwhile. */
  async #forget(there: TierPosition): Promise<void> {
    this.#losses++;
    this.#known = [];
    this.#isForgetting = true;
    await this.#around.apply(EVERYTHING);
    await this.#move(there);
    this.#isForgetting = false;
    this.#around.onForgotten?.();
    this.#look();
  }

  /** false: what is logged does not go on from what is known here. */
  async #applyUntil(there: TierPosition): Promise<boolean> {
    // What was logged before it took part is needed to judge the answers of others.
    if (this.#known.length === 0 && there.number > 0) {
      this.#known = (await this.#readAll()).filter((one) => one.number <= this.#position!.number);
    }
    while (this.#position!.number < there.number) {
      const { number, id } = this.#position!;
      const some = await this.#around.store.read(number);
      if (some[0]?.number !== number + 1) {
        // More than the log keeps.
        await this.#forget(there);
        return true;
      }
      if (some[0].before !== id) return false;
      // Known before they are applied, so that answers are compared with each of them at any moment.
      while ((this.#known.at(-1)?.number ?? 0) > number) this.#known.pop();
      this.#known.push(...some);
      for (const { id: own, text } of some) if (!this.#untold.delete(own)) await this.#around.apply(text);
      if (this.#known.length > TIER_LOG_MAX) this.#known.splice(0, this.#known.length - TIER_LOG_MAX);
      const last = some.at(-1)!;
      await this.#move({ generation: there.generation, number: last.number, id: last.id });
    }
    return true;
  }

  async #readAll(): Promise<LoggedText[]> {
    const all: LoggedText[] = [];
    for (;;) {
      const some = await this.#around.store.read(all.at(-1)?.number ?? 0);
      if (some.length === 0) return all;
      all.push(...some);
    }
  }

  async #move(position: TierPosition): Promise<void> {
    await this.#around.writePosition(position);
    this.#position = position;
  }

  #takePartUntil(untilMs: number): void {
    const restMs = untilMs - this.#around.clock.now();
    if (restMs <= 0) return;
    this.#serveUntil(untilMs);
    this.#ending?.cancel();
    this.#ending = this.#around.clock.after(restMs, () => this.#changed(this.#trouble ?? TOO_LATE));
    if (this.#cutOff !== null) this.#changed(null);
  }

  #serveUntil(untilMs: number): void {
    this.#leaseUntilMs = untilMs;
    this.#around.onLease(untilMs);
  }

  #changed(cutOff: string | null): void {
    this.#cutOff = cutOff;
    this.#sinceMs = this.#around.clock.wallMs();
    this.#around.onChange(cutOff);
  }

  /** false: what was logged may have got lost before. */
  async #isAppliedByAll(number: number, losses: number): Promise<boolean> {
    while (!this.#isClosed) {
      const next = this.#nextLook();
      try {
        const there = await this.#machines();
        if (losses !== this.#losses) return false;
        const at = this.#position!;
        if (there?.generation !== at.generation) this.#begin();
        else if (!there.isYoung && at.number >= number && there.applied.every((applied) => applied >= number)) {
          return true;
        }
        await next.promise;
      } finally {
        next.cancel();
      }
    }
    return false;
  }

  /**
   * One question for all who ask at the same time: each change makes everybody ask whose purge is under way, and there may be hundreds.
   * One that is under way already may have been answered before what was logged last: who comes meanwhile waits for the next.
   */
  #machines(): Promise<TierMachines | null> {
    if (this.#asked === null) {
      this.#asked = this.#around.store.machines(this.#times.presenceMs).finally(() => {
        this.#asked = null;
      });
      return this.#asked;
    }
    this.#askedNext ??= this.#asked
      .catch(() => {})
      .then(() => {
        this.#askedNext = null;
        return this.#machines();
      });
    return this.#askedNext;
  }

  #look(): void {
    for (const look of this.#looking) look();
  }

  /** When something has changed since this call, or a moment later. */
  #nextLook(): { readonly promise: Promise<void>; cancel(): void } {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = this.#around.clock.after(LOOK_MS, resolve);
    this.#looking.add(resolve);
    return {
      promise,
      cancel: () => {
        timer.cancel();
        this.#looking.delete(resolve);
      },
    };
  }
}
