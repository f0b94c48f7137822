/** What operators may ask of a cache and have it do: plain data, ready to be written as JSON, without a body of anybody's. */
import type { PurgePattern } from "./cache.ts";

/** Why something that was stored is gone. */
export const REMOVALS = ["size", "inactive", "free", "purged", "invalidated", "replaced", "damaged"] as const;

export type Removal =
  /** Others needed its place, in `size`. */
  | "size"
  /** Nobody asked for it for so long as `inactive` says. */
  | "inactive"
  /** The file system had less free than `minFree`. */
  | "free"
  /** By a command. */
  | "purged"
  /** By a request that changes things (RFC 9111 section 4.4), or a cache group (RFC 9875). */
  | "invalidated"
  /** By a newer answer. */
  | "replaced"
  /** It did not verify. */
  | "damaged";

export interface KeepingStats {
  readonly entries: number;
  /** On the disk: bodies and books. */
  readonly bytes: number;
  /** Since the start. */
  readonly removed: Readonly<Record<Removal, number>>;
  /** Why nothing is stored for now, in a sentence; null: it works. */
  readonly trouble: string | null;
  /** null: no other machine shares it. */
  readonly shared: SharingStats | null;
}

/** Of a cache that machines share: this machine's part in it. Counts are since the start. */
export interface SharingStats {
  /** Why this machine does not take part and finds nothing in the cache, in a sentence; null: it takes part. */
  readonly cutOff: string | null;
  /** Since when that is so, ISO 8601. */
  readonly since: string;
  /** What came from other machines, instead of from the origin, and what was given to them; `bytes` of bodies. */
  readonly taken: { readonly answers: number; readonly bytes: number };
  readonly given: { readonly answers: number; readonly bytes: number };
  /** Look-ups and gifts that failed. */
  readonly errors: number;
  /** Why the last one of them did, in a sentence; null: none has. */
  readonly lastError: string | null;
  /** Look-ups that took too long: the origin was asked. */
  readonly late: number;
  /** Purges that are known to be logged and are not in force here yet. */
  readonly behind: number;
  /** Purges of this machine that the others could not be told of yet. */
  readonly owed: number;
}

export type ListOrder = "size" | "age" | "uses" | "expires";

export interface ListQuery {
  /** Only entries whose URL contains this text; "": all. */
  readonly search: string;
  /** The largest, the oldest, the most used, the ones that expire first come first. */
  readonly order: ListOrder;
  readonly limit: number;
}

/** One stored answer. Of its key only the URL is told: the other parts may come from cookies. */
export interface ListedEntry {
  readonly url: string;
  readonly status: number;
  readonly bytes: number;
  /** In seconds, as in the field Age. */
  readonly ageSeconds: number;
  /** Until it is stale; negative: it is. */
  readonly freshSeconds: number;
  /** How often it was used of late, as far as eviction counts: a small number that saturates. */
  readonly uses: number;
  readonly tags: readonly string[];
  /**
   * What the request had in the fields by which the answers of this URL vary, normalised, by their names in lower case; null: it did not
   * have the field. What may be a secret is covered.
   */
  readonly variant: Readonly<Record<string, string | null>>;
}

export interface ListOutcome {
  /** Entries that match, those beyond `limit` included. */
  readonly matching: number;
  readonly entries: readonly ListedEntry[];
}

export interface PurgeOutcome {
  /** Entries that were removed, or turned stale. */
  readonly entries: number;
}

export interface VerifyOutcome {
  /** Entries that were read whole, and are as they were stored by their checksums; `bytes` are theirs. */
  readonly entries: number;
  readonly bytes: number;
  /** Those that did not verify, and were removed. */
  readonly damaged: readonly string[];
}

/** What the keeper of one cache does for operators. */
export interface CacheOperations {
  stats(): KeepingStats;
  list(query: ListQuery): Promise<ListOutcome>;
  /**
   * In force for every request that begins after this has returned its promise; resolves when all that matched is gone. Rejects with
   * an Error, which may be shown, when that cannot be known: it says whether the purge is in force.
   */
  purge(pattern: PurgePattern, options: { readonly soft: boolean }): Promise<PurgeOutcome>;
  verify(): Promise<VerifyOutcome>;
}
