/**
 * This machine among those that share a cache. It may serve while it holds a lease: it has applied the whole log of purges, and has
 * said so, a short time ago. The lease ends by the clock, whoever looks at it: no timer has to fire. A purge is done when every machine that is there has applied it; a machine that does not say so is there
 * no more when its presence ends, which is after its lease has: it serves nothing until it has applied what it missed. What the log
 * does not hold any more, or what was lost with it, may have been anything: then all is forgotten.
 */
import type { Clock, TimerHandle } from "../../core/ports.ts";
import { type LoggedText, TIER_LOG_MAX, type TierPosition, type TierStore } from "./ports.ts";
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
const OWED_MAX = 1000;

export interface MemberSurroundings {
  readonly store: TierStore;
  readonly clock: Clock;
  readonly times?: TierTimes;
  /** No other machine has it. */
  readonly machine: string;
  /** Resolves when it is in force on this machine. EVERYTHING: all goes. */
  readonly apply: (text: string) => Promise<void>;
  /** It may serve until then, by the clock. */
  readonly onLease: (untilMs: number) => void;
  /** What survives a restart. */
  readonly readPosition: () => TierPosition | null;
  readonly writePosition: (position: TierPosition) => Promise<void>;
}

export class TierMember {
  readonly #around: MemberSurroundings;
  readonly #times: TierTimes;
  /** Up to where the log is applied here; null: it never took part. */
  #position: TierPosition | null;
  /** What is known of the log, in order, also of what was applied before. */
  #known: LoggedText[] = [];
  #leaseUntilMs = 0;
  /** Until then others may serve by leases of which this log knows nothing: they were given before it was made. */
  #othersUntilMs = 0;
  #isClosed = false;
  #timer: TimerHandle | null = null;
  #step: Promise<void> | null = null;
  #isStepDue = false;
  readonly #owed: string[] = [];
  readonly #looking = new Set<() => void>();

  constructor(around: MemberSurroundings) {
    this.#around = around;
    this.#times = around.times ?? TIER_TIMES;
    this.#position = around.readPosition();
    around.store.onChange = () => {
      for (const look of this.#looking) look();
      this.#begin();
    };
  }

  get isServing(): boolean {
    return this.#around.clock.now() < this.#leaseUntilMs;
  }

  /** The number of the last purge that is in force here. */
  get applied(): number {
    return this.#position?.last ?? 0;
  }

  get generation(): string {
    return this.#position?.generation ?? "";
  }

  /** What was logged behind this number; null: not all of it is known any more. */
  logBehind(number: number): readonly LoggedText[] | null {
    const [first] = this.#known;
    if (number > this.applied || (first === undefined ? number < this.applied : number < first.number - 1)) return null;
    return this.#known.filter((logged) => logged.number > number);
  }

  start(): void {
    this.#around.store.start();
    this.#begin();
  }

  /**
   * Resolves when every machine that is there has applied it, this one too. Rejects when it cannot be logged: the others get it when
   * that can be done again. It is to be in force here before.
   */
  async purge(text: string): Promise<void> {
    const { store } = this.#around;
    if (!this.isServing) {
      this.#owe(text);
      throw new Error("the machines that share the cache cannot be told now; they will be");
    }
    let number: number;
    try {
      number = await store.append(text);
    } catch (error) {
      this.#owe(text);
      throw error;
    }
    this.#begin();
    await this.#appliedByAll(number);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#serveUntil(0);
    for (const look of this.#looking) look();
    await this.#step;
    // Without it, purges wait until its presence ends.
    await this.#around.store.leave(this.#around.machine).catch(() => {});
    await this.#around.store.close();
  }

  #owe(text: string): void {
    if (this.#owed.length >= OWED_MAX) this.#owed.splice(0, this.#owed.length, EVERYTHING);
    else this.#owed.push(text);
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
      // The lease ends by itself; who watches the link has told of it.
      .catch(() => {})
      .finally(() => {
        this.#step = null;
        if (this.#isStepDue) this.#begin();
        else if (!this.#isClosed) this.#timer = this.#around.clock.after(this.#times.renewMs, () => this.#begin());
      });
  }

  async #catchUp(): Promise<void> {
    const { store, machine, clock } = this.#around;
    let sentMs = clock.now();
    const before = this.#position;
    let there = await store.renew(machine, this.applied, this.#times.presenceMs);
    if (before?.generation !== there.generation) this.#meetLog();
    while (this.#owed.length > 0) {
      await store.append(this.#owed[0]!);
      this.#owed.shift();
    }
    // What was purged before it took part does not concern what is stored here.
    if (before === null) await this.#move(there);
    else if (before.generation !== there.generation || before.last > there.last) await this.#forget(there);
    do {
      await this.#applyUntil(there.last);
      sentMs = clock.now();
      there = await store.renew(machine, this.applied, this.#times.presenceMs);
      if (there.generation !== this.generation) return this.#around.store.onChange();
    } while (there.last > this.applied);
    if (!this.#isClosed) this.#serveUntil(sentMs + this.#times.leaseMs);
  }

  /** A log that was not here before: it may have been made a moment ago, in the place of one that was lost. */
  #meetLog(): void {
    this.#serveUntil(0);
    this.#othersUntilMs = this.#around.clock.now() + this.#times.leaseMs;
  }

  /** Anything may have been purged meanwhile. */
  async #forget(there: TierPosition): Promise<void> {
    this.#known = [];
    await this.#around.apply(EVERYTHING);
    await this.#move(there);
  }

  async #applyUntil(last: number): Promise<void> {
    // What was logged before it took part is needed to judge the answers of others.
    if (this.#known.length === 0 && last > 0)
      this.#known = [...(await this.#readFrom(0))].filter((one) => one.number <= this.applied);
    while (this.applied < last) {
      const some = await this.#around.store.read(this.applied);
      if (some[0]?.number !== this.applied + 1) {
        await this.#forget({ generation: this.generation, last });
        continue;
      }
      for (const { text } of some) await this.#around.apply(text);
      this.#known.push(...some);
      if (this.#known.length > TIER_LOG_MAX) this.#known.splice(0, this.#known.length - TIER_LOG_MAX);
      await this.#move({ generation: this.generation, last: some.at(-1)!.number });
    }
  }

  async #readFrom(after: number): Promise<LoggedText[]> {
    const all: LoggedText[] = [];
    for (;;) {
      const some = await this.#around.store.read(all.at(-1)?.number ?? after);
      if (some.length === 0) return all;
      all.push(...some);
    }
  }

  async #move(position: TierPosition): Promise<void> {
    await this.#around.writePosition(position);
    this.#position = position;
  }

  #serveUntil(untilMs: number): void {
    this.#leaseUntilMs = untilMs;
    this.#around.onLease(untilMs);
  }

  async #appliedByAll(number: number): Promise<void> {
    const { store, clock } = this.#around;
    while (!this.#isClosed) {
      const changed = this.#changed();
      try {
        const machines = await store.machines();
        const isApplied = [...machines.values()].every((applied) => applied >= number) && this.applied >= number;
        if (isApplied && clock.now() >= this.#othersUntilMs) return;
        await changed.promise;
      } finally {
        changed.cancel();
      }
    }
    throw new Error("the cache is closed");
  }

  /** When something has changed since this call, or a moment later. */
  #changed(): { readonly promise: Promise<void>; cancel(): void } {
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
