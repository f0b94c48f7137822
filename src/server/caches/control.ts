/** What may be asked of the caches of a running proxy: plain data, ready to be written as JSON, and never a secret. */
import { type CacheTotals, OUTCOMES } from "../../caching/counts.ts";
import type { KeepingStats, ListOutcome, ListQuery, PurgeOutcome, VerifyOutcome } from "../../caching/operating.ts";

export interface CacheStatus extends KeepingStats {
  /** In the configuration. */
  readonly name: string;
  /** Absolute path. */
  readonly directory: string;
  /** What it may have: `size`. */
  readonly bytesMax: number;
  /** What became of requests since the start, of all workers. */
  readonly served: CacheTotals;
  /** Of all that met the cache: how many did not wait for a download of their own, 0 to 1; null: there were none. */
  readonly hitRatio: number | null;
  /** The same of the bytes that clients got. */
  readonly byteHitRatio: number | null;
  /** Bytes that clients got and that nobody had to fetch for them. */
  readonly savedBytes: number;
}

/** Of each cache that was meant, or why nothing was done, in a sentence. */
export type CacheAnswer<T> =
  | { readonly ok: true; readonly caches: readonly (T & { readonly name: string })[] }
  | { readonly ok: false; readonly why: "no such cache" | "no pattern" | "failed"; readonly reason: string };

/** What an operator wants purged, in his own words: `kind` should be one of PurgePattern. */
export interface PurgeWish {
  readonly kind: string;
  readonly text: string;
}

/** `cache` is a name in the configuration; null: all of them. None of these rejects but by a fault. */
export interface CacheControl {
  /** Never waits. */
  stats(): readonly CacheStatus[];
  list(cache: string | null, query: ListQuery): Promise<CacheAnswer<ListOutcome>>;
  /**
   * No request that begins after this was called gets what they met, on no worker; it resolves
   * when all of it is gone, or stale.
   */
  purge(cache: string | null, wish: PurgeWish, isSoft: boolean): Promise<CacheAnswer<PurgeOutcome>>;
  verify(cache: string | null): Promise<CacheAnswer<VerifyOutcome>>;
}

/** Without a download of their own. */
const SAVING = new Set<string>(["hit", "stale", "revalidated", "shared"]);

export function ratiosOf(served: CacheTotals): Pick<CacheStatus, "hitRatio" | "byteHitRatio" | "savedBytes"> {
  const sum = (of: "requests" | "bytes", outcomes: readonly (keyof CacheTotals)[]) =>
    outcomes.reduce((total, outcome) => total + served[outcome][of], 0);
  const saving = OUTCOMES.filter((outcome) => SAVING.has(outcome));
  const share = (of: "requests" | "bytes") => {
    const all = sum(of, OUTCOMES);
    return all === 0 ? null : sum(of, saving) / all;
  };
  return { hitRatio: share("requests"), byteHitRatio: share("bytes"), savedBytes: sum("bytes", saving) };
}
