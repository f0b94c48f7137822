/**
 * What was found not to be storable, or not to be had, a moment ago: who asks for it again does not wait for anybody. Whether he may
 * store what he fetches is decided elsewhere. Bounded in number and in time; what is forgotten early costs one more request that waits.
 */
import type { Clock } from "../../core/ports.ts";
import type { PassReason } from "../cache.ts";
import type { EntryId } from "../ports.ts";

/** About 10 MiB when it is full of them. */
const PASSES_MAX = 65_536;

interface Pass {
  readonly untilMs: number;
  readonly reason: PassReason;
}

export class PassMemory {
  readonly #clock: Clock;
  readonly #max: number;
  readonly #passes = new Map<EntryId, Pass>();

  constructor(clock: Clock, max = PASSES_MAX) {
    this.#clock = clock;
    this.#max = max;
  }

  remember(id: EntryId, reason: PassReason, ms: number): void {
    if (ms <= 0) return;
    this.#passes.delete(id);
    // A map gives what was put in first first.
    if (this.#passes.size >= this.#max) this.#passes.delete(this.#passes.keys().next().value!);
    this.#passes.set(id, { untilMs: this.#clock.now() + ms, reason });
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

  /** How long it is still to be passed. */
  msFor(id: EntryId): number {
    const pass = this.#passes.get(id);
    return pass === undefined ? 0 : Math.max(0, pass.untilMs - this.#clock.now());
  }
}
