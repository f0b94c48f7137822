/**
 * The answers that machines share, as the keeper of one of them uses them: before something is fetched, it looks whether another
 * machine has it, and stores it here as if it had been fetched; what was fetched and stored here is given to the others, and so is
 * what an origin has confirmed, without its body. All of it is a favour: where anything is in doubt, or in the way, or takes longer than
 * a moment, the origin is asked.
 */
import type { Clock } from "../../core/ports.ts";
import type { AnswerHead } from "../cache.ts";
import { HOT_BODY_BYTES_MAX } from "../fills/growing-body.ts";
import { entryIdOf } from "../keeping/entry-id.ts";
import type { Mark } from "../keeping/keeper-purges.ts";
import type { Keeping } from "../keeping/keeping.ts";
import { purgeTarget } from "../keeping/purge-patterns.ts";
import { type AnswerRecord, BLOCK_BYTES, type StoredBody } from "../keeping/record.ts";
import type { CacheBooks, EntryId } from "../ports.ts";
import type { TierMember } from "./member.ts";
import type { TierStore } from "./ports.ts";
import { decodeTierPurge, isMetBy, type TierPurge } from "./purges.ts";
import {
  bodyNameOf,
  decodeShared,
  encodeAnswer,
  encodeVary,
  isBodyOf,
  type SharedAnswer,
  sharedBodyOf,
  type TierMark,
} from "./shared-answer.ts";

/** A larger one takes longer to get from another machine's memory than it is worth: half of a second at 256 Mbit/s, in one piece. */
export const TIER_BODY_BYTES_MAX = 16 * 1024 * 1024;
/** No request waits longer for other machines: twice what the largest body takes at 256 Mbit/s. Then the origin is asked. */
export const TIER_WAIT_MS = 1000;
/** When not even a head came in that time, nothing is looked for, so that a slow Redis delays one request now and then. */
const SLOW_PAUSE_MS = 10_000;
/** Answers on their way to the others, which are in memory meanwhile. More wait for them. */
const PUTS_MAX = 8;
/** More than that are fetched faster than Redis takes them: they are not given. Those that wait have small bodies in memory. */
const WAITING_MAX = 1000;
/** What is fresh for less is hardly there before it is stale. */
const FRESH_MS_MIN = 1000;
/** As long as caches keep what nobody asks for. */
const FRESH_MS_MAX = 30 * 86_400_000;
/** What is stale stays as long again as it was fresh, and this at most: whoever confirms it meanwhile need not give its body again. */
const STALE_MS_MAX = 3_600_000;
/** What is here is kept when that of the others is hardly newer: the same answer has not quite the same age everywhere. */
const YOUNGER_MS_MIN = 1000;

export type TierFinding =
  /** It is stored here now. */
  | { readonly kind: "kept" }
  /** Answers of the key vary by these fields: it is to be looked for again. */
  | { readonly kind: "names"; readonly names: readonly string[] }
  | { readonly kind: "none" };

/** An answer that is stored here, and not good enough. */
export interface SeenAnswer {
  readonly id: EntryId;
  readonly record: AnswerRecord;
}

/** What was stored or confirmed here. */
export interface AnswerToGive {
  /** Under which it was fetched. */
  readonly id: EntryId;
  readonly names: readonly string[];
  readonly values: readonly string[];
  readonly record: AnswerRecord;
  /** From when its fetch began. */
  readonly mark: TierMark;
}

export interface TierCounts {
  readonly answers: number;
  /** Of bodies. */
  readonly bytes: number;
}

export interface SharedCounts {
  /** Taken from other machines, and given to them; what was only confirmed counts without bytes. */
  readonly taken: TierCounts;
  readonly given: TierCounts;
  /** Look-ups and gifts that failed. */
  readonly errors: number;
  /** Why the last one of them did; null: none has. */
  readonly lastError: string | null;
  /** Look-ups that took too long, so that the origin was asked. */
  readonly late: number;
}

export interface SharedAnswersParts {
  readonly store: TierStore;
  readonly member: TierMember;
  readonly keeping: Pick<Keeping, "keep" | "refresh" | "mark" | "newBodyId">;
  readonly books: Pick<CacheBooks, "createBody" | "openBody">;
  readonly clock: Clock;
}

interface Lookup {
  readonly id: EntryId;
  readonly key: string;
  readonly seen: SeenAnswer | null;
  readonly since: Mark;
  hasHead: boolean;
  isLate: boolean;
}

const NONE: TierFinding = { kind: "none" };
const KEPT: TierFinding = { kind: "kept" };

export class SharedAnswers {
  readonly #parts: SharedAnswersParts;
  readonly #purges = new WeakMap<object, TierPurge>();
  #puts = 0;
  /** Gifts that wait for those that are under way, in their order. */
  readonly #waiting: (() => void)[] = [];
  #pauseUntilMs = Number.NEGATIVE_INFINITY;
  readonly #taken = { answers: 0, bytes: 0 };
  readonly #given = { answers: 0, bytes: 0 };
  #errors = 0;
  #lastError: string | null = null;
  #late = 0;

  constructor(parts: SharedAnswersParts) {
    this.#parts = parts;
  }

  get counts(): SharedCounts {
    return {
      taken: { ...this.#taken },
      given: { ...this.#given },
      errors: this.#errors,
      lastError: this.#lastError,
      late: this.#late,
    };
  }

  /** What a fetch that begins now says when it is given to the others; null: it will not be. */
  mark(): TierMark | null {
    const { isServing, position } = this.#parts.member;
    return isServing ? position : null;
  }

  /** Never rejects, and takes TIER_WAIT_MS at most. */
  async find(id: EntryId, key: string, seen: SeenAnswer | null): Promise<TierFinding> {
    const { member, keeping, clock } = this.#parts;
    if (!member.isServing || clock.now() < this.#pauseUntilMs) return NONE;
    const lookup: Lookup = { id, key, seen, since: keeping.mark(), hasHead: false, isLate: false };
    const { promise: late, resolve } = Promise.withResolvers<TierFinding>();
    const timer = clock.after(TIER_WAIT_MS, () => {
      lookup.isLate = true;
      this.#late++;
      if (!lookup.hasHead) this.#pauseUntilMs = clock.now() + SLOW_PAUSE_MS;
      resolve(NONE);
    });
    const found = this.#find(lookup).catch((error: unknown) => {
      // Who looks after the link has told of it, and so has the keeper of its disk.
      this.#failed(error);
      return NONE;
    });
    const finding = await Promise.race([found, late]);
    timer.cancel();
    return finding;
  }

  /** It was stored here. Never rejects. */
  async give({ id, names, values, record, mark }: AnswerToGive): Promise<void> {
    await this.#giving(record, async (shared, ttlMs) => {
      const { store } = this.#parts;
      const { body } = shared;
      const head = encodeAnswer(id, { mark, names, values, record: shared, ageMs: this.#ageMs(record.head), ttlMs });
      const puts = [store.put(id, head, bodyNameOf(body), await this.#blocksOf(record), ttlMs)];
      const primaryId = entryIdOf(record.key, "");
      if (names.length > 0) puts.push(store.put(primaryId, encodeVary(primaryId, names), "", [], ttlMs));
      await Promise.all(puts);
      this.#given.answers++;
      this.#given.bytes += body.end;
    });
  }

  /** Its origin has said that it is good still. Never rejects. */
  async confirm(given: AnswerToGive): Promise<void> {
    const { id, names, values, record, mark } = given;
    let isThere = true;
    await this.#giving(record, async (shared, ttlMs) => {
      const head = encodeAnswer(id, { mark, names, values, record: shared, ageMs: this.#ageMs(record.head), ttlMs });
      isThere = await this.#parts.store.confirm(id, head, bodyNameOf(shared.body), ttlMs);
      if (isThere) this.#given.answers++;
    });
    if (!isThere) await this.give(given);
  }

  async #find(lookup: Lookup): Promise<TierFinding> {
    const { id, key, seen, since } = lookup;
    const { store, keeping } = this.#parts;
    const bytes = await store.get(id);
    lookup.hasHead = true;
    const entry = bytes === null ? null : decodeShared(id, key, bytes.head);
    if (bytes === null || entry === null) return NONE;
    if (entry.kind === "vary") return { kind: "names", names: entry.names };
    const head = this.#headHere(entry, bytes.restMs);
    if (this.#freshMs(head) <= 0 || this.#isPurged(entry)) return NONE;
    if (seen !== null && this.#ageMs(seen.record.head) < this.#ageMs(head) + YOUNGER_MS_MIN) return NONE;
    const { body } = entry.record;
    if (seen !== null && bodyNameOf(sharedBodyOf(seen.record)) === bodyNameOf(body)) {
      const refreshed = await keeping.refresh(seen.id, seen.record.version, head, since);
      if (refreshed === null) return NONE;
      this.#taken.answers++;
      return KEPT;
    }
    const count = body.checksums.length;
    const blocks = count === 1 && bytes.small !== null ? [bytes.small] : await store.blocks(id, count);
    if (blocks === null || !isBodyOf(body, blocks) || lookup.isLate) return NONE;
    const { names, values } = entry;
    const vary = names.length === 0 ? null : { names, values };
    const outcome = await keeping.keep({ key, head, body: await this.#bodyOf(entry, blocks), vary, since });
    if (!outcome.isKept) return NONE;
    this.#taken.answers++;
    this.#taken.bytes += body.end;
    return KEPT;
  }

  /** As if it had come from the origin now, with the age that it has. */
  #headHere({ record, ageMs, ttlMs }: SharedAnswer, restMs: number): AnswerHead {
    const nowMs = this.#parts.clock.wallMs();
    const initialAgeMs = ageMs + Math.max(0, ttlMs - restMs);
    // Asked for when the other machine did, by the clock of this one: who wants it validated now does not take it for an answer to that.
    const { head } = record;
    const agoMs = initialAgeMs - head.initialAgeMs + Math.max(0, head.receivedMs - head.requestedMs);
    return { ...head, requestedMs: nowMs - Math.max(0, agoMs), receivedMs: nowMs, initialAgeMs };
  }

  /** Does it when this answer is one to be given, behind those that are under way. */
  async #giving(
    record: AnswerRecord,
    give: (shared: SharedAnswer["record"], ttlMs: number) => Promise<void>,
  ): Promise<void> {
    if (!this.#isToBeGiven(record)) return;
    if (this.#puts >= PUTS_MAX) {
      if (this.#waiting.length >= WAITING_MAX) return this.#failed(new Error("more is fetched than Redis takes"));
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else this.#puts++;
    try {
      // It may have become too old meanwhile.
      if (!this.#isToBeGiven(record)) return;
      const freshMs = Math.min(this.#freshMs(record.head), FRESH_MS_MAX);
      await give({ ...record, body: sharedBodyOf(record) }, freshMs + Math.min(freshMs, STALE_MS_MAX));
    } catch (error) {
      // Its file has gone while it waited: there is nothing left to give.
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") this.#failed(error);
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#puts--;
      else next();
    }
  }

  #isToBeGiven({ head, body }: AnswerRecord): boolean {
    const isWhole = body.start === 0 && body.end === head.bodyBytes && body.end <= TIER_BODY_BYTES_MAX;
    return isWhole && this.#freshMs(head) >= FRESH_MS_MIN && this.#parts.member.isServing;
  }

  #failed(error: unknown): void {
    this.#errors++;
    this.#lastError = error instanceof Error ? error.message : String(error);
  }

  #ageMs({ initialAgeMs, receivedMs }: AnswerHead): number {
    return initialAgeMs + Math.max(0, this.#parts.clock.wallMs() - receivedMs);
  }

  /** How long it is fresh still. What is stale is fetched by who needs it. */
  #freshMs(head: AnswerHead): number {
    return head.freshMs - this.#ageMs(head);
  }

  #isPurged({ mark, record }: SharedAnswer): boolean {
    const purges = this.#parts.member.purgesBehind(mark);
    if (purges === null) return true;
    const target = purgeTarget(record.key, record.head.tags);
    return purges.some((purge) => isMetBy(this.#purgeOf(purge), record.key, target));
  }

  #purgeOf(purge: { readonly text: string }): TierPurge {
    let decoded = this.#purges.get(purge);
    if (decoded === undefined) {
      decoded = decodeTierPurge(purge.text);
      this.#purges.set(purge, decoded);
    }
    return decoded;
  }

  /** Puts it where the keeper takes it from. */
  async #bodyOf({ record }: SharedAnswer, blocks: readonly Buffer[]): Promise<StoredBody> {
    const { start, end } = record.body;
    if (end <= HOT_BODY_BYTES_MAX) return { kind: "inline", start, end, bytes: Buffer.concat(blocks) };
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
    if (body.kind === "inline") return body.bytes.length === 0 ? [] : [body.bytes];
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
