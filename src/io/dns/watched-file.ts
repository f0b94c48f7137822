/**
 * A small file of the system that changes seldom: read at the start, looked at again when somebody has a use for it. Nobody
 * waits for that look, which needs a thread of the pool, and those may all be busy: what changed is told of when it is known.
 */
import { readFileSync, statSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import type { Clock } from "../../core/ports.ts";
import type { SystemError } from "../failures.ts";

/** How often a file is looked at, at most. Somebody who edits it waits for that long; one `stat` in this time costs nothing. */
export const LOOK_INTERVAL_MS = 5_000;

export class WatchedFile {
  readonly #clock: Clock;
  readonly #path: string;
  readonly #onChange: (text: string) => void;
  #text: string;
  /** What tells one state of the file from another; null: there is none. */
  #mark: string | null;
  #lookedAtMs: number;
  #isLooking = false;

  /** A file that cannot be read is empty. `onChange` is called in a later turn, with another text than the last. */
  constructor(clock: Clock, path: string, onChange: (text: string) => void) {
    this.#clock = clock;
    this.#path = path;
    this.#onChange = onChange;
    this.#lookedAtMs = clock.now();
    try {
      this.#mark = markOf(statSync(path));
      this.#text = readFileSync(path, "utf8");
    } catch {
      this.#mark = null;
      this.#text = "";
    }
  }

  get text(): string {
    return this.#text;
  }

  get isLooking(): boolean {
    return this.#isLooking;
  }

  /** Begins to look, when that was done long enough ago; whether it did. */
  look(): boolean {
    const now = this.#clock.now();
    if (this.#isLooking || now - this.#lookedAtMs < LOOK_INTERVAL_MS) return false;
    this.#lookedAtMs = now;
    this.#isLooking = true;
    void this.#readIfChanged().finally(() => {
      this.#isLooking = false;
    });
    return true;
  }

  async #readIfChanged(): Promise<void> {
    let mark: string | null = null;
    let text = "";
    try {
      mark = markOf(await stat(this.#path));
      if (mark === this.#mark) return;
      text = await readFile(this.#path, "utf8");
    } catch (error) {
      // A file that is gone is empty; one that cannot be read just now stays what it was.
      if ((error as SystemError).code !== "ENOENT") return;
      mark = null;
    }
    this.#mark = mark;
    if (text === this.#text) return;
    this.#text = text;
    this.#onChange(text);
  }
}

function markOf({ mtimeMs, size, ino }: { mtimeMs: number; size: number; ino: number }): string {
  return `${mtimeMs} ${size} ${ino}`;
}
