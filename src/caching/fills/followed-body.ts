/**
 * A body that another thread fetches: read from the file that it writes, as far as the shared table says that it has come. Nothing
 * is copied between threads, and nothing polled: the table wakes who waits. A small one that was over before there was a file comes
 * as a message.
 */
import { ProxyError } from "../../core/errors.ts";
import type { BodyFile } from "../ports.ts";
import { FlowingBody } from "./flowing-body.ts";
import { PROGRESS_STATES, type ProgressTable } from "./progress-table.ts";

export interface FollowedBodyOwner {
  /** Opens the file that is being written, or what became of it. May throw. */
  openFile(): BodyFile;
  /** Nothing more is asked of the table: all has come, and is read from the file or from memory, or it broke. */
  onOver(): void;
}

/** Which part of a representation is fetched, and where in the table it shows how far it has come. */
export interface FollowedPlace {
  readonly start: number;
  readonly end: number;
  readonly row: number;
  readonly generation: number;
}

export class FollowedBody extends FlowingBody {
  readonly #owner: FollowedBodyOwner;
  readonly #table: ProgressTable;
  override readonly start: number;
  #end: number;
  readonly #row: number;
  readonly #generation: number;
  #file: BodyFile | null = null;
  /** All that came, of a small one. */
  #whole: Buffer | null = null;
  #isOver = false;
  /** It is about to be given to those who waited for it: the file stays open for them, though all has come already. */
  #isAwaited = true;

  /** `bytes`: of the whole representation, -1 when nobody knows yet. */
  constructor(owner: FollowedBodyOwner, bytes: number, table: ProgressTable, place: FollowedPlace) {
    super(bytes);
    this.#owner = owner;
    this.#table = table;
    this.start = this.available = place.start;
    this.#end = place.end;
    this.#row = place.row;
    this.#generation = place.generation;
  }

  override get end(): number {
    return this.#end;
  }

  override get fileStart(): number {
    return this.start;
  }

  get fileEnd(): number {
    return this.available;
  }

  get file(): BodyFile | null {
    return this.#file;
  }

  locate(position: number): boolean {
    if (this.#whole === null) return false;
    this.piece = this.#whole;
    this.pieceStart = position - this.start;
    this.pieceEnd = this.#whole.length;
    return true;
  }

  unreadable(cause: unknown): ProxyError {
    return new ProxyError("proxy_internal_error", "a body that another thread stores cannot be read", { cause });
  }

  /** There is a file: bytes come from here on. */
  opened(): void {
    if (this.#file !== null || this.isComplete || this.error !== null) return;
    try {
      this.#file = this.#owner.openFile();
    } catch (error) {
      return this.#break(this.unreadable(error));
    }
    this.#watch();
  }

  /** Who waited for it reads it by now, or does not. */
  given(): void {
    if (!this.#isAwaited) return;
    this.#isAwaited = false;
    this.departed();
  }

  /** All of it, when it was small. */
  whole(bytes: Buffer): void {
    if (this.isComplete || this.error !== null) return;
    this.#whole = bytes;
    this.available = this.start + bytes.length;
    this.#complete();
    if (this.start === 0 && this.available === this.bytes) this.memory = bytes;
    this.pumpReaders();
    this.departed();
  }

  /** It ended without a whole body. */
  broken(): void {
    if (this.isComplete || this.error !== null) return;
    this.#break(new ProxyError("http_response_incomplete", "the body broke off while it was fetched"));
  }

  protected override countReader(change: 1 | -1): void {
    // Until then the row is this fill's.
    if (!this.#isOver) this.#table.countReader(this.#row, change);
  }

  protected override joined(): void {
    if (!this.isComplete || this.#whole !== null || this.#file !== null) return;
    try {
      this.#file = this.#owner.openFile();
    } catch {
      // The reader finds that there is none, and breaks its answer.
    }
  }

  protected override departed(): void {
    if (this.#isAwaited || this.readers.size > 0 || (!this.isComplete && this.error === null)) return;
    this.#file?.letGo();
    this.#file = null;
    this.#leave();
  }

  /** The fill's place is for others from here on, however long it takes to read what has come. */
  #leave(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#owner.onOver();
  }

  readonly #watch = (): void => {
    if (this.isComplete || this.error !== null) return;
    const table = this.#table;
    // Before the rest is read: what changes afterwards wakes.
    const wakes = table.wakesOf(this.#row);
    const state = table.stateOf(this.#row);
    if (table.generationOf(this.#row) !== this.#generation || state === PROGRESS_STATES.broken) return this.broken();
    this.available = this.start + table.readableOf(this.#row);
    if (state === PROGRESS_STATES.complete) this.#complete();
    else table.wait(this.#row, wakes, this.#watch);
    this.pumpReaders();
    this.departed();
  };

  #complete(): void {
    this.isComplete = true;
    this.#end = this.available;
    if (this.bytes < 0) this.bytes = this.available;
    this.#leave();
  }

  #break(error: ProxyError): void {
    this.error = error;
    this.abortReaders(error);
    this.departed();
  }
}
