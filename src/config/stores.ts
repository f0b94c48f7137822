/**
 * Which stores there are: those that the file names, and those that a feature names by its URL alone. Whatever is said twice is
 * one store. It walks through the options of features without knowing any of them.
 */
import { StoreByName, StoreByUrl, type StoreConfig, type StoreReference } from "../identity/stores/options.ts";
import { canonicalJson } from "./canonical.ts";
import type { UseConfig } from "./config.ts";
import type { ConfigBlocks } from "./schema.ts";

/** Every store once, named ones first. */
export class Stores {
  readonly #stores = new Map<string, StoreConfig>();
  readonly #ofFeatures = new Set<string>();
  readonly #ofCaches = new Set<string>();

  constructor(blocks: ConfigBlocks["stores"]) {
    for (const [name, settings] of Object.entries(blocks)) this.#stores.set(name, { ...settings, name });
  }

  /** URLs that differ in nothing but credentials are told apart by a number: their name must not tell a secret. */
  share({ name: base, settings }: StoreByUrl): StoreReference {
    for (let count = 1; ; count++) {
      const name = count === 1 ? base : `${base}#${count}`;
      const store: StoreConfig = { ...settings, name };
      const existing = this.#stores.get(name);
      if (existing === undefined) this.#stores.set(name, store);
      if (existing === undefined || canonicalJson(existing) === canonicalJson(store)) return { name };
    }
  }

  /** For a feature: the name among the stores. */
  ofFeature(reference: StoreReference): StoreReference {
    const { name } = reference instanceof StoreByUrl ? this.share(reference) : reference;
    this.#ofFeatures.add(name);
    return { name };
  }

  /** What a cache is shared by; the file is known to be right. */
  ofCache(reference: StoreReference): StoreConfig {
    const { name } = reference instanceof StoreByUrl ? this.share(reference) : reference;
    this.#ofCaches.add(name);
    return this.#stores.get(name)!;
  }

  /** Those that features use, and those that nobody uses: what caches alone are shared by, is opened by those. */
  all(): readonly StoreConfig[] {
    return [...this.#stores.values()].filter(({ name }) => this.#ofFeatures.has(name) || !this.#ofCaches.has(name));
  }
}

/** A feature's options with the stores that they name by URL as names in `Config.stores`, wherever those stand in them. */
export function resolveStores(use: UseConfig, stores: Stores): UseConfig {
  if (use.feature === "plugin") return use;
  return { ...use, options: withStoreNames(use.options, stores) } as UseConfig;
}

/** The same value where nothing in it names a store. Only plain data is looked into: what else options hold is whole. */
function withStoreNames(value: unknown, stores: Stores): unknown {
  if (value instanceof StoreByUrl || value instanceof StoreByName) return stores.ofFeature(value);
  if (Array.isArray(value)) {
    const items = value.map((item) => withStoreNames(item, stores));
    return items.some((item, index) => item !== value[index]) ? items : value;
  }
  if (typeof value !== "object" || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value;
  let changed: Record<string, unknown> | null = null;
  for (const [key, inner] of Object.entries(value)) {
    const resolved = withStoreNames(inner, stores);
    if (resolved !== inner) changed = { ...(changed ?? value), [key]: resolved };
  }
  return changed ?? value;
}
