/**
 * A body while it is fetched, in the thread that fetches it. What comes is copied into blocks of memory and, once it is more than a
 * small answer, or another thread follows, written to a file behind them; a block goes when its bytes are in the file. Readers take
 * from memory what is there, else from the file.
 *
 * When the disk fails, or more comes than may be stored, the file ends there: the readers of this thread get everything all the
 * same, and the source then waits for the slowest of them. It decides nothing about what is stored: its owner is told how it ended.
 */
import { ProxyError } from "../../core/errors.ts";
import { BlockChecksums } from "../keeping/record.ts";
import type { BodyFile, GrowingFile } from "../ports.ts";
import type { BodyReader } from "./body-reader.ts";
import { FlowingBody } from "./flowing-body.ts";

/** A body up to this size stands in its record, and comes from memory; a larger one has a file. One read of a transport. */
export const HOT_BODY_BYTES_MAX = 64 * 1024;
/** What may be in memory of one fill: the disk is slower than the origin then, or a reader when there is no disk. */
export const FILL_AHEAD_BYTES_MAX = 1024 * 1024;
/** The source goes on when so much less is left. */
const FILL_DRAINED_BYTES = FILL_AHEAD_BYTES_MAX / 2;
/**
 * What is written to a file at a time: the kernel sends a file that was written by 16 KiB for a tenth less than one by 4, and one by more
 * than 64 for no less (bench/README.md).
 */
const BLOCK_BYTES = HOT_BODY_BYTES_MAX;
/** Blocks that wait for reuse in a thread, 4 MiB: a long body otherwise makes one for every 64 KiB. */
const BLOCKS_KEPT_MAX = 64;

const freeBlocks: Buffer[] = [];

export interface GrowingBodyOwner {
  /** Makes the file. May throw: the disk fails. */
  createFile(): GrowingFile;
  /** The file of what was kept, for somebody who comes late. May throw. */
  reopen(): BodyFile;
  /** So much has come, and so much of it is in the file. */
  onProgress(written: number, readable: number): void;
  /** The file is there, for other threads to open, and something is in it. */
  onFile(): void;
  /** What others could read ends here, and nothing will be stored: the disk has failed, or it is too long. */
  onUnkept(error: Error | null): void;
  /** The body has come whole, and its file is written, if it has one. */
  onWhole(): void;
  /** There is room again. */
  onDrained(): void;
  /** Nothing will be stored, and nobody reads. */
  unwanted(): void;
  /** Somebody has begun to read, or is done. */
  onReader(change: 1 | -1): void;
}

export class GrowingBody extends FlowingBody {
  readonly #owner: GrowingBodyOwner;
  override readonly start: number;
  /** -1: nobody knows yet. */
  readonly #expectedEnd: number;
  readonly #bytesMax: number;
  readonly #checksums = new BlockChecksums();
  /** [#blocksStart, available), every one full but the last. */
  #blocks: Buffer[] = [];
  #blocksStart: number;
  /**
   * Of a body that is not kept: how many readers have not passed the first block, so that only the last one of them looks at all. What
   * happens while one of them is given something may make it too low, which means that all are looked at once more.
   */
  #behind = 0;
  #file: GrowingFile | null = null;
  /** For who reads what has been kept already. */
  #reopened: BodyFile | null = null;
  /** [start, #flushed) is in the file. */
  #flushed: number;
  #isAppending = false;
  /** Nothing goes to a file any more. */
  #isUnkept = false;
  #isFull = false;
  #isWhole = false;
  /** It is unwanted when nobody reads it, though it could be kept. */
  endsUnread = false;
  /** There are readers in other threads, of whom nothing is heard. */
  #isShared = false;
  /** The owner knows what became of it: the file is held for readers alone. */
  #isSettled = false;

  /**
   * `bytes`: of the whole representation, -1 when nobody knows yet; [start, end) is the part of it that comes. Longer than `bytesMax`
   * it is not stored.
   */
  constructor(owner: GrowingBodyOwner, bytes: number, start: number, end: number, bytesMax: number) {
    super(bytes);
    this.#owner = owner;
    this.start = this.available = this.#blocksStart = this.#flushed = start;
    this.#expectedEnd = end;
    this.#bytesMax = bytesMax;
  }

  override get end(): number {
    return this.isComplete ? this.available : this.#expectedEnd;
  }

  override get fileStart(): number {
    return this.start;
  }

  /** What has come so far. */
  get writtenBytes(): number {
    return this.available - this.start;
  }

  get fileEnd(): number {
    return this.#flushed;
  }

  get file(): BodyFile | null {
    return this.#file ?? this.#reopened;
  }

  get hasFile(): boolean {
    return this.#file !== null;
  }

  get isFull(): boolean {
    return this.#isFull;
  }

  get isKept(): boolean {
    return !this.#isUnkept;
  }

  /** Whether somebody who begins now gets all of it. */
  get isReadable(): boolean {
    return this.error === null && (!this.#isUnkept || this.#flushed >= this.#blocksStart);
  }

  /** All that has come, where it needs no file: it is small, and no other thread reads it. */
  get inline(): Buffer | null {
    if (this.memory !== null) return this.memory;
    if (this.#file !== null || this.#isUnkept) return null;
    return Buffer.concat(this.#blocks).subarray(0, this.writtenBytes);
  }

  get checksums(): Uint32Array {
    return this.#checksums.read();
  }

  locate(position: number): boolean {
    if (position < this.#blocksStart) return false;
    const offset = position - this.#blocksStart;
    const index = Math.floor(offset / BLOCK_BYTES);
    const block = this.#blocks[index]!;
    this.piece = block;
    this.pieceStart = offset - index * BLOCK_BYTES;
    this.pieceEnd = Math.min(block.length, this.available - this.#blocksStart - index * BLOCK_BYTES);
    return true;
  }

  write(bytes: Buffer, start: number, end: number): void {
    if (this.isComplete || this.error !== null || end <= start) return;
    const written = this.available;
    for (let from = start; from < end; ) {
      const used = (this.available - this.#blocksStart) % BLOCK_BYTES;
      const block = used === 0 ? this.#addBlock() : this.#blocks.at(-1)!;
      const length = Math.min(block.length - used, end - from);
      bytes.copy(block, used, from, from + length);
      from += length;
      this.available += length;
    }
    if (!this.#isUnkept) {
      this.#checksums.add(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end));
      if (this.writtenBytes > this.#bytesMax) this.stopKeeping(null);
      else if (this.#file === null && this.writtenBytes > HOT_BODY_BYTES_MAX) this.#createFile();
      this.#flush();
    }
    this.#tellProgress();
    this.pumpReaders();
    if (this.#isUnkept && written < this.available) this.#trim();
    this.#isFull ||= this.#held > FILL_AHEAD_BYTES_MAX;
  }

  /** Another thread reads as well: there has to be a file, and nothing waits for a block to be full. */
  share(): void {
    this.#isShared = true;
    if (this.#isUnkept || this.isComplete || this.error !== null) return;
    if (this.#file === null) this.#createFile();
    this.#flush();
  }

  /** No more comes, and that is all of it. */
  complete(): void {
    if (this.isComplete || this.error !== null) return;
    this.isComplete = true;
    if (this.bytes < 0) this.bytes = this.available;
    const isWhole = this.start === 0 && this.available === this.bytes;
    if (isWhole && !this.#isUnkept && this.#blocksStart === 0 && this.available <= HOT_BODY_BYTES_MAX)
      this.#keepInMemory();
    // What is in memory is a whole body: a part has a file, however small it is.
    if (!isWhole && !this.#isUnkept && this.#file === null) this.#createFile();
    this.pumpReaders();
    this.#flush();
    this.#settleWhole();
  }

  /** No more comes, and it is not all. */
  fail(error: ProxyError): void {
    if (this.error !== null || this.#isWhole) return;
    this.error = error;
    this.#isUnkept = true;
    this.#isSettled = true;
    // Before the last reader lets go of it.
    this.#file?.discard();
    this.abortReaders(error);
    this.#letGoFile();
    this.#blocks = [];
  }

  /** What was written is kept as a file, or not. */
  settle(isKept: boolean): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    if (!isKept) this.#file?.discard();
    if (this.readers.size === 0) this.#letGoFile();
  }

  unreadable(cause: unknown): ProxyError {
    return new ProxyError("proxy_internal_error", "a body that is being stored cannot be read", { cause });
  }

  override moved(from: number, to: number): void {
    // Blocks are given back whole: only who leaves the first one can make room.
    if (this.#isBehind(from) && !this.#isBehind(to)) this.#passed();
  }

  protected override countReader(change: 1 | -1): void {
    this.#owner.onReader(change);
  }

  protected override joined(reader: BodyReader): void {
    if (this.#isBehind(reader.position)) this.#behind++;
    if (!this.#isSettled || this.#isUnkept || this.memory !== null || this.file !== null) return;
    try {
      this.#reopened = this.#owner.reopen();
    } catch {
      // The reader finds that there is none, and breaks its answer.
    }
  }

  protected override departed(reader: BodyReader): void {
    // Who has left may be the one for whom the source waits.
    if (this.#isBehind(reader.position)) this.#passed();
    const isUnread = this.readers.size === 0;
    if (this.#isSettled) {
      if (isUnread) this.#letGoFile();
      return;
    }
    const isUnwanted = isUnread && (this.#isUnkept || (this.endsUnread && !this.#isShared));
    if (isUnwanted && !this.isComplete) this.#owner.unwanted();
  }

  #isBehind(position: number): boolean {
    return this.#isUnkept && this.error === null && position < this.#blocksStart + BLOCK_BYTES;
  }

  #passed(): void {
    if (--this.#behind <= 0) this.#trim();
  }

  #tellProgress(): void {
    this.#owner.onProgress(this.writtenBytes, this.#flushed - this.start);
  }

  get #held(): number {
    if (this.#isUnkept) return this.#blocks.length * BLOCK_BYTES;
    return this.#file === null ? 0 : this.available - this.#flushed;
  }

  #addBlock(): Buffer {
    // What is known to be small gets what it needs, and stays in memory as it is.
    const expected = this.#expectedEnd - this.start;
    const isSmall = this.#expectedEnd >= 0 && expected <= HOT_BODY_BYTES_MAX && this.writtenBytes === 0;
    const block = isSmall
      ? Buffer.allocUnsafeSlow(expected)
      : (freeBlocks.pop() ?? Buffer.allocUnsafeSlow(BLOCK_BYTES));
    this.#blocks.push(block);
    return block;
  }

  /** A small one has all its bytes in one piece from now on. */
  #keepInMemory(): void {
    const block = this.#blocks[0] ?? EMPTY;
    if (block.length === this.available) this.memory = block;
    else {
      this.memory = Buffer.allocUnsafeSlow(this.available);
      block.copy(this.memory, 0, 0, this.available);
      // What is being written to the file must not change.
      if (!this.#isAppending) recycle(block);
    }
    this.#blocks = [this.memory];
  }

  #createFile(): void {
    try {
      this.#file = this.#owner.createFile();
    } catch (error) {
      this.stopKeeping(asError(error));
    }
  }

  /**
   * Writes what is not in the file yet, a block at a time, and whole blocks as long as more comes: the kernel keeps what is written at
   * once in one folio, if it begins where one may, and moves it to sockets in one piece. Other threads are not kept waiting for that.
   */
  #flush(): void {
    const file = this.#file;
    if (file === null || this.#isAppending || this.#isUnkept || this.#flushed === this.available) return;
    this.locate(this.#flushed);
    const { piece, pieceStart, pieceEnd } = this;
    if (pieceEnd < piece.length && !this.isComplete && !this.#isShared) return;
    this.#isAppending = true;
    // Whatever becomes of the body: the descriptor stays while it is written to.
    file.hold();
    file.append(piece.subarray(pieceStart, pieceEnd)).then(
      () => this.#onAppended(file, pieceEnd - pieceStart),
      (error) => {
        this.#isAppending = false;
        file.letGo();
        this.stopKeeping(asError(error));
        this.#settleWhole();
      },
    );
  }

  #onAppended(file: BodyFile, length: number): void {
    this.#isAppending = false;
    file.letGo();
    if (this.#isUnkept) return this.#settleWhole();
    // A disk that is full takes a file, and nothing into it.
    if (this.#flushed === this.start) this.#owner.onFile();
    this.#flushed += length;
    if (this.memory === null) {
      while (this.#blocks.length > 0 && this.#blocksStart + BLOCK_BYTES <= this.#flushed) {
        this.#blocksStart += BLOCK_BYTES;
        recycle(this.#blocks.shift()!);
      }
    }
    this.#tellProgress();
    this.#flush();
    this.#settleWhole();
    this.#settleDrained();
  }

  #settleDrained(): void {
    if (!this.#isFull || this.#held > FILL_DRAINED_BYTES) return;
    this.#isFull = false;
    this.#owner.onDrained();
  }

  #settleWhole(): void {
    if (!this.isComplete || this.#isWhole || this.error !== null || this.#isAppending) return;
    if (!this.#isUnkept && this.#file !== null && this.#flushed < this.available) return;
    this.#isWhole = true;
    this.#owner.onWhole();
  }

  /** It will not be stored. null: it is too long. */
  stopKeeping(error: Error | null): void {
    if (this.#isUnkept) return;
    this.#isUnkept = true;
    this.#file?.discard();
    this.#owner.onUnkept(error);
    this.#trim();
    if (this.readers.size === 0 && !this.isComplete && this.error === null) this.#owner.unwanted();
  }

  /** Without a file behind it, memory is for the slowest reader, and what all of them have is gone. */
  #trim(): void {
    let needed = this.available;
    for (const reader of this.readers) needed = Math.min(needed, reader.position);
    // What is in the file still comes from there.
    while (this.#blocks.length > 0 && this.#blocksStart + BLOCK_BYTES <= needed) {
      this.#blocksStart += BLOCK_BYTES;
      this.#blocks.shift();
    }
    this.#behind = 0;
    for (const { position } of this.readers) if (this.#isBehind(position)) this.#behind++;
    this.#settleDrained();
  }

  #letGoFile(): void {
    const file = this.file;
    this.#file = this.#reopened = null;
    file?.letGo();
  }
}

function recycle(block: Buffer): void {
  if (block.length === BLOCK_BYTES && freeBlocks.length < BLOCKS_KEPT_MAX) freeBlocks.push(block);
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error("the disk failed", { cause: thrown });
}

const EMPTY = Buffer.alloc(0);
