/** What all requests that meet one use of the feature have in common. */
import type { Cache } from "../../caching/cache.ts";
import type { DeadlineWheel } from "../../core/deadlines.ts";
import type { Clock } from "../../core/ports.ts";
import type { ReuseRules } from "../../semantics/caching/reuse.ts";
import type { AnswerGiver } from "./give.ts";
import type { CacheKeys } from "./keys.ts";
import type { CacheOptions } from "./options.ts";
import type { AnswerRules } from "./rules.ts";
import type { HitLines } from "./status.ts";

export interface CacheContext {
  readonly options: CacheOptions;
  readonly cache: Cache;
  readonly clock: Clock;
  readonly deadlines: DeadlineWheel;
  readonly keys: CacheKeys;
  readonly rules: AnswerRules;
  readonly giver: AnswerGiver;
  readonly hitLines: HitLines;
  readonly reuseRules: ReuseRules;
  /** No longer body is kept. */
  readonly objectBytesMax: number;
  /** Nothing under the key is found any more; whatever goes wrong with it is the store's matter, and it says so. */
  invalidate(key: string): void;
}
