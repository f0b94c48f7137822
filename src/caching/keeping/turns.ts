/** One after another: what changes the records of one key waits until the change before it was committed, or has failed. */
import type { EntryId } from "../ports.ts";

export class Turns {
  readonly #last = new Map<EntryId, Promise<void>>();

  /** Begins at once when nothing is under way for the id. */
  take<T>(id: EntryId, act: () => Promise<T>): Promise<T> {
    const before = this.#last.get(id);
    const running = before === undefined ? act() : before.then(act);
    const over = running.then(ignore, ignore).then(() => {
      if (this.#last.get(id) === over) this.#last.delete(id);
    });
    this.#last.set(id, over);
    return running;
  }

  /** Resolves when nothing is under way that was begun before. */
  async settled(): Promise<void> {
    await Promise.all(this.#last.values());
  }
}

function ignore(): void {}
