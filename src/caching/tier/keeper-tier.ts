/** What the keeper of a cache has of the machines that it shares with: their answers, and their purges, which are its own too. */
import type { Clock } from "../../core/ports.ts";
import type { PurgePattern } from "../cache.ts";
import type { Keeper } from "../keeping/keeper.ts";
import type { PurgeOutcome, SharingStats } from "../operating.ts";
import type { EntryId } from "../ports.ts";
import { TierMember, type TierTimes } from "./member.ts";
import type { TierPosition, TierStore } from "./ports.ts";
import { decodeTierPurge, encodeTierPurge } from "./purges.ts";
import type { TierMark } from "./shared-answer.ts";
import { type AnswerToGive, type SeenAnswer, SharedAnswers, type TierFinding } from "./shared-answers.ts";

const POSITION_FACT = "tier";

export interface KeeperTierParts {
  readonly keeper: Keeper;
  readonly store: TierStore;
  readonly clock: Clock;
  readonly times?: TierTimes;
  /** No other machine has it, nor had it before a restart. */
  readonly machine: string;
  /** It takes part from now on, or does not any more, or cannot begin to, with the reason. */
  readonly onChange?: (cutOff: string | null) => void;
  /** All that was stored here is gone, since what was purged meanwhile is not known any more. */
  readonly onForgotten?: () => void;
}

/** What the broker of fills asks of it. */
export interface FillTier {
  mark(): TierMark | null;
  find(id: EntryId, key: string, seen: SeenAnswer | null): Promise<TierFinding>;
  give(given: AnswerToGive): Promise<void>;
  confirm(given: AnswerToGive): Promise<void>;
  invalidate(key: string): void;
  invalidateTag(tag: string): void;
}

export class KeeperTier implements FillTier {
  readonly #keeper: Keeper;
  readonly #member: TierMember;
  readonly #answers: SharedAnswers;

  constructor({ keeper, store, clock, times, machine, onChange = () => {}, onForgotten }: KeeperTierParts) {
    this.#keeper = keeper;
    const { keeping } = keeper;
    const { shared, books } = keeping.around;
    // Nothing is found before it takes part.
    shared.leaseUntilMs = 0;
    this.#member = new TierMember({
      store,
      clock,
      ...(times === undefined ? {} : { times }),
      machine,
      apply: (text) => this.#apply(text),
      onLease: (untilMs) => {
        shared.leaseUntilMs = untilMs;
      },
      onChange,
      ...(onForgotten !== undefined && { onForgotten }),
      readPosition: () => decodePosition(books.readFact(POSITION_FACT)),
      writePosition: (position) => books.writeFact(POSITION_FACT, Buffer.from(JSON.stringify(position))),
    });
    this.#answers = new SharedAnswers({ store, member: this.#member, keeping, books, clock });
  }

  /** Other machines can be asked, and told. */
  get isServing(): boolean {
    return this.#member.isServing;
  }

  stats(): SharingStats {
    const { cutOff, sinceMs, behind, owed } = this.#member.state;
    return { cutOff, since: new Date(sinceMs).toISOString(), ...this.#answers.counts, behind, owed };
  }

  /** Until it has caught up with the others, nothing is found in the cache. */
  start(): void {
    this.#member.start();
  }

  mark(): TierMark | null {
    return this.#answers.mark();
  }

  find(id: EntryId, key: string, seen: SeenAnswer | null): Promise<TierFinding> {
    return this.#answers.find(id, key, seen);
  }

  give(given: AnswerToGive): Promise<void> {
    return this.#answers.give(given);
  }

  confirm(given: AnswerToGive): Promise<void> {
    return this.#answers.confirm(given);
  }

  /**
   * Resolves when it is in force on every machine that is there, and done on this one. Rejects when the others cannot be told now: it
   * is in force here, and they are told when that can be done.
   */
  async purge(pattern: PurgePattern, { soft }: { readonly soft: boolean }): Promise<PurgeOutcome> {
    const own = this.#member.announce(encodeTierPurge({ kind: "pattern", pattern, isSoft: soft }));
    let done: Promise<PurgeOutcome>;
    try {
      ({ outcome: done } = await this.#keeper.enforce(pattern, soft));
    } catch (error) {
      this.#member.withdraw(own);
      throw error;
    }
    const [here, everywhere] = await Promise.allSettled([done, this.#member.tell(own)]);
    if (here.status === "rejected") throw here.reason;
    if (everywhere.status === "rejected") {
      const why = everywhere.reason instanceof Error ? everywhere.reason.message : "they cannot be asked";
      throw new Error(`the purge is in force on this machine, and on the others as soon as they can be told: ${why}`);
    }
    return here.value;
  }

  /** The others are told; nobody waits for them. Here it is the keeper's, from now on. */
  invalidate(key: string): void {
    this.#tell(encodeTierPurge({ kind: "key", key }));
  }

  invalidateTag(tag: string): void {
    this.#tell(encodeTierPurge({ kind: "pattern", pattern: { kind: "tag", text: tag }, isSoft: false }));
  }

  /** Before the keeper. */
  close(): Promise<void> {
    return this.#member.close();
  }

  #tell(text: string): void {
    this.#member.tell(this.#member.announce(text)).catch(() => {});
  }

  async #apply(text: string): Promise<void> {
    const purge = decodeTierPurge(text);
    switch (purge.kind) {
      case "pattern":
        return void (await this.#keeper.enforce(purge.pattern, purge.isSoft));
      case "key":
        return this.#keeper.keeping.invalidate(purge.key);
      case "everything":
        return void (await this.#keeper.enforce({ kind: "prefix", text: "" }, false));
    }
  }
}

function decodePosition(fact: Buffer | null): TierPosition | null {
  if (fact === null) return null;
  try {
    const { generation, number, id } = JSON.parse(fact.toString()) as Record<string, unknown>;
    if (typeof generation === "string" && Number.isSafeInteger(number) && typeof id === "string") {
      return { generation, number: number as number, id };
    }
  } catch {
    // Below.
  }
  // Nobody knows where it was: as if the log had been lost since.
  return { generation: "", number: 0, id: "" };
}
