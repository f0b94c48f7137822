/**
 * What machines share that share a cache: answers, a log of purges, and who takes part. io/redis has it on Redis, testing in memory;
 * one suite runs against both. What it means is decided by TierMember and SharedAnswers, which know no Redis.
 */
import type { EntryId } from "../ports.ts";

/** A place in the log: behind an entry, or before the first one. */
export interface TierPosition {
  /** Of the log: another one after its loss, so that numbers of the two are not compared. */
  readonly generation: string;
  /** Of the entry: the first one has 1, and each one more; 0: there is none before. */
  readonly number: number;
  /**
   * The entry's own: of two logs that have begun as one, which happens when a server takes over that had not seen all, two entries of
   * one number have different ids. "" with 0.
   */
  readonly id: string;
}

export interface LoggedText {
  readonly number: number;
  readonly id: string;
  /** The id of the one before it; "": it is the first one. */
  readonly before: string;
  readonly text: string;
}

export interface TierReport {
  /** Behind the last entry. */
  readonly position: TierPosition;
  /**
   * The server is another one than it was a presence ago, or was started anew: it may not know all machines that are there, and
   * perhaps not all that was logged.
   */
  readonly isYoung: boolean;
}

/** The machines that are there. */
export interface TierMachines {
  readonly generation: string;
  readonly isYoung: boolean;
  /** Up to which number each has applied this log; -1: it knows another one. */
  readonly applied: readonly number[];
}

/** An answer as it is shared, or the beginning of it. */
export interface SharedBytes {
  readonly head: Buffer;
  /** The whole body, when that is small and not empty. */
  readonly small: Buffer | null;
  /** For how long it is there still, by the one clock that all machines share. */
  readonly restMs: number;
}

/** All promises reject with an Error when it cannot be reached, within a bounded time. Its message may be logged. */
export interface TierStore {
  /** null: there is nothing. */
  get(id: EntryId): Promise<SharedBytes | null>;
  /** Of a body that is not small: its first so many blocks, perhaps those of another one by now. null: not all are there. */
  blocks(id: EntryId, count: number): Promise<readonly Buffer[] | null>;
  /** Replaces what stands there. Gone after `ttlMs`, or when there is no room. `body`: tells it from other bodies. */
  put(id: EntryId, head: Buffer, body: string, blocks: readonly Buffer[], ttlMs: number): Promise<void>;
  /** Another head for what stands there, and a new time. false: it has another body, or is gone. */
  confirm(id: EntryId, head: Buffer, body: string, ttlMs: number): Promise<boolean>;
  /**
   * Adds to the log, which keeps the last TIER_LOG_MAX; again with the same id changes nothing. Resolves with its number; null: the log is
   * of another generation.
   */
  append(generation: string, id: string, text: string): Promise<number | null>;
  /** The machine is there for `presenceMs`, and has applied the log up to `at`; null: nothing yet. */
  report(machine: string, at: TierPosition | null, presenceMs: number): Promise<TierReport>;
  /** What is left of the log behind `after`, in order: some, or all. */
  read(after: number): Promise<readonly LoggedText[]>;
  /** null: it is lost, until somebody reports. */
  machines(presenceMs: number): Promise<TierMachines | null>;
  /** The machine is there no more. */
  leave(machine: string): Promise<void>;
  /** The log may have changed, or it can be reached again. Set by who uses it, before `start`. */
  onLog: () => void;
  /** The machines that were asked for may have changed. */
  onMachines: () => void;
  start(): void;
  close(): Promise<void>;
}

/** Who was away for more purges than this forgets everything; as many may be compared with each answer that is taken. */
export const TIER_LOG_MAX = 10_000;
