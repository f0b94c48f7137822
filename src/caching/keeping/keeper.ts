/**
 * The keeper of one cache: opens what is there, and does what has to be done from time to time (what nobody uses goes, the disk keeps
 * enough free, uses are written down, all that is stored is verified). What requests need of it is `keeping`; what operators ask for
 * is here.
 */
import type { TimerHandle } from "../../core/ports.ts";
import type { PurgePattern } from "../cache.ts";
import type {
  CacheOperations,
  KeepingStats,
  ListOutcome,
  ListQuery,
  PurgeOutcome,
  VerifyOutcome,
} from "../operating.ts";
import { DISK_STATES } from "../shared.ts";
import { indexRecords, UsesWriter } from "./indexing.ts";
import { listStored, verifyStored } from "./inspection.ts";
import { Keeping, type KeepingLimits, type KeepingSurroundings } from "./keeping.ts";
import { type PaceRates, pause } from "./pace.ts";
import { Purging } from "./purging.ts";

/** Between two looks at what is free on the disk. */
const LOOK_MS = 10_000;
/** Looks between two times at which what nobody uses goes, and between those at which uses are written: minutes, and ten of them. */
const LOOKS_OF_INACTIVE = 6;
const LOOKS_OF_USES = 60;
/** Between two times at which all is verified without being asked for: a day. The first one is with the first look. */
const LOOKS_OF_VERIFICATION = 8640;
/** What an operator who waits for it lets verification take: a part of what most disks give, and of a processor. */
const VERIFIED_WHEN_ASKED: PaceRates = { bytesPerSecond: 128 * 1024 * 1024, recordsPerSecond: 50_000 };
/**
 * The same when nobody waits: a terabyte in nine hours, a million records in as many minutes, and hardly anything of a processor,
 * which clients need. Bounded by bytes alone, small records came by the 16,000 in a second and took a quarter of one.
 */
const VERIFIED_UNASKED: PaceRates = { bytesPerSecond: 32 * 1024 * 1024, recordsPerSecond: 2000 };
/** Slots that are looked at in one turn. */
const SLOTS_AT_ONCE = 65_536;
/** Removals that are under way at the same time. */
const REMOVALS_AT_ONCE = 256;

export class Keeper implements CacheOperations {
  readonly keeping: Keeping;
  /** When all that was there is indexed; until then stats know a part of it. Never rejects. */
  readonly indexed: Promise<void>;
  readonly #stopping = new AbortController();
  readonly #purging: Purging;
  readonly #uses: UsesWriter;
  #timer: TimerHandle | null = null;
  #looks = 0;
  #look: Promise<void> | null = null;
  #verification: Promise<void> | null = null;
  #isIndexed = false;
  /** At which look all that is stored is verified next. */
  #verifyAtLook = 0;

  private constructor(keeping: Keeping) {
    this.keeping = keeping;
    this.#purging = new Purging(keeping, this.#stopping.signal);
    this.#uses = new UsesWriter(keeping);
    this.indexed = this.#index();
    this.#planLook();
  }

  /** Resolves when it serves; indexing goes on. Rejects with an Error when the books cannot be written, or are damaged. */
  static async open(limits: KeepingLimits, around: KeepingSurroundings): Promise<Keeper> {
    const keeping = new Keeping(limits, around);
    await keeping.begin();
    keeping.isShortOfSpace = (await around.books.freeBytes()) < limits.freeBytesMin;
    around.shared.diskState = DISK_STATES.works;
    return new Keeper(keeping);
  }

  stats(): KeepingStats {
    return this.keeping.stats();
  }

  list(query: ListQuery): Promise<ListOutcome> {
    return listStored(this.keeping, query, this.#stopping.signal);
  }

  verify(): Promise<VerifyOutcome> {
    return verifyStored(this.keeping, VERIFIED_WHEN_ASKED, this.#stopping.signal);
  }

  async purge(pattern: PurgePattern, { soft }: { readonly soft: boolean }): Promise<PurgeOutcome> {
    const { outcome } = await this.enforce(pattern, soft);
    return outcome;
  }

  /** Resolves when it is in force; what it gives resolves when what it meets is removed. */
  enforce(pattern: PurgePattern, isSoft: boolean): Promise<{ readonly outcome: Promise<PurgeOutcome> }> {
    return this.#purging.purge(pattern, isSoft);
  }

  /** Resolves when it is in force. */
  async invalidateTag(tag: string): Promise<void> {
    await this.enforce({ kind: "tag", text: tag }, false);
  }

  /** What is under way is finished, the uses are written; the books are closed. Idempotent. */
  async close(): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    this.#stopping.abort();
    this.#timer?.cancel();
    await this.indexed;
    await this.#look;
    await this.#verification;
    await this.#purging.settled();
    await this.keeping.settled();
    this.keeping.health.close();
    // Lost, they make what goes first a worse guess.
    if (this.#mayWrite) await this.#uses.write().catch(() => {});
    await this.keeping.around.books.close();
  }

  async #index(): Promise<void> {
    const { signal } = this.#stopping;
    try {
      await indexRecords(this.keeping, () => this.#turn(), signal);
      this.#isIndexed = true;
      await this.keeping.makeRoom(0);
      this.#purging.start();
    } catch (error) {
      this.keeping.health.failed(error);
    }
  }

  #planLook(): void {
    this.#timer = this.keeping.around.clock.after(LOOK_MS, () => {
      this.#look = this.#lookAfter()
        .catch((error: unknown) => this.keeping.health.failed(error))
        .finally(() => {
          this.#look = null;
          if (!this.#stopping.signal.aborted) this.#planLook();
        });
    });
  }

  async #lookAfter(): Promise<void> {
    this.#looks++;
    this.#purging.start();
    await this.#keepFree();
    if (this.#isIndexed && this.#looks % LOOKS_OF_INACTIVE === 0) await this.#dropInactive();
    if (this.#isIndexed && this.#looks >= this.#verifyAtLook) this.#verifyUnasked();
    if (this.#looks % LOOKS_OF_USES === 0 && this.#mayWrite) await this.#uses.write();
  }

  /** While the disk fails, trials alone write: that they fail is known, and not said again. */
  get #mayWrite(): boolean {
    return this.keeping.around.shared.diskState === DISK_STATES.works;
  }

  /** Not at the very start, which has enough to read. One that takes longer than a day is followed by the next. */
  #verifyUnasked(): void {
    if (this.#verification !== null) return;
    this.#verifyAtLook = this.#looks + LOOKS_OF_VERIFICATION;
    this.#verification = verifyStored(this.keeping, VERIFIED_UNASKED, this.#stopping.signal)
      // That says nothing of what is stored; the next one looks again.
      .catch(() => {})
      .then(() => {
        this.#verification = null;
      });
  }

  /** Room for others on the file system; what the books once took, they keep, so only files give some back. */
  async #keepFree(): Promise<void> {
    const { keeping } = this;
    const missing = keeping.limits.freeBytesMin - (await keeping.around.books.freeBytes());
    keeping.isShortOfSpace = missing > 0;
    if (missing > 0) await keeping.giveUp(missing);
  }

  async #dropInactive(): Promise<void> {
    const { slots, limits, around } = this.keeping;
    if (limits.inactiveMs === null) return;
    const { shared, clock } = around;
    const before = Math.floor((clock.wallMs() - limits.inactiveMs) / 1000);
    let under: Promise<void>[] = [];
    for (let slot = 0; slot < slots.end && !this.#stopping.signal.aborted; slot++) {
      if (slot % SLOTS_AT_ONCE === SLOTS_AT_ONCE - 1) await this.#turn();
      if (!slots.isTaken(slot) || shared.usedSecondsOf(slot) >= before) continue;
      under.push(this.keeping.dropSlot(slot, "inactive"));
      if (under.length < REMOVALS_AT_ONCE) continue;
      await Promise.all(under);
      under = [];
    }
    await Promise.all(under);
  }

  /** Resolves in a later turn, or at once when all is to end. */
  #turn(): Promise<void> {
    return pause(this.keeping.around.clock, 0, this.#stopping.signal);
  }
}
