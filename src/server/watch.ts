/** Watching one file on the process's own clock, from before it is read on. */
import { type FileWatch, watchFiles } from "../io/tls/watch-files.ts";
import { clock } from "./surroundings.ts";

/** Keeps no process alive. */
export class WatchedFile {
  readonly #watch: FileWatch;
  #onChange: (() => void) | null = null;
  /** It has changed when nobody wanted to know yet. */
  #hasChanged = false;

  constructor(file: string) {
    this.#watch = watchFiles([file], clock, () => {
      if (this.#onChange === null) this.#hasChanged = true;
      else this.#onChange();
    });
  }

  /** Calls `listener` after each change of the file since this object was made; read it then. */
  whenChanged(listener: () => void): void {
    this.#onChange = listener;
    if (this.#hasChanged) listener();
  }

  close(): void {
    this.#watch.close();
  }
}
