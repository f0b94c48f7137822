/**
 * What is stored in one cache, as its keeper has it: the one writer of records. It puts answers away, replaces, refreshes and removes
 * them, keeps within the limits, and bumps epochs so that no thread goes on with what is obsolete. It decides nothing of HTTP, and
 * reads no body.
 *
 * What changes the records of one key is done one after another (Turns); a record counts as there from its commit on, and its slot and
 * file as free from the commit of its removal on. Commits that fail turn the cache off for a while (DiskHealth).
 */
import type { Clock, Random } from "../../core/ports.ts";
import type { AnswerHead } from "../cache.ts";
import type { KeepingStats, Removal } from "../operating.ts";
import { REMOVALS } from "../operating.ts";
import type { CacheConfig } from "../options.ts";
import type { BodyId, CacheBooks, EntryId } from "../ports.ts";
import { DISK_STATES, type SharedCache } from "../shared.ts";
import { type DiskEvents, DiskHealth } from "./disk-health.ts";
import { entryIdOf, type Generation, shardOf, variantOf } from "./entry-id.ts";
import { KeeperPurges, type Mark } from "./keeper-purges.ts";
import type { EvictionPolicy } from "./policy.ts";
import {
  type AnswerRecord,
  BLOCKS_MAX,
  decodeRecord,
  encodeRecord,
  type RecordSummary,
  type StoredBody,
  type StoredRecord,
  summariseRecord,
  type VaryRecord,
} from "./record.ts";
import { diskBytes, SlotTable } from "./slots.ts";
import { Turns } from "./turns.ts";

export type KeepingLimits = Pick<CacheConfig, "bytesMax" | "inactiveMs" | "freeBytesMin" | "objectBytesMax">;

export interface KeepingSurroundings {
  readonly books: CacheBooks;
  readonly clock: Clock;
  readonly random: Random;
  readonly shared: SharedCache;
  readonly policy: EvictionPolicy;
  readonly events: DiskEvents;
}

/** An answer that was fetched whole, or the part of it that was asked for. */
export interface AnswerToKeep {
  readonly key: string;
  readonly head: AnswerHead;
  /** A body in a file is the keeper's from here on: kept, or removed. */
  readonly body: StoredBody;
  /**
   * What the request has in the fields by which answers of this key vary: those of the vary record that was there, and those of this
   * answer; normalised. null: none vary.
   */
  readonly vary: { readonly names: readonly string[]; readonly values: readonly string[] } | null;
  /** When its fetch began. */
  readonly since: Mark;
}

export type KeepRefusal =
  /** A purge or an invalidation has met it since its fetch began. */
  | "purged"
  /** It is larger than what may be stored. */
  | "large"
  /** Answers of this key have come to vary by more than what is known of its request. */
  | "vary"
  /** What is there was asked for, or confirmed by the origin, by a request that was sent later. */
  | "older"
  /** There is no room, and nothing that could go. */
  | "full"
  /** The disk does not work. */
  | "off";

export type KeepOutcome =
  | { readonly isKept: true; readonly id: EntryId; readonly record: AnswerRecord }
  | { readonly isKept: false; readonly reason: KeepRefusal };

/** Slots that are nobody's else, until something stands in them; -1: none, or not any more. */
interface ReservedSlots {
  answer: number;
  vary: number;
}

/** Numbers of a run: versions and bodies begin at the run's number times this, so that none comes twice. */
const NUMBERS_OF_RUN = 2 ** 32;
/** 2^53 is where whole numbers end. */
const RUNS_MAX = 2 ** 20;
const RUN_FACT = "runs";
/**
 * Evictions that are under way at the same time, for one answer that needs much room. They are chosen in one turn, and each choice may
 * have to pass over many that are used: a quarter of a second for 256 of them, in a cache of a million answers that all are.
 */
const EVICTIONS_AT_ONCE = 32;

export class Keeping {
  readonly limits: KeepingLimits;
  readonly around: KeepingSurroundings;
  readonly slots: SlotTable;
  readonly purges: KeeperPurges;
  readonly health: DiskHealth;
  readonly #turns = new Turns();
  readonly #removed = Object.fromEntries(REMOVALS.map((reason) => [reason, 0])) as Record<Removal, number>;
  /** Of victims whose removal is under way. */
  #leavingBytes = 0;
  /** Below this nothing was given out in this run. */
  readonly firstNumber: number;
  #lastVersion: number;
  #lastBody: BodyId;
  /** Less is free than must be. */
  isShortOfSpace = false;

  /** Throws an Error when the books are not what they should be. Nothing is served before `Upkeep.open`. */
  constructor(limits: KeepingLimits, around: KeepingSurroundings) {
    this.limits = limits;
    this.around = around;
    const { books, clock, shared, events } = around;
    const run = (books.readFact(RUN_FACT)?.readUInt32LE(0) ?? 0) + 1;
    if (run > RUNS_MAX) throw new Error("the cache's folder is used up: empty it");
    this.firstNumber = run * NUMBERS_OF_RUN;
    this.#lastVersion = this.#lastBody = this.firstNumber;
    this.slots = new SlotTable(books, shared.slots, shared);
    this.purges = new KeeperPurges(books, shared);
    this.health = new DiskHealth({ books, clock, shared, events, newBodyId: () => this.newBodyId() });
  }

  /** Resolves when the numbers of this run are nobody else's. */
  async begin(): Promise<void> {
    const fact = Buffer.alloc(4);
    fact.writeUInt32LE(this.firstNumber / NUMBERS_OF_RUN, 0);
    await this.around.books.writeFact(RUN_FACT, fact);
  }

  newBodyId(): BodyId {
    return ++this.#lastBody;
  }

  nextVersion(): number {
    return ++this.#lastVersion;
  }

  /** Of what is stored under the id; 0: nothing that can be read. */
  currentVersion(id: EntryId): number {
    const bytes = this.around.books.read(id);
    return (bytes === null ? null : summariseRecord(bytes))?.version ?? 0;
  }

  /** What a fetch that begins now says when it is to be stored. */
  mark(): Mark {
    return this.purges.mark;
  }

  stats(): KeepingStats {
    const { entries, bytes } = this.slots;
    return { entries, bytes, removed: { ...this.#removed }, trouble: this.health.trouble, shared: null };
  }

  /** Never rejects. */
  async keep(answer: AnswerToKeep): Promise<KeepOutcome> {
    let outcome: KeepOutcome = refused("off");
    if (this.around.shared.diskState === DISK_STATES.works) {
      try {
        outcome = await this.#keepIfItFits(answer);
        if (outcome.isKept) this.health.worked();
      } catch (error) {
        this.health.failed(error);
      }
    }
    if (!outcome.isKept && answer.body.kind === "file") this.#removeBody(answer.body.body);
    return outcome;
  }

  /**
   * A new head for the body that is stored in this version; the answer has another version then. null: it is not there any more, or
   * could not be written. Never rejects.
   */
  async refresh(id: EntryId, version: number, head: AnswerHead, since: Mark): Promise<AnswerRecord | null> {
    return this.#change(id, version, (record) => {
      // What was purged meanwhile is gone, whatever the origin thinks of it.
      if (this.purges.judge(record.purges, record.key, record.head.tags) === "gone") return null;
      const isMet = this.purges.isMetSince(since, entryIdOf(record.key, ""), record.key, head.tags);
      // A purge in between was about what this head confirms: it still has to meet it.
      return { ...record, head, purges: isMet ? record.purges : this.purges.committed };
    });
  }

  /** Soft purges; null as in `refresh`. */
  async markStale(id: EntryId, version: number, flag: number, purges: number): Promise<AnswerRecord | null> {
    return this.#change(id, version, (record) => {
      return { ...record, purges, head: { ...record.head, flags: record.head.flags | flag } };
    });
  }

  /** What is stored under a key, all its variants, is found no more when it resolves, nor is what began to be fetched before. */
  async invalidate(key: string): Promise<void> {
    const primaryId = entryIdOf(key, "");
    this.purges.invalidated(primaryId);
    const act = (): Promise<void> => this.#turns.take(primaryId, () => this.#remove(primaryId, "invalidated"));
    try {
      await act();
    } catch (error) {
      this.health.owe(error, primaryId, act);
    }
  }

  /** Removes it if it is of this version still, or damaged; resolves with whether it was. Never rejects. */
  async drop(id: EntryId, version: number, reason: Removal): Promise<boolean> {
    try {
      return await this.#turns.take(this.#primaryIdOf(id), async () => {
        if (this.currentVersion(id) !== version && !this.#isDamaged(id)) return false;
        await this.#remove(id, reason);
        return true;
      });
    } catch (error) {
      this.health.failed(error);
      return false;
    }
  }

  /** Removes what does not verify. */
  dropDamaged(id: EntryId): Promise<boolean> {
    return this.drop(id, -1, "damaged");
  }

  /** Makes room for this much; false: there is not enough that could go. */
  async makeRoom(bytes: number): Promise<boolean> {
    const { bytesMax } = this.limits;
    if (bytes > bytesMax) return false;
    let under: Promise<void>[] = [];
    while (this.slots.bytes - this.#leavingBytes + bytes > bytesMax) {
      const slot = this.around.policy.evict();
      if (slot < 0) return this.slots.bytes - this.#leavingBytes + bytes <= bytesMax;
      under.push(this.#evict(slot, "size"));
      if (under.length < EVICTIONS_AT_ONCE) continue;
      await Promise.all(under);
      under = [];
    }
    return true;
  }

  /** The least useful answers go, until they have given back this much. */
  async giveUp(bytes: number): Promise<void> {
    for (let given = 0; given < bytes; ) {
      const slot = this.around.policy.evict();
      if (slot < 0) return;
      given += Math.max(1, this.slots.bytesOf(slot));
      await this.#evict(slot, "free");
    }
  }

  /** The answer of a slot, whichever that is, goes. */
  async dropSlot(slot: number, reason: Removal): Promise<void> {
    this.around.policy.remove(slot);
    await this.#evict(slot, reason);
  }

  /** When nothing is under way any more. */
  async settled(): Promise<void> {
    await this.#turns.settled();
  }

  /** An answer that was found at the start. */
  index(id: EntryId, summary: RecordSummary): void {
    this.slots.set(summary.slot, id, diskBytes(summary.recordBytes, summary.fileBytes));
  }

  async #keepIfItFits(answer: AnswerToKeep): Promise<KeepOutcome> {
    const { key, head, body, vary, since } = answer;
    const bodyBytes = body.end - body.start;
    if (bodyBytes > this.limits.objectBytesMax) return refused("large");
    if (body.kind === "file" && body.checksums.length > BLOCKS_MAX) return refused("large");
    const primaryId = entryIdOf(key, "");
    if (this.purges.isMetSince(since, primaryId, key, head.tags)) return refused("purged");
    // Before its turn: what goes may be of the same key, and has turns of its own to wait for.
    if (this.isShortOfSpace || !(await this.makeRoom(diskBytes(0, bodyBytes)))) return refused("full");
    const reserved: ReservedSlots = { answer: -1, vary: -1 };
    try {
      reserved.answer = await this.#reserveSlot();
      // For a vary record, should there have to be one.
      if (vary !== null) reserved.vary = await this.#reserveSlot();
      if (reserved.answer < 0) return refused("full");
      const outcome = await this.#turns.take(primaryId, () => this.#keep(primaryId, reserved, answer));
      // The record itself takes room as well.
      if (outcome.isKept) await this.makeRoom(0);
      return outcome;
    } finally {
      if (reserved.answer >= 0) this.slots.giveBack(reserved.answer);
      if (reserved.vary >= 0) this.slots.giveBack(reserved.vary);
    }
  }

  /** In the turn of its key. */
  async #keep(primaryId: EntryId, reserved: ReservedSlots, answer: AnswerToKeep): Promise<KeepOutcome> {
    const { key, head, body, vary, since } = answer;
    const place = this.#placeOf(primaryId, key, vary);
    if (place === null) return refused("vary");
    if (this.#isOlder(answer, place.id)) return refused("older");
    if (body.kind === "file") await this.around.books.keepBody(body.body);
    if (place.vary !== null) {
      if (reserved.vary < 0) return refused("full");
      await this.#put(primaryId, { ...place.vary, version: this.nextVersion(), slot: reserved.vary });
      reserved.vary = -1;
    }
    // From here to the call of `put` nothing can come in between.
    if (this.purges.isMetSince(since, primaryId, key, head.tags)) return refused("purged");
    const record: AnswerRecord = {
      kind: "answer",
      key,
      variant: place.variant,
      version: this.nextVersion(),
      slot: reserved.answer,
      purges: this.purges.committed,
      head,
      body,
    };
    await this.#put(place.id, record);
    reserved.answer = -1;
    return { isKept: true, id: place.id, record };
  }

  /**
   * A download may take long, and what is there is confirmed meanwhile for somebody who did not want to wait. A part takes the place of
   * nothing whole that was asked for at the same time.
   */
  #isOlder(answer: Pick<AnswerRecord, "head" | "body">, id: EntryId): boolean {
    const there = this.#read(id);
    if (there?.kind !== "answer") return false;
    const { requestedMs } = answer.head;
    if (there.head.requestedMs === requestedMs) return isWhole(there) && !isWhole(answer);
    // What is from the future was stored before the clock was set back: it may be as old as anything.
    return there.head.requestedMs > requestedMs && there.head.requestedMs <= this.around.clock.wallMs();
  }

  /** Where an answer goes, and the vary record that has to be written first; null: its request's fields are not known. */
  #placeOf(
    primaryId: EntryId,
    key: string,
    vary: AnswerToKeep["vary"],
  ): { readonly id: EntryId; readonly variant: string; readonly vary: VaryRecord | null } | null {
    const before = this.#read(primaryId);
    const known = before?.kind === "vary" && before.key === key ? before : null;
    if (vary === null) return known === null ? { id: primaryId, variant: "", vary: null } : null;
    const { names, values } = vary;
    if (known?.names.some((name) => !names.includes(name))) return null;
    if (known !== null && known.names.length === names.length) {
      const inOrder = known.names.map((name) => values[names.indexOf(name)]!);
      const variant = variantOf(known.generation, inOrder);
      return { id: entryIdOf(key, variant), variant, vary: null };
    }
    const generation = this.#newGeneration();
    const variant = variantOf(generation, values);
    const record: VaryRecord = { kind: "vary", key, version: 0, slot: 0, names, generation };
    return { id: entryIdOf(key, variant), variant, vary: record };
  }

  /** Never the same again, also not by chance, and not to be guessed. */
  #newGeneration(): Generation {
    const chance = Math.floor(this.around.random.next() * 2 ** 32);
    return this.nextVersion().toString(16).padStart(14, "0") + chance.toString(16).padStart(8, "0");
  }

  async #reserveSlot(): Promise<number> {
    const slot = await this.slots.reserve();
    if (slot >= 0) return slot;
    const victim = this.around.policy.evict();
    if (victim < 0) return -1;
    await this.#evict(victim, "size");
    return this.slots.reserve();
  }

  /** Puts it in the place of what is there; its slot is reserved. */
  async #put(id: EntryId, record: StoredRecord): Promise<void> {
    const { books, shared, clock, policy } = this.around;
    const { slot } = record;
    const replaced = this.#summary(id);
    const bytes = encodeRecord(record);
    const fileBytes = record.kind === "answer" && record.body.kind === "file" ? record.body.end - record.body.start : 0;
    // Before anybody can find it: what was written in this run needs no verification.
    shared.reset(slot, Math.floor(clock.wallMs() / 1000), 0, true);
    await books.put(id, bytes);
    shared.bumpEpoch(shardOf(id));
    this.slots.set(slot, id, diskBytes(bytes.length, fileBytes));
    // One that is not indexed yet is nobody's to stand in for.
    if (replaced !== null && this.slots.isOf(replaced.slot, id)) {
      policy.replace(replaced.slot, slot, this.slots.bytesOf(slot), hashOf(id));
    } else policy.add(slot, this.slots.bytesOf(slot), hashOf(id));
    if (replaced !== null) this.#release(replaced, "replaced");
  }

  async #change(
    id: EntryId,
    version: number,
    changed: (record: AnswerRecord) => AnswerRecord | null,
  ): Promise<AnswerRecord | null> {
    const { books, shared } = this.around;
    if (shared.diskState !== DISK_STATES.works) return null;
    try {
      return await this.#turns.take(this.#primaryIdOf(id), async () => {
        const record = this.#read(id);
        if (record === null || record.version !== version || record.kind !== "answer") return null;
        const changedRecord = changed(record);
        if (changedRecord === null) return null;
        const next = { ...changedRecord, version: this.nextVersion() };
        const bytes = encodeRecord(next);
        const fileBytes = next.body.kind === "file" ? next.body.end - next.body.start : 0;
        await books.put(id, bytes);
        shared.bumpEpoch(shardOf(id));
        // It may not have been indexed yet.
        const isNew = !this.slots.isTaken(next.slot);
        this.slots.set(next.slot, id, diskBytes(bytes.length, fileBytes));
        if (isNew) this.around.policy.add(next.slot, this.slots.bytesOf(next.slot), hashOf(id));
        else this.around.policy.resize(next.slot, this.slots.bytesOf(next.slot));
        return next;
      });
    } catch (error) {
      this.health.failed(error);
      return null;
    }
  }

  /** In its turn: removes what stands there. */
  async #remove(id: EntryId, reason: Removal): Promise<void> {
    const { books, shared } = this.around;
    if (books.read(id) === null) return;
    const summary = this.#summary(id);
    await books.remove(id);
    shared.bumpEpoch(shardOf(id));
    if (summary !== null) this.#release(summary, reason);
    else this.#removed[reason]++;
  }

  /** The record is gone from the books: so are its slot and its file. */
  #release({ slot, body }: RecordSummary, reason: Removal): void {
    this.slots.free(slot);
    this.around.policy.remove(slot);
    this.#removed[reason]++;
    if (body !== 0) this.#removeBody(body);
  }

  /** A file that stays is removed at the next start. */
  #removeBody(body: BodyId): void {
    this.around.books.removeBody(body).catch((error: unknown) => this.health.failed(error));
  }

  async #evict(slot: number, reason: Removal): Promise<void> {
    if (!this.slots.isTaken(slot)) return;
    const id = this.slots.idOf(slot);
    const bytes = this.slots.bytesOf(slot);
    this.#leavingBytes += bytes;
    try {
      await this.#turns.take(this.#primaryIdOf(id), async () => {
        if (this.#summary(id)?.slot === slot) await this.#remove(id, reason);
        // What stands there has another slot, or is damaged beyond that.
        else if (this.slots.isOf(slot, id)) this.slots.free(slot);
      });
    } catch (error) {
      if (this.slots.isOf(slot, id)) this.around.policy.add(slot, bytes, hashOf(id));
      this.health.failed(error);
    } finally {
      this.#leavingBytes -= bytes;
    }
  }

  #read(id: EntryId): StoredRecord | null {
    const bytes = this.around.books.read(id);
    return bytes === null ? null : decodeRecord(bytes);
  }

  #summary(id: EntryId): RecordSummary | null {
    const bytes = this.around.books.read(id);
    return bytes === null ? null : summariseRecord(bytes);
  }

  #isDamaged(id: EntryId): boolean {
    const bytes = this.around.books.read(id);
    return bytes !== null && decodeRecord(bytes) === null;
  }

  /** Whose turn a change of this record is: that of its key, or its own when nobody can read the key. */
  #primaryIdOf(id: EntryId): EntryId {
    const record = this.#read(id);
    return record === null ? id : entryIdOf(record.key, "");
  }
}

function isWhole({ head, body }: Pick<AnswerRecord, "head" | "body">): boolean {
  return body.start === 0 && body.end === head.bodyBytes;
}

/** 32 bits of an id, other than those of its shard. */
export function hashOf(id: EntryId): number {
  return Number.parseInt(id.slice(3, 11), 16);
}

function refused(reason: KeepRefusal): KeepOutcome {
  return { isKept: false, reason };
}
