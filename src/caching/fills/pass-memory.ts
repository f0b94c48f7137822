/**
 * What was found not to be storable, or not to be had, a moment ago: who asks for it again does not wait for anybody. Whether he may
 * store what he fetches is decided elsewhere. Bounded in number and in time; what is forgotten early costs one more request that waits.
 */
import { FifoMap } from "../../core/fifo-map.ts";
import type { Clock } from "../../core/ports.ts";
import type { PassReason } from "../cache.ts";
import type { EntryId } from "../ports.ts";

/** About 10 MiB when it is full of them. */
const PASSES_MAX = 65_536;

/**
 * What was found so once may be otherwise the next time. What was so again and again is looked at after a tenth of a second more each
 * time: a fetch that could be stored costs several times one that only passes, and a site may have nothing but pages for one user.
 */
const REST_STEP_MS = 100;
const REST_MAX_MS = 1_000;

interface Pass {
  readonly reason: PassReason;
  readonly sinceMs: number;
  readonly untilMs: number;
  /** How often in a row it was found so. */
  readonly times: number;
}

export class PassMemory {
  readonly #clock: Clock;
  readonly #max: number;
  readonly #passes = new FifoMap<EntryId, Pass>();

  constructor(clock: Clock, max = PASSES_MAX) {
    this.#clock = clock;
    this.#max = max;
  }

  remember(id: EntryId, reason: PassReason, ms: number): void {
    if (ms <= 0) return;
    const before = this.#passes.get(id);
    const times = before?.reason === reason ? before.times + 1 : 1;
    if (before === undefined && this.#passes.size >= this.#max) this.#passes.delete(this.#passes.oldest!);
    const sinceMs = this.#clock.now();
    this.#passes.set(id, { reason, sinceMs, untilMs: sinceMs + ms, times });
  }

  /** null: it is to be asked for as anything else. */
  reasonFor(id: EntryId): PassReason | null {
    if (this.#passes.size === 0) return null;
    const pass = this.#passes.get(id);
    if (pass === undefined) return null;
    if (this.#clock.now() < pass.untilMs) return pass.reason;
    this.#passes.delete(id);
    return null;
  }

  forget(id: EntryId): void {
    this.#passes.delete(id);
  }

  /** For how long nobody need look whether it is still so. */
  restMsFor(id: EntryId): number {
    const pass = this.#passes.get(id);
    if (pass === undefined) return 0;
    const restMs = Math.min(REST_STEP_MS * (pass.times - 1), REST_MAX_MS);
    return Math.max(0, pass.sinceMs + restMs - this.#clock.now());
  }

  /** How long it is still to be passed. */
  msFor(id: EntryId): number {
    const pass = this.#passes.get(id);
    return pass === undefined ? 0 : Math.max(0, pass.untilMs - this.#clock.now());
  }
}
