/**
 * The access log of a worker: lines are collected and handed to the main thread, which has the one file or stream that all
 * workers write to, so no two lines are ever mixed and a log that is rotated is opened once.
 */
import type { Clock, TimerHandle } from "../../core/ports.ts";
import type { AccessWriter } from "../access-output.ts";

/** One message for hundreds of lines. */
const BATCH_CHARS = 64 * 1024;
/** Or when its first line is this old. The main thread collects once more. */
const BATCH_MS = 20;

export class AccessBatch implements AccessWriter {
  readonly #clock: Clock;
  readonly #hand: (text: string, lines: number) => void;
  #text = "";
  #lines = 0;
  #timer: TimerHandle | null = null;
  readonly #onTimer = (): void => this.flushSync();

  /** `hand` takes a batch away at once. */
  constructor(clock: Clock, hand: (text: string, lines: number) => void) {
    this.#clock = clock;
    this.#hand = hand;
  }

  write(line: string): void {
    this.#text += line;
    this.#lines++;
    if (this.#text.length >= BATCH_CHARS) this.flushSync();
    else this.#timer ??= this.#clock.after(BATCH_MS, this.#onTimer);
  }

  flushSync(): void {
    this.#timer?.cancel();
    this.#timer = null;
    if (this.#lines === 0) return;
    this.#hand(this.#text, this.#lines);
    this.#text = "";
    this.#lines = 0;
  }

  /** The file is the main thread's. */
  async reopen(): Promise<void> {}

  async close(): Promise<void> {
    this.flushSync();
  }
}
