/**
 * Options of caches: where each one is on the disk, how much it may take there and in memory, and when it lets go of what nobody
 * uses. They decide what may be said of one cache; what a request gets out of it is decided by the feature `cache`.
 */
import { z } from "zod";
import { folderPath } from "../core/option-files.ts";
import { duration, formatDuration, formatSize, sizeBetween, textKind } from "../core/option-types.ts";
import type { RedisStoreConfig } from "../identity/stores/options.ts";

/** Less holds no object of a usual size beside the books of the cache. */
export const CACHE_BYTES_MIN = 1024 * 1024;
/** A pebibyte: more is a slip of the keyboard, and sums of it are still exact. */
const CACHE_BYTES_MAX = 2 ** 50;
/** A build farm's packages of some months; on most machines a small part of the disk. */
const CACHE_BYTES_DEFAULT = 10 * 2 ** 30;
/** Longer than a holiday of those who use it, shorter than the life of what nobody asks for again. */
const INACTIVE_MS_DEFAULT = 30 * 86_400_000;
/** Of each worker. Some ten thousand small answers, which are the ones that are asked for most. */
export const HOT_BYTES_DEFAULT = 64 * 2 ** 20;
/** A worker's heap has some GiB; what is on the disk is in the system's page cache anyway. */
const HOT_BYTES_MAX = 16 * 2 ** 30;
/** What else writes to the same file system (logs, databases) shall not fail because of a cache. */
const FREE_BYTES_MIN_DEFAULT = 2 ** 30;

/** The name of the cache that is there when nobody names one. */
export const DEFAULT_CACHE = "default";

const CACHE_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/;

/** The JSON Schema's name for a reference, by which config/ finds what names a cache. */
export const CACHE_REFERENCE = "cacheReference";

/** For a feature's options: the name of a cache. */
export const cacheReference = textKind<string>({
  id: CACHE_REFERENCE,
  expected: "the name of a cache",
  description: "A name in `caches`.",
  pattern: CACHE_NAME.source,
  parse: (text) => (CACHE_NAME.test(text) ? text : null),
});

/** `caches.NAME`, but for `shared`, which config/ adds: it is a store as sessions have one. */
export const cacheOptions = z
  .strictObject({
    directory: folderPath()
      .optional()
      .describe(
        "Its folder, made when it is not there, for this cache and this proxy alone. By default a folder of its name in the cache folder of the user or of the service.",
      ),
    size: sizeBetween(CACHE_BYTES_MIN, CACHE_BYTES_MAX)
      .prefault(formatSize(CACHE_BYTES_DEFAULT))
      .describe("How much it may take on the disk. Above that, what is least likely to be asked for again goes."),
    inactive: z
      .union([z.literal("off").transform((): null => null), duration()])
      .prefault(formatDuration(INACTIVE_MS_DEFAULT))
      .describe(
        "What nobody has asked for in this time goes, however fresh it is. `off`: it stays while there is room.",
      ),
    memory: sizeBetween(0, HOT_BYTES_MAX)
      .prefault(formatSize(HOT_BYTES_DEFAULT))
      .describe(
        "How much each worker may keep in its memory of the small answers that are asked for most. 0: nothing.",
      ),
    minFree: sizeBetween(0, CACHE_BYTES_MAX)
      .prefault(formatSize(FREE_BYTES_MIN_DEFAULT))
      .describe("So much of the file system stays free, whatever `size` says: below that the cache makes room."),
    maxObject: sizeBetween(1, CACHE_BYTES_MAX)
      .optional()
      .describe("No body that is larger is stored. By default any that fits into `size`; a `cache` may set less."),
  })
  .describe("A cache: its place on the disk and its limits.");

export type CacheBlock = z.output<typeof cacheOptions>;

/** A cache with its defaults. */
export interface CacheConfig {
  /** The name in `caches`. */
  readonly name: string;
  /** Absolute; null: the folder of its name in the usual place. */
  readonly directory: string | null;
  readonly bytesMax: number;
  /** null: it stays while there is room. */
  readonly inactiveMs: number | null;
  /** Of each worker. */
  readonly hotBytesMax: number;
  readonly freeBytesMin: number;
  readonly objectBytesMax: number;
  /** null: it is shared with no other machine. */
  readonly shared: RedisStoreConfig | null;
}

export function resolveCache(name: string, block: CacheBlock, shared: RedisStoreConfig | null): CacheConfig {
  return {
    name,
    directory: block.directory ?? null,
    bytesMax: block.size,
    inactiveMs: block.inactive,
    hotBytesMax: block.memory,
    freeBytesMin: block.minFree,
    objectBytesMax: Math.min(block.maxObject ?? block.size, block.size),
    shared,
  };
}

/** What is there when the file has no `caches`. */
export function defaultCache(): CacheConfig {
  return resolveCache(DEFAULT_CACHE, cacheOptions.parse({}), null);
}
