/**
 * What becomes of a cache whose disk is full or fails: nothing more is stored, and now and then it is tried whether that has passed.
 * What must not be found any more and could not be removed is owed; until it is done, nothing is found at all, and should the process
 * end before that, the next one begins with nothing.
 *
 * One line of the log says that it began, and one that it is over, which is when something was really stored again: a disk that takes
 * a trial and then fails again says nothing new.
 */
import type { Clock, TimerHandle } from "../../core/ports.ts";
import type { CacheBooks } from "../ports.ts";
import { DISK_STATES, type SharedCache } from "../shared.ts";

/** From the failure to the first trial; twice as long with each that fails. */
const TRIAL_MS_FIRST = 10_000;
const TRIAL_MS_MAX = 600_000;
/** What a trial writes: more than what is left of a last block. */
const TRIAL_BYTES = 64 * 1024;

export interface DiskEvents {
  /** Why, as the system says it. */
  onTrouble(reason: string): void;
  onRecovered(): void;
}

export interface DiskHealthSurroundings {
  readonly books: CacheBooks;
  readonly clock: Clock;
  readonly shared: SharedCache;
  readonly events: DiskEvents;
  newBodyId(): number;
}

export class DiskHealth {
  readonly #around: DiskHealthSurroundings;
  #reason: string | null = null;
  #trialMs = TRIAL_MS_FIRST;
  #timer: TimerHandle | null = null;
  /** By what it is about: the same is owed once, however often it is asked for meanwhile. */
  readonly #owed = new Map<string, () => Promise<void>>();
  #isClosed = false;

  constructor(around: DiskHealthSurroundings) {
    this.#around = around;
  }

  /** Why nothing is stored; null: it works, or may work again. */
  get trouble(): string | null {
    return this.#around.shared.diskState === DISK_STATES.works ? null : this.#reason;
  }

  /** Something could not be written. */
  failed(error: unknown): void {
    if (this.#isClosed) return;
    const { shared, events, clock } = this.#around;
    const isNews = this.#reason === null;
    this.#reason = error instanceof Error ? error.message : String(error);
    if (shared.diskState === DISK_STATES.works) shared.diskState = DISK_STATES.storesNothing;
    if (isNews) events.onTrouble(this.#reason);
    if (this.#timer !== null) return;
    this.#timer = clock.after(this.#trialMs, () => {
      this.#timer = null;
      void this.#try();
    });
    this.#trialMs = Math.min(this.#trialMs * 2, TRIAL_MS_MAX);
  }

  /** Something that must be done before anything is found again could not be: `act` does it, or rejects. `what` names it. */
  owe(error: unknown, what: string, act: () => Promise<void>): void {
    this.#owed.set(what, act);
    this.#around.books.distrust(true);
    this.#around.shared.diskState = DISK_STATES.servesNothing;
    this.failed(error);
  }

  /** Something was stored. */
  worked(): void {
    if (this.#reason === null || this.#around.shared.diskState !== DISK_STATES.works) return;
    this.#reason = null;
    this.#trialMs = TRIAL_MS_FIRST;
    this.#around.events.onRecovered();
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  async #try(): Promise<void> {
    const { shared, books } = this.#around;
    try {
      while (this.#owed.size > 0) {
        for (const [what, act] of this.#owed) {
          await act();
          // It may be owed again by now.
          if (this.#owed.get(what) === act) this.#owed.delete(what);
        }
      }
      if (shared.diskState === DISK_STATES.servesNothing) {
        books.distrust(false);
        shared.diskState = DISK_STATES.storesNothing;
      }
      await this.#writeTrial();
      // What came to be owed meanwhile has set another trial.
      if (this.#owed.size === 0) shared.diskState = DISK_STATES.works;
    } catch (error) {
      this.failed(error);
    }
  }

  async #writeTrial(): Promise<void> {
    const { books, newBodyId } = this.#around;
    const file = books.createBody(newBodyId());
    try {
      await file.append(Buffer.alloc(TRIAL_BYTES));
    } finally {
      file.discard();
      file.letGo();
    }
    // Last: where there is no room for a file, the library of the books need not find out, which does not keep that to itself.
    await books.writeFact("trial", Buffer.alloc(1));
  }
}
