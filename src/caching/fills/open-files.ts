/**
 * Files of stored bodies that stay open although nobody reads them, because what was asked for a moment ago is asked for again: a hit
 * then opens and closes nothing. One list for each thread and cache, bounded; who was not used for some seconds is closed by a coarse
 * timer, and whoever learns that a file is of no use any more closes it at once. So the blocks of a file that was removed meanwhile are
 * free at the latest when those seconds are over (an answer that is being sent from it holds them for as long as that takes).
 */
import { FifoMap } from "../../core/fifo-map.ts";
import type { Clock, TimerHandle } from "../../core/ports.ts";
import type { BodyFile } from "../ports.ts";

/**
 * A process has 1024 to 1048576 descriptors (`ulimit -n`), and needs most of them for connections. With two threads this is a small part
 * of the least; on a machine with 64 threads, a sixteenth of what service managers give (524288 by default).
 */
export const OPEN_FILES_MAX = 256;
/** So many are looked at for one that comes: with each hit, where all of them are being read. */
const LOOKS_MAX = 32;
/** It is closed after one to two of these without a use. nginx's `open_file_cache` is commonly given 20 to 60 s. */
export const OPEN_FILE_REST_MS = 5_000;

/** Whose file is open. */
export interface OpenFileHolder {
  /** Set with each use. */
  isFileUsed: boolean;
  /** Somebody is being given the body. */
  readonly isRead: boolean;
  /** Lets the file go. */
  closeFile(): void;
}

export class OpenFiles {
  readonly #clock: Clock;
  /** In the order in which they were opened, or spared. */
  readonly #holders = new FifoMap<OpenFileHolder, true>();
  #timer: TimerHandle | null = null;
  /** Nothing rests any more. */
  isClosed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Opens it, or makes it. Where the process has no descriptor left, all that rest are closed, and it is tried once more. Throws as
   * `open` does.
   */
  open<File extends BodyFile>(open: () => File): File {
    try {
      return open();
    } catch (error) {
      if (!isShortOfFiles(error)) throw error;
      this.#closeResting();
      return open();
    }
  }

  /** Its file may stay open from now on. False: there is no place, it is to be closed when nobody reads it. */
  keep(holder: OpenFileHolder): boolean {
    if (this.isClosed || (this.#holders.size >= OPEN_FILES_MAX && !this.#makeRoom())) return false;
    this.#holders.set(holder, true);
    this.#timer ??= this.#clock.after(OPEN_FILE_REST_MS, this.#onTimer);
    return true;
  }

  /** It is closed, or will be: it is not ours any more. */
  forget(holder: OpenFileHolder): void {
    this.#holders.delete(holder);
  }

  /** What is read is closed by its last reader. */
  close(): void {
    this.isClosed = true;
    this.#timer?.cancel();
    this.#timer = null;
    this.#closeResting();
    this.#holders.clear();
  }

  #closeResting(): void {
    for (const [holder] of this.#holders) if (!holder.isRead) this.#close(holder);
  }

  #close(holder: OpenFileHolder): void {
    this.#holders.delete(holder);
    holder.closeFile();
  }

  /** Of some that are next, closes the first that was not used since it was looked at last, or else the first; false: all are being read. */
  #makeRoom(): boolean {
    let spared: OpenFileHolder | null = null;
    for (let looks = 0; looks < LOOKS_MAX; looks++) {
      const holder = this.#holders.oldest!;
      if (!holder.isRead) {
        spared ??= holder;
        if (!holder.isFileUsed) {
          spared = holder;
          break;
        }
      }
      holder.isFileUsed = false;
      this.#holders.set(holder, true);
    }
    if (spared !== null) this.#close(spared);
    return spared !== null;
  }

  readonly #onTimer = (): void => {
    this.#timer = null;
    for (const [holder] of this.#holders) {
      if (holder.isRead) continue;
      if (holder.isFileUsed) holder.isFileUsed = false;
      else this.#close(holder);
    }
    if (this.#holders.size > 0) this.#timer = this.#clock.after(OPEN_FILE_REST_MS, this.#onTimer);
  };
}

/** Nothing is wrong with the file: this process, or the system, has too many. */
export function isShortOfFiles(error: unknown): boolean {
  const { code } = error as { code?: string };
  return code === "EMFILE" || code === "ENFILE";
}
