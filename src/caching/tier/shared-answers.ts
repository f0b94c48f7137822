/**
 * The answers that machines share, as the keeper of one of them uses them: before something is fetched, it looks whether another
 * machine has it, and stores it here as if it had been fetched; what was fetched and stored here is given to the others. All of it is
 * a favour: where anything is in doubt, or in the way, the origin is asked.
 */
import type { Clock } from "../../core/ports.ts";
import type { AnswerHead } from "../cache.ts";
import { entryIdOf } from "../keeping/entry-id.ts";
import type { AnswerToKeep, Keeping } from "../keeping/keeping.ts";
import { type AnswerRecord, BLOCK_BYTES } from "../keeping/record.ts";
import type { CacheBooks, EntryId } from "../ports.ts";
import type { TierMember } from "./member.ts";
import type { LoggedText, TierStore } from "./ports.ts";
import { decodeTierPurge, isMetBy, type TierPurge } from "./purges.ts";
import { decodeShared, encodeAnswer, encodeVary, type SharedEntry, type TierMark } from "./shared-answer.ts";

/** A larger one takes longer to get from another machine's memory than it is worth: half of a second at 256 Mbit/s, in one piece. */
export const TIER_BODY_BYTES_MAX = 16 * 1024 * 1024;
/** Answers on their way to the others, which are in memory meanwhile. More at a time are not given. */
const PUTS_MAX = 8;
/** What is fresh for less is hardly there before it is stale. */
const TTL_MS_MIN = 1000;
/** As long as caches keep what nobody asks for. */
const TTL_MS_MAX = 30 * 86_400_000;

export type TierFinding =
  /** It is stored here now. */
  | { readonly kind: "kept" }
  /** Answers of the key vary by these fields: it is to be looked for again. */
  | { readonly kind: "names"; readonly names: readonly string[] }
  | { readonly kind: "none" };

export interface SharedAnswersParts {
  readonly store: TierStore;
  readonly member: TierMember;
  readonly keeping: Pick<Keeping, "keep" | "mark" | "newBodyId">;
  readonly books: Pick<CacheBooks, "createBody" | "openBody">;
  readonly clock: Clock;
}

const NONE: TierFinding = { kind: "none" };

export class SharedAnswers {
  readonly #parts: SharedAnswersParts;
  readonly #purges = new WeakMap<LoggedText, TierPurge>();
  #puts = 0;

  constructor(parts: SharedAnswersParts) {
    this.#parts = parts;
  }

  /** What a fetch that begins now says when it is given to the others; null: it will not be. */
  mark(): TierMark | null {
    const { isServing, generation, applied } = this.#parts.member;
    return isServing ? { generation, number: applied } : null;
  }

  /** `seenMs`: when what is here was received; 0: there is nothing. Never rejects. */
  async find(id: EntryId, key: string, seenMs: number): Promise<TierFinding> {
    const { store, member, keeping } = this.#parts;
    if (!member.isServing) return NONE;
    const since = keeping.mark();
    try {
      const parts = await store.get(id);
      const entry = parts === null ? null : decodeShared(id, key, parts);
      if (entry === null) return NONE;
      if (entry.kind === "vary") return { kind: "names", names: entry.names };
      const { receivedMs } = entry.record.head;
      if (receivedMs <= seenMs || this.#freshMs(entry.record.head) <= 0 || this.#isPurged(entry)) return NONE;
      const { names, values, record } = entry;
      const body = await this.#bodyOf(entry);
      const vary = names.length === 0 ? null : { names, values };
      const outcome = await keeping.keep({ key, head: record.head, body, vary, since });
      return outcome.isKept ? { kind: "kept" } : NONE;
    } catch {
      // Who watches the link has told of it, and so has the keeper of its disk.
      return NONE;
    }
  }

  /** It was stored here. `id`: under which it was fetched; `mark`: from when that began. Never rejects. */
  async put(id: EntryId, { key, head, vary }: AnswerToKeep, record: AnswerRecord, mark: TierMark): Promise<void> {
    const { store, member } = this.#parts;
    const { body } = record;
    const ttlMs = Math.min(this.#freshMs(head), TTL_MS_MAX);
    const isWhole = body.start === 0 && body.end === head.bodyBytes && body.end <= TIER_BODY_BYTES_MAX;
    if (!isWhole || ttlMs < TTL_MS_MIN || this.#puts >= PUTS_MAX || !member.isServing) return;
    this.#puts++;
    try {
      const blocks = await this.#blocksOf(record);
      const { names, values } = vary ?? { names: [], values: [] };
      await store.put(id, encodeAnswer(id, { mark, names, values, record, blocks }), ttlMs);
      const primaryId = entryIdOf(key, "");
      if (names.length > 0) await store.put(primaryId, encodeVary(primaryId, names), ttlMs);
    } catch {
      // As above.
    } finally {
      this.#puts--;
    }
  }

  /** How long it is fresh still. What is stale is fetched by who needs it. */
  #freshMs({ freshMs, initialAgeMs, receivedMs }: AnswerHead): number {
    return freshMs - initialAgeMs - Math.max(0, this.#parts.clock.wallMs() - receivedMs);
  }

  #isPurged({ mark, record }: Extract<SharedEntry, { kind: "answer" }>): boolean {
    const { member } = this.#parts;
    const log = mark.generation === member.generation ? member.logBehind(mark.number) : null;
    return log === null || log.some((logged) => isMetBy(this.#purgeOf(logged), record.key, record.head.tags));
  }

  #purgeOf(logged: LoggedText): TierPurge {
    let purge = this.#purges.get(logged);
    if (purge === undefined) {
      purge = decodeTierPurge(logged.text);
      this.#purges.set(logged, purge);
    }
    return purge;
  }

  /** Puts it where the keeper takes it from. */
  async #bodyOf({ record, blocks }: Extract<SharedEntry, { kind: "answer" }>): Promise<AnswerToKeep["body"]> {
    if (record.body.kind === "inline") return record.body;
    const body = this.#parts.keeping.newBodyId();
    const file = this.#parts.books.createBody(body);
    try {
      for (const block of blocks) await file.append(block);
      return { ...record.body, body };
    } catch (error) {
      file.discard();
      throw error;
    } finally {
      file.letGo();
    }
  }

  async #blocksOf({ body }: AnswerRecord): Promise<Buffer[]> {
    if (body.kind === "inline") return [];
    const file = this.#parts.books.openBody(body.body);
    try {
      const blocks: Buffer[] = [];
      const length = body.end - body.start;
      for (let at = 0; at < length; at += BLOCK_BYTES)
        blocks.push(await file.read(at, Math.min(BLOCK_BYTES, length - at)));
      return blocks;
    } finally {
      file.letGo();
    }
  }
}
