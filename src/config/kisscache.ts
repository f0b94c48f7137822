/** How `handle: kisscache` keeps downloads: as `cache` would be told to that does what kisscache does, whatever origins say. */
import { type CacheOptions, cacheOptions } from "../features/cache/options.ts";
import { type KisscacheOptions, PASSED_FIELD } from "../features/kisscache/options.ts";

/** Each request says itself how old a download may be, so that nothing but room and `inactive` ends what is kept. */
const KEPT_FOR = "3650d";

export function cacheOfKisscache({ store }: KisscacheOptions): CacheOptions {
  return cacheOptions.parse({
    ...(store === null ? {} : { store }),
    // Authorization stands there because who must show one gets a download of his own; what else was passed is in the other one.
    key: { headers: ["authorization", PASSED_FIELD] },
    rules: [
      { status: 200, for: KEPT_FOR, ignore: ["cache-control", "expires", "pragma", "set-cookie", "vary"] },
      { never: true },
    ],
  });
}
