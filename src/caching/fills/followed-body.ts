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
  /** Nothing more is asked of the table, and no file is held. */
  onOver(): void;
}

export class FollowedBody extends FlowingBody {
  readonly #owner: FollowedBodyOwner;
  readonly #table: ProgressTable;
  readonly #row: number;
  readonly #generation: number;
  #file: BodyFile | null = null;
  #isOver = false;

  /** `row` and `generation`: of the fill, in the table. */
  constructor(owner: FollowedBodyOwner, bytes: number, table: ProgressTable, row: number, generation: number) {
    super(bytes);
    this.#owner = owner;
    this.#table = table;
    this.#row = row;
    this.#generation = generation;
  }

  get fileEnd(): number {
    return this.available;
  }

  get file(): BodyFile | null {
    return this.#file;
  }

  locate(position: number): boolean {
    if (this.memory === null) return false;
    this.piece = this.memory;
    this.pieceStart = position;
    this.pieceEnd = this.memory.length;
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

  /** All of it, when it was small. */
  whole(bytes: Buffer): void {
    if (this.isComplete || this.error !== null) return;
    this.memory = bytes;
    this.available = this.bytes = bytes.length;
    this.isComplete = true;
    this.pumpReaders();
    this.departed();
  }

  /** It ended without a whole body. */
  broken(): void {
    if (this.isComplete || this.error !== null) return;
    this.#break(new ProxyError("http_response_incomplete", "the body broke off while it was fetched"));
  }

  protected override joined(): void {
    if (!this.isComplete || this.memory !== null || this.#file !== null) return;
    try {
      this.#file = this.#owner.openFile();
    } catch {
      // The reader finds that there is none, and breaks its answer.
    }
  }

  protected override departed(): void {
    if (this.readers.size > 0 || (!this.isComplete && this.error === null)) return;
    this.#file?.letGo();
    this.#file = null;
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
    this.available = table.readableOf(this.#row);
    if (state === PROGRESS_STATES.complete) {
      this.bytes = this.available;
      this.isComplete = true;
    } else table.wait(this.#row, wakes, this.#watch);
    this.pumpReaders();
    this.departed();
  };

  #break(error: ProxyError): void {
    this.error = error;
    this.abortReaders(error);
    this.departed();
  }
}
