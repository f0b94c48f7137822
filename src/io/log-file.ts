/**
 * Where log lines leave the process: collected in memory, written in batches by Node's file threads, so that the path of
 * a request never waits for a disk or a pipe. It decides when to write, what to keep while writing fails, and what to
 * drop when that takes too long; it never looks into a line.
 *
 * Writing that fails (a full disk, a reader that has gone) is tried again for as long as the process lives. Memory is
 * bounded: beyond it the newest lines are dropped and counted, and the log itself says how many as soon as it can.
 */
import fs from "node:fs";
import { dirname } from "node:path";
import type { Clock, TimerHandle } from "../core/ports.ts";
import { type SystemError, systemErrorOf } from "./failures.ts";

export type LogTarget = "stdout" | "stderr" | { readonly path: string };

export interface LogWriterOptions {
  /** The line that tells how many lines were lost, in the format of this log. */
  readonly lossLine: (lostLines: number) => string;
  /** Writing has begun to fail. Called once until it works again. */
  readonly onTrouble?: (error: Error) => void;
  /** It works again. */
  readonly onRecovered?: () => void;
  /** What is kept in memory while writing does not get on. */
  readonly bufferCharsMax?: number;
}

/** A batch is written when it has this size: one system call for hundreds of lines. */
const BATCH_CHARS = 64 * 1024;
/** Or when its first line is this old: somebody may be reading along. */
const BATCH_MS = 100;
/** Several seconds of a busy access log. */
const BUFFER_CHARS_MAX = 8 * 1024 * 1024;
/** After a failure: a full disk does not get free sooner. */
const RETRY_MS = 1_000;
/** A pipe is full: its reader is at work. With pipes of 64 KiB this allows 16 MB a second. */
const PIPE_RETRY_MS = 4;
/** How long `close` waits for a target that does not take anything. */
const CLOSE_MS_MAX = 5_000;
/** A log may hold what only its owner's group should read. */
const FILE_MODE = 0o640;
const { O_APPEND, O_CREAT, O_NONBLOCK, O_WRONLY } = fs.constants;
/**
 * A named pipe without a reader is refused and not waited for, and one that is full takes nothing: a thread that waits for a reader
 * keeps the process from ending. Files do not care.
 */
const OPEN_FLAGS = O_APPEND | O_CREAT | O_WRONLY | O_NONBLOCK;

/** How Node makes a standard stream of a pipe or socket wait for its reader, or not. */
interface Waits {
  readonly _handle?: { setBlocking?(waits: boolean): number } | null;
}

export class LogWriter {
  readonly #clock: Clock;
  readonly #path: string | null;
  readonly #options: LogWriterOptions;
  readonly #bufferCharsMax: number;
  #fd: number;
  /** Not one of the process's standard descriptors: closed with the writer. */
  readonly #ownsFd: boolean;
  /** The standard stream; null: a file. */
  readonly #stream: Waits | null = null;
  /** Opened by `reopen`; takes the place of `fd` between two batches. */
  #nextFd: number | null = null;
  /** Lines that wait, and how many. */
  #text = "";
  #lines = 0;
  /** What is being written: `batch[batchStart, ...)`. */
  #batch: Buffer | null = null;
  #batchStart = 0;
  #batchLines = 0;
  #isWriting = false;
  #timer: TimerHandle | null = null;
  #lostLines = 0;
  #isTroubled = false;
  /** The timer says when to try again; nothing else does. */
  #isRetrying = false;
  #isClosed = false;
  readonly #onWritten = (error: SystemError | null, bytes: number): void => this.#written(error, bytes);
  readonly #onTimer = (): void => {
    this.#timer = null;
    this.#isRetrying = false;
    this.#writeBatch();
  };
  #onIdle: (() => void) | null = null;

  /** Throws an Error for the operator when the file cannot be opened. */
  constructor(target: LogTarget, clock: Clock, options: LogWriterOptions) {
    this.#clock = clock;
    this.#options = options;
    this.#bufferCharsMax = options.bufferCharsMax ?? BUFFER_CHARS_MAX;
    if (typeof target === "string") {
      this.#path = null;
      // Asking for the stream makes Node set a pipe or socket to non-blocking. A thread that waited for a reader which
      // has stopped reading would keep the process from ending.
      const stream = process[target];
      // And who else writes there is not to end the process either when that reader goes.
      if (stream.listenerCount("error") === 0) stream.on("error", ignore);
      this.#stream = stream as Waits;
      this.#fd = target === "stdout" ? 1 : 2;
      this.#ownsFd = false;
      return;
    }
    this.#path = target.path;
    try {
      this.#fd = fs.openSync(target.path, OPEN_FLAGS, FILE_MODE);
    } catch (error) {
      throw new Error(openFailure(target.path, error as SystemError), { cause: error });
    }
    this.#ownsFd = true;
  }

  /** Adds a line, or `lines` of them in one text; the end of the last is added when it is missing. Never waits, never throws. */
  write(text: string, lines = 1): void {
    if (this.#isClosed) return;
    if (this.#text.length + text.length >= this.#bufferCharsMax) {
      this.#lostLines += lines;
      return;
    }
    this.#append(text, lines);
    if (this.#isWriting) return;
    if (this.#text.length >= BATCH_CHARS && !this.#isRetrying) this.#writeBatch();
    else if (this.#timer === null) this.#wait(BATCH_MS);
  }

  /** Lines that were dropped and not yet told of. */
  get lostLines(): number {
    return this.#lostLines;
  }

  /**
   * Opens the file anew, after it was renamed: nothing is lost, the old one is closed after the batch under way. Rejects with an Error
   * for the operator when it cannot be opened: the old one is written to then, wherever it is.
   */
  async reopen(): Promise<void> {
    if (this.#path === null || this.#isClosed) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    fs.open(this.#path, OPEN_FLAGS, FILE_MODE, (error, fd) => {
      if (error !== null) return reject(new Error(openFailure(this.#path!, error), { cause: error }));
      if (this.#isClosed) fs.close(fd, ignore);
      else {
        if (this.#nextFd !== null) fs.close(this.#nextFd, ignore);
        this.#nextFd = fd;
        if (!this.#isWriting) this.#takeNextFd();
      }
      resolve();
    });
    return promise;
  }

  /** Writes what is left, for a few seconds at most, and closes the file. Later lines are dropped. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#text !== "" || this.#batch !== null) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#onIdle = resolve;
      // Not of the clock, whose timers let the process end.
      const deadline = setTimeout(resolve, CLOSE_MS_MAX);
      this.#writeBatch();
      await promise;
      clearTimeout(deadline);
    }
    this.#timer?.cancel();
    if (this.#nextFd !== null) fs.close(this.#nextFd, ignore);
    if (this.#ownsFd && !this.#isWriting) fs.close(this.#fd, ignore);
  }

  /** For a process that ends right now: writes what is left, as far as the target takes it at once. */
  flushSync(): void {
    const left = Buffer.from(this.#text);
    const batch = this.#batch !== null && !this.#isWriting ? this.#batch.subarray(this.#batchStart) : Buffer.alloc(0);
    this.#text = "";
    this.#lines = 0;
    this.#batch = this.#isWriting ? this.#batch : null;
    try {
      let rest = Buffer.concat([batch, left]);
      while (rest.length > 0) rest = rest.subarray(fs.writeSync(this.#fd, rest));
    } catch {
      // There is nobody left to tell.
    }
  }

  #append(text: string, lines: number): void {
    this.#text += text.endsWith("\n") ? text : `${text}\n`;
    this.#lines += lines;
  }

  #wait(ms: number): void {
    this.#timer?.cancel();
    this.#timer = this.#clock.after(ms, this.#onTimer);
  }

  /** Begins to write, or goes on with what was not taken. */
  #writeBatch(): void {
    if (this.#isWriting) return;
    if (this.#batch === null) {
      if (this.#text === "") return;
      this.#batch = Buffer.from(this.#text);
      this.#batchStart = 0;
      this.#batchLines = this.#lines;
      this.#text = "";
      this.#lines = 0;
    }
    this.#isWriting = true;
    // Whoever shares the pipe may have undone it: Node does at its end, such as that of the process before an upgrade.
    this.#stream?._handle?.setBlocking?.(false);
    fs.write(this.#fd, this.#batch, this.#batchStart, this.#batch.length - this.#batchStart, null, this.#onWritten);
  }

  #written(error: SystemError | null, bytes: number): void {
    this.#isWriting = false;
    if (error !== null) {
      this.#failed(error);
      return;
    }
    this.#batchStart += bytes;
    if (this.#batch !== null && this.#batchStart < this.#batch.length) {
      this.#writeBatch();
      return;
    }
    this.#batch = null;
    if (this.#isTroubled) {
      this.#isTroubled = false;
      this.#options.onRecovered?.();
    }
    this.#takeNextFd();
    if (this.#lostLines > 0) {
      this.#append(this.#options.lossLine(this.#lostLines), 1);
      this.#lostLines = 0;
    }
    if (this.#text.length >= BATCH_CHARS || (this.#isClosed && this.#text !== "")) this.#writeBatch();
    else if (this.#text !== "") this.#wait(BATCH_MS);
    else this.#onIdle?.();
  }

  #failed(error: SystemError): void {
    this.#isRetrying = true;
    if (error.code === "EAGAIN") {
      this.#wait(PIPE_RETRY_MS);
      return;
    }
    if (!this.#isTroubled) {
      this.#isTroubled = true;
      this.#options.onTrouble?.(error);
    }
    // The reader is gone: what was meant for it has nowhere to go. Everything else may get well, and is kept.
    if (error.code === "EPIPE") {
      this.#lostLines += this.#batchLines;
      this.#batch = null;
      if (this.#isClosed) this.#onIdle?.();
    }
    this.#takeNextFd();
    this.#wait(RETRY_MS);
  }

  #takeNextFd(): void {
    if (this.#nextFd === null) return;
    fs.close(this.#fd, ignore);
    this.#fd = this.#nextFd;
    this.#nextFd = null;
  }
}

function ignore(): void {}

const OPEN_FAILURES: Readonly<Record<string, string>> = {
  ENOENT: "there is no such folder",
  ENOTDIR: "a part of the path is not a folder",
  EACCES: "permission denied",
  EISDIR: "this is a folder, not a file",
  // What /dev/stdout is under systemd.
  ENXIO: "nobody reads this pipe, or it is a socket; standard output is stdout, without a path",
  ENOSPC: "the disk is full",
  EROFS: "the file system is read-only",
};

/** Why a log cannot be written there, found out without making the file; null: it can, as far as that can be told. */
export function logFileTrouble(path: string): string | null {
  try {
    const existing = fs.statSync(path, { throwIfNoEntry: false });
    if (existing?.isDirectory() === true) return openFailure(path, systemErrorOf("EISDIR"));
    // With the dot it has to be a folder.
    fs.accessSync(existing === undefined ? `${dirname(path)}/.` : path, fs.constants.W_OK);
    return null;
  } catch (error) {
    return openFailure(path, error as SystemError);
  }
}

function openFailure(path: string, error: SystemError): string {
  return `cannot open the log file ${path}: ${OPEN_FAILURES[error.code ?? ""] ?? error.message}`;
}
