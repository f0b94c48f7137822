/** Options of `handle: kisscache`: what holds for downloads that say nothing of it themselves. */
import { z } from "zod";
import { cacheReference } from "../../caching/options.ts";
import { duration, fieldName, sizeBetween } from "../../core/option-types.ts";

export { PASSED_FIELD } from "./passed-field.ts";

/** As kisscache has it. */
const TTL_DEFAULT = "10d";

/** What kisscache passes on without a word: the credentials of those who download. */
const PASSED_DEFAULT: readonly string[] = ["authorization", "authentication", "authorisation"];

/** A pebibyte: more is a slip of the keyboard. */
const QUOTA_BYTES_MAX = 2 ** 50;

export const kisscacheBlock = z
  .strictObject({
    store: cacheReference()
      .optional()
      .transform((name) => name ?? null)
      .describe(
        "Where downloads are kept: a name in `caches`. By default the only one of the file, or that of the name `default`.",
      ),
    ttl: duration()
      .prefault(TTL_DEFAULT)
      .describe(
        "How old a kept download may be that is given to a request without `ttl`. An older one is fetched anew.",
      ),
    passHeaders: z
      .array(fieldName())
      .default([...PASSED_DEFAULT])
      .describe(
        "Fields of a request without `passheaders` that the origin gets; by default `Authorization`, `Authentication` and `Authorisation`. Who sends other ones gets another download, never that of somebody else.",
      ),
    quota: sizeBetween(1, QUOTA_BYTES_MAX)
      .optional()
      .transform((bytes) => bytes ?? null)
      .describe(
        "When the cache holds so much, what it does not hold is answered 507. By default nothing is: what is least likely to be asked for again makes room.",
      ),
  })
  .meta({ id: "kisscache" });

/** Times in milliseconds; null: not said. */
export type KisscacheOptions = z.output<typeof kisscacheBlock>;
