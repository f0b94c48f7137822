/**
 * What machines share that share a cache: answers, a log of purges, and who takes part. io/redis has it on Redis, testing in memory;
 * one suite runs against both. What it means is decided by TierMember and SharedAnswers, which know no Redis.
 */
import type { EntryId } from "../ports.ts";

export interface LoggedText {
  /** The first one of a log has 1, and each one more. */
  readonly number: number;
  readonly text: string;
}

export interface TierPosition {
  /** Of the log: another one after its loss, so that numbers of the two are not compared. */
  readonly generation: string;
  /** The number of the last that was logged; 0: there is none. */
  readonly last: number;
}

/** All promises reject with an Error when it cannot be reached, within a bounded time. Its message may be logged. */
export interface TierStore {
  /** Its parts, as they were put together; null: there is nothing, or not all of it. */
  get(id: EntryId): Promise<readonly Buffer[] | null>;
  /** Replaces what stands there. Gone after `ttlMs`, or when there is no room. */
  put(id: EntryId, parts: readonly Buffer[], ttlMs: number): Promise<void>;
  /** Adds to the log, which keeps the last TIER_LOG_MAX. Resolves with its number. */
  append(text: string): Promise<number>;
  /** The machine is there for `ttlMs`, and has applied the log up to this number. Resolves with where the log is. */
  renew(machine: string, applied: number, ttlMs: number): Promise<TierPosition>;
  /** What is left of the log behind `after`, in order: some, or all. */
  read(after: number): Promise<readonly LoggedText[]>;
  /** How far each machine is that is there. */
  machines(): Promise<ReadonlyMap<string, number>>;
  /** The machine is there no more. */
  leave(machine: string): Promise<void>;
  /** The log or the machines may have changed, or it can be reached again. Set by who uses it, before `start`. */
  onChange: () => void;
  start(): void;
  close(): Promise<void>;
}

/** Who was away for more purges than this forgets everything; as many may be compared with each answer that is taken. */
export const TIER_LOG_MAX = 1000;
