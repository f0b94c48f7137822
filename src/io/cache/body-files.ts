/**
 * Bodies as files: written to a name of their own that says so (".part"), renamed when they are whole, and never changed after that.
 * They are spread over folders by the last byte of their id. Nothing is synced: what a power loss makes of a file shows in its
 * checksums, and what a killed process has left is removed at the next start.
 */
import { close, closeSync, fstatSync, mkdirSync, openSync, read, unlinkSync, write } from "node:fs";
import { readdir, rename, unlink } from "node:fs/promises";
import path from "node:path";
import type { BodyFile, BodyId, GrowingFile } from "../../caching/ports.ts";
import { descriptorLimit } from "../descriptor-limit.ts";
import { systemErrorOf } from "../failures.ts";

/** Folders; with a million bodies, each has four thousand, which any file system finds quickly. */
const FOLDERS = 256;
const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;
const PART = ".part";
const FILE_NAME = /^([0-9a-f]{14})(\.part)?$/;

export class BodyFolder {
  readonly #folder: string;
  readonly #closer = new Closer();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Resolves when no file that was let go is open any more. Those that are let go later are closed at once. */
  close(): Promise<void> {
    return this.#closer.end();
  }

  /** Makes all folders that are not there. */
  make(): void {
    for (let index = 0; index < FOLDERS; index++) {
      mkdirSync(this.#folderOf(index), { recursive: true, mode: FOLDER_MODE });
    }
  }

  open(body: BodyId): BodyFile {
    return new OpenFile(openKept(this.#pathOf(body), "r"), this.#closer);
  }

  /** One that is being written; it may have got its name meanwhile. */
  openPart(body: BodyId): BodyFile {
    const name = this.#pathOf(body);
    try {
      return new OpenFile(openKept(name + PART, "r"), this.#closer);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      return new OpenFile(openKept(name, "r"), this.#closer);
    }
  }

  create(body: BodyId): GrowingFile {
    const name = this.#pathOf(body) + PART;
    return new OpenGrowingFile(openKept(name, "wx+"), this.#closer, name);
  }

  keep(body: BodyId): Promise<void> {
    const name = this.#pathOf(body);
    return rename(name + PART, name);
  }

  async remove(body: BodyId): Promise<void> {
    const name = this.#pathOf(body);
    await removeFile(name);
    await removeFile(name + PART);
  }

  async sweep(isKept: (body: BodyId) => boolean, signal?: AbortSignal): Promise<void> {
    for (let index = 0; index < FOLDERS; index++) {
      const folder = this.#folderOf(index);
      for (const name of await readdir(folder)) {
        if (signal?.aborted === true) return;
        const digits = FILE_NAME.exec(name)?.[1];
        // What is none of ours is left alone.
        if (digits !== undefined && !isKept(Number.parseInt(digits, 16))) await removeFile(path.join(folder, name));
      }
    }
  }

  #folderOf(index: number): string {
    return path.join(this.#folder, index.toString(16).padStart(2, "0"));
  }

  #pathOf(body: BodyId): string {
    return path.join(this.#folderOf(body % FOLDERS), body.toString(16).padStart(14, "0"));
  }
}

/** Throws a SystemError, also when the descriptor would be one that is left to others. */
function openKept(name: string, flags: "r" | "wx+"): number {
  const descriptor = openSync(name, flags, FILE_MODE);
  if (descriptorLimit.admits(descriptor)) return descriptor;
  closeSync(descriptor);
  if (flags === "wx+") unlinkSync(name);
  throw systemErrorOf("EMFILE");
}

async function removeFile(name: string): Promise<void> {
  try {
    await unlink(name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

class OpenFile implements BodyFile {
  readonly descriptor: number;
  protected readonly closer: Closer;
  #holders = 1;

  constructor(descriptor: number, closer: Closer) {
    this.descriptor = descriptor;
    this.closer = closer;
  }

  hold(): void {
    if (this.#holders === 0) throw new Error("the file is closed");
    this.#holders++;
  }

  letGo(): void {
    if (this.#holders === 0) throw new Error("the file was closed already");
    if (--this.#holders === 0) this.close();
  }

  /** A microsecond here, five by way of the pool; and what is closed because descriptors are short is needed at once. */
  protected close(): void {
    if (isRemoved(this.descriptor)) this.closer.closeElsewhere(this.descriptor);
    else closeHere(this.descriptor);
  }

  async read(offset: number, length: number, into?: Buffer): Promise<Buffer> {
    this.hold();
    try {
      const bytes = into?.subarray(0, length) ?? Buffer.allocUnsafe(length);
      for (let at = 0; at < length; ) {
        const count = await readInto(this.descriptor, bytes, at, offset + at);
        if (count === 0) throw new Error("the file is shorter than it should be");
        at += count;
      }
      return bytes;
    } finally {
      this.letGo();
    }
  }
}

class OpenGrowingFile extends OpenFile implements GrowingFile {
  readonly #name: string;
  #length = 0;
  #isAppending = false;

  constructor(descriptor: number, closer: Closer, name: string) {
    super(descriptor, closer);
    this.#name = name;
  }

  async append(bytes: Buffer): Promise<void> {
    if (this.#isAppending) throw new Error("one piece is written at a time");
    this.#isAppending = true;
    this.hold();
    try {
      for (let at = 0; at < bytes.length; ) {
        const count = await writeFrom(this.descriptor, bytes, at, this.#length);
        at += count;
        this.#length += count;
      }
    } finally {
      this.#isAppending = false;
      this.letGo();
    }
  }

  /** Some file systems write what they hold back when a file is closed. */
  protected override close(): void {
    this.closer.closeElsewhere(this.descriptor);
  }

  discard(): void {
    try {
      unlinkSync(this.#name);
    } catch {
      // It has its name by now and is the keeper's to remove, or the folder is gone; what stays is swept at the next start.
    }
  }
}

function readInto(descriptor: number, bytes: Buffer, at: number, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(descriptor, bytes, at, bytes.length - at, position, (error, count) => {
      if (error === null) resolve(count);
      else reject(error);
    });
  });
}

function writeFrom(descriptor: number, bytes: Buffer, at: number, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    write(descriptor, bytes, at, bytes.length - at, position, (error, count) => {
      if (error === null) resolve(count);
      else reject(error);
    });
  });
}

/** The last one to close such a file waits until its blocks are free. */
function isRemoved(descriptor: number): boolean {
  try {
    return fstatSync(descriptor).nlink === 0;
  } catch {
    return true;
  }
}

function closeHere(descriptor: number): void {
  try {
    closeSync(descriptor);
  } catch {
    // Whatever the disk says of it now: the descriptor is free.
  }
}

/**
 * Closes files in the pool. A thread that ends takes along what it has in the pool, undone, and the descriptors would stay open until
 * the process ends: so their end is waited for before, and at the end nothing more goes there.
 */
class Closer {
  #underWay = 0;
  #isEnding = false;
  readonly #ended = Promise.withResolvers<void>();

  closeElsewhere(descriptor: number): void {
    if (this.#isEnding) return closeHere(descriptor);
    this.#underWay++;
    close(descriptor, this.#onClosed);
  }

  end(): Promise<void> {
    this.#isEnding = true;
    if (this.#underWay === 0) this.#ended.resolve();
    return this.#ended.promise;
  }

  readonly #onClosed = (): void => {
    this.#underWay--;
    if (this.#isEnding && this.#underWay === 0) this.#ended.resolve();
  };
}
