/**
 * A cache's disk and its books: records and facts in an LMDB, bodies in files. Every thread of the process reads for itself, without
 * locks; the keeper's writes.
 *
 * The library keeps what was read first in a turn as the state of the whole turn, unless `renew` is called. What has resolved is
 * committed: it survives the end of the process however that comes about. The library syncs behind each commit, so that the books are
 * never torn; a power loss takes the commits of the last moments, and what of the files had not reached the disk.
 */
import { rmSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { type Database, open, type RootDatabase } from "lmdb";
import type { BodyFile, BodyId, CacheBooks, CacheDisk, EntryId, GrowingFile } from "../../caching/ports.ts";
import { BodyFolder } from "./body-files.ts";
import { reasonOfCommit } from "./commit-error.ts";
import { bodiesIn, booksIn, makeBooksFolder, prepareFolder, setTrust, writeFormat } from "./folder.ts";
import { encodeOwner, livingOwner, thisProcess } from "./owner.ts";

/** Raised with each change of what is in the folder; what records are written in (caching/keeping) is a part of that. */
export const FOLDER_FORMAT = 1;

/** Threads that read at the same time. */
const READERS_MAX = 1024;
/** Records that one turn of a scan reads. */
const SCANNED_AT_ONCE = 256;
/**
 * Addresses that the map of the books takes, more than most caches have on their disk: a larger one makes the library map the file anew
 * now and then, which waits for all readers. They cost nothing while nothing is there.
 */
const MAP_BYTES = 2 ** 38;
const OWNER_FACT = "owner";
/** More than what a small commit writes. Where one fails, the library says so on the standard error in words of its own. */
const COMMIT_BYTES = 64 * 1024;

type Records = Database<Buffer, EntryId>;

/** Ids stand in the books as their 16 bytes, and are read and written without a Buffer for each. */
const ENTRY_IDS = {
  writeKey: (id: EntryId, target: Buffer, position: number): number => position + target.write(id, position, "hex"),
  readKey: (source: Buffer, start: number, end: number): EntryId => source.toString("hex", start, end),
};
/** The library knows `keyEncoder`, and its types do not. */
const RECORDS = { name: "records", encoding: "binary" as const, keyEncoder: ENTRY_IDS };
const FIRST_ID: EntryId = "0".repeat(32);
type Facts = Database<Buffer, string>;

/** In a thread that does not keep the books. Throws an Error when they are not there. */
export function openCacheDisk(folder: string): CacheDisk {
  return new LmdbCacheDisk(folder);
}

/**
 * For the keeper; to be opened before any thread's disk. What is there in another format, or must not be trusted, is removed
 * first: a cache may lose anything, and what nobody can read only takes room; `onEmptied` is told. Throws an Error that says why when the folder is not a cache's, another
 * process has it, or it cannot be opened.
 */
export function openCacheBooks(folder: string, onEmptied: () => void = () => {}): CacheBooks {
  const format = prepareFolder(folder);
  if (format === null) writeFormat(folder, FOLDER_FORMAT);
  makeBooksFolder(folder);
  const books = new LmdbCacheBooks(folder);
  try {
    books.claim();
    if (format !== null && format !== FOLDER_FORMAT) {
      books.empty();
      onEmptied();
    }
    books.makeBodyFolders();
  } catch (error) {
    void books.close();
    throw error;
  }
  return books;
}

/** The process that has a cache's folder, which is there and has books; null: none. Nothing is changed. Throws when they cannot be read. */
export function ownerOf(folder: string): number | null {
  const disk = new LmdbCacheDisk(folder, true);
  try {
    return livingOwner(disk.readFact(OWNER_FACT) ?? undefined)?.pid ?? null;
  } finally {
    void disk.close();
  }
}

class LmdbCacheDisk implements CacheDisk {
  protected readonly root: RootDatabase<Buffer, Buffer>;
  protected readonly records: Records;
  protected readonly facts: Facts;
  protected readonly bodies: BodyFolder;
  protected isClosed = false;

  constructor(folder: string, readOnly = false) {
    this.bodies = new BodyFolder(bodiesIn(folder));
    const options = {
      readOnly,
      path: booksIn(folder),
      noSubdir: false,
      encoding: "binary" as const,
      keyEncoding: "binary" as const,
      maxReaders: READERS_MAX,
      // With it, the library makes a promise for each commit that fails which nobody hears.
      eventTurnBatching: false,
      mapSize: MAP_BYTES,
      // The library passes it on, and its types do not know it.
      permissionsMode: 0o600,
    };
    this.root = open<Buffer, Buffer>(options);
    this.records = this.root.openDB(RECORDS);
    this.facts = this.root.openDB<Buffer, string>({ name: "facts", encoding: "binary" });
  }

  read(id: EntryId): Buffer | null {
    if (this.isClosed) return null;
    try {
      const bytes = this.records.getBinaryFast(id);
      // The library lends one buffer to all reads, with a length that only it goes by.
      return bytes === undefined ? null : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    } catch {
      // A disk that cannot be read has nothing.
      return null;
    }
  }

  readFact(name: string): Buffer | null {
    return this.isClosed ? null : (this.facts.getBinary(name) ?? null);
  }

  renew(): void {
    if (!this.isClosed) this.records.resetReadTxn();
  }

  openBody(body: BodyId): BodyFile {
    return this.bodies.open(body);
  }

  openGrowing(body: BodyId): BodyFile {
    return this.bodies.openPart(body);
  }

  createBody(body: BodyId): GrowingFile {
    return this.bodies.create(body);
  }

  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    await Promise.all([this.bodies.close(), this.root.close()]);
  }
}

class LmdbCacheBooks extends LmdbCacheDisk implements CacheBooks {
  readonly #folder: string;
  #isOwner = false;
  #isDistrusted = false;
  /** The last commit has failed. */
  #isFailing = false;

  constructor(folder: string) {
    super(folder);
    this.#folder = folder;
  }

  /** Throws an Error that says whose the folder is. */
  claim(): void {
    const owner = this.root.transactionSync(() => {
      const living = livingOwner(this.facts.getBinary(OWNER_FACT));
      if (living === null) this.facts.putSync(OWNER_FACT, encodeOwner(thisProcess()));
      return living;
    });
    if (owner !== null) throw new Error(`${this.#folder} is in use as a cache by process ${owner.pid}`);
    this.#isOwner = true;
  }

  empty(): void {
    this.root.transactionSync(() => {
      this.records.clearSync();
      this.facts.clearSync();
      this.facts.putSync(OWNER_FACT, encodeOwner(thisProcess()));
    });
    rmSync(bodiesIn(this.#folder), { recursive: true, force: true });
    writeFormat(this.#folder, FOLDER_FORMAT);
  }

  makeBodyFolders(): void {
    this.bodies.make();
  }

  async put(id: EntryId, record: Uint8Array): Promise<void> {
    await this.#committed(this.records.put(id, asBuffer(record)));
  }

  async remove(id: EntryId): Promise<void> {
    await this.#committed(this.records.remove(id));
  }

  async scan(each: (id: EntryId, record: Buffer) => void | Promise<void>, signal?: AbortSignal): Promise<void> {
    let range: { start: EntryId; exclusiveStart?: true } = { start: FIRST_ID };
    for (;;) {
      if (signal?.aborted === true || this.isClosed) return;
      const ids = [...this.records.getKeys({ ...range, limit: SCANNED_AT_ONCE })];
      const waiting: Promise<void>[] = [];
      for (const id of ids) {
        const record = this.read(id);
        if (record === null) continue;
        const promise = each(id, record);
        if (promise !== undefined) waiting.push(promise);
      }
      await Promise.all(waiting);
      if (ids.length < SCANNED_AT_ONCE) return;
      range = { start: ids.at(-1)!, exclusiveStart: true };
      await new Promise(setImmediate);
    }
  }

  keepBody(body: BodyId): Promise<void> {
    return this.bodies.keep(body);
  }

  removeBody(body: BodyId): Promise<void> {
    return this.bodies.remove(body);
  }

  sweepBodies(isKept: (body: BodyId) => boolean, signal?: AbortSignal): Promise<void> {
    return this.bodies.sweep(isKept, signal);
  }

  distrust(isDistrusted: boolean): void {
    if (this.#isDistrusted === isDistrusted) return;
    this.#isDistrusted = isDistrusted;
    try {
      setTrust(this.#folder, !isDistrusted);
    } catch {
      // The disk fails altogether.
    }
  }

  async freeBytes(): Promise<number> {
    const { bavail, bsize } = await statfs(this.#folder);
    return bavail * bsize;
  }

  async writeFact(name: string, fact: Uint8Array): Promise<void> {
    await this.#committed(this.facts.put(name, asBuffer(fact)));
  }

  override async close(): Promise<void> {
    if (!this.isClosed && this.#isOwner) {
      this.#isOwner = false;
      // A claim that stays is that of a process that is gone.
      if (await this.#hasRoom()) await this.#committed(this.facts.remove(OWNER_FACT)).catch(() => {});
    }
    const closed = super.close();
    // Behind a commit that has failed, the library waits without end for that to reach the disk.
    if (!this.#isFailing) await closed;
  }

  async #hasRoom(): Promise<boolean> {
    try {
      return (await this.freeBytes()) >= COMMIT_BYTES;
    } catch {
      // The folder is gone.
      return false;
    }
  }

  /** Rejects with what the system says. */
  async #committed(commit: Promise<boolean>): Promise<void> {
    try {
      await commit;
      this.#isFailing = false;
    } catch (error) {
      this.#isFailing = true;
      throw await reasonOfCommit(error);
    }
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
