/**
 * What is not to be found any more though its removal is not committed yet: what was invalidated, by key or by tag, and what is
 * damaged. The thread that has invalidated something goes by it from that moment on, and so does the keeper for who asks it meanwhile.
 */
import type { EntryId } from "../ports.ts";

export class Leaving {
  /** How many removals are under way. */
  readonly #keys = new Map<string, number>();
  readonly #tags = new Map<string, number>();
  /** Of what is damaged: a later version is not. */
  readonly #versions = new Map<EntryId, number>();

  /** `tags`: of an answer. */
  has(id: EntryId, version: number, key: string, tags: readonly string[]): boolean {
    if (this.#keys.size > 0 && this.#keys.has(key)) return true;
    if (this.#tags.size > 0 && tags.some((tag) => this.#tags.has(tag))) return true;
    return this.#versions.size > 0 && this.#versions.get(id) === version;
  }

  /** Settles as the removal does. */
  key(key: string, remove: () => Promise<void>): Promise<void> {
    return during(this.#keys, key, remove);
  }

  tag(tag: string, remove: () => Promise<void>): Promise<void> {
    return during(this.#tags, tag, remove);
  }

  /** `dropped` never rejects. */
  async damaged(id: EntryId, version: number, dropped: Promise<unknown>): Promise<void> {
    this.#versions.set(id, version);
    await dropped;
    if (this.#versions.get(id) === version) this.#versions.delete(id);
  }
}

async function during(counts: Map<string, number>, what: string, remove: () => Promise<void>): Promise<void> {
  counts.set(what, (counts.get(what) ?? 0) + 1);
  try {
    await remove();
  } finally {
    const count = counts.get(what)! - 1;
    if (count > 0) counts.set(what, count);
    else counts.delete(what);
  }
}
