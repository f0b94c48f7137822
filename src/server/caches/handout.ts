/** What a thread is handed of a cache: data, memory that all threads share, and its own way to the keeper. */
import type { MessagePort } from "node:worker_threads";
import type { CacheConfig } from "../../caching/options.ts";

export interface CacheHandout {
  readonly config: CacheConfig;
  /** Absolute; by it a thread knows a cache that it has already. */
  readonly folder: string;
  /** Where this thread counts, and its column there. */
  readonly counts: SharedArrayBuffer;
  readonly column: number;
  /** Epochs, purges, uses (SharedCache). */
  readonly shared: SharedArrayBuffer;
  /** How far fills have come (ProgressTable). */
  readonly progress: SharedArrayBuffer;
  /** To be transferred with it. Who does not need it closes it. */
  readonly port: MessagePort;
}
