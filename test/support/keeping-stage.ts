// A keeper on a folder in memory, with a thread's reader beside it, on a clock that the test moves.

import type { AnswerHead } from "../../src/caching/cache.ts";
import { entryIdOf } from "../../src/caching/keeping/entry-id.ts";
import { Keeper } from "../../src/caching/keeping/keeper.ts";
import type { AnswerToKeep, Keeping, KeepingLimits, KeepOutcome } from "../../src/caching/keeping/keeping.ts";
import type { EvictionPolicy } from "../../src/caching/keeping/policy.ts";
import { BlockChecksums, type StoredBody } from "../../src/caching/keeping/record.ts";
import { type FoundRecord, StoredReader } from "../../src/caching/keeping/stored-reader.ts";
import { SharedCache } from "../../src/caching/shared.ts";
import { MemoryCacheFolder } from "../../src/testing/cache-folder.ts";
import { SeededRandom } from "../../src/testing/seeded-random.ts";
import { VirtualClock } from "../../src/testing/virtual-clock.ts";
import { headOf, settle } from "./cache-dialogue.ts";
import { FirstInFirstOut } from "./first-in-first-out.ts";

const GiB = 2 ** 30;

export interface KeepingStageOptions extends Partial<KeepingLimits> {
  readonly folder?: MemoryCacheFolder;
  readonly slots?: number;
  readonly policy?: (shared: SharedCache) => EvictionPolicy;
}

export class KeepingStage {
  readonly clock: VirtualClock;
  readonly folder: MemoryCacheFolder;
  readonly shared: SharedCache;
  readonly keeper: Keeper;
  readonly keeping: Keeping;
  readonly reader: StoredReader;
  /** Ids that the reader found damaged. */
  readonly damaged: string[] = [];
  /** What was told of the disk. */
  readonly events: readonly string[];

  private constructor(folder: MemoryCacheFolder, shared: SharedCache, keeper: Keeper, events: readonly string[]) {
    this.folder = folder;
    this.clock = folder.clock as VirtualClock;
    this.shared = shared;
    this.keeper = keeper;
    this.keeping = keeper.keeping;
    this.reader = new StoredReader(folder.openDisk(), shared, (id) => this.damaged.push(id));
    this.events = events;
  }

  static async open(options: KeepingStageOptions = {}): Promise<KeepingStage> {
    const {
      folder = new MemoryCacheFolder(new VirtualClock()),
      slots = 4096,
      policy = () => new FirstInFirstOut(),
    } = options;
    const shared = SharedCache.ofOneThread(slots);
    const events: string[] = [];
    const { bytesMax = GiB, objectBytesMax = bytesMax, inactiveMs = null, freeBytesMin = 0 } = options;
    const keeper = await Keeper.open(
      { bytesMax, objectBytesMax, inactiveMs, freeBytesMin },
      {
        books: folder.openBooks(),
        clock: folder.clock,
        random: new SeededRandom(1),
        shared,
        policy: policy(shared),
        events: { onTrouble: (reason) => events.push(reason), onRecovered: () => events.push("recovered") },
      },
    );
    return new KeepingStage(folder, shared, keeper, events);
  }

  /** Opens what is left of it when its process is killed now. */
  async restart(options: KeepingStageOptions = {}): Promise<KeepingStage> {
    const next = await KeepingStage.open({ ...options, folder: this.folder.crash() });
    await next.indexed();
    return next;
  }

  async indexed(): Promise<void> {
    await settle();
    this.clock.advance(1);
    await this.keeper.indexed;
  }

  /** Lets time pass until it is settled. */
  async over<T>(promise: Promise<T>): Promise<T> {
    let isOver = false;
    const settled = promise.finally(() => {
      isOver = true;
    });
    while (!isOver) {
      await settle();
      this.clock.advance(10);
    }
    return settled;
  }

  /** Stores a text under a key, as an answer that was fetched just now. */
  keep(
    key: string,
    text: string,
    changes: Partial<AnswerToKeep> & { readonly tags?: readonly string[] } = {},
  ): Promise<KeepOutcome> {
    const { tags = [], ...rest } = changes;
    const head: AnswerHead = headOf(text.length, { receivedMs: this.clock.wallMs(), tags });
    const body: StoredBody = { kind: "inline", start: 0, end: text.length, bytes: Buffer.from(text) };
    return this.keeping.keep({ key, head, body, vary: null, since: this.keeping.mark(), ...rest });
  }

  /** The same with the body in a file. */
  async keepInFile(key: string, bytes: Buffer, changes: Partial<AnswerToKeep> = {}): Promise<KeepOutcome> {
    return this.keep(key, "", { head: headOf(bytes.length), body: await this.writeBody(bytes), ...changes });
  }

  async writeBody(bytes: Buffer): Promise<StoredBody & { readonly kind: "file" }> {
    const id = this.keeping.newBodyId();
    const file = this.folder.openDisk().createBody(id);
    try {
      await file.append(bytes);
    } catch (error) {
      file.discard();
      throw error;
    } finally {
      file.letGo();
    }
    const checksums = new BlockChecksums();
    checksums.add(bytes);
    return { kind: "file", start: 0, end: bytes.length, body: id, blockBytes: 256 * 1024, checksums: checksums.read() };
  }

  /** What a thread finds under a key that does not vary. */
  found(key: string): FoundRecord | null {
    return this.reader.read(entryIdOf(key, ""));
  }

  /** Its inline body, when it is not stale by a purge: "soft: " stands before it then. null: nothing is found. */
  textOf(key: string): string | null {
    const record = this.found(key)?.record;
    if (record?.kind !== "answer" || record.body.kind !== "inline") return null;
    return `${(record.head.flags & 16) !== 0 ? "soft: " : ""}${record.body.bytes}`;
  }
}
