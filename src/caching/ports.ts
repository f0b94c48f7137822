/**
 * What the shared cache needs of the machine: a place for records and bodies that survives (io/cache: LMDB and files; testing: memory),
 * and a way for threads to speak with the one that keeps the books. One thread of the process is the keeper: it alone writes records,
 * knows what is being fetched, and decides what goes. The others read for themselves, and write the bodies that they fetch.
 */

/** Under which a record is found: the first 16 bytes of the SHA-256 of a key, in hexadecimal. */
export type EntryId = string;

/** Names a file with a body: never used twice in a cache, also not after a restart. */
export type BodyId = number;

/** An open file with a body, or with the beginning of one that is being written. Closed when the last who holds it has let go. */
export interface BodyFile {
  readonly descriptor: number;
  hold(): void;
  letGo(): void;
  /** Into the beginning of `into`, which has room for them, or into memory of their own. Rejects with an Error when they are not there. */
  read(offset: number, length: number, into?: Buffer): Promise<Buffer>;
}

/** A body that is being written, by one thread; others may read what is there. */
export interface GrowingFile extends BodyFile {
  /** Puts bytes behind what is there; one at a time. Rejects with an Error (ENOSPC, EIO). The bytes are not changed meanwhile. */
  append(bytes: Buffer): Promise<void>;
  /** It will be nobody's: removed from the folder, at once. Who holds it reads on. */
  discard(): void;
}

/** What every thread has of the disk. */
export interface CacheDisk {
  /**
   * The record under the id as it was committed last when this turn began, or behind that when `renew` was called; the bytes are
   * valid until the next call of this disk, and until the end of the turn. null: there is none, or it cannot be read.
   */
  read(id: EntryId): Buffer | null;
  /** A fact (CacheBooks.writeFact), as up to date as a record; the bytes are the caller's. null: there is none. */
  readFact(name: string): Buffer | null;
  /** What was committed before this call, by whichever thread, is read from now on. */
  renew(): void;
  /** A body that was kept (CacheBooks.keepBody). Throws an Error when it is not there. */
  openBody(body: BodyId): BodyFile;
  /** The file in which another thread writes this body. Throws an Error when it is not there. */
  openGrowing(body: BodyId): BodyFile;
  createBody(body: BodyId): GrowingFile;
  close(): Promise<void>;
}

/**
 * What the keeper alone does. Promises resolve when it is committed: all threads read it from then on, and it survives kill -9.
 * Records and facts are committed in the order in which that was asked for.
 */
export interface CacheBooks extends CacheDisk {
  /** The bytes are not changed until it resolves. Rejects with an Error (ENOSPC, EIO): what was there before stays. */
  put(id: EntryId, record: Uint8Array): Promise<void>;
  remove(id: EntryId): Promise<void>;
  /**
   * All records, some at a time, so that nobody waits long; what changes meanwhile may be among them or not. Each is as it was
   * committed last when `each` is called, and its bytes are valid during the call. What `each` returns is waited for before the next
   * ones. Resolves when it is aborted too; rejects when the records cannot be read.
   */
  scan(each: (id: EntryId, record: Buffer) => void | Promise<void>, signal?: AbortSignal): Promise<void>;
  /** A body that was written whole gets its name: from now on `openBody` finds it, also after a restart. */
  keepBody(body: BodyId): Promise<void>;
  /** Whether it was kept or is only being written; one that is not there is as good. Who holds it reads on. */
  removeBody(body: BodyId): Promise<void>;
  /** Removes files of bodies that `isKept` does not know, such as those that were being written when the process ended. */
  sweepBodies(isKept: (body: BodyId) => boolean, signal?: AbortSignal): Promise<void>;
  /**
   * Something that must not be found could not be removed, so that what is there must not be trusted by the next process, which begins
   * with nothing; or it could after all. At once, and never throws: a disk on which even that fails has said what it can.
   */
  distrust(isDistrusted: boolean): void;
  /** Bytes that are free on its file system. */
  freeBytes(): Promise<number>;
  /** Small facts that survive, such as the purge log: by name. */
  writeFact(name: string, fact: Uint8Array): Promise<void>;
}

/** A thread's way to the keeper, or the keeper's to a thread: messages arrive once, in order, in a later turn. */
export interface Link<Outgoing, Incoming> {
  send(message: Outgoing): void;
  onMessage: (message: Incoming) => void;
}
