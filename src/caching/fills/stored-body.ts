/**
 * Bodies that are stored: small ones, which are there with their record, and those in files. The blocks of a file are verified by
 * whoever reads them first after a start, as they are read; from when all of them are known to be good they are sent unseen. A block
 * that is not what was written breaks that answer, and its entry is dropped.
 */
import { ProxyError } from "../../core/errors.ts";
import type { AnswerSink, ProducedBody } from "../../pipeline/body.ts";
import type { AnswerBody } from "../cache.ts";
import { type FileBody, type InlineBody, verifyBlock } from "../keeping/record.ts";
import type { BodyFile } from "../ports.ts";
import { FlowingBody } from "./flowing-body.ts";
import { isShortOfFiles, type OpenFileHolder, type OpenFiles } from "./open-files.ts";

/** A part of a representation that is held in memory. */
export class MemoryBody implements AnswerBody {
  readonly bytes: number;
  readonly memory: Buffer | null;
  readonly start: number;
  readonly end: number;
  readonly #part: Buffer;

  constructor(body: InlineBody, bytes: number) {
    this.bytes = bytes;
    this.start = body.start;
    this.end = body.end;
    this.#part = body.bytes;
    this.memory = body.start === 0 && body.end === bytes ? body.bytes : null;
  }

  open(): boolean {
    return true;
  }

  produce(sink: AnswerSink, start: number, end: number): ProducedBody {
    const from = start - this.start;
    const to = (end < 0 ? this.end : end) - this.start;
    if (from < 0 || to > this.#part.length) {
      sink.abort(new ProxyError("proxy_internal_error", "a part of a body was asked for that is not there"));
    } else {
      if (to > from) sink.write(this.#part, from, to);
      sink.end();
    }
    return OVER;
  }
}

/** Who has given everything. */
const OVER: ProducedBody = { pause() {}, resume() {} };

export interface StoredFileOwner {
  /** May throw. */
  readonly open: () => BodyFile;
  /** Whether all its blocks have been verified since the start. */
  isVerified(): boolean;
  /** All blocks were found good. */
  onVerified(): void;
  /** It is not what was written, or is not there: the entry is of no use. */
  onBad(): void;
}

export class StoredFile extends FlowingBody implements OpenFileHolder {
  override readonly start: number;
  isFileUsed = false;
  readonly #end: number;
  readonly #owner: StoredFileOwner;
  readonly #openFiles: OpenFiles;
  readonly #stored: FileBody;
  #file: BodyFile | null = null;
  /** A bit for each block that was found good, while not all of them are. */
  #good: Uint8Array | null = null;
  #goodCount = 0;
  #isBad = false;
  /** Nothing is wrong with the file: this process has too many. */
  #isShort = false;
  /** It may be asked for again: the file stays open for a while. */
  #isWanted = true;
  /** It is among the open files. */
  #isKept = false;

  constructor(owner: StoredFileOwner, openFiles: OpenFiles, stored: FileBody, bytes: number) {
    super(bytes);
    this.#owner = owner;
    this.#openFiles = openFiles;
    this.#stored = stored;
    this.start = stored.start;
    this.#end = stored.end;
    this.available = stored.end;
    this.isComplete = true;
  }

  override get end(): number {
    return this.#end;
  }

  get file(): BodyFile | null {
    return this.#file;
  }

  get fileEnd(): number {
    return this.#end;
  }

  override get fileStart(): number {
    return this.start;
  }

  locate(): boolean {
    return false;
  }

  override get isVerified(): boolean {
    return this.#owner.isVerified();
  }

  override verifiedFrom(position: number): number {
    const { blockBytes } = this.#stored;
    return position - ((position - this.start) % blockBytes);
  }

  override verifiedLength(from: number): number {
    return Math.min(this.#stored.blockBytes, this.#end - from);
  }

  override verify(from: number, bytes: Buffer): boolean {
    const index = (from - this.start) / this.#stored.blockBytes;
    if (!verifyBlock(this.#stored, index, bytes)) return false;
    const { length } = this.#stored.checksums;
    this.#good ??= new Uint8Array(Math.ceil(length / 8));
    const bit = 1 << (index & 7);
    if ((this.#good[index >> 3]! & bit) === 0) {
      this.#good[index >> 3]! |= bit;
      if (++this.#goodCount === length) {
        this.#good = null;
        this.#owner.onVerified();
      }
    }
    return true;
  }

  override open(): boolean {
    if (this.#isBad) {
      // The keeper may not have been able to drop it.
      this.#owner.onBad();
      return false;
    }
    if (this.#file !== null) return true;
    this.#openFile();
    if (this.#file === null) {
      this.#foundBad();
      return false;
    }
    this.#rest();
    return true;
  }

  unreadable(cause: unknown): ProxyError {
    this.#foundBad();
    return new ProxyError("proxy_internal_error", "a stored body is damaged, or cannot be read", { cause });
  }

  #foundBad(): void {
    if (this.#isBad || this.#isShort) return;
    this.#isBad = true;
    this.retire();
    this.#owner.onBad();
  }

  get isRead(): boolean {
    return this.readersCount > 0;
  }

  /** Nobody finds it any more: whoever reads it now is the last. */
  retire(): void {
    this.#isWanted = false;
    this.#openFiles.forget(this);
    this.departed();
  }

  closeFile(): void {
    this.#file?.letGo();
    this.#file = null;
    this.#isKept = false;
  }

  protected override joined(): void {
    this.isFileUsed = true;
    if (this.#file === null) this.#openFile();
  }

  /** Where it cannot be opened there is none: a reader breaks its answer then. */
  #openFile(): void {
    try {
      this.#file = this.#openFiles.open(this.#owner.open);
      this.#isShort = false;
    } catch (error) {
      this.#isShort = isShortOfFiles(error);
    }
  }

  protected override departed(): void {
    if (this.isRead || this.#file === null) return;
    if (this.#isWanted) return this.#rest();
    this.#openFiles.forget(this);
    this.closeFile();
  }

  /** Nobody reads it now: it stays open for a while, where there is room. Also what nobody finds again, when it is about to be given. */
  #rest(): void {
    this.#isKept = !this.#openFiles.isClosed && (this.#isKept || this.#openFiles.keep(this));
    if (!this.#isKept) this.closeFile();
  }
}
