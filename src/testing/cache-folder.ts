/**
 * A folder of a shared cache in memory, for tests: what its disks and its books decide is what those of io/cache must. It can be slow
 * on the test's clock, be full, fail, and be left by a crash with what was committed until then, and files that were being written.
 *
 * What the contract lets a caller rely on for a while only is taken away as soon as it may be: the bytes of a record are overwritten
 * by the next read.
 */
import type { BodyFile, BodyId, CacheBooks, CacheDisk, EntryId, GrowingFile } from "../caching/ports.ts";
import type { Clock } from "../core/ports.ts";

/** What can be made to fail, and to take its time. */
export type CacheOperation =
  | "put"
  | "remove"
  | "writeFact"
  | "keepBody"
  | "removeBody"
  | "createBody"
  | "append"
  | "openBody"
  | "readBody"
  | "scan"
  | "freeBytes";

export interface CacheFolderOptions {
  /** Of everything in it; more is ENOSPC. */
  readonly capacityBytes?: number;
}

/** Records that one step of a scan gives. */
const SCANNED_AT_ONCE = 64;
const POISON = 0xdd;

/** As the system would say it. */
export function diskError(code: "ENOSPC" | "EIO" | "ENOENT" | "EBADF", what: string): Error {
  return Object.assign(new Error(`${code}: ${what}`), { code });
}

interface MemoryBody {
  bytes: Buffer;
  length: number;
  isKept: boolean;
}

/** What outlives a crash. */
interface Contents {
  readonly records: Map<EntryId, Buffer>;
  readonly facts: Map<string, Buffer>;
  readonly bodies: Map<BodyId, MemoryBody>;
  isDistrusted: boolean;
}

export class MemoryCacheFolder {
  readonly clock: Clock;
  readonly #options: CacheFolderOptions;
  readonly #contents: Contents;
  /** Milliseconds that an operation takes; those that are not named are over in the same turn. */
  readonly slowness: Partial<Record<CacheOperation, number>> = {};
  /** Asked before each operation; what it returns is what the operation fails with. */
  fault: ((operation: CacheOperation) => Error | null) | null = null;
  /** Bytes on the same file system that are not the cache's. */
  foreignBytes = 0;
  #hasKeeper = false;
  #isCrashed = false;
  readonly #open = new Map<number, MemoryBody>();
  #nextDescriptor = 1000;
  /** Commits come to pass in the order in which they were asked for, however slow. */
  #lastCommitMs = 0;

  constructor(clock: Clock, options: CacheFolderOptions = {}, contents: Contents | null = null) {
    this.clock = clock;
    this.#options = options;
    this.#contents = contents ?? { records: new Map(), facts: new Map(), bodies: new Map(), isDistrusted: false };
  }

  /** Throws an Error while it has a keeper already. */
  openBooks(): CacheBooks {
    if (this.#hasKeeper) throw new Error("the folder of the cache is in use");
    this.#hasKeeper = true;
    if (this.#contents.isDistrusted) {
      for (const part of [this.#contents.records, this.#contents.facts, this.#contents.bodies]) part.clear();
      this.#contents.isDistrusted = false;
    }
    return new MemoryBooks(this, this.#contents, () => {
      this.#hasKeeper = false;
    });
  }

  openDisk(): CacheDisk {
    return new MemoryDisk(this, this.#contents);
  }

  /**
   * The process is killed: nothing that was under way comes to pass, no promise of it is settled. What the next one finds: a body
   * that was being written has a part of its last piece.
   */
  crash(): MemoryCacheFolder {
    this.#isCrashed = true;
    const { records, facts, bodies, isDistrusted } = this.#contents;
    const left: Contents = { records: new Map(records), facts: new Map(facts), bodies: new Map(), isDistrusted };
    for (const [body, { bytes, length, isKept }] of bodies) {
      left.bodies.set(body, { bytes: Buffer.from(bytes.subarray(0, length)), length, isKept });
    }
    return new MemoryCacheFolder(this.clock, this.#options, left);
  }

  /** Files that somebody holds. */
  get openFiles(): number {
    return this.#open.size;
  }

  /** Bodies in the folder, those among them that are being written or were left behind. */
  get bodies(): readonly BodyId[] {
    return [...this.#contents.bodies.keys()];
  }

  get records(): ReadonlyMap<EntryId, Buffer> {
    return this.#contents.records;
  }

  get usedBytes(): number {
    let bytes = this.foreignBytes;
    for (const record of this.#contents.records.values()) bytes += record.length;
    for (const body of this.#contents.bodies.values()) bytes += body.length;
    return bytes;
  }

  get freeBytes(): number {
    const { capacityBytes = Number.MAX_SAFE_INTEGER } = this.#options;
    return Math.max(0, capacityBytes - this.usedBytes);
  }

  /** Changes a byte of a body, as a failing disk does. */
  corruptBody(body: BodyId, offset: number): void {
    this.#contents.bodies.get(body)!.bytes[offset]! ^= 0x40;
  }

  /** Cuts a body, as a power loss may. */
  truncateBody(body: BodyId, length: number): void {
    const there = this.#contents.bodies.get(body)!;
    there.length = Math.min(there.length, length);
  }

  corruptRecord(id: EntryId, offset: number): void {
    this.#contents.records.get(id)![offset]! ^= 0x40;
  }

  /** For its disks: throws when the operation is to fail, or nobody lives any more. */
  checkFault(operation: CacheOperation): void {
    if (this.#isCrashed) throw diskError("EIO", "the process was killed");
    const error = this.fault?.(operation) ?? null;
    if (error !== null) throw error;
  }

  checkRoom(bytes: number): void {
    // What is there is summed up anew each time: only where there is an end of it.
    if (this.#options.capacityBytes !== undefined && bytes > this.freeBytes)
      throw diskError("ENOSPC", "no space left on device");
  }

  /** For its disks: does it when its time has come, in order with all others. Never, after a crash. */
  perform<T>(operation: CacheOperation, act: () => T): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const run = (): void => {
      if (this.#isCrashed) return;
      try {
        this.checkFault(operation);
        resolve(act());
      } catch (error) {
        reject(error);
      }
    };
    const dueMs = Math.max(this.clock.now() + (this.slowness[operation] ?? 0), this.#lastCommitMs);
    this.#lastCommitMs = dueMs;
    if (dueMs <= this.clock.now()) queueMicrotask(run);
    else this.clock.after(dueMs - this.clock.now(), run);
    return promise;
  }

  /** What whoever sends a range of an open file finds there. Throws when the descriptor is not open, or the file is shorter. */
  readDescriptor(descriptor: number, offset: number, length: number): Buffer {
    const content = this.#open.get(descriptor);
    if (content === undefined) throw diskError("EBADF", "the descriptor is closed");
    if (offset + length > content.length) throw diskError("EIO", "the file is shorter");
    return Buffer.from(content.bytes.subarray(offset, offset + length));
  }

  opened(content: MemoryBody): number {
    this.#open.set(this.#nextDescriptor, content);
    return this.#nextDescriptor++;
  }

  closed(descriptor: number): void {
    this.#open.delete(descriptor);
  }

  get isCrashed(): boolean {
    return this.#isCrashed;
  }
}

class MemoryFile implements BodyFile {
  readonly descriptor: number;
  protected readonly folder: MemoryCacheFolder;
  protected readonly content: MemoryBody;
  #holders = 1;

  constructor(folder: MemoryCacheFolder, content: MemoryBody) {
    this.folder = folder;
    this.content = content;
    this.descriptor = folder.opened(content);
  }

  hold(): void {
    if (this.#holders === 0) throw new Error("the file is closed");
    this.#holders++;
  }

  letGo(): void {
    if (this.#holders === 0) throw new Error("the file was closed already");
    if (--this.#holders === 0) this.folder.closed(this.descriptor);
  }

  read(offset: number, length: number, into = Buffer.alloc(length)): Promise<Buffer> {
    if (this.#holders === 0) return Promise.reject(new Error("the file is closed"));
    return this.folder.perform("readBody", () => {
      if (offset + length > this.content.length) throw diskError("EIO", "the file is shorter");
      this.content.bytes.copy(into, 0, offset, offset + length);
      return into.subarray(0, length);
    });
  }
}

class MemoryGrowingFile extends MemoryFile implements GrowingFile {
  readonly #discard: () => void;
  #isAppending = false;

  constructor(folder: MemoryCacheFolder, content: MemoryBody, discard: () => void) {
    super(folder, content);
    this.#discard = discard;
  }

  async append(bytes: Buffer): Promise<void> {
    if (this.#isAppending) throw new Error("one piece is written at a time");
    this.#isAppending = true;
    try {
      // What a crash finds of a piece that was under way.
      const half = bytes.length >>> 1;
      this.#put(bytes.subarray(0, half));
      await this.folder.perform("append", () => {
        this.folder.checkRoom(bytes.length - half);
        this.#put(bytes.subarray(half));
      });
    } finally {
      this.#isAppending = false;
    }
  }

  discard(): void {
    this.#discard();
  }

  #put(bytes: Buffer): void {
    const { content } = this;
    const length = content.length + bytes.length;
    if (length > content.bytes.length) {
      const larger = Buffer.alloc(Math.max(length, content.bytes.length * 2));
      content.bytes.copy(larger, 0, 0, content.length);
      content.bytes = larger;
    }
    bytes.copy(content.bytes, content.length);
    content.length = length;
  }
}

class MemoryDisk implements CacheDisk {
  protected readonly folder: MemoryCacheFolder;
  protected readonly contents: Contents;
  #lent = Buffer.alloc(0);
  protected isClosed = false;

  constructor(folder: MemoryCacheFolder, contents: Contents) {
    this.folder = folder;
    this.contents = contents;
  }

  read(id: EntryId): Buffer | null {
    this.#lent.fill(POISON);
    if (this.isClosed || this.folder.isCrashed) return null;
    const record = this.contents.records.get(id);
    if (record === undefined) return null;
    this.#lent = Buffer.from(record);
    return this.#lent;
  }

  readFact(name: string): Buffer | null {
    const fact = this.isClosed ? undefined : this.contents.facts.get(name);
    return fact === undefined ? null : Buffer.from(fact);
  }

  renew(): void {
    this.#lent.fill(POISON);
  }

  openBody(body: BodyId): BodyFile {
    return this.#open(body, true);
  }

  openGrowing(body: BodyId): BodyFile {
    return this.#open(body, false);
  }

  createBody(body: BodyId): GrowingFile {
    this.folder.checkFault("createBody");
    const { bodies } = this.contents;
    if (bodies.has(body)) throw new Error(`body ${body} is there already`);
    const content: MemoryBody = { bytes: Buffer.alloc(64), length: 0, isKept: false };
    bodies.set(body, content);
    return new MemoryGrowingFile(this.folder, content, () => {
      if (bodies.get(body) === content) bodies.delete(body);
    });
  }

  async close(): Promise<void> {
    this.isClosed = true;
  }

  #open(body: BodyId, isKept: boolean): BodyFile {
    this.folder.checkFault("openBody");
    const content = this.contents.bodies.get(body);
    if (content === undefined || content.isKept !== isKept) throw diskError("ENOENT", `body ${body}`);
    return new MemoryFile(this.folder, content);
  }
}

class MemoryBooks extends MemoryDisk implements CacheBooks {
  readonly #onClose: () => void;

  constructor(folder: MemoryCacheFolder, contents: Contents, onClose: () => void) {
    super(folder, contents);
    this.#onClose = onClose;
  }

  put(id: EntryId, record: Uint8Array): Promise<void> {
    return this.folder.perform("put", () => {
      this.folder.checkRoom(record.length);
      this.contents.records.set(id, Buffer.from(record));
    });
  }

  remove(id: EntryId): Promise<void> {
    return this.folder.perform("remove", () => void this.contents.records.delete(id));
  }

  async scan(each: (id: EntryId, record: Buffer) => void | Promise<void>, signal?: AbortSignal): Promise<void> {
    this.folder.checkFault("scan");
    let waiting: (void | Promise<void>)[] = [];
    for (const id of [...this.contents.records.keys()].sort()) {
      if (signal?.aborted === true || this.isClosed || this.folder.isCrashed) return;
      const record = this.contents.records.get(id);
      if (record === undefined) continue;
      const lent = Buffer.from(record);
      waiting.push(each(id, lent));
      lent.fill(POISON);
      if (waiting.length < SCANNED_AT_ONCE) continue;
      await Promise.all(waiting);
      waiting = [];
    }
    await Promise.all(waiting);
  }

  keepBody(body: BodyId): Promise<void> {
    return this.folder.perform("keepBody", () => {
      const content = this.contents.bodies.get(body);
      if (content === undefined) throw diskError("ENOENT", `body ${body}`);
      content.isKept = true;
    });
  }

  removeBody(body: BodyId): Promise<void> {
    return this.folder.perform("removeBody", () => void this.contents.bodies.delete(body));
  }

  async sweepBodies(isKept: (body: BodyId) => boolean, signal?: AbortSignal): Promise<void> {
    for (const body of [...this.contents.bodies.keys()]) {
      if (signal?.aborted === true) return;
      if (!isKept(body)) this.contents.bodies.delete(body);
    }
  }

  distrust(isDistrusted: boolean): void {
    if (!this.folder.isCrashed) this.contents.isDistrusted = isDistrusted;
  }

  freeBytes(): Promise<number> {
    return this.folder.perform("freeBytes", () => this.folder.freeBytes);
  }

  writeFact(name: string, fact: Uint8Array): Promise<void> {
    return this.folder.perform("writeFact", () => void this.contents.facts.set(name, Buffer.from(fact)));
  }

  override async close(): Promise<void> {
    await super.close();
    this.#onClose();
  }
}
