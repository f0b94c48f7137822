/** What kisscache's `/api/v1/status/` says, in its words, from what is known of the cache. The numbers are those of the whole cache. */
import type { CacheTotals } from "../../caching/counts.ts";

/** What is known of a cache, in every thread alike. */
export interface StoreFacts {
  readonly entries: number;
  /** On the disk. */
  readonly bytes: number;
  readonly bytesMax: number;
  /** Downloads under way. */
  readonly fetching: number;
  readonly totals: CacheTotals;
}

export function statusOf(
  facts: StoreFacts | null,
  quota: number | null,
  instance: string,
  wallMs: number,
): Readonly<Record<string, unknown>> {
  const { entries = 0, bytes = 0, bytesMax = 0, fetching = 0, totals } = facts ?? {};
  const counts = totals === undefined ? [] : Object.values(totals);
  const requests = counts.reduce((sum, count) => sum + count.requests, 0);
  const limit = quota ?? bytesMax;
  return {
    timestamp: new Date(wallMs).toISOString(),
    disk_usage: bytes,
    disk_usage_percent: limit === 0 ? 0 : Math.round((bytes / limit) * 100),
    disk_quota: limit,
    instance,
    // A download begins when it is asked for: none waits, and what has failed is not kept.
    resources_scheduled: 0,
    resources_downloading: fetching,
    resources_successes: entries,
    resources_failures: 0,
    resources_usage: requests,
    statistics_successes: totals?.miss.requests ?? 0,
    statistics_failures: 0,
    statistics_download: (totals?.miss.bytes ?? 0) + (totals?.pass.bytes ?? 0),
    statistics_upload: counts.reduce((sum, count) => sum + count.bytes, 0),
    statistics_requests: requests,
    version: VERSION_OF_INTERFACE,
  };
}

/** The kisscache whose interface this is; what it is made of is told by `Via` and by `headgate status`. */
const VERSION_OF_INTERFACE = "headgate";
