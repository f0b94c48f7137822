/**
 * A shared cache as one thread has it: what is stored, from its memory or the disk, and what is being fetched, through the keeper. It
 * joins the two and holds nothing of its own.
 */
import type { FieldBlock } from "../../core/fields.ts";
import type { Clock } from "../../core/ports.ts";
import type { AcquireHandler, AnswerHead, Cache, CachedAnswer, PendingAcquire } from "../cache.ts";
import type { CacheCounts } from "../counts.ts";
import type { CacheDisk } from "../ports.ts";
import { DISK_STATES, type SharedCache } from "../shared.ts";
import { OpenFiles } from "./open-files.ts";
import type { ProgressTable } from "./progress-table.ts";
import type { LinkToKeeper, ToThread } from "./protocol.ts";
import { StoredAnswer, StoredAnswers } from "./stored-answers.ts";
import { encodeHead } from "./thread-fill.ts";
import { ThreadFills } from "./thread-fills.ts";

export interface ThreadCacheParts {
  readonly name: string;
  readonly objectBytesMax: number;
  readonly hotBytesMax: number;
  readonly counts: CacheCounts;
  readonly disk: CacheDisk;
  readonly shared: SharedCache;
  readonly table: ProgressTable;
  readonly link: LinkToKeeper;
  readonly clock: Clock;
}

interface Invalidation {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

const OVER: PendingAcquire = { cancel() {} };

export class ThreadCache implements Cache {
  readonly name: string;
  readonly objectBytesMax: number;
  readonly counts: CacheCounts;
  readonly #shared: SharedCache;
  readonly #link: LinkToKeeper;
  readonly #openFiles: OpenFiles;
  readonly #stored: StoredAnswers;
  readonly #fills: ThreadFills;
  readonly #invalidations = new Map<number, Invalidation>();
  #nextCall = 1;

  constructor(parts: ThreadCacheParts) {
    const { name, objectBytesMax, hotBytesMax, counts, disk, shared, table, link, clock } = parts;
    this.name = name;
    this.objectBytesMax = objectBytesMax;
    this.counts = counts;
    this.#shared = shared;
    this.#link = link;
    const onDamaged = (id: string, version: number): void => link.send({ kind: "damaged", id, version });
    const openFiles = new OpenFiles(clock);
    this.#openFiles = openFiles;
    const stored = new StoredAnswers({ disk, shared, clock, hotBytesMax, openFiles, onDamaged });
    this.#stored = stored;
    const placeOf: StoredAnswers["placeOf"] = (key, request) => stored.placeOf(key, request);
    this.#fills = new ThreadFills({ link, disk, openFiles, clock, table, objectBytesMax, placeOf });
    link.onMessage = this.#receive;
  }

  /** Nothing is under way. */
  get isIdle(): boolean {
    return this.#fills.isIdle && this.#invalidations.size === 0;
  }

  get hotBytes(): number {
    return this.#stored.hotBytes;
  }

  /** Lets the disk's files go, so that it can be closed. What is being given from them still is. */
  close(): void {
    this.#openFiles.close();
  }

  find(key: string, request: FieldBlock): CachedAnswer | null {
    return this.#stored.find(key, request);
  }

  acquire(
    key: string,
    request: FieldBlock,
    seen: CachedAnswer | null,
    handler: AcquireHandler,
    isPart = false,
  ): PendingAcquire {
    if (this.#shared.state !== DISK_STATES.works) {
      handler.onPass("off");
      return OVER;
    }
    return this.#fills.acquire(key, request, seen?.version ?? 0, isPart, handler);
  }

  refresh(key: string, _request: FieldBlock, stored: CachedAnswer, head: AnswerHead): void {
    if (!(stored instanceof StoredAnswer)) return;
    const { id, version } = stored;
    this.#link.send({ kind: "refreshStored", refreshed: { id, version, record: encodeHead(key, head) } });
  }

  invalidate(key: string): Promise<void> {
    return this.#stored.leaving.key(key, () => this.#call((call) => ({ kind: "invalidate", call, key })));
  }

  invalidateTag(tag: string): Promise<void> {
    return this.#stored.leaving.tag(tag, () => this.#call((call) => ({ kind: "invalidateTag", call, tag })));
  }

  #call(message: (call: number) => Parameters<LinkToKeeper["send"]>[0]): Promise<void> {
    const call = this.#nextCall++;
    return new Promise((resolve, reject) => {
      this.#invalidations.set(call, { resolve, reject });
      this.#link.send(message(call));
    });
  }

  readonly #receive = (message: ToThread): void => {
    if (message.kind !== "invalidated") return void this.#fills.receive(message);
    const invalidation = this.#invalidations.get(message.call);
    this.#invalidations.delete(message.call);
    if (message.trouble === null) invalidation?.resolve();
    else invalidation?.reject(new Error(message.trouble));
  };
}
