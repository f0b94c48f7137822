/**
 * How often something was asked for before it is kept (`minUses`). Counted in two generations: when the younger one is full, it
 * becomes the older one, and what is not asked for again is forgotten with it. Of a key no more is kept than its digest: clients choose
 * how long keys are.
 */
import { entryIdOf } from "../../caching/keeping/entry-id.ts";
import { USES_COUNTED_MAX } from "./limits.ts";

export class UseCounts {
  #counts = new Map<string, number>();
  #before: ReadonlyMap<string, number> = new Map();

  /** Counts one more and says how many it makes. */
  count(key: string): number {
    const id = entryIdOf(key, "");
    const uses = (this.#counts.get(id) ?? this.#before.get(id) ?? 0) + 1;
    if (this.#counts.size >= USES_COUNTED_MAX / 2) {
      this.#before = this.#counts;
      this.#counts = new Map();
    }
    this.#counts.set(id, uses);
    return uses;
  }
}
