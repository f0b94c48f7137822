/**
 * All deadlines of a thread on one timer wheel. Arming one is storing a number: a deadline that is pushed back stays in
 * its old slot, and is moved only when that slot comes up. So the two or three deadlines of a request cost nothing that
 * a profile shows, and no timer object is ever made for a request.
 *
 * Time is coarse on purpose: a deadline fires within three ticks after its time, never before it. Arming does not read
 * the clock; where the process was held up meanwhile, what was armed in that time is pushed back by as much.
 *
 * After a tick in which nothing was armed the wheel rests until the next slot that holds something, or until something is
 * armed: a process that nobody asks should not wake twenty times a second in each of its threads.
 */
import type { Clock, TimerHandle } from "./ports.ts";

/** Precision of every deadline. nginx rounds to its event loop, HAProxy to milliseconds; nobody sets a limit below 100 ms. */
export const TICK_MS = 50;
/** Slots of the wheel: one turn covers 51.2 s; later deadlines go round again. A power of two. */
const SLOTS = 1024;

/** One deadline that can be armed again and again. Owned by whoever waits; `onDeadline` is called once per arming. */
export class Deadline {
  /** Linked into a slot of the wheel, or null. */
  next: Deadline | null = null;
  previous: Deadline | null = null;
  /** The tick at which it fires; -1 when it is not armed. */
  dueTick = -1;
  /** The tick of the slot that it is linked into; -1 when it is not linked. */
  slotTick = -1;
  /** The wheel's tick when it was armed last; -1: how late the wheel was then is in `dueTick` already. */
  armedTick = -1;
  readonly #wheel: DeadlineWheel;
  readonly onDeadline: () => void;

  constructor(wheel: DeadlineWheel, onDeadline: () => void) {
    this.#wheel = wheel;
    this.onDeadline = onDeadline;
  }

  /** Fires `ms` milliseconds from now unless armed anew or disarmed before. */
  arm(ms: number): void {
    this.#wheel.arm(this, ms);
  }

  /** Stays linked, so that arming again soon is free; the wheel drops it when its slot comes up. */
  disarm(): void {
    this.dueTick = -1;
  }

  get armed(): boolean {
    return this.dueTick >= 0;
  }

  /** Disarms and unlinks: its owner is gone, and must not be kept in memory by the wheel. */
  dispose(): void {
    this.#wheel.remove(this);
  }
}

export class DeadlineWheel {
  readonly #clock: Clock;
  readonly #slots: (Deadline | null)[] = new Array<Deadline | null>(SLOTS).fill(null);
  readonly #startMs: number;
  /** By the tick in which it was armed, how many ticks the clock had run ahead when the wheel turned next. Of one turn. */
  readonly #lateBy = new Int32Array(SLOTS);
  /** The last tick whose slot was emptied. */
  #tick = 0;
  /** Deadlines linked into the wheel, armed or not. */
  #linked = 0;
  /** It ticks; otherwise it rests. */
  #turns = false;
  /** The next tick, or the end of the rest. */
  #timer: TimerHandle | null = null;
  /** The tick with which the rest ends, unless something is armed before. */
  #restUntilTick = Number.POSITIVE_INFINITY;
  /** Something was armed since the last tick. */
  #wasArmed = false;
  readonly #onTick = (): void => this.#advance();

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#startMs = clock.now();
  }

  /** The clock as it was at the last tick, or would have been: for who asks on the path of a request and needs no more than TICK_MS. */
  get coarseMs(): number {
    return this.#startMs + (this.#turns ? this.#tick : this.#tickAtRest()) * TICK_MS;
  }

  /** Deadlines that are linked: for tests that count what is left. */
  get size(): number {
    return this.#linked;
  }

  /** Deadlines that are armed. Walks the wheel: for tests and shutdown only. */
  get armedCount(): number {
    let count = 0;
    for (const head of this.#slots) {
      for (let deadline = head; deadline !== null; deadline = deadline.next) if (deadline.dueTick >= 0) count++;
    }
    return count;
  }

  arm(deadline: Deadline, ms: number): void {
    // While the wheel turns, its tick is at most one behind the clock; two are added so that nothing fires early.
    if (!this.#turns) this.#wake();
    this.#wasArmed = true;
    const due = this.#tick + (ms > 0 ? Math.ceil(ms / TICK_MS) : 0) + 2;
    deadline.dueTick = due;
    deadline.armedTick = this.#tick;
    if (deadline.slotTick < 0) this.#link(deadline, due);
    else if (due < deadline.slotTick) {
      this.#unlink(deadline);
      this.#link(deadline, due);
    }
  }

  remove(deadline: Deadline): void {
    deadline.dueTick = -1;
    if (deadline.slotTick >= 0) this.#unlink(deadline);
  }

  #wake(): void {
    this.#timer?.cancel();
    this.#tick = this.#tickAtRest();
    this.#turns = true;
    // With the beginning of the next tick, as if it had never rested: what is due then must not wait for a whole one from now.
    this.#timer = this.#clock.after(Math.max(0, this.#timeOf(this.#tick + 1) - this.#clock.now()), this.#onTick);
  }

  #tickNext(): void {
    this.#timer = this.#clock.after(TICK_MS, this.#onTick);
  }

  #rest(): void {
    this.#turns = false;
    this.#timer = null;
    this.#restUntilTick = Number.POSITIVE_INFINITY;
    if (this.#linked === 0) return;
    let tick = this.#tick + 1;
    while (this.#slots[tick & (SLOTS - 1)] === null) tick++;
    this.#restUntilTick = tick;
    this.#timer = this.#clock.after(this.#timeOf(tick) - this.#clock.now(), this.#onTick);
  }

  /** Where the timer is late, the slot with which the rest ends is still to be emptied: the wheel does not pass it. */
  #tickAtRest(): number {
    return Math.min(this.#tickNow(), this.#restUntilTick - 1);
  }

  #timeOf(tick: number): number {
    return this.#startMs + tick * TICK_MS;
  }

  #tickNow(): number {
    return Math.floor((this.#clock.now() - this.#startMs) / TICK_MS);
  }

  #link(deadline: Deadline, tick: number): void {
    const slot = tick & (SLOTS - 1);
    const head = this.#slots[slot]!;
    deadline.slotTick = tick;
    deadline.previous = null;
    deadline.next = head;
    if (head !== null) head.previous = deadline;
    this.#slots[slot] = deadline;
    this.#linked++;
  }

  #unlink(deadline: Deadline): void {
    if (deadline.previous !== null) deadline.previous.next = deadline.next;
    else this.#slots[deadline.slotTick & (SLOTS - 1)] = deadline.next;
    if (deadline.next !== null) deadline.next.previous = deadline.previous;
    deadline.next = deadline.previous = null;
    deadline.slotTick = -1;
    this.#linked--;
  }

  #advance(): void {
    const last = this.#tick;
    const now = this.#tickNow();
    const wasArmed = this.#wasArmed;
    // Before any callback: what callbacks arm counts from now.
    this.#tick = now;
    this.#turns = true;
    this.#wasArmed = false;
    // What was armed since then counted from a tick that was too low. It is pushed back when its slot comes up: each does in one turn of
    // the wheel, and there may be hundreds of thousands.
    this.#lateBy[last & (SLOTS - 1)] = Math.max(0, now - last - 1);
    // After a long pause of the process one full turn visits every slot; more would visit them again for nothing.
    const faults: unknown[] = [];
    for (let tick = Math.max(last, now - SLOTS) + 1; tick <= now; tick++) this.#empty(tick, now, faults);
    if (wasArmed || this.#wasArmed) this.#tickNext();
    else this.#rest();
    if (faults.length > 0) throw faults[0];
  }

  #pushBack(deadline: Deadline): void {
    if (deadline.dueTick >= 0) deadline.dueTick += this.#lateBy[deadline.armedTick & (SLOTS - 1)]!;
    deadline.armedTick = -1;
  }

  /**
   * Fires what is due in the slot of `tick`, moves what was pushed back, drops what was disarmed. What a callback throws is
   * kept until all have had their turn: a deadline that is lost is a connection that stays for ever.
   */
  #empty(tick: number, now: number, faults: unknown[]): void {
    // Taken out of the slot first: a callback may arm, disarm or dispose any deadline, those of this slot included.
    const due: Deadline[] = [];
    let deadline: Deadline | null = this.#slots[tick & (SLOTS - 1)]!;
    while (deadline !== null) {
      const next: Deadline | null = deadline.next;
      if (deadline.armedTick >= 0 && deadline.armedTick < now) this.#pushBack(deadline);
      if (deadline.dueTick < 0) this.#unlink(deadline);
      else if (deadline.dueTick <= now) {
        this.#unlink(deadline);
        due.push(deadline);
      } else if (deadline.slotTick <= now) {
        this.#unlink(deadline);
        this.#link(deadline, deadline.dueTick);
      }
      deadline = next;
    }
    for (const fired of due) {
      if (fired.slotTick >= 0 || fired.dueTick < 0) continue;
      fired.dueTick = -1;
      try {
        fired.onDeadline();
      } catch (thrown) {
        faults.push(thrown);
      }
    }
  }
}
