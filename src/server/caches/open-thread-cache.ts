/** Opens what a thread has of one cache: the disk to read and to write bodies, and the way to the keeper. */
import { CacheCountSums, CacheCounts } from "../../caching/counts.ts";
import type { ToKeeper, ToThread } from "../../caching/fills/protocol.ts";
import { clock, unheldClock } from "../surroundings.ts";
import { cannotOpen, reasonOf } from "./folder.ts";
import type { CacheHandout } from "./handout.ts";
import { PortLink } from "./links.ts";
import type { OpenCache } from "./thread-caches.ts";

/** The libraries are only loaded where there is a cache. Rejects with a SetupError. */
export async function openThreadCache(handout: CacheHandout): Promise<OpenCache> {
  const { config, folder, counts, column, shared, progress, port } = handout;
  const { openCacheDisk } = await import("../../io/cache/open.ts");
  const { ThreadCache } = await import("../../caching/fills/thread-cache.ts");
  const { atomicWakes, ProgressTable } = await import("../../caching/fills/progress-table.ts");
  const { SharedCache } = await import("../../caching/shared.ts");
  const { name, hotBytesMax, objectBytesMax } = config;
  try {
    const disk = openCacheDisk(folder);
    const memory = new SharedCache(shared, unheldClock);
    const table = new ProgressTable(progress, atomicWakes);
    const sums = new CacheCountSums(counts);
    const link = new PortLink<ToKeeper, ToThread>(port);
    const cache = new ThreadCache({
      name,
      hotBytesMax,
      objectBytesMax,
      counts: new CacheCounts(counts, column),
      disk,
      shared: memory,
      table,
      link,
      clock,
    });
    return {
      cache,
      facts: () => ({ entries: memory.entries, bytes: memory.bytes, fetching: table.growing, totals: sums.read() }),
      get isIdle() {
        return cache.isIdle;
      },
      close: async () => {
        link.close();
        cache.close();
        await disk.close();
      },
    };
  } catch (error) {
    port.close();
    throw cannotOpen(config, reasonOf(error), error);
  }
}
