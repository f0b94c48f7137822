/**
 * Which caches there are, and which one a `cache` means that names none: the only one of the file, or that of the name `default`;
 * where the file has none at all, one in the usual place.
 */
import { type CacheConfig, DEFAULT_CACHE, defaultCache, resolveCache } from "../caching/options.ts";
import type { RedisStoreConfig } from "../identity/stores/options.ts";
import type { ConfigBlocks } from "./schema.ts";
import type { Stores } from "./stores.ts";

export { DEFAULT_CACHE };

/** The cache that is meant where none is named; null: more than one could be meant. */
export function unnamedCache(names: readonly string[]): string | null {
  const [first = DEFAULT_CACHE, ...others] = names;
  return others.length === 0 ? first : (names.find((name) => name === DEFAULT_CACHE) ?? null);
}

/** Every cache once, those of the file first. */
export class Caches {
  readonly #caches: Map<string, CacheConfig>;

  constructor(blocks: ConfigBlocks["caches"], stores: Stores) {
    const all = Object.entries(blocks).map(([name, { shared, ...block }]): [string, CacheConfig] => {
      // Of Redis: cache-checks has seen to it.
      const store = shared === undefined ? null : (stores.ofCache(shared) as RedisStoreConfig);
      return [name, resolveCache(name, block, store)];
    });
    this.#caches = new Map(all);
  }

  /** The name of the cache of this name, or of the one that is meant without a name; the file is known to be right. */
  of(name: string | null): string {
    const meant = name ?? unnamedCache([...this.#caches.keys()]) ?? DEFAULT_CACHE;
    if (!this.#caches.has(meant)) this.#caches.set(meant, defaultCache());
    return meant;
  }

  all(): readonly CacheConfig[] {
    return [...this.#caches.values()];
  }
}
